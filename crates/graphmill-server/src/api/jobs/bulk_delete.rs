//! `POST /api/jobs/delete`: removes the records of all ended jobs that match the filter of [`super::bulk`]; documents stay. 200
//! `{"matched","deleted","refused":[{"job_id","error","code"}],"refused_total"}`; pending and running jobs are refused. 400: a bad field, or a filter
//! without a condition.

use axum::Json;
use axum::extract::State;
use graphmill_store::records::DeleteOutcome;
use serde::Serialize;

use super::bulk::{Bulk, Refused};
use super::delete::still_active;
use crate::body::Fields;
use crate::{AppState, Result, Scope};

#[derive(Serialize)]
pub(crate) struct Answer {
    matched: u64,
    deleted: u64,
    refused: Vec<Refused>,
    refused_total: u64,
}

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
