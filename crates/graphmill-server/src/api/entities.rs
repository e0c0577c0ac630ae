//! `/api/entities`.

pub(crate) mod list;
pub(crate) mod neighbours;
pub(crate) mod show;

use graphmill_core::{ChunkId, DocumentId, EntityId};
use graphmill_graph::listing::ChunkPlace;
use graphmill_graph::records::EntityRecord;
use serde::Serialize;

/// An entity as lists show it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Entity)]
pub(crate) struct EntityShape {
    pub(crate) entity_id: EntityId,
    name: String,
    #[serde(rename = "type")]
    entity_type: String,
    description: String,
    importance: f64,
    mention_count: u64,
    document_count: u64,
}

impl From<EntityRecord> for EntityShape {
    fn from(entity: EntityRecord) -> Self {
        Self {
            entity_id: entity.id,
            name: entity.name,
            entity_type: entity.entity_type,
            description: entity.description,
            importance: six_decimals(entity.importance),
            mention_count: entity.mention_count,
            document_count: entity.document_count,
        }
    }
}

/// Where a chunk stands.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Place)]
pub(crate) struct PlaceShape {
    document_id: DocumentId,
    filename: String,
    chunk_id: ChunkId,
    chunk_index: u32,
    page_start: u32,
    page_end: u32,
}

impl From<ChunkPlace> for PlaceShape {
    fn from(place: ChunkPlace) -> Self {
        Self {
            document_id: place.document,
            filename: place.filename,
            chunk_id: place.chunk,
            chunk_index: place.chunk_index,
            page_start: place.page_start,
            page_end: place.page_end,
        }
    }
}

/// As the export rounds.
pub(crate) fn six_decimals(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}
