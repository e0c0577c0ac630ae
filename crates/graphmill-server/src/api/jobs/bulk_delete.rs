//! `POST /api/jobs/delete`: removes the records of all ended jobs that match the filter of [`super::bulk`]; documents stay. 200
//! `{"matched","deleted","refused":[{"job_id","error","code"}],"refused_total"}`; pending and running jobs are refused. 400: a bad field, or a filter
//! without a condition.

use axum::Json;
use axum::extract::State;
use graphmill_store::records::DeleteOutcome;
use serde::Serialize;

use super::bulk::{Bulk, Refused, Request};
use super::delete::still_active;
use crate::body::Fields;
use crate::openapi::{And, BadBody, NoSuchCollection};
use crate::{AppState, Result, Scope};

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = BulkDeleted)]
pub(crate) struct Answer {
    matched: u64,
    deleted: u64,
    refused: Vec<Refused>,
    refused_total: u64,
}

/// Delete the records of every job that matches.
#[utoipa::path(
    post,
    path = "/api/jobs/delete",
    tag = "jobs",
    operation_id = "delete_jobs",
    request_body(content = Request, description = "Which jobs", example = json!({"filter": {"status": "failed"}, "dry_run": true})),
    responses(
        (
            status = 200,
            description = "What became of them",
            body = Answer,
            example = json!({"matched": 3, "deleted": 2, "refused": [{
                "job_id": "job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10",
                "error": "Cannot delete this job",
                "code": "cannot_delete"
            }], "refused_total": 1})
        ),
        And<BadBody, NoSuchCollection>,
    )
)]
pub(crate) async fn handle(State(state): State<AppState>, scope: Scope, fields: Fields) -> Result<Json<Answer>> {
    let bulk = Bulk::read(&state, &scope, fields)?;
    let (dry_run, state_of_all) = (bulk.dry_run, &state);
    let tally = bulk.walk(&state, async |job| {
        if dry_run {
            return if job.status.is_ended() { Ok(()) } else { Err(still_active(job.status)) };
        }
        match state_of_all.jobs().delete_job(job.id).await? {
            DeleteOutcome::Deleted(deleted) => {
                state_of_all.services.maintenance.delete_blobs(deleted.unnamed_blobs).await;
                Ok(())
            }
            DeleteOutcome::StillActive(status) => Err(still_active(status)),
        }
    });
    let tally = tally.await?;
    Ok(Json(Answer {
        matched: tally.matched,
        deleted: tally.done,
        refused: tally.refused,
        refused_total: tally.refused_total,
    }))
}
