//! `PATCH /api/collections/{name}` with `{"settings": {…}}`: changes the settings that are named (JSON Merge Patch, RFC 7396: `null` goes back to the
//! server's own). The quota holds at once; models, chunking, extraction and entity types hold for uploads and re-ingestions that are accepted from now
//! on: documents that are there, and jobs that wait or run, keep theirs. Another embedding model only warns; a reindex switches. 400: a bad or unknown
//! field. 403: a key that is bound to a collection. 404: no such collection. 409 `collection_deleting`.

use axum::Json;
use axum::extract::State;
use graphmill_core::{CollectionId, ErrorCode};
use serde_json::{Map, Value};

use super::show::existing;
use super::{CannotManage, CollectionShape, Deleting, SettingsRequest, check_manages, checked, shape};
use crate::body::Fields;
use crate::openapi::{And, BadBody, NoSuchCollection};
use crate::path::CollectionPath;
use crate::{AppState, Error, Result, Scope};

#[derive(utoipa::ToSchema)]
#[schema(as = CollectionChange)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a description: the handler reads the fields")]
struct Request {
    settings: SettingsRequest,
}

/// How often a change that met another one is tried.
const TRIES: u32 = 20;

/// Change settings of a collection.
#[utoipa::path(
    patch,
    path = "/api/collections/{name}",
    tag = "collections",
    operation_id = "change_collection",
    params(("name" = CollectionId, Path, description = "The collection")),
    request_body(
        content = Request,
        description = "The settings that change, as a JSON Merge Patch (RFC 7396)",
        example = json!({"settings": {"quota": {"documents": 2000}}})
    ),
    responses(
        (
            status = 200,
            description = "The collection as it is now",
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
        And<And<BadBody, NoSuchCollection>, And<CannotManage, Deleting>>,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    CollectionPath(name): CollectionPath,
    mut fields: Fields,
) -> Result<Json<CollectionShape>> {
    check_manages(&scope, &name)?;
    let patch = fields.object("settings")?;
    fields.finish(&["settings"])?;
    let patch = patch.ok_or_else(|| Error::invalid("the field settings is missing; it holds what is to be changed"))?;
    for _ in 0..TRIES {
        let record = existing(&state, &name).await?;
        let mut settings = match serde_json::to_value(&record.settings) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(), // a struct of plain fields is always an object
        };
        merge(&mut settings, &patch);
        let settings = checked(&state, settings)?;
        if let Some(changed) = state.jobs().set_collection_settings(&name, record.version, &settings).await? {
            return Ok(Json(shape(&state, changed).await?));
        }
    }
    Err(Error::new(ErrorCode::Unavailable, format!("the settings of {name} are changed by others all the time")))
}

/// JSON Merge Patch (RFC 7396).
pub(super) fn merge(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => {
                target.shift_remove(name);
            }
            Value::Object(inner) => {
                let entry = target.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
                match entry {
                    Value::Object(map) => merge(map, inner),
                    other => {
                        let mut map = Map::new();
                        merge(&mut map, inner);
                        *other = Value::Object(map);
                    }
                }
            }
            other => {
                target.insert(name.clone(), other.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_server::{TestServer, form};

    #[tokio::test]
    async fn what_is_named_changes_and_null_goes_back() {
        let server = TestServer::start().await;
        let patch = async |settings| server.patch("/api/collections/default", json!({"settings": settings})).await;
        let changed = patch(json!({"chunk_size": 400, "chunk_overlap": 40, "quota": {"documents": 1}})).await;
        assert_eq!(
            changed.json()["settings"],
            json!({"chunk_size": 400, "chunk_overlap": 40, "quota": {"documents": 1}})
        );
        let changed = patch(json!({"chunk_overlap": null, "quota": {"bytes": 20}})).await;
        assert_eq!(changed.json()["settings"], json!({"chunk_size": 400, "quota": {"documents": 1, "bytes": 20}}));
        let changed = patch(json!({"quota": null, "chunk_size": null})).await;
        assert_eq!(changed.json()["settings"], json!({}));
        assert_eq!(patch(json!({"chunk_size": 0})).await.error().0, 400);
        let missing = server.patch("/api/collections/default", json!({})).await.error();
        assert!(missing.2.contains("settings is missing"), "{missing:?}");
        assert_eq!(server.patch("/api/collections/nobody", json!({"settings": {}})).await.error().0, 404);
    }

    #[tokio::test]
    async fn the_next_upload_takes_them_and_what_it_says_stands_over_them() {
        let server = TestServer::start().await;
        let settings = json!({"settings": {"chunk_size": 400, "chunk_overlap": 40, "extract_entities": false,
            "entity_types": ["valve"], "extraction_model": "offline"}});
        assert_eq!(server.patch("/api/collections/default", settings).await.status, 200);
        let job = server.upload("a.txt", "Pumps pump.").await;
        let params = server.state.jobs().job(job).await.unwrap().params;
        assert_eq!((&params["chunk_size"], &params["chunk_overlap"]), (&json!(400), &json!(40)));
        assert_eq!(params["models"], json!({"extraction": "offline", "entity_types": ["valve"]}));
        assert_eq!(server.state.jobs().job(job).await.unwrap().stages.len(), 4);
        let parts: [(&str, Option<&str>, &[u8]); 3] =
            [("file", Some("b.txt"), b"Pumps."), ("chunk_size", None, b"900"), ("extract_entities", None, b"true")];
        let answer = server.send(form(&parts)).await.json();
        let detail = server.state.jobs().job(answer["job_id"].as_str().unwrap().parse().unwrap()).await.unwrap();
        assert_eq!((&detail.params["chunk_size"], &detail.params["chunk_overlap"]), (&json!(900), &json!(40)));
        assert_eq!(detail.stages.len(), 5);
    }

    #[tokio::test]
    async fn a_quota_holds_at_once_and_says_what_to_do() {
        let server = TestServer::start().await;
        server.upload("a.txt", "Pumps pump.").await;
        server.patch("/api/collections/default", json!({"settings": {"quota": {"documents": 1, "bytes": 20}}})).await;
        let parts: [(&str, Option<&str>, &[u8]); 1] = [("file", Some("b.txt"), b"Pumps.")];
        let answer = server.send(form(&parts)).await;
        let said = "the collection default would hold 2 documents; its quota is 1, and it holds 1";
        assert_eq!(answer.error(), (409, "quota_exceeded".into(), said.into()));
        assert!(answer.json()["hint"].as_str().unwrap().contains("delete documents, or raise the quota"));
        let parts: [(&str, Option<&str>, &[u8]); 1] = [("file", Some("a.txt"), b"Pumps pump, and more of them.")];
        let error = server.send(form(&parts)).await.error();
        assert!(error.2.contains("29 bytes; its quota is 20, and it holds 11"), "{error:?}");
        // One file of two is over: neither is taken, and nothing of them counts.
        server.patch("/api/collections/default", json!({"settings": {"quota": {"documents": 2}}})).await;
        let parts: [(&str, Option<&str>, &[u8]); 2] =
            [("file", Some("b.txt"), b"B b."), ("file", Some("c.txt"), b"C c.")];
        assert_eq!(server.send(form(&parts)).await.error().1, "quota_exceeded");
        let usage = server.get("/api/collections/default").await.json()["usage"].clone();
        assert_eq!(usage, json!({"documents": 1, "bytes": 11}));
    }
}
