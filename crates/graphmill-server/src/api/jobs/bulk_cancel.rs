//! `POST /api/jobs/cancel`: cancels every pending or running job that matches the filter of [`super::bulk`]. 200
//! `{"matched","cancelled","refused":[{"job_id","error","code"}],"refused_total"}`; jobs that have ended or are being published are refused. 400: a bad
//! field, or a filter without a condition.

use axum::Json;
use axum::extract::State;
use graphmill_core::JobStatus;
use graphmill_store::records::CancelOutcome;
use serde::Serialize;

use super::bulk::{Bulk, Refused, Request};
use super::cancel::{MESSAGE, ended, publishing};
use crate::body::Fields;
use crate::openapi::{And, BadBody, NoSuchCollection};
use crate::{AppState, Result, Scope};

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = BulkCancelled)]
pub(crate) struct Answer {
    matched: u64,
    cancelled: u64,
    refused: Vec<Refused>,
    refused_total: u64,
}

/// Cancel every job that matches.
#[utoipa::path(
    post,
    path = "/api/jobs/cancel",
    tag = "jobs",
    operation_id = "cancel_jobs",
    request_body(content = Request, description = "Which jobs", example = json!({"filter": {"status": "failed"}, "dry_run": true})),
    responses(
        (
            status = 200,
            description = "What became of them",
            body = Answer,
            example = json!({"matched": 3, "cancelled": 2, "refused": [{
                "job_id": "job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10",
                "error": "Cannot cancel this job",
                "code": "cannot_cancel"
            }], "refused_total": 1})
        ),
        And<BadBody, NoSuchCollection>,
    )
)]
pub(crate) async fn handle(State(state): State<AppState>, scope: Scope, fields: Fields) -> Result<Json<Answer>> {
    let bulk = Bulk::read(&state, &scope, fields)?;
    let (dry_run, jobs) = (bulk.dry_run, state.jobs());
    let tally = bulk.walk(&state, async |job| {
        if dry_run {
            return match job.status {
                JobStatus::Running if job.intent => Err(publishing()),
                status if status.is_ended() => Err(ended(status)),
                _ => Ok(()),
            };
        }
        match jobs.cancel(job.id, MESSAGE).await? {
            CancelOutcome::Cancelled(_) => Ok(()),
            CancelOutcome::Publishing => Err(publishing()),
            CancelOutcome::AlreadyEnded(status) => Err(ended(status)),
        }
    });
    let tally = tally.await?;
    Ok(Json(Answer {
        matched: tally.matched,
        cancelled: tally.done,
        refused: tally.refused,
        refused_total: tally.refused_total,
    }))
}
