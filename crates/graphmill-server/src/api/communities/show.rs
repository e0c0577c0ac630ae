//! `GET /api/communities/{community_id}?limit=50&offset=0&cursor=`: a community, what it is part of and what it holds, and its live members in pages, the
//! most important first; all of one generation. 400: a bad number, a cursor that is none. 404: the generation that readers see has no such community, or
//! none of its members lives.

use axum::extract::State;
use axum::response::Response;
use graphmill_core::{CollectionId, CommunityId};
use serde::Serialize;
use utoipa::IntoParams;

use super::{CommunityShape, GenerationShape};
use crate::api::entities::EntityShape;
use crate::api::paging::{Paging, with_next};
use crate::error::no_such_community;
use crate::openapi::{And, BadParameter, NoSuchCommunity};
use crate::params::Params;
use crate::path::CommunityPath;
use crate::{AppState, Result, Scope};

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a description: the handler reads the parameters")]
struct Query {
    /// Most members in the answer.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// How many to leave out at the beginning.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_i64, default = 0)]
    offset: Option<u64>,
    /// Where the page begins: from the header `Link` of the page before. Not together with `offset`.
    cursor: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = CommunityDetail)]
struct Answer {
    #[serde(flatten)]
    community: CommunityShape,
    collection: CollectionId,
    #[serde(flatten)]
    generation: GenerationShape,
    children: Vec<CommunityShape>,
    child_total: u64,
    members: Vec<EntityShape>,
    total: u64,
    limit: u32,
    offset: u64,
    has_more: bool,
}

/// A community and its members.
#[utoipa::path(
    get,
    path = "/api/communities/{community_id}",
    tag = "communities",
    operation_id = "get_community",
    params(("community_id" = CommunityId, Path, description = "The community"), Query),
    responses(
        (status = 200, description = "The community, what it holds, and a page of its members", body = Answer,
 headers(("Link" = Option<String>, description = "The next page, with rel=\"next\"; absent on the last"))),
        And<BadParameter, NoSuchCommunity>,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    CommunityPath(id): CommunityPath,
    params: Params,
) -> Result<Response> {
    let paging = Paging::of(&params, 50)?;
    let found = state.graph().community(id, &paging.start, paging.limit).await?;
    let found = found.filter(|c| scope.admits(&c.collection)).ok_or_else(|| no_such_community(&id.to_string()))?;
    let next = found.members.next_cursor;
    let answer = Answer {
        community: found.community.into(),
        collection: found.collection,
        generation: found.generation.into(),
        children: found.children.into_iter().map(CommunityShape::from).collect(),
        child_total: found.child_total,
        members: found.members.items.into_iter().map(EntityShape::from).collect(),
        total: found.members.total,
        limit: paging.limit,
        offset: paging.offset,
        has_more: next.is_some(),
    };
    Ok(with_next(answer, &format!("/api/communities/{id}"), &params, next.as_deref()))
}

#[cfg(test)]
mod tests {
    use graphmill_core::{CollectionId, CommunityId, EntityId, EntityName};
    use graphmill_graph::records::{CommunityRow, Layer};
    use serde_json::Map;

    use crate::test_server::{TestServer, no_document};

    #[tokio::test]
    async fn a_community_without_a_live_member_is_not_found() {
        let server = TestServer::start().await;
        let (graph, collection) = (server.state.graph(), CollectionId::default());
        graph.ensure_collection(&collection).await.unwrap();
        let run = graph.begin_run(&collection, Layer::Communities, true).await.unwrap();
        let id = CommunityId::new(&collection, 0, b"x");
        let gone = EntityId::new(&collection, &EntityName::new("gone").unwrap());
        let row = CommunityRow {
            id,
            level: 0,
            parent: None,
            title: "Gone".into(),
            summary: String::new(),
            modularity_share_millionths: 0,
            members: vec![gone],
        };
        graph.put_communities(&run, vec![row]).await.unwrap();
        graph.finish_run(&run, 1, Map::new()).await.unwrap();
        for id in [&id.to_string(), "com-1", "com-aaaaaaaaaaaaaaaaaaaaaaaaaa", &no_document().to_string()] {
            assert_eq!(server.get(&format!("/api/communities/{id}")).await.error().1, "not_found", "{id}");
        }
        assert_eq!(server.get("/api/communities").await.json()["total"], 0);
    }
}
