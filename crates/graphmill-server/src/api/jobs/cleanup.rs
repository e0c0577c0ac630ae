//! `POST /api/jobs/cleanup` with `{"older_than_days": 7, "status": ["completed","failed"]}` (both optional, as is the body): removes records of jobs
//! that ended at least so long ago. Documents and graph stay. 400: a field that is unknown or has a bad value, a state in which a job has not ended.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use graphmill_core::JobStatus;
use serde::Serialize;

use crate::body::Fields;
use crate::{AppState, Error, Result};

/// Jobs deleted in one transaction: others get their turn between two.
const BATCH: u32 = 500;

const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Serialize)]
pub(crate) struct Answer {
    message: &'static str,
    jobs_deleted: u64,
    space_freed_mb: f64,
}

pub(crate) async fn handle(State(state): State<AppState>, mut fields: Fields) -> Result<Json<Answer>> {
    let days = fields.number("older_than_days", 0, 36_500)?.unwrap_or(7);
    let words = fields.texts("status")?;
    fields.finish(&["older_than_days", "status"])?;
    let statuses = match words {
        None => vec![JobStatus::Completed, JobStatus::Failed],
        Some(words) => statuses(&words)?,
    };
    let older_than = DAY * u32::try_from(days).unwrap_or(u32::MAX);
    let (mut jobs, mut bytes) = (0, 0);
    loop {
        let deleted = state.jobs().cleanup(older_than, &statuses, BATCH).await?;
        if deleted.jobs == 0 {
            break;
        }
        jobs += deleted.jobs;
        bytes += deleted.bytes;
        graphmill_core::fault_point!("cleanup.between_batches");
        bytes += state.services.maintenance.delete_blobs(deleted.unnamed_blobs).await;
    }
    Ok(Json(Answer { message: "Cleanup complete", jobs_deleted: jobs, space_freed_mb: megabytes(bytes) }))
}

fn statuses(words: &[String]) -> Result<Vec<JobStatus>> {
    if words.is_empty() {
        return Err(Error::invalid("the field status is an empty list; it must name completed, failed or cancelled"));
    }
    let parse = |word: &String| match word.parse::<JobStatus>() {
        Ok(status) if status.is_ended() => Ok(status),
        Ok(status) => Err(Error::invalid(format!(
            "the field status: {status} jobs cannot be cleaned up; it must name completed, failed or cancelled"
        ))
        .hint("cancel such a job first")),
        Err(e) => Err(Error::invalid(format!("the field status: {e}"))),
    };
    words.iter().map(parse).collect()
}

/// Millions of bytes to one decimal; what is freed is never shown as nothing.
#[allow(clippy::cast_precision_loss)] // exact up to 2^53 bytes
fn megabytes(bytes: u64) -> f64 {
    let tenths = (bytes as f64 / 100_000.0).ceil();
    tenths / 10.0
}
