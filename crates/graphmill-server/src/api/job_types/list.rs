//! `GET /api/job-types`: the types of jobs: whether they are paused, how many jobs are in each state, how many run at once here. 404: never.

use axum::Json;
use axum::extract::State;
use graphmill_core::{JobStatus, JobType};
use graphmill_store::records::JobTypeRecord;
use serde::Serialize;

use crate::{AppState, Result, Scope};

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = JobTypes)]
pub(crate) struct Answer {
    job_types: Vec<TypeShape>,
}

/// A type of jobs.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = JobTypeState)]
pub(crate) struct TypeShape {
    job_type: JobType,
    paused: bool,
    counts: Counts,
    workers: u32,
}

/// Jobs in each state.
#[derive(Default, Serialize, utoipa::ToSchema)]
#[schema(as = JobCounts)]
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

/// The types of jobs and how many jobs are in each state.
#[utoipa::path(
    get,
    path = "/api/job-types",
    tag = "jobs",
    operation_id = "list_job_types",
    responses((
        status = 200,
        description = "The types of jobs",
        body = Answer,
        example = json!({"job_types": [{
                "job_type": "ingestion",
                "paused": false,
                "counts": {"pending": 3, "running": 2, "completed": 120, "failed": 1, "cancelled": 1},
                "workers": 2
        }]})
    ))
)]
pub(crate) async fn handle(State(state): State<AppState>, scope: Scope) -> Result<Json<Answer>> {
    let types = state.jobs().job_types(scope.bound()).await?;
    Ok(Json(Answer { job_types: types.iter().map(|record| TypeShape::new(&state, record)).collect() }))
}
