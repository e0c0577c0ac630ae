//! `GET /api/documents/{document_id}`: a document and its latest job. One that was never published yet has the status of that job and what the job
//! knows of it. 404: there is no such document, or it was deleted.

use axum::Json;
use axum::extract::State;
use graphmill_core::{DocumentId, JobId, JobStatus};
use graphmill_store::records::JobRecord;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::standing_job;
use crate::api::shape::{DocumentShape, fraction};
use crate::error::no_such_document;
use crate::openapi::NoSuchDocument;
use crate::path::DocumentPath;
use crate::{AppState, Result, Scope};

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = DocumentDetail)]
#[serde(untagged)]
pub(crate) enum Answer {
    Published(PublishedDocument),
    /// It was never published; this is what its job knows of it.
    Unpublished {
        document_id: DocumentId,
        #[serde(flatten)]
        known: Map<String, Value>,
        status: JobStatus,
        job: JobSummary,
    },
}

/// It is published. (A struct of its own: generators make no type of a nameless one in a choice.)
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct PublishedDocument {
    #[serde(flatten)]
    document: Box<DocumentShape>,
    #[serde(skip_serializing_if = "Option::is_none")]
    job: Option<JobSummary>,
}

/// The latest job of a document.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct JobSummary {
    job_id: JobId,
    status: JobStatus,
    progress: f64,
    message: String,
}

impl From<&JobRecord> for JobSummary {
    fn from(job: &JobRecord) -> Self {
        Self { job_id: job.id, status: job.status, progress: fraction(job.progress), message: job.message.clone() }
    }
}

/// A document and its latest job.
#[utoipa::path(
    get,
    path = "/api/documents/{document_id}",
    tag = "documents",
    operation_id = "get_document",
    params(("document_id" = DocumentId, Path, description = "The document")),
    responses(
        (
            status = 200,
            description = "The document and its latest job",
            body = Answer,
            example = json!({
            "document_id": "doc-aaaaaaaaaaaaaaaaaaaaaaaaaa",
            "collection": "default",
            "source": "guides/VxRail_Admin_Guide.pdf",
            "filename": "VxRail_Admin_Guide.pdf",
            "status": "published",
            "mime_type": "application/pdf",
            "file_size": 8456192,
            "page_count": 350,
            "chunk_count": 147,
            "quarantined_chunks": 0,
            "content_hash": "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
            "created_at": "2024-01-15T16:31:05.789Z",
            "updated_at": "2024-01-15T16:31:05.789Z",
            "job": {
                "job_id": "job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10",
                "status": "completed",
                "progress": 1.0,
                "message": "Document ingestion complete"
            }
            })
        ),
        NoSuchDocument,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    DocumentPath(id): DocumentPath,
) -> Result<Json<Answer>> {
    // The job first: a document that is published in between is then found.
    let job = state.jobs().latest_job_of(id).await?;
    if let Some(document) = state.graph().document(id).await? {
        if !scope.admits(&document.collection) {
            return Err(no_such_document(&id.to_string()));
        }
        let job = job.as_ref().map(JobSummary::from);
        return Ok(Json(Answer::Published(PublishedDocument { document: Box::new(document.into()), job })));
    }
    let job = standing_job(&state, id, job).await?.filter(|job| scope.admits(&job.collection));
    let job = job.ok_or_else(|| no_such_document(&id.to_string()))?;
    Ok(Json(Answer::Unpublished { document_id: id, known: known(&job), status: job.status, job: (&job).into() }))
}

/// What the job's metadata say of the document.
fn known(job: &JobRecord) -> Map<String, Value> {
    let mut known = Map::new();
    known.insert("collection".into(), json!(job.collection));
    for key in ["source", "filename", "file_size", "page_count"] {
        if let Some(value) = job.metadata.get(key) {
            known.insert(key.into(), value.clone());
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_server::{TestServer, completed, failed, no_document};

    #[tokio::test]
    async fn before_and_after_it_is_published() {
        let server = TestServer::start().await;
        let job = server.upload("a.txt", "Pumps pump.").await;
        let uri = format!("/api/documents/{}", server.record(job).await.document.unwrap());
        let json = server.get(&uri).await.json();
        assert_eq!(
            (&json["status"], &json["filename"], &json["source"]),
            (&json!("pending"), &json!("a.txt"), &json!("a.txt"))
        );
        assert_eq!(json["job"]["job_id"], job.to_string());
        let claimed = server.claim().await;
        server.publish(&claimed.job).await;
        server.end(claimed.fence, completed()).await;
        let json = server.get(&uri).await.json();
        assert_eq!(
            (&json["status"], &json["chunk_count"], &json["title"]),
            (&json!("published"), &json!(1), &json!("Pumps"))
        );
        assert_eq!(json["job"]["status"], "completed");
    }

    #[tokio::test]
    async fn a_failed_one_is_shown_a_deleted_or_unknown_one_not() {
        let server = TestServer::start().await;
        let job = server.upload("a.txt", "Pumps pump.").await;
        let uri = format!("/api/documents/{}", server.record(job).await.document.unwrap());
        server.end(server.claim().await.fence, failed()).await;
        assert_eq!(server.get(&uri).await.json()["status"], "failed");
        server.upload("a.txt", "Pumps pump.").await;
        assert_eq!(server.delete(&uri).await.status, 200);
        assert_eq!(server.get(&uri).await.error().1, "not_found");
        assert_eq!(server.get(&format!("/api/documents/{}", no_document())).await.error().0, 404);
        assert_eq!(server.get("/api/documents/doc-001").await.error().2, "there is no document doc-001");
    }
}
