//! `GET /api/entities/{entity_id}/neighbours?hops=1&limit=50`: entities within 1 to 3 relations, nearest first, at equal distance those that the strongest
//! relations lead to, and the relations among them. `truncated` says that the limit cut something off. 400: a bad number. 404: there is no such entity.

use axum::Json;
use axum::extract::State;
use graphmill_core::EntityId;
use graphmill_graph::listing::PageStart;
use graphmill_graph::records::RelationRecord;
use serde::Serialize;
use utoipa::IntoParams;

use super::{EntityShape, six_decimals};
use crate::error::no_such_entity;
use crate::openapi::{And, BadParameter, NoSuchEntity};
use crate::params::Params;
use crate::path::EntityPath;
use crate::{AppState, Result, Scope};

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a description: the handler reads the parameters")]
struct Query {
    /// Most relations on the way.
    #[param(minimum = 1, maximum = 3, default = 1)]
    hops: Option<u32>,
    /// Most entities in the answer.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Neighbours)]
pub(crate) struct Answer {
    entity_id: EntityId,
    hops: u64,
    limit: u32,
    entities: Vec<EntityShape>,
    relations: Vec<RelationShape>,
    truncated: bool,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Relation)]
struct RelationShape {
    source: EntityId,
    target: EntityId,
    #[serde(rename = "type")]
    relation_type: String,
    description: String,
    strength: f64,
    support: u64,
}

impl From<RelationRecord> for RelationShape {
    fn from(relation: RelationRecord) -> Self {
        Self {
            source: relation.source,
            target: relation.target,
            relation_type: relation.relation_type,
            description: relation.description,
            strength: six_decimals(relation.strength),
            support: relation.support,
        }
    }
}

/// Entities around one.
#[utoipa::path(
    get,
    path = "/api/entities/{entity_id}/neighbours",
    tag = "entities",
    operation_id = "list_neighbours",
    params(("entity_id" = EntityId, Path, description = "The entity"), Query),
    responses(
        (status = 200, description = "Entities around it and the relations among them", body = Answer),
        And<BadParameter, NoSuchEntity>,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    EntityPath(id): EntityPath,
    params: Params,
) -> Result<Json<Answer>> {
    let hops = params.number("hops", 1..=3)?.unwrap_or(1);
    let limit = params.limit(50)?;
    let not_found = || no_such_entity(&id.to_string());
    let found = state.graph().entity(id, &PageStart::Offset(0), 0).await?;
    let collection = found.map(|entity| entity.collection).filter(|c| scope.admits(c)).ok_or_else(not_found)?;
    // The entity itself is one of them; the limit is of the others.
    let around = state.graph().expand(&collection, &[id], hops as u32, limit + 1).await?;
    if around.entities.is_empty() {
        return Err(not_found()); // it went in between
    }
    Ok(Json(Answer {
        entity_id: id,
        hops,
        limit,
        entities: around.entities.into_iter().filter(|e| e.id != id).map(EntityShape::from).collect(),
        relations: around.relations.into_iter().map(RelationShape::from).collect(),
        truncated: around.truncated,
    }))
}

#[cfg(test)]
mod tests {
    use crate::test_server::TestServer;

    #[tokio::test]
    async fn hops_are_from_1_to_3() {
        let server = TestServer::start().await;
        for query in ["hops=0", "hops=4", "hops=x", "limit=0", "limit=1001"] {
            let answer = server.get(&format!("/api/entities/ent-aaaaaaaaaaaaaaaaaaaaaaaaaa/neighbours?{query}")).await;
            assert_eq!((answer.error().0, answer.error().1.as_str()), (400, "invalid_parameter"), "{query}");
        }
    }
}
