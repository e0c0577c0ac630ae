//! `POST /api/collections` with `{"name": "manuals", "settings": {…}}`: makes a collection. 201 with it and its path in `Location`; 200 when it is there
//! with the same settings. 400: a bad or unknown field. 403: a key that is bound to a collection. 409 `collection_exists`: it is there with other
//! settings; `collection_deleting`: one of that name is being deleted.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use graphmill_core::{CollectionId, ErrorCode};
use graphmill_store::collection_store::CollectionMade;
use serde_json::Map;

use super::change::merge;
use super::{CannotManage, CollectionShape, SettingsRequest, check_manages, checked, shape};
use crate::body::Fields;
use crate::openapi::{And, BadBody, NoSuchCollection, refusals};
use crate::{AppState, Error, Result, Scope};

refusals! {
    /// There is one of that name, with other settings or under deletion.
    CollectionExists {
        CollectionExists => "there is a collection manuals already, with other settings",
        CollectionDeleting => "the collection manuals is being deleted",
    }
}

#[derive(utoipa::ToSchema)]
#[schema(as = CollectionRequest)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a description: the handler reads the fields")]
struct Request {
    name: CollectionId,
    /// What is left out follows the server's settings.
    settings: Option<SettingsRequest>,
}

/// Make a collection.
#[utoipa::path(
    post,
    path = "/api/collections",
    tag = "collections",
    operation_id = "create_collection",
    request_body(
        content = Request,
        description = "Its name and settings",
        example = json!({"name": "manuals", "settings": {"chunk_size": 1500, "quota": {"documents": 1000}}})
    ),
    responses(
        (
            status = 201,
            description = "The new collection",
            body = CollectionShape,
            headers(("Location" = String, description = "The path of the collection")),
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
        (
            status = 200,
            description = "It is there already, with the same settings",
            body = CollectionShape,
            headers(("Location" = String, description = "The path of the collection"))
        ),
        And<And<BadBody, NoSuchCollection>, And<CannotManage, CollectionExists>>,
    )
)]
pub(crate) async fn handle(State(state): State<AppState>, scope: Scope, mut fields: Fields) -> Result<Response> {
    let name =
        fields.text("name")?.ok_or_else(|| Error::invalid("the field name is missing; it names the collection"))?;
    let settings = fields.object("settings")?.unwrap_or_default();
    fields.finish(&["name", "settings"])?;
    let name: CollectionId = name.parse().map_err(|e| Error::invalid(format!("the field name: {e}")))?;
    check_manages(&scope, &name)?;
    // `null` is as good as nothing, at any depth.
    let mut given = Map::new();
    merge(&mut given, &settings);
    let settings = checked(&state, given)?;
    let (status, record) = match state.jobs().create_collection(&name, &settings).await? {
        CollectionMade::New(record) => (StatusCode::CREATED, record),
        CollectionMade::Same(record) => (StatusCode::OK, record),
        CollectionMade::Differs(_) => {
            return Err(Error::new(
                ErrorCode::CollectionExists,
                format!("there is a collection {name} already, with other settings"),
            )
            .hint("PATCH /api/collections/{name} changes them"));
        }
    };
    let location = [(header::LOCATION, format!("/api/collections/{name}"))];
    Ok((status, location, Json(shape(&state, record).await?)).into_response())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_server::TestServer;

    #[tokio::test]
    async fn made_once_and_found_again() {
        let server = TestServer::start().await;
        let body = json!({"name": "manuals", "settings": {
            "embedding_model": "offline", "chunk_size": 500, "chunk_overlap": 50, "extract_entities": true,
            "entity_types": ["Component", "valve"], "quota": {"documents": 10, "bytes": 1_000_000}}});
        let made = server.post("/api/collections", body.clone()).await;
        assert_eq!(
            (made.status.as_u16(), made.headers["location"].to_str().unwrap()),
            (201, "/api/collections/manuals")
        );
        assert_eq!(made.json()["settings"]["entity_types"], json!(["component", "valve"]));
        let again = server.post("/api/collections", body).await;
        assert_eq!((again.status.as_u16(), again.json()), (200, made.json()));
        let other = server.post("/api/collections", json!({"name": "manuals"})).await.error();
        assert_eq!((other.0, other.1.as_str()), (409, "collection_exists"));
    }

    #[tokio::test]
    async fn a_bad_field_is_named() {
        let server = TestServer::start().await;
        for (body, part) in [
            (json!({}), "name is missing"),
            (json!({"name": "A b"}), "not a collection name"),
            (json!({"name": "a", "sttings": {}}), "\"sttings\" is not known"),
            (json!({"name": "a", "settings": 1}), "the field settings is 1; it must be an object"),
            (
                json!({"name": "a", "settings": {"chunksize": 1}}),
                "the field \"settings.chunksize\" is not known; the fields are embedding_model",
            ),
            (
                json!({"name": "a", "settings": {"chunk_size": "big"}}),
                "the field settings.chunk_size is \"big\"; it must be a whole number",
            ),
            (json!({"name": "a", "settings": {"chunk_size": 100, "chunk_overlap": 100}}), "overlap"),
            (
                json!({"name": "a", "settings": {"quota": {"bytes": -1}}}),
                "the field settings.quota.bytes is -1; it must be a whole number from 0 to 9223372036854775807",
            ),
            (json!({"name": "a", "settings": {"entity_types": []}}), "0 types"),
            (json!({"name": "a", "settings": {"embedding_model": "small"}}), "only \"offline\" can be used"),
        ] {
            let (status, _, error) = server.post("/api/collections", body).await.error();
            assert!(status == 400 && error.contains(part), "{status} {error}");
        }
        assert_eq!(server.get("/api/collections/a").await.error().0, 404, "nothing was made");
    }
}
