//! `DELETE /api/jobs/{job_id}`: removes the record of a completed, failed or cancelled job; its document stays. 400: it is pending or running. 404:
//! there is no such job.

use axum::Json;
use axum::extract::State;
use graphmill_core::{ErrorCode, JobId};
use graphmill_store::records::DeleteOutcome;
use serde::Serialize;

use crate::path::JobPath;
use crate::{AppState, Error, Result};

#[derive(Serialize)]
pub(crate) struct Answer {
    message: &'static str,
    job_id: JobId,
}

pub(crate) async fn handle(State(state): State<AppState>, JobPath(job): JobPath) -> Result<Json<Answer>> {
    match state.jobs().delete_job(job).await? {
        DeleteOutcome::Deleted(deleted) => {
            state.services.maintenance.delete_blobs(deleted.unnamed_blobs).await;
            Ok(Json(Answer { message: "Job deleted", job_id: job }))
        }
        DeleteOutcome::StillActive(status) => {
            Err(Error::new(ErrorCode::CannotDelete, format!("Cannot delete {status} job. Cancel it first.")))
        }
    }
}
