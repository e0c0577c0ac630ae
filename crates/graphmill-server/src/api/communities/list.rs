//! `GET /api/communities?level=&collection=&limit=50&offset=0&cursor=`: communities of one collection (the key's, else `default`) that have a live member,
//! finest level (0) first, in a level the largest first. All of an answer is of one generation; two answers need not be. 400: a bad number or collection
//! name, a cursor that is none, `cursor` together with `offset`. 404: a collection that the key does not reach.

use axum::extract::State;
use axum::response::Response;
use graphmill_core::CollectionId;
use serde::Serialize;
use utoipa::IntoParams;

use super::{CommunityShape, GenerationShape};
use crate::api::paging::{Paging, with_next};
use crate::openapi::{And, BadParameter, NoSuchCollection};
use crate::params::Params;
use crate::{AppState, Result, Scope};

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a description: the handler reads the parameters")]
struct Query {
    /// The collection; without it the caller's own, else `default`.
    collection: Option<CollectionId>,
    /// Only this level; 0 is the finest.
    #[param(minimum = 0, maximum = 4_294_967_295_i64)]
    level: Option<u32>,
    /// Most communities in the answer.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// How many to leave out at the beginning.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_i64, default = 0)]
    offset: Option<u64>,
    /// Where the page begins: from the header `Link` of the page before. Not together with `offset`.
    cursor: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = CommunityPage)]
struct Answer {
    communities: Vec<CommunityShape>,
    total: u64,
    limit: u32,
    offset: u64,
    has_more: bool,
    collection: CollectionId,
    #[serde(flatten)]
    generation: GenerationShape,
}

/// List the communities of a collection.
#[utoipa::path(
    get,
    path = "/api/communities",
    tag = "communities",
    operation_id = "list_communities",
    params(Query),
    responses(
        (status = 200, description = "A page of communities of one generation", body = Answer,
 headers(("Link" = Option<String>, description = "The next page, with rel=\"next\"; absent on the last"))),
        And<BadParameter, NoSuchCollection>,
    )
)]
pub(crate) async fn handle(State(state): State<AppState>, scope: Scope, params: Params) -> Result<Response> {
    let collection = scope.writing(params.parsed("collection")?)?;
    let level = params.number("level", 0..=u64::from(u32::MAX))?.and_then(|level| u32::try_from(level).ok());
    let paging = Paging::of(&params, 50)?;
    let list = state.graph().communities(&collection, level, &paging.start, paging.limit).await?;
    let next = list.page.next_cursor;
    let answer = Answer {
        communities: list.page.items.into_iter().map(CommunityShape::from).collect(),
        total: list.page.total,
        limit: paging.limit,
        offset: paging.offset,
        has_more: next.is_some(),
        collection,
        generation: list.generation.into(),
    };
    Ok(with_next(answer, "/api/communities", &params, next.as_deref()))
}

#[cfg(test)]
mod tests {
    use crate::test_server::TestServer;

    #[tokio::test]
    async fn before_the_first_run_there_are_none() {
        let server = TestServer::start().await;
        server.state.graph().ensure_collection(&Default::default()).await.unwrap();
        let json = server.get("/api/communities?level=0").await.json();
        let keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys.join(" "), "communities total limit offset has_more collection generation stands_at behind");
        assert_eq!((&json["total"], &json["generation"]), (&0.into(), &0.into()));
        for query in ["level=-1", "level=x", "limit=0", "cursor=nonsense", "cursor=00&offset=1", "collection=A"] {
            let answer = server.get(&format!("/api/communities?{query}")).await;
            assert_eq!((answer.error().0, answer.error().1.as_str()), (400, "invalid_parameter"), "{query}");
        }
    }
}
