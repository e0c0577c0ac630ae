//! `DELETE /api/documents/{document_id}`: takes a document and all that only it holds out of the graph, and cancels its unended jobs. 200 when it is done;
//! 202 after a second, and it is carried out as soon as that can be, over restarts too. With `purge=true` it is done when the original, the page text, logs
//! and kept outputs of its jobs, and cached answers of models that no other document uses are gone too; `purged` says how much. 400: a bad `purge`.
//! 404: there is no such document. With `purge` also one that was deleted without and whose original a job's record still keeps is purged.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use graphmill_core::{CollectionId, DocumentId, Seq};
use graphmill_jobs::maintenance::Purged;
use graphmill_store::records::DocumentDelete;
use serde::Serialize;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{sleep, timeout};

use super::standing_job;
use crate::error::no_such_document;
use crate::openapi::{And, BadParameter, NoSuchDocument};
use crate::params::Params;
use crate::path::DocumentPath;
use crate::{AppState, Result, Scope};

/// How long the call waits for the deletion to be carried out.
const WAIT: Duration = Duration::from_secs(1);

/// Between two looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(10);

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = DocumentDeletion)]
pub(crate) struct Answer {
    message: &'static str,
    document_id: DocumentId,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// With `purge`: `cache_entries`, `log_lines` and `bytes` that were removed.
    #[schema(value_type = Option<Object>)]
    purged: Option<Purged>,
}

/// Delete a document and all that only it holds; its unended jobs are cancelled.
#[utoipa::path(
    delete,
    path = "/api/documents/{document_id}",
    tag = "documents",
    operation_id = "delete_document",
    params(
        ("document_id" = DocumentId, Path, description = "The document"),
        ("purge" = Option<bool>, Query, description = "Remove cached answers, logs and originals too, and say what")
    ),
    responses(
        (
            status = 200,
            description = "It is gone",
            body = Answer,
            example = json!({
                "message": "Document deleted",
                "document_id": "doc-aaaaaaaaaaaaaaaaaaaaaaaaaa",
                "status": "deleted"
            })
        ),
        (
            status = 202,
            description = "It will be gone as soon as that can be",
            body = Answer,
            example = json!({
                "message": "Document deletion accepted",
                "document_id": "doc-aaaaaaaaaaaaaaaaaaaaaaaaaa",
                "status": "deleting"
            })
        ),
        And<BadParameter, NoSuchDocument>,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    DocumentPath(id): DocumentPath,
    params: Params,
) -> Result<(StatusCode, Json<Answer>)> {
    let purge = params.flag("purge")?;
    let collection = match collection_of(&state, id).await? {
        None if purge => kept_of(&state, id).await?,
        known => known,
    };
    let collection = collection.filter(|collection| scope.admits(collection));
    let collection = collection.ok_or_else(|| no_such_document(&id.to_string()))?;
    // Listened for before it can have been carried out.
    let purges = state.services.maintenance.purges();
    let delete = if purge {
        state.jobs().accept_document_purge(&collection, id).await?
    } else {
        state.jobs().accept_document_delete(&collection, id).await?
    };
    state.services.maintenance.nudge();
    let done = async { if purge { purged(purges, delete.seq).await } else { removed(&state, &delete).await } };
    match timeout(WAIT, done).await {
        Ok(purged) => {
            let answer = Answer { message: "Document deleted", document_id: id, status: "deleted", purged };
            Ok((StatusCode::OK, Json(answer)))
        }
        Err(_) => {
            let answer =
                Answer { message: "Document deletion accepted", document_id: id, status: "deleting", purged: None };
            Ok((StatusCode::ACCEPTED, Json(answer)))
        }
    }
}

/// Waits until the document is out of the graph.
async fn removed(state: &AppState, delete: &DocumentDelete) -> Option<Purged> {
    while !is_done(state, delete).await {
        sleep(LOOK_EVERY).await;
    }
    None
}

/// Waits until the purge under this ticket was carried out, which comes after the removal.
async fn purged(mut purges: Receiver<(Seq, Purged)>, wanted: Seq) -> Option<Purged> {
    loop {
        match purges.recv().await {
            Ok((seq, purged)) if seq == wanted => return Some(purged),
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            // The server stops; the purge goes on after the next start.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// The collection of a document that is published, stands in a job (also one that failed), or is being deleted.
async fn collection_of(state: &AppState, id: DocumentId) -> Result<Option<CollectionId>> {
    let latest = state.jobs().latest_job_of(id).await?;
    if let Some(document) = state.graph().document(id).await? {
        return Ok(Some(document.collection));
    }
    let known = latest.as_ref().map(|job| job.collection.clone());
    if let Some(job) = standing_job(state, id, latest).await? {
        return Ok(Some(job.collection));
    }
    if state.jobs().unended_among(&[id]).await?.is_empty() {
        return Ok(None);
    }
    if known.is_some() {
        return Ok(known);
    }
    // Only its deletion is left of it.
    let open = state.jobs().open_document_deletes(1_000).await?;
    Ok(open.into_iter().find(|d| d.document == id).map(|d| d.collection))
}

/// The collection of a document that was deleted without a purge and whose original a record of a job still keeps.
async fn kept_of(state: &AppState, id: DocumentId) -> Result<Option<CollectionId>> {
    let Some(job) = state.jobs().latest_job_of(id).await? else { return Ok(None) };
    let all =
        DocumentDelete { collection: job.collection, document: id, seq: Seq(i64::MAX.unsigned_abs()), purge: true };
    let kept = state.jobs().purgeable_blobs(&all).await?;
    Ok(kept.is_some_and(|blobs| !blobs.is_empty()).then_some(all.collection))
}

/// The graph has it behind it: this deletion, or something later. When the graph does not answer, it is not known.
async fn is_done(state: &AppState, delete: &DocumentDelete) -> bool {
    match state.graph().published_seq(delete.document).await {
        Ok(published) => published.is_some_and(|p| p.seq >= delete.seq),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use graphmill_core::JobStatus;

    use crate::test_server::{TestServer, completed, failed, no_document};

    #[tokio::test]
    async fn a_published_document_goes_and_its_jobs_are_cancelled() {
        let server = TestServer::start().await;
        server.upload("a.txt", "Pumps pump.").await;
        let claimed = server.claim().await;
        let document = server.publish(&claimed.job).await;
        server.end(claimed.fence, completed()).await;
        let again = server.upload("a.txt", "Pumps pump more.").await;
        let uri = format!("/api/documents/{document}");
        let answer = server.delete(&uri).await;
        let expected = format!(r#"{{"message":"Document deleted","document_id":"{document}","status":"deleted"}}"#);
        assert_eq!((answer.status.as_u16(), answer.text), (200, expected));
        assert_eq!(server.record(again).await.status, JobStatus::Cancelled);
        assert_eq!(server.get("/api/graph/stats").await.json()["documents"], 0);
        let gone = async || server.delete(&uri).await.error();
        // The task notes that it is done just after the graph has done it.
        while !server.state.jobs().open_document_deletes(1).await.unwrap().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert_eq!(gone().await, (404, "not_found".into(), format!("there is no document {document}")));
        assert_eq!(server.delete(&format!("/api/documents/{}", no_document())).await.error().0, 404);
    }

    #[tokio::test]
    async fn a_purge_says_what_it_removed() {
        let server = TestServer::start().await;
        server.upload("a.txt", "Pumps pump.").await;
        let claimed = server.claim().await;
        let document = server.publish(&claimed.job).await;
        let line = |n: u32| graphmill_store::requests::NewLog {
            level: graphmill_store::records::LogLevel::Info,
            message: format!("line {n}"),
            context: serde_json::Map::new(),
        };
        server.state.jobs().append_logs(claimed.fence, (0..3).map(line).collect()).await.unwrap();
        server.end(claimed.fence, completed()).await;
        let uri = format!("/api/documents/{document}");
        assert_eq!(server.delete(&format!("{uri}?purge=maybe")).await.error().0, 400);
        let answer = server.delete(&format!("{uri}?purge=true")).await;
        let purged = &answer.json()["purged"];
        assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (200, &"deleted".into()));
        let keys: Vec<_> = purged.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["cache_entries", "log_lines", "bytes"]);
        assert!(purged["log_lines"].as_u64().unwrap() >= 3, "{purged}");
        assert_eq!((&purged["cache_entries"], &purged["bytes"]), (&0.into(), &"Pumps pump.".len().into()));
        assert_eq!(server.blob_files(), Vec::<std::path::PathBuf>::new());
        let logs = server.get(&format!("/api/jobs/{}/logs", claimed.job.id)).await.json();
        assert_eq!(logs["total"], 0);
        assert_eq!(server.delete(&format!("{uri}?purge=true")).await.error().0, 404);
    }

    #[tokio::test]
    async fn what_was_deleted_without_a_purge_can_be_purged_later() {
        let server = TestServer::start().await;
        server.upload("a.txt", "Pumps pump.").await;
        let claimed = server.claim().await;
        let document = server.publish(&claimed.job).await;
        server.end(claimed.fence, completed()).await;
        let uri = format!("/api/documents/{document}");
        assert_eq!(server.delete(&uri).await.status, 200);
        while !server.state.jobs().open_document_deletes(1).await.unwrap().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert_eq!(server.blob_files().len(), 1, "the record of the job keeps it");
        assert_eq!(server.delete(&uri).await.error().0, 404);
        let answer = server.delete(&format!("{uri}?purge=true")).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (200, &"deleted".into()), "{}", answer.text);
        assert_eq!(answer.json()["purged"]["bytes"], "Pumps pump.".len());
        assert!(server.blob_files().is_empty());
        assert_eq!(server.delete(&format!("{uri}?purge=true")).await.error().0, 404, "nothing is left");
    }

    #[tokio::test]
    async fn one_that_was_never_published_can_be_deleted_too() {
        let server = TestServer::start().await;
        let job = server.upload("a.txt", "Pumps pump.").await;
        server.end(server.claim().await.fence, failed()).await;
        let uri = format!("/api/documents/{}", server.record(job).await.document.unwrap());
        assert_eq!(server.get(&uri).await.json()["status"], "failed");
        assert_eq!(server.delete(&uri).await.status, 200);
        assert_eq!(server.get(&uri).await.error().0, 404);
        let retried = server.post(&format!("/api/jobs/{job}/retry"), serde_json::Value::Null).await;
        assert_eq!(retried.error().1, "overtaken");
    }

    #[tokio::test]
    async fn what_cannot_be_done_within_a_second_is_done_later() {
        let server = TestServer::start().await;
        server.upload("a.txt", "Pumps pump.").await;
        let claimed = server.claim().await;
        let document = server.publish(&claimed.job).await;
        server.state.services.maintenance.shutdown().await;
        let uri = format!("/api/documents/{document}");
        for _ in 0..2 {
            let answer = server.delete(&uri).await;
            assert_eq!((answer.status.as_u16(), answer.json()["status"].as_str().unwrap()), (202, "deleting"));
        }
        assert_eq!(server.state.jobs().open_document_deletes(9).await.unwrap().len(), 1);
    }
}
