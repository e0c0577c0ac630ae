//! `GET /api/collections?limit=50&offset=0`: collections by name. A key that is bound to one sees that one. 400: a bad number.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::IntoParams;

use super::{CollectionShape, shape};
use crate::openapi::BadParameter;
use crate::params::Params;
use crate::{AppState, Result, Scope};

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a description: the handler reads the parameters")]
struct Query {
    /// Most collections in the answer.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// How many to leave out at the beginning.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_i64, default = 0)]
    offset: Option<u64>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = CollectionPage)]
pub(crate) struct Answer {
    collections: Vec<CollectionShape>,
    total: u64,
    limit: u32,
    offset: u64,
    has_more: bool,
}

/// List the collections.
#[utoipa::path(
    get,
    path = "/api/collections",
    tag = "collections",
    operation_id = "list_collections",
    params(Query),
    responses(
        (
            status = 200,
            description = "A page of collections by name",
            body = Answer,
            example = json!({
                "collections": [{
                "name": "manuals",
                "state": "active",
                "created_at": "2024-01-15T16:30:00.000Z",
                "settings": {"chunk_size": 1500, "quota": {"documents": 1000}},
                "documents": 12,
                "chunks": 840,
                "entities": 311,
                "jobs": 14,
                "bytes": 8456192,
                "usage": {"documents": 12, "bytes": 8456192}
                }],
                "total": 1,
                "limit": 50,
                "offset": 0,
                "has_more": false
            })
        ),
        BadParameter,
    )
)]
pub(crate) async fn handle(State(state): State<AppState>, scope: Scope, params: Params) -> Result<Json<Answer>> {
    let (limit, offset) = (params.limit(50)?, params.offset()?);
    let (records, total) = match scope.bound() {
        None => state.jobs().collections(offset, limit).await?,
        Some(own) => {
            let own: Vec<_> = state.jobs().collection(own).await?.into_iter().collect();
            let total = own.len() as u64;
            (own.into_iter().skip(usize::try_from(offset).unwrap_or(usize::MAX)).collect(), total)
        }
    };
    let mut collections = Vec::with_capacity(records.len());
    for record in records {
        collections.push(shape(&state, record).await?);
    }
    let has_more = offset.saturating_add(collections.len() as u64) < total;
    Ok(Json(Answer { collections, total, limit, offset, has_more }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_server::TestServer;

    #[tokio::test]
    async fn they_come_by_name_and_in_pages() {
        let server = TestServer::start().await;
        for name in ["b", "a"] {
            assert_eq!(server.post("/api/collections", json!({"name": name})).await.status, 201);
        }
        let page = server.get("/api/collections?limit=2").await.json();
        let keys: Vec<_> = page.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["collections", "total", "limit", "offset", "has_more"]);
        assert_eq!((&page["total"], &page["has_more"]), (&json!(3), &json!(true)));
        assert_eq!((&page["collections"][0]["name"], &page["collections"][1]["name"]), (&json!("a"), &json!("b")));
        let page = server.get("/api/collections?limit=2&offset=2").await.json();
        assert_eq!((&page["collections"][0]["name"], &page["has_more"]), (&json!("default"), &json!(false)));
        assert_eq!(server.get("/api/collections?limit=0").await.error().0, 400);
    }
}
