//! `/api/communities`.

pub(crate) mod list;
pub(crate) mod show;

use graphmill_core::CommunityId;
use graphmill_graph::listing::{CommunityRecord, GenerationRecord};
use serde::Serialize;

use super::entities::six_decimals;

/// A community as lists show it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Community)]
pub(crate) struct CommunityShape {
    community_id: CommunityId,
    level: u32,
    /// `null` at the coarsest level.
    #[schema(schema_with = crate::openapi::community_or_null)]
    parent: Option<CommunityId>,
    title: String,
    summary: String,
    size: u64,
    modularity_share: f64,
}

impl From<CommunityRecord> for CommunityShape {
    fn from(community: CommunityRecord) -> Self {
        Self {
            community_id: community.id,
            level: community.level,
            parent: community.parent,
            title: community.title,
            summary: community.summary,
            size: community.size,
            modularity_share: six_decimals(community.modularity_share),
        }
    }
}

/// Which generation an answer is of.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Generation)]
pub(crate) struct GenerationShape {
    generation: u64,
    stands_at: u64,
    behind: u64,
}

impl From<GenerationRecord> for GenerationShape {
    fn from(record: GenerationRecord) -> Self {
        Self {
            generation: record.generation,
            stands_at: record.stands_at,
            behind: record.publish_number.saturating_sub(record.stands_at),
        }
    }
}
