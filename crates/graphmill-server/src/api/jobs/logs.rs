//! `GET /api/jobs/{job_id}/logs?level=&limit=100&after=&order=asc`: log lines, oldest first. `level` is the least severity shown, `after` an instant;
//! `total` counts all that match, whatever the limit. 400: an unknown word, a bad number or time. 404: there is no such job.

use axum::Json;
use axum::extract::State;
use graphmill_core::JobId;
use graphmill_store::records::{LogLevel, LogRecord};
use graphmill_store::requests::LogQuery;
use serde::Serialize;

use crate::error::shortened;
use crate::params::Params;
use crate::path::JobPath;
use crate::{AppState, Error, Result};

#[derive(Serialize)]
pub(crate) struct Answer {
    job_id: JobId,
    logs: Vec<LogRecord>,
    total: u64,
}

pub(crate) async fn handle(
    State(state): State<AppState>,
    JobPath(job): JobPath,
    params: Params,
) -> Result<Json<Answer>> {
    let query = LogQuery {
        level: params.text("level")?.map(level).transpose()?,
        after: params.parsed("after")?,
        descending: params.text("order")?.map_or(Ok(false), order)?,
        limit: params.limit(100)?,
    };
    let page = state.jobs().logs(job, &query).await?;
    Ok(Json(Answer { job_id: job, logs: page.logs, total: page.total }))
}

fn level(word: &str) -> Result<LogLevel> {
    match word {
        "debug" => Ok(LogLevel::Debug),
        "info" => Ok(LogLevel::Info),
        "warning" => Ok(LogLevel::Warning),
        "error" => Ok(LogLevel::Error),
        _ => Err(Error::invalid(format!(
            "the parameter level: {:?} is none of debug, info, warning, error",
            shortened(word)
        ))),
    }
}

/// Whether the newest come first.
fn order(word: &str) -> Result<bool> {
    match word {
        "asc" => Ok(false),
        "desc" => Ok(true),
        _ => Err(Error::invalid(format!("the parameter order: {:?} is none of asc, desc", shortened(word)))),
    }
}
