//! `POST /api/database/reindex` with `{"collection","rebuild_embeddings","rebuild_similarities","run_clustering","top_k","threshold","mode"}`, all of them
//! optional: the same as `POST /api/jobs` with `job_type` `reindex` and these params, and answered alike
//! (`Idempotency-Key` too). Its tests stand there.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use graphmill_core::JobType;

use crate::api::jobs::submit::{self, Schedule, Submission};
use crate::body::Fields;
use crate::{AppState, Result, Scope};

pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    headers: HeaderMap,
    mut fields: Fields,
) -> Result<Response> {
    let collection = submit::collection(fields.text("collection")?)?;
    let params = Some(fields.into_map());
    let submission = Submission { job_type: JobType::Reindex, params, collection, schedule: Schedule::default() };
    submit::submit(&state, &scope, &headers, submission).await
}
