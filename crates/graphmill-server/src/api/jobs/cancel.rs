//! `POST /api/jobs/{job_id}/cancel`: cancels a pending or running job at once. 400: it has ended, or it is being published, which can no longer be
//! cancelled; then the call waits up to a second for the end, so that it can tell the truth. 404: there is no such job.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use graphmill_core::{ErrorCode, JobId, JobStatus};
use graphmill_store::records::CancelOutcome;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use crate::openapi::{And, NoSuchJob, refusals};
use crate::path::JobPath;
use crate::{AppState, Error, Result, Scope};

refusals! {
    /// It has ended, or is being published.
    CannotCancel { CannotCancel => "Cannot cancel completed job" }
}

/// How long the end of a job that is being published is waited for.
const PUBLISHING_WAIT: Duration = Duration::from_secs(1);

/// What the job says then.
pub(super) const MESSAGE: &str = "Cancelled by request";

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Cancelled)]
pub(crate) struct Answer {
    job_id: JobId,
    status: JobStatus,
    message: &'static str,
}

/// Cancel a pending or running job.
#[utoipa::path(
    post,
    path = "/api/jobs/{job_id}/cancel",
    tag = "jobs",
    operation_id = "cancel_job",
    params(("job_id" = JobId, Path, description = "The job")),
    responses(
        (
            status = 200,
            description = "It is cancelled",
            body = Answer,
            example = json!({
                "job_id": "job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10",
                "status": "cancelled",
                "message": "Job cancelled successfully"
            })
        ),
        And<CannotCancel, NoSuchJob>,
    )
)]
pub(crate) async fn handle(State(state): State<AppState>, scope: Scope, JobPath(job): JobPath) -> Result<Json<Answer>> {
    state.check_job(&scope, job).await?;
    // Subscribed before the cancel, so that an end right after it is heard.
    let mut changes = state.jobs().changes();
    let until = Instant::now() + PUBLISHING_WAIT;
    loop {
        match state.jobs().cancel(job, MESSAGE).await? {
            CancelOutcome::Cancelled(record) => {
                return Ok(Json(Answer { job_id: job, status: record.status, message: "Job cancelled successfully" }));
            }
            CancelOutcome::AlreadyEnded(status) => return Err(ended(status)),
            CancelOutcome::Publishing => {}
        }
        // Something else than the end may have been told: ask again, the store knows.
        let told = async {
            while let Ok(change) = changes.recv().await {
                if change.job == job {
                    break;
                }
            }
        };
        if timeout_at(until, told).await.is_err() {
            return Err(publishing());
        }
    }
}

pub(super) fn publishing() -> Error {
    Error::new(
        ErrorCode::CannotCancel,
        "Cannot cancel running job: it is being published and can no longer be cancelled",
    )
    .hint("it ends in a moment; to take the document out again, DELETE /api/documents/{document_id}")
}

pub(super) fn ended(status: JobStatus) -> Error {
    Error::new(ErrorCode::CannotCancel, format!("Cannot cancel {status} job"))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::test_server::{NO_JOB, TestServer, completed, failed};

    #[tokio::test]
    async fn pending_and_running_jobs_are_cancelled_ended_ones_not() {
        let server = TestServer::start().await;
        let job = server.upload("a.txt", "Pumps pump.").await;
        let answer = server.post(&format!("/api/jobs/{job}/cancel"), Value::Null).await;
        let expected = format!(r#"{{"job_id":"{job}","status":"cancelled","message":"Job cancelled successfully"}}"#);
        assert_eq!((answer.status.as_u16(), answer.text), (200, expected));
        let answer = server.post(&format!("/api/jobs/{job}/cancel"), Value::Null).await;
        assert_eq!(answer.error(), (400, "cannot_cancel".into(), "Cannot cancel cancelled job".into()));
        let job = server.upload("b.txt", "Pumps pump.").await;
        let running = server.claim().await.fence;
        assert_eq!(server.post(&format!("/api/jobs/{job}/cancel"), Value::Null).await.status, 200);
        assert!(server.state.jobs().report(running, "loading", crate::test_server::progress(0.1, 0.5)).await.is_err());
        for (ending, word) in [(completed(), "completed"), (failed(), "failed")] {
            let job = server.upload("c.txt", "Pumps pump.").await;
            let fence = server.claim().await.fence;
            server.end(fence, ending).await;
            let answer = server.post(&format!("/api/jobs/{job}/cancel"), Value::Null).await;
            assert_eq!(answer.error(), (400, "cannot_cancel".into(), format!("Cannot cancel {word} job")));
        }
        assert_eq!(server.post(&format!("/api/jobs/{NO_JOB}/cancel"), Value::Null).await.error().0, 404);
    }

    #[tokio::test]
    async fn a_job_that_is_being_published_is_waited_for() {
        let server = TestServer::start().await;
        let job = server.upload("a.txt", "Pumps pump.").await;
        let fence = server.claim().await.fence;
        server.state.jobs().commit_intent(fence).await.unwrap();
        let uri = format!("/api/jobs/{job}/cancel");
        let (answer, ()) = tokio::join!(server.post(&uri, Value::Null), async {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            server.end(fence, completed()).await;
        });
        assert_eq!(answer.error(), (400, "cannot_cancel".into(), "Cannot cancel completed job".into()));
    }

    #[tokio::test]
    async fn one_that_is_still_being_published_says_so_after_a_second() {
        let server = TestServer::start().await;
        let job = server.upload("a.txt", "Pumps pump.").await;
        let fence = server.claim().await.fence;
        server.state.jobs().commit_intent(fence).await.unwrap();
        let begun = std::time::Instant::now();
        let (status, code, error) = server.post(&format!("/api/jobs/{job}/cancel"), Value::Null).await.error();
        assert_eq!((status, code.as_str()), (400, "cannot_cancel"));
        assert!(error.contains("being published"), "{error}");
        assert!(begun.elapsed() >= super::PUBLISHING_WAIT);
    }
}
