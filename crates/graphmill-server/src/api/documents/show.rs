//! `GET /api/documents/{document_id}`: a document and its latest job. One that was never published yet has the status of that job and what the job
//! knows of it. 404: there is no such document, or it was deleted.

use axum::Json;
use axum::extract::State;
use graphmill_core::{DocumentId, JobId, JobStatus};
use graphmill_store::records::JobRecord;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::api::shape::{DocumentShape, fraction};
use crate::error::no_such_document;
use crate::path::DocumentPath;
use crate::{AppState, Result};

#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Published {
        #[serde(flatten)]
        document: Box<DocumentShape>,
        #[serde(skip_serializing_if = "Option::is_none")]
        job: Option<JobSummary>,
    },
    Unpublished {
        document_id: DocumentId,
        #[serde(flatten)]
        known: Map<String, Value>,
        status: JobStatus,
        job: JobSummary,
    },
}

/// The latest job of a document.
#[derive(Serialize)]
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

pub(crate) async fn handle(State(state): State<AppState>, DocumentPath(id): DocumentPath) -> Result<Json<Answer>> {
    // The job first: a document that is published in between is then found.
    let job = state.jobs().latest_job_of(id).await?;
    if let Some(document) = state.graph().document(id).await? {
        let answer = Answer::Published { document: Box::new(document.into()), job: job.as_ref().map(JobSummary::from) };
        return Ok(Json(answer));
    }
    let deleted = state.graph().published_seq(id).await?;
    let later_than_delete = |job: &JobRecord| deleted.is_none_or(|d| job.seq.is_some_and(|seq| seq > d.seq));
    // A completed job without a document: it was deleted long ago.
    let job = job.filter(|j| j.status != JobStatus::Completed && later_than_delete(j));
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
