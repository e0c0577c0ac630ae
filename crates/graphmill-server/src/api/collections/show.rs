//! `GET /api/collections/{name}`: a collection with its settings, counts and, while it is being deleted, how far that is. 404: there is none of that
//! name.

use axum::Json;
use axum::extract::State;
use graphmill_core::CollectionId;
use graphmill_store::collection_store::CollectionRecord;

use super::{CollectionShape, shape};
use crate::openapi::NoSuchCollection;
use crate::path::CollectionPath;
use crate::scope::no_such_collection;
use crate::{AppState, Result, Scope};

/// A collection with its settings and counts.
#[utoipa::path(
    get,
    path = "/api/collections/{name}",
    tag = "collections",
    operation_id = "get_collection",
    params(("name" = CollectionId, Path, description = "The collection")),
    responses(
        (
            status = 200,
            description = "The collection with its settings and counts",
            body = CollectionShape,
            example = json!({
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
            })
        ),
        NoSuchCollection,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    CollectionPath(name): CollectionPath,
) -> Result<Json<CollectionShape>> {
    scope.reading(Some(name.clone()))?;
    let record = existing(&state, &name).await?;
    Ok(Json(shape(&state, record).await?))
}

/// The record, or 404.
pub(super) async fn existing(state: &AppState, name: &CollectionId) -> Result<CollectionRecord> {
    state.jobs().collection(name).await?.ok_or_else(|| no_such_collection(name.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_server::{TestServer, completed};

    #[tokio::test]
    async fn a_collection_with_its_counts() {
        let server = TestServer::start().await;
        let empty = server.get("/api/collections/default").await.json();
        let keys: Vec<_> = empty.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            ["name", "state", "created_at", "settings", "documents", "chunks", "entities", "jobs", "bytes", "usage"]
        );
        assert_eq!((&empty["state"], &empty["settings"], &empty["jobs"]), (&json!("active"), &json!({}), &json!(0)));
        server.upload("a.txt", "Pumps pump.").await;
        let accepted = server.get("/api/collections/default").await.json();
        assert_eq!((&accepted["documents"], &accepted["jobs"], &accepted["bytes"]), (&json!(0), &json!(1), &json!(11)));
        assert_eq!(accepted["usage"], json!({"documents": 1, "bytes": 11}));
        let claimed = server.claim().await;
        server.publish(&claimed.job).await;
        server.end(claimed.fence, completed()).await;
        let published = server.get("/api/collections/default").await.json();
        assert_eq!((&published["documents"], &published["chunks"]), (&json!(1), &json!(1)));
        for (name, shown) in [("nobody", "nobody"), ("NO", "NO")] {
            let error = server.get(&format!("/api/collections/{name}")).await.error();
            assert_eq!(error, (404, "not_found".into(), format!("there is no collection {shown}")));
        }
    }
}
