//! `POST /api/jobs/{job_id}/retry`: a failed or cancelled job goes on at the stage where it ended; a job that completed with quarantined chunks becomes
//! a new job over just these (`retry_of`). 202 with the job that now waits. 400 `cannot_retry`: there is nothing to try again. 409 `overtaken`:
//! something later of the same document stands in the way; the sentence names it. 404: there is no such job.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use graphmill_core::{ErrorCode, JobId, JobStatus};
use graphmill_jobs::ingestion::retry_quarantined;
use graphmill_store::records::{Enqueued, JobDetail, JobRecord, RetryOutcome};
use serde::Serialize;

use crate::path::JobPath;
use crate::{AppState, Error, Result, Scope};

#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    job_id: JobId,
    status: JobStatus,
    message: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_of: Option<JobId>,
}

pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    JobPath(job): JobPath,
) -> Result<(StatusCode, Json<Answer>)> {
    let detail = state.visible_job(&scope, job).await?;
    let published = match detail.job.document {
        Some(document) => state.graph().published_seq(document).await?,
        None => None,
    };
    let answer = if detail.job.status == JobStatus::Completed {
        let new = retry_quarantined(&detail, published).ok_or_else(|| nothing_to_retry(&detail))?;
        match state.jobs().enqueue(new).await? {
            Enqueued::New { job: record, .. } | Enqueued::Existing(record) => waiting(&record, Some(job)),
            Enqueued::Overtaken { by } => return Err(overtaken(&by)),
        }
    } else {
        match state.jobs().retry(job, published.map(|p| p.seq)).await? {
            RetryOutcome::Requeued(record) => waiting(&record, None),
            RetryOutcome::NotRetryable(JobStatus::Completed) => return Err(nothing_to_retry(&detail)),
            RetryOutcome::NotRetryable(status) => {
                return Err(Error::new(ErrorCode::CannotRetry, format!("Cannot retry {status} job"))
                    .hint("only failed and cancelled jobs are retried; this one has not ended"));
            }
            RetryOutcome::Overtaken { by } => return Err(overtaken(&by)),
        }
    };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

fn waiting(record: &JobRecord, retry_of: Option<JobId>) -> Answer {
    Answer { job_id: record.id, status: record.status, message: "Job will be retried", retry_of }
}

fn nothing_to_retry(detail: &JobDetail) -> Error {
    Error::new(ErrorCode::CannotRetry, format!("Cannot retry {} job", JobStatus::Completed)).hint(format!(
        "all chunks of {} were processed; to ingest the document again, POST /api/jobs with its document_id",
        detail.job.id
    ))
}

/// `by` is a job id, or a sentence about a deletion.
pub(crate) fn overtaken(by: &str) -> Error {
    let message = if by.parse::<JobId>().is_ok() {
        format!("the document has gone on with {by}, which stands in the way")
    } else {
        format!("the document has gone on: {by}")
    };
    Error::new(ErrorCode::Overtaken, message).hint("wait for it to end, or upload the document again")
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::test_server::{NO_JOB, TestServer, completed, failed};

    async fn retry(server: &TestServer, job: JobId) -> crate::test_server::Answer {
        server.post(&format!("/api/jobs/{job}/retry"), Value::Null).await
    }

    #[tokio::test]
    async fn a_failed_job_waits_again() {
        let server = TestServer::start().await;
        let job = server.upload("a.txt", "Pumps pump.").await;
        assert_eq!(retry(&server, job).await.error(), (400, "cannot_retry".into(), "Cannot retry pending job".into()));
        let fence = server.claim().await.fence;
        server.end(fence, failed()).await;
        let answer = retry(&server, job).await;
        let expected = format!(r#"{{"job_id":"{job}","status":"pending","message":"Job will be retried"}}"#);
        assert_eq!((answer.status.as_u16(), answer.text), (202, expected));
        assert_eq!(server.post(&format!("/api/jobs/{NO_JOB}/retry"), Value::Null).await.error().0, 404);
    }

    #[tokio::test]
    async fn a_completed_job_is_retried_only_over_quarantined_chunks() {
        let server = TestServer::start().await;
        let job = server.upload("a.txt", "Pumps pump.").await;
        let fence = server.claim().await.fence;
        server.end(fence, completed()).await;
        assert_eq!(
            retry(&server, job).await.error(),
            (400, "cannot_retry".into(), "Cannot retry completed job".into())
        );
        let job = server.upload("b.txt", "Pumps pump.").await;
        let fence = server.claim().await.fence;
        let patch = Map::from_iter([("chunks_quarantined".to_owned(), json!(2))]);
        server.state.jobs().merge_metadata(fence, patch).await.unwrap();
        server.end(fence, completed()).await;
        let answer = retry(&server, job).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        assert_eq!(answer.json()["retry_of"], job.to_string());
        assert_ne!(answer.json()["job_id"], job.to_string());
    }

    #[tokio::test]
    async fn something_later_of_the_document_stands_in_the_way() {
        let server = TestServer::start().await;
        let first = server.upload("a.txt", "Pumps pump.").await;
        server.end(server.claim().await.fence, failed()).await;
        let second = server.upload("a.txt", "Pumps pump again.").await;
        let (status, code, error) = retry(&server, first).await.error();
        assert_eq!((status, code.as_str()), (409, "overtaken"));
        assert!(error.contains(&second.to_string()), "{error}");
    }
}
