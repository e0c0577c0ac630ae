//! `POST /api/jobs/{job_id}/retry`: a failed or cancelled job goes on at the stage where it ended; a job that completed with quarantined chunks becomes
//! a new job over just these (`retry_of`). 202 with the job that now waits. 400 `cannot_retry`: there is nothing to try again. 409 `overtaken`:
//! something later of the same document stands in the way; the sentence names it. 404: there is no such job. Takes an
//! `Idempotency-Key`.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use graphmill_core::{ErrorCode, JobId, JobStatus};
use graphmill_jobs::ingestion::{retry_quarantined, upload_of};
use graphmill_store::records::{Acceptance, JobDetail, JobRecord, KeptAnswer, Keyed, RetryOutcome};
use graphmill_store::requests::RequestKey;
use serde::Serialize;
use serde_json::json;

use crate::idempotency::{Ticket, kept, meaning, respond};
use crate::openapi::{And, NoSuchJob, Overtaken, ReusedKey, refusals};
use crate::path::JobPath;
use crate::{AppState, Error, Result, Scope};

refusals! {
    /// There is nothing to try again.
    CannotRetry { CannotRetry => "Cannot retry running job" }
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Retried)]
pub(crate) struct Answer {
    job_id: JobId,
    status: JobStatus,
    message: &'static str,
    /// The completed job whose set-aside chunks this one, a new job, processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_of: Option<JobId>,
}

/// Try a failed or cancelled job again, or the chunks that a completed one set aside.
#[utoipa::path(
    post,
    path = "/api/jobs/{job_id}/retry",
    tag = "jobs",
    operation_id = "retry_job",
    params(
        ("job_id" = JobId, Path, description = "The job"),
        ("Idempotency-Key" = Option<String>, Header, description = "Carried out once for each key", min_length = 1, max_length = 255, pattern = "^[ -~]*[!-~][ -~]*$")
    ),
    responses(
        (
            status = 202,
            description = "The job that now waits",
            body = Answer,
            example = json!({
                "job_id": "job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10",
                "status": "pending",
                "message": "Job will be retried"
            })
        ),
        And<And<CannotRetry, ReusedKey>, And<Overtaken, NoSuchJob>>,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    headers: HeaderMap,
    JobPath(job): JobPath,
) -> Result<Response> {
    let ticket = Ticket::take(&state, &scope, &headers)?;
    let request = meaning("retry", &[json!(job)]);
    // Before the job is looked for: it may be gone since.
    if let Some(earlier) = ticket.earlier(&state, &request).await? {
        return Ok(earlier);
    }
    let detail = state.visible_job(&scope, job).await?;
    let retry_of = (detail.job.status == JobStatus::Completed).then_some(job);
    let key = ticket.key(request, move |accepted| answer(accepted.first().map(|a| &a.detail.job), retry_of));
    match ticket.outcome(retry(&state, &detail, key).await?)? {
        Err(earlier) => Ok(earlier),
        Ok(record) => Ok(respond(answer(Some(&record), retry_of), false)),
    }
}

/// Retries a job, or makes one over its quarantined chunks; the job that waits now.
pub(super) async fn retry(state: &AppState, detail: &JobDetail, key: Option<RequestKey>) -> Result<Keyed<JobRecord>> {
    let published = match detail.job.document {
        Some(document) => state.graph().published_seq(document).await?,
        None => None,
    };
    if detail.job.status == JobStatus::Completed {
        refuse_repaired(state, detail).await?;
        let new = retry_quarantined(detail, published).ok_or_else(|| nothing_to_retry(detail.job.id))?;
        return match state.jobs().enqueue_all(vec![new], key).await? {
            Keyed::Done(Acceptance::Accepted(accepted)) => {
                let record = accepted.into_iter().next().map(|accepted| accepted.detail.job);
                record.map(Keyed::Done).ok_or_else(|| Error::new(ErrorCode::Internal, "no job was made"))
            }
            Keyed::Done(Acceptance::Overtaken { by, .. }) => Err(overtaken(&by)),
            Keyed::Replayed(answer) => Ok(Keyed::Replayed(answer)),
            Keyed::Reused => Ok(Keyed::Reused),
        };
    }
    match state.jobs().retry_keyed(detail.job.id, published.map(|p| p.seq), key).await? {
        Keyed::Done(RetryOutcome::Requeued(record)) => Ok(Keyed::Done(record)),
        Keyed::Done(RetryOutcome::NotRetryable(JobStatus::Completed)) => Err(nothing_to_retry(detail.job.id)),
        Keyed::Done(RetryOutcome::NotRetryable(status)) => Err(not_retryable(status)),
        Keyed::Done(RetryOutcome::Overtaken { by }) => Err(overtaken(&by)),
        Keyed::Replayed(answer) => Ok(Keyed::Replayed(answer)),
        Keyed::Reused => Ok(Keyed::Reused),
    }
}

/// 400 when what the job set aside was processed since: the same file is published under a later ticket, and nothing of it is set aside.
async fn refuse_repaired(state: &AppState, detail: &JobDetail) -> Result<()> {
    let (Some(own), Some(document)) = (detail.job.seq, detail.job.document) else { return Ok(()) };
    let Some(upload) = upload_of(detail) else { return Ok(()) };
    let Some(published) = state.graph().document(document).await? else { return Ok(()) };
    let same_file = published.properties.content_hash == upload.content_hash;
    if published.seq <= own || !same_file || published.properties.quarantined_chunks > 0 {
        return Ok(());
    }
    let message = format!("Nothing is left to retry: the chunks that {} set aside were processed since", detail.job.id);
    Err(Error::new(ErrorCode::CannotRetry, message)
        .hint("to ingest the document again all the same, POST /api/jobs with its document_id"))
}

fn answer(record: Option<&JobRecord>, retry_of: Option<JobId>) -> KeptAnswer {
    let body = record.map(|record| Answer {
        job_id: record.id,
        status: record.status,
        message: "Job will be retried",
        retry_of,
    });
    kept(StatusCode::ACCEPTED, None, &body)
}

pub(super) fn not_retryable(status: JobStatus) -> Error {
    Error::new(ErrorCode::CannotRetry, format!("Cannot retry {status} job"))
        .hint("only failed and cancelled jobs are retried; this one has not ended")
}

pub(super) fn nothing_to_retry(job: JobId) -> Error {
    Error::new(ErrorCode::CannotRetry, format!("Cannot retry {} job", JobStatus::Completed)).hint(format!(
        "all chunks of {job} were processed; to ingest the document again, POST /api/jobs with its document_id"
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
    async fn chunks_that_were_processed_since_leave_nothing_to_retry() {
        let server = TestServer::start().await;
        // The bytes that a published document of this server is said to be made of.
        let first = server.upload("a.txt", "file").await;
        let fence = server.claim().await.fence;
        let patch = Map::from_iter([("chunks_quarantined".to_owned(), json!(2))]);
        server.state.jobs().merge_metadata(fence, patch).await.unwrap();
        server.end(fence, completed()).await;
        let second = retry(&server, first).await.json()["job_id"].as_str().unwrap().to_owned();
        let (status, code, error) = retry(&server, first).await.error();
        assert_eq!((status, code.as_str()), (409, "overtaken"), "{error}");
        let claimed = server.claim().await;
        assert_eq!(claimed.job.id.to_string(), second);
        server.publish(&claimed.job).await;
        server.end(claimed.fence, completed()).await;
        let (status, code, error) = retry(&server, first).await.error();
        assert_eq!((status, code.as_str()), (400, "cannot_retry"), "{error}");
        assert!(error.starts_with("Nothing is left to retry") && error.contains(&first.to_string()), "{error}");
        // Another file under the source is something else.
        server.upload("a.txt", "another file").await;
        let claimed = server.claim().await;
        server.publish(&claimed.job).await;
        server.end(claimed.fence, completed()).await;
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
