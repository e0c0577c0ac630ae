//! `DELETE /api/collections/{name}`: deletes a collection with everything in it: documents, graph, layers, vectors, jobs, logs, files, cached answers.
//! Its running jobs are cancelled, uploads to it are refused (409 `collection_deleting`) and readers see nothing of its graph from then on. `default`
//! is emptied and is there again with the usual settings. 200 when it is done; 202 after a second, and it is carried on over restarts too
//! (`GET /api/collections/{name}` shows how far it is). Keys that are bound to it are revoked at once, their open streams end; `revoked_keys` names them.
//! 403: a key that is bound to a collection. 404: no such collection. 409 `last_keys`: only keys that are bound to it are left, and without a key everybody
//! would be let in.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use graphmill_core::{CollectionId, ErrorCode};
use graphmill_store::collection_store::{CollectionDeletion, CollectionRecord};
use serde::Serialize;
use tokio::time::{Instant, sleep};

use super::{CannotManage, DeletionShape, check_manages, graph_items, progress};
use crate::key_ring::LastKeys;
use crate::openapi::{And, NoSuchCollection, refusals};
use crate::path::CollectionPath;
use crate::scope::no_such_collection;
use crate::{AppState, Error, Result, Scope};

refusals! {
    /// Only keys that are bound to it are left.
    OnlyKeys { LastKeys => "the only keys (ci) are bound to manuals and would be revoked with it" }
}

/// How long the call waits for the deletion to be carried out.
const WAIT: Duration = Duration::from_secs(1);

/// Between two looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(10);

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = CollectionDeleted)]
pub(crate) struct Answer {
    message: &'static str,
    name: CollectionId,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion: Option<DeletionShape>,
    /// Names of keys that this call revoked, since they were bound to the collection.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    revoked_keys: Vec<String>,
}

/// Delete a collection with everything in it.
#[utoipa::path(
    delete,
    path = "/api/collections/{name}",
    tag = "collections",
    operation_id = "delete_collection",
    params(("name" = CollectionId, Path, description = "The collection")),
    responses(
        (
            status = 200,
            description = "It is gone",
            body = Answer,
            example = json!({"message": "Collection deleted", "name": "manuals", "status": "deleted", "revoked_keys": ["ci"]})
        ),
        (
            status = 202,
            description = "It will be gone as soon as that can be",
            body = Answer,
            example = json!({
                "message": "Collection deletion accepted",
                "name": "manuals",
                "status": "deleting",
                "deletion": {"accepted_at": "2024-01-15T16:30:00.000Z", "progress": 0.4, "left": 600, "total": 1000}
            })
        ),
        And<And<NoSuchCollection, CannotManage>, OnlyKeys>,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    CollectionPath(name): CollectionPath,
) -> Result<(StatusCode, Json<Answer>)> {
    check_manages(&scope, &name)?;
    let items = graph_items(&state, &name).await?;
    let (accepted, revoked_keys) = accept(&state, &name, items).await?;
    state.services.maintenance.nudge();
    let until = Instant::now() + WAIT;
    loop {
        let Some(record) = under_way(&state, &name, &accepted).await? else {
            let answer =
                Answer { message: "Collection deleted", name, status: "deleted", deletion: None, revoked_keys };
            return Ok((StatusCode::OK, Json(answer)));
        };
        if Instant::now() >= until {
            let deletion = Some(progress(&state, &record, &accepted).await?);
            let message = "Collection deletion accepted";
            let answer = Answer { message, name, status: "deleting", deletion, revoked_keys };
            return Ok((StatusCode::ACCEPTED, Json(answer)));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Takes the deletion on; answers the names of the keys that went with it.
async fn accept(state: &AppState, name: &CollectionId, items: u64) -> Result<(CollectionDeletion, Vec<String>)> {
    let (jobs, of) = (state.services.jobs.clone(), name.clone());
    let accept = async move { jobs.accept_collection_delete(&of, items).await };
    match state.services.keys.delete_collection(name.clone(), accept).await? {
        Ok((accepted, keys)) => {
            let accepted = accepted.ok_or_else(|| no_such_collection(name.as_str()))?;
            let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
            if !keys.is_empty() {
                tracing::info!(collection = %name, ?keys, "keys were revoked with their collection");
            }
            Ok((accepted, keys))
        }
        Err(LastKeys(keys)) => {
            let keys = keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let message = format!("the only keys ({keys}) are bound to {name} and would be revoked with it");
            Err(Error::new(ErrorCode::LastKeys, message).hint(
                "make a key that is bound to no collection first (graphmill key create NAME), or revoke those keys: without any key, everybody who \
                 reaches the server is let in",
            ))
        }
    }
}

/// The record while this very deletion is open.
async fn under_way(
    state: &AppState,
    name: &CollectionId,
    accepted: &CollectionDeletion,
) -> Result<Option<CollectionRecord>> {
    let record = state.jobs().collection(name).await?;
    Ok(record.filter(|record| record.deletion.is_some_and(|open| open.seq == accepted.seq)))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use serde_json::json;
    use tower::ServiceExt;

    use crate::test_server::{TestServer, completed, form};

    #[tokio::test]
    async fn everything_of_it_goes() {
        let server = TestServer::start().await;
        let parts: [(&str, Option<&str>, &[u8]); 2] =
            [("collection", None, b"team"), ("file", Some("a.txt"), b"Pumps pump.")];
        let job = server.send(form(&parts)).await.json()["job_id"].as_str().unwrap().to_owned();
        let claimed = server.claim().await;
        let document = server.publish(&claimed.job).await;
        server.end(claimed.fence, completed()).await;
        assert!(!server.blob_files().is_empty());
        let answer = server.delete("/api/collections/team").await;
        let expected = r#"{"message":"Collection deleted","name":"team","status":"deleted"}"#;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, expected));
        for path in
            ["/api/collections/team".to_owned(), format!("/api/jobs/{job}"), format!("/api/documents/{document}")]
        {
            assert_eq!(server.get(&path).await.error().0, 404, "{path}");
        }
        assert_eq!(server.delete("/api/collections/team").await.error().0, 404);
        server.no_blobs_left().await;
    }

    #[tokio::test]
    async fn bound_keys_go_with_it_unless_they_are_all_that_keep_strangers_out() {
        let server = TestServer::start().await;
        let local = format!("Bearer {}", crate::test_server::LOCAL_TOKEN);
        let send = async |method: &str, path: &str, token: &str, body: Option<serde_json::Value>| {
            let request = Request::builder().method(method).uri(path).header("authorization", token);
            let request = match body {
                Some(json) => request.header("content-type", "application/json").body(json.to_string().into()),
                None => request.body(Body::empty()),
            };
            server.send(request.unwrap()).await
        };
        let key = async |name: &str, collection: Option<&str>| {
            let made = send("POST", "/api/keys", &local, Some(json!({"name": name, "collection": collection}))).await;
            assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
            format!("Bearer {}", made.json()["token"].as_str().unwrap())
        };
        let team = key("team-key", Some("team")).await;
        send("POST", "/api/collections", &local, Some(json!({"name": "team"}))).await;
        let (status, code, message) = send("DELETE", "/api/collections/team", &local, None).await.error();
        assert_eq!((status, code.as_str()), (409, "last_keys"), "{message}");
        assert!(message.contains("team-key"), "{message}");
        assert_eq!(send("GET", "/api/jobs", &team, None).await.status, StatusCode::OK, "nothing was changed");
        let admin = key("admin", None).await;
        let other = key("other", Some("other")).await;
        // A stream that is open when the key goes.
        let request = Request::get("/api/jobs/events").header("authorization", &team).body(Body::empty()).unwrap();
        let stream = server.router.clone().oneshot(request).await.unwrap();
        let answer = send("DELETE", "/api/collections/team", &admin, None).await;
        assert_eq!(answer.json()["revoked_keys"], json!(["team-key"]), "{}", answer.text);
        let all =
            tokio::time::timeout(std::time::Duration::from_secs(20), axum::body::to_bytes(stream.into_body(), 1 << 20));
        let all = String::from_utf8(all.await.expect("the stream ends").unwrap().to_vec()).unwrap();
        assert!(all.contains("the key was revoked"), "{all}");
        send("POST", "/api/collections", &admin, Some(json!({"name": "team"}))).await;
        assert_eq!(send("GET", "/api/jobs", &team, None).await.error().0, 401, "a new one of that name is not its own");
        assert_eq!(send("GET", "/api/jobs", &other, None).await.status, StatusCode::OK);
        let keys = send("GET", "/api/keys", &admin, None).await.json();
        assert_eq!(keys["total"], 2, "{keys}");
    }

    #[tokio::test]
    async fn while_it_goes_nothing_is_taken_and_the_progress_is_shown() {
        let server = TestServer::start().await;
        server.upload("a.txt", "Pumps pump.").await;
        let claimed = server.claim().await;
        server.publish(&claimed.job).await;
        server.end(claimed.fence, completed()).await;
        server.state.services.maintenance.shutdown().await;
        for _ in 0..2 {
            let answer = server.delete("/api/collections/default").await;
            assert_eq!((answer.status, answer.json()["status"].clone()), (StatusCode::ACCEPTED, json!("deleting")));
            let deletion = &answer.json()["deletion"];
            assert_eq!(
                (&deletion["progress"], &deletion["left"], &deletion["total"]),
                (&json!(0.0), &json!(3), &json!(3))
            );
        }
        let shown = server.get("/api/collections/default").await.json();
        assert_eq!((&shown["state"], &shown["deletion"]["left"]), (&json!("deleting"), &json!(3)));
        let stats = server.get("/api/graph/stats").await.json();
        assert_eq!(
            (&stats["deletions"][0]["collection"], &stats["deletions"][0]["left"]),
            (&json!("default"), &json!(3))
        );
        let parts: [(&str, Option<&str>, &[u8]); 1] = [("file", Some("b.txt"), b"Pumps.")];
        let refused = server.send(form(&parts)).await.error();
        assert_eq!(refused, (409, "collection_deleting".into(), "the collection default is being deleted".into()));
        let created = server.post("/api/collections", json!({"name": "default"})).await.error();
        assert_eq!(created.1, "collection_deleting");
        let changed = server.patch("/api/collections/default", json!({"settings": {"chunk_size": 500}})).await.error();
        assert_eq!(changed.1, "collection_deleting");
    }
}
