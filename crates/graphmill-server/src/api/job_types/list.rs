//! `GET /api/job-types`: the types of jobs: whether they are paused, how many jobs are in each state, how many run at once here. 404: never.

use axum::Json;
use axum::extract::State;
use graphmill_core::{JobStatus, JobType};
use graphmill_store::records::JobTypeRecord;
use serde::Serialize;

use crate::{AppState, Result, Scope};

#[derive(Serialize)]
pub(crate) struct Answer {
    job_types: Vec<TypeShape>,
}

/// A type of jobs.
#[derive(Serialize)]
pub(crate) struct TypeShape {
    job_type: JobType,
    paused: bool,
    counts: Counts,
    workers: u32,
}

/// Jobs in each state.
#[derive(Default, Serialize)]
struct Counts {
    pending: u64,
    running: u64,
    completed: u64,
    failed: u64,
    cancelled: u64,
}

impl TypeShape {
    pub(super) fn new(state: &AppState, record: &JobTypeRecord) -> Self {
        let count = |wanted| record.counts.iter().find(|(status, _)| *status == wanted).map_or(0, |(_, n)| *n);
        let counts = Counts {
            pending: count(JobStatus::Pending),
            running: count(JobStatus::Running),
            completed: count(JobStatus::Completed),
            failed: count(JobStatus::Failed),
            cancelled: count(JobStatus::Cancelled),
        };
        let workers = state.config.workers.get(&record.job_type).copied().unwrap_or(0);
        Self { job_type: record.job_type, paused: record.paused, counts, workers }
    }
}

pub(crate) async fn handle(State(state): State<AppState>, scope: Scope) -> Result<Json<Answer>> {
    let types = state.jobs().job_types(scope.bound()).await?;
    Ok(Json(Answer { job_types: types.iter().map(|record| TypeShape::new(&state, record)).collect() }))
}
