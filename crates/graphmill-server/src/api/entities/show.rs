//! `GET /api/entities/{entity_id}?limit=50&offset=0&cursor=`: an entity with the evidence for all that is said of it: votes for type and spelling, other
//! names that the texts define (and the chunks that do), its communities, and the chunks that mention it, in pages; all of one moment. 400: a bad number,
//! a cursor that is none. 404: there is no such entity, or nothing mentions it any more.

use axum::extract::State;
use axum::response::Response;
use graphmill_core::{CollectionId, EntityId};
use graphmill_graph::listing::{AliasRole, CommunityOf, EntityAlias, MentionRecord, Vote};
use serde::Serialize;
use utoipa::IntoParams;

use super::{EntityShape, PlaceShape};
use crate::api::paging::{Paging, with_next};
use crate::error::no_such_entity;
use crate::openapi::{And, BadParameter, NoSuchEntity};
use crate::params::Params;
use crate::path::EntityPath;
use crate::{AppState, Result, Scope};

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a description: the handler reads the parameters")]
struct Query {
    /// Most mentions in the answer.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// How many to leave out at the beginning.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_i64, default = 0)]
    offset: Option<u64>,
    /// Where the page begins: from the header `Link` of the page before. Not together with `offset`.
    cursor: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = EntityDetail)]
struct Answer {
    #[serde(flatten)]
    entity: EntityShape,
    collection: CollectionId,
    relations_out: u64,
    relations_in: u64,
    type_votes: Vec<Vote>,
    spelling_votes: Vec<Vote>,
    spelling_total: u64,
    aliases: Vec<AliasShape>,
    alias_total: u64,
    communities: Vec<CommunityOf>,
    mentions: Vec<MentionShape>,
    total: u64,
    limit: u32,
    offset: u64,
    has_more: bool,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Alias)]
struct AliasShape {
    entity_id: EntityId,
    name: String,
    role: AliasRole,
    evidence_count: u64,
    evidence: Vec<PlaceShape>,
}

impl From<EntityAlias> for AliasShape {
    fn from(alias: EntityAlias) -> Self {
        Self {
            entity_id: alias.entity,
            name: alias.name,
            role: alias.role,
            evidence_count: alias.evidence_count,
            evidence: alias.evidence.into_iter().map(PlaceShape::from).collect(),
        }
    }
}

/// A chunk that mentions the entity. Spans count characters from the beginning of the chunk; `start_char` is where the chunk begins.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Mention)]
struct MentionShape {
    #[serde(flatten)]
    place: PlaceShape,
    start_char: u64,
    said: Vec<SaidShape>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Said)]
struct SaidShape {
    spelling: String,
    #[serde(rename = "type")]
    entity_type: String,
    description: String,
    /// First character and the one behind the last.
    #[schema(value_type = Vec<Vec<u32>>)]
    spans: Vec<(u32, u32)>,
}

impl From<MentionRecord> for MentionShape {
    fn from(mention: MentionRecord) -> Self {
        let said = mention.said.into_iter().map(|m| SaidShape {
            spelling: m.spelling,
            entity_type: m.entity_type,
            description: m.description,
            spans: m.spans,
        });
        Self { place: mention.place.into(), start_char: mention.start_char, said: said.collect() }
    }
}

/// An entity with the evidence for all that is said of it.
#[utoipa::path(
    get,
    path = "/api/entities/{entity_id}",
    tag = "entities",
    operation_id = "get_entity",
    params(("entity_id" = EntityId, Path, description = "The entity"), Query),
    responses(
        (status = 200, description = "The entity with its evidence and a page of mentions", body = Answer,
 headers(("Link" = Option<String>, description = "The next page, with rel=\"next\"; absent on the last"))),
        And<BadParameter, NoSuchEntity>,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    EntityPath(id): EntityPath,
    params: Params,
) -> Result<Response> {
    let paging = Paging::of(&params, 50)?;
    let found = state.graph().entity(id, &paging.start, paging.limit).await?;
    let found =
        found.filter(|entity| scope.admits(&entity.collection)).ok_or_else(|| no_such_entity(&id.to_string()))?;
    let next = found.mentions.next_cursor;
    let answer = Answer {
        entity: found.entity.into(),
        collection: found.collection,
        relations_out: found.relations_out,
        relations_in: found.relations_in,
        type_votes: found.type_votes,
        spelling_votes: found.spelling_votes,
        spelling_total: found.spelling_total,
        aliases: found.aliases.into_iter().map(AliasShape::from).collect(),
        alias_total: found.alias_total,
        communities: found.communities,
        mentions: found.mentions.items.into_iter().map(MentionShape::from).collect(),
        total: found.mentions.total,
        limit: paging.limit,
        offset: paging.offset,
        has_more: next.is_some(),
    };
    Ok(with_next(answer, &format!("/api/entities/{id}"), &params, next.as_deref()))
}

#[cfg(test)]
mod tests {
    use crate::test_server::{TestServer, no_document};

    #[tokio::test]
    async fn what_is_no_entity_is_not_found() {
        let server = TestServer::start().await;
        for id in ["ent-aaaaaaaaaaaaaaaaaaaaaaaaaa", "ent-1", &no_document().to_string(), "%FF"] {
            for path in [format!("/api/entities/{id}"), format!("/api/entities/{id}/neighbours")] {
                let (status, code, _) = server.get(&path).await.error();
                assert_eq!((status, code.as_str()), (404, "not_found"), "{path}");
            }
        }
        let answer = server.get("/api/entities/pump").await.error();
        assert_eq!(answer.2, "there is no entity pump");
    }
}
