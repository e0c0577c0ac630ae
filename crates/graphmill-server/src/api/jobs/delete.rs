//! `DELETE /api/jobs/{job_id}`: removes the record of a completed, failed or cancelled job; its document stays. 400: it is pending or running. 404:
//! there is no such job.

use axum::Json;
use axum::extract::State;
use graphmill_core::{ErrorCode, JobId, JobStatus};
use graphmill_store::records::DeleteOutcome;
use serde::Serialize;

use crate::openapi::{And, NoSuchJob, refusals};
use crate::path::JobPath;
use crate::{AppState, Error, Result, Scope};

refusals! {
    /// It has not ended.
    CannotDelete { CannotDelete => "Cannot delete running job. Cancel it first." }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = JobDeleted)]
pub(crate) struct Answer {
    message: &'static str,
    job_id: JobId,
}

/// Delete the record of a job that has ended.
#[utoipa::path(
    delete,
    path = "/api/jobs/{job_id}",
    tag = "jobs",
    operation_id = "delete_job",
    params(("job_id" = JobId, Path, description = "The job")),
    responses(
        (
            status = 200,
            description = "Its record is gone",
            body = Answer,
            example = json!({"message": "Job deleted", "job_id": "job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10"})
        ),
        And<CannotDelete, NoSuchJob>,
    )
)]
pub(crate) async fn handle(State(state): State<AppState>, scope: Scope, JobPath(job): JobPath) -> Result<Json<Answer>> {
    state.check_job(&scope, job).await?;
    match state.jobs().delete_job(job).await? {
        DeleteOutcome::Deleted(deleted) => {
            state.services.maintenance.delete_blobs(deleted.unnamed_blobs).await;
            Ok(Json(Answer { message: "Job deleted", job_id: job }))
        }
        DeleteOutcome::StillActive(status) => Err(still_active(status)),
    }
}

pub(super) fn still_active(status: JobStatus) -> Error {
    Error::new(ErrorCode::CannotDelete, format!("Cannot delete {status} job. Cancel it first."))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use crate::test_server::{NO_JOB, TestServer, completed};

    #[tokio::test]
    async fn only_ended_jobs_are_deleted_and_their_blobs_with_them() {
        let server = TestServer::start().await;
        let job = server.upload("a.txt", "Pumps pump.").await;
        let uri = format!("/api/jobs/{job}");
        let refused =
            |word: &str| (400, "cannot_delete".to_owned(), format!("Cannot delete {word} job. Cancel it first."));
        assert_eq!(server.delete(&uri).await.error(), refused("pending"));
        let fence = server.claim().await.fence;
        assert_eq!(server.delete(&uri).await.error(), refused("running"));
        server.end(fence, completed()).await;
        assert_eq!(server.blob_files().len(), 1);
        let answer = server.delete(&uri).await;
        assert_eq!(
            (answer.status.as_u16(), answer.text),
            (200, format!(r#"{{"message":"Job deleted","job_id":"{job}"}}"#))
        );
        assert!(server.blob_files().is_empty());
        assert_eq!(server.delete(&uri).await.error().0, 404);
        let job = server.upload("b.txt", "Pumps pump.").await;
        server.post(&format!("/api/jobs/{job}/cancel"), Value::Null).await;
        assert_eq!(server.delete(&format!("/api/jobs/{job}")).await.status, 200);
        assert_eq!(server.delete(&format!("/api/jobs/{NO_JOB}")).await.error().0, 404);
    }
}
