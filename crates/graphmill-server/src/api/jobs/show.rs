//! `GET /api/jobs/{job_id}`: the job with stages, errors and attempts. 404: there is no such job.

use axum::Json;
use axum::extract::State;

use crate::api::shape::JobDetailShape;
use crate::path::JobPath;
use crate::{AppState, Result};

pub(crate) async fn handle(State(state): State<AppState>, JobPath(job): JobPath) -> Result<Json<JobDetailShape>> {
    Ok(Json(state.jobs().job(job).await?.into()))
}
