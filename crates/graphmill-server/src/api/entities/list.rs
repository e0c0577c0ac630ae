//! `GET /api/entities?q=&match=contains&type=&sort=importance&collection=&limit=50&offset=0&cursor=`: entities of one collection (the key's, else
//! `default`). `q` is part of a name: case, width, white space and the simple plural do not matter. `cursor` is opaque; the next one stands in the
//! header `Link` (RFC 8288). `total` counts up to 5,000 when something is filtered (`total_capped` says so). 400: an unknown word, a bad number or
//! collection name, a cursor that is none or of another order, `cursor` together with `offset`. 404: a collection that the key does not reach.

use axum::extract::State;
use axum::response::Response;
use graphmill_core::CollectionId;
use graphmill_graph::listing::{EntityQuery, EntitySort, NameMatch};
use serde::Serialize;
use utoipa::IntoParams;

use super::EntityShape;
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
    /// Only entities with this in their name.
    q: Option<String>,
    /// Where in the name it stands.
    #[param(inline, default = "contains")]
    r#match: Option<NameMatch>,
    /// Only entities of this type.
    r#type: Option<String>,
    /// By what they are sorted.
    #[param(inline, default = "importance")]
    sort: Option<EntitySort>,
    /// Most entities in the answer.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// How many to leave out at the beginning.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_i64, default = 0)]
    offset: Option<u64>,
    /// Where the page begins: from the header `Link` of the page before. Not together with `offset`.
    cursor: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = EntityPage)]
struct Answer {
    entities: Vec<EntityShape>,
    total: u64,
    limit: u32,
    offset: u64,
    has_more: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    total_capped: bool,
    collection: CollectionId,
}

/// List the entities of a collection.
#[utoipa::path(
    get,
    path = "/api/entities",
    tag = "entities",
    operation_id = "list_entities",
    params(Query),
    responses(
        (status = 200, description = "A page of entities", body = Answer,
 headers(("Link" = Option<String>, description = "The next page, with rel=\"next\"; absent on the last"))),
        And<BadParameter, NoSuchCollection>,
    )
)]
pub(crate) async fn handle(State(state): State<AppState>, scope: Scope, params: Params) -> Result<Response> {
    let collection = scope.writing(params.parsed("collection")?)?;
    let query = EntityQuery {
        q: params.text("q")?.map(str::to_owned),
        name_match: params.parsed("match")?.unwrap_or_default(),
        entity_type: params.text("type")?.map(str::to_lowercase),
        sort: params.parsed("sort")?.unwrap_or_default(),
    };
    let paging = Paging::of(&params, 50)?;
    let page = state.graph().entities(&collection, &query, &paging.start, paging.limit).await?;
    let answer = Answer {
        entities: page.items.into_iter().map(EntityShape::from).collect(),
        total: page.total,
        limit: paging.limit,
        offset: paging.offset,
        has_more: page.next_cursor.is_some(),
        total_capped: page.total_capped,
        collection,
    };
    Ok(with_next(answer, "/api/entities", &params, page.next_cursor.as_deref()))
}

#[cfg(test)]
mod tests {
    use crate::test_server::TestServer;

    #[tokio::test]
    async fn a_bad_parameter_is_named_and_an_empty_collection_is_empty() {
        let server = TestServer::start().await;
        for (query, part) in [
            ("sort=size", "importance, name, mention_count"),
            ("match=regex", "contains, prefix"),
            ("cursor=nonsense", "cursor"),
            ("cursor=00&offset=5", "both"),
            ("limit=0", "from 1 to 1000"),
            ("collection=A%20B", "a-z"),
        ] {
            // The store looks at a cursor once there is something to walk.
            server.state.graph().ensure_collection(&Default::default()).await.unwrap();
            let (status, code, error) = server.get(&format!("/api/entities?{query}")).await.error();
            assert_eq!((status, code.as_str()), (400, "invalid_parameter"), "{query}");
            assert!(error.contains(part), "{query}: {error}");
        }
        let json = server.get("/api/entities?q=pump&collection=nobody").await.json();
        let keys: Vec<_> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["entities", "total", "limit", "offset", "has_more", "collection"]);
        assert_eq!((&json["total"], &json["collection"]), (&0.into(), &"nobody".into()));
    }
}
