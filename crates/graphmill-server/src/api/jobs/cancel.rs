//! `POST /api/jobs/{job_id}/cancel`: cancels a pending or running job at once. 400: it has ended, or it is being published, which can no longer be
//! cancelled; then the call waits up to a second for the end, so that it can tell the truth. 404: there is no such job.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use graphmill_core::{ErrorCode, JobId, JobStatus};
use graphmill_store::records::CancelOutcome;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use crate::path::JobPath;
use crate::{AppState, Error, Result};

/// How long the end of a job that is being published is waited for.
const PUBLISHING_WAIT: Duration = Duration::from_secs(1);

#[derive(Serialize)]
pub(crate) struct Answer {
    job_id: JobId,
    status: JobStatus,
    message: &'static str,
}

pub(crate) async fn handle(State(state): State<AppState>, JobPath(job): JobPath) -> Result<Json<Answer>> {
    // Subscribed before the cancel, so that an end right after it is heard.
    let mut changes = state.jobs().changes();
    let until = Instant::now() + PUBLISHING_WAIT;
    loop {
        match state.jobs().cancel(job, "Cancelled by request").await? {
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
            return Err(Error::new(
                ErrorCode::CannotCancel,
                "Cannot cancel running job: it is being published and can no longer be cancelled",
            )
            .hint("it ends in a moment; to take the document out again, DELETE /api/documents/{document_id}"));
        }
    }
}

fn ended(status: JobStatus) -> Error {
    Error::new(ErrorCode::CannotCancel, format!("Cannot cancel {status} job"))
}
