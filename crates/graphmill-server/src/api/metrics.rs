//! `GET /metrics`: what the process has counted and how things stand, in Prometheus' text format 0.0.4. Labels have few values, none of which
//! somebody chose: no collection, document, job or key is named. A store that does not answer within 5 s costs its measures and nothing else
//! (`graphmill_store_up` is 0). Not for keys that are bound to a collection (404).

mod process;
mod stores;
#[cfg(test)]
mod tests;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use graphmill_core::ErrorCode;
use graphmill_core::metrics::{self, Readings};

use crate::metrics::show_readers;
use crate::openapi::refusals;
use crate::{AppState, Error, Result, Scope};

const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

refusals! {
    /// The key is bound to a collection.
    CannotMeasure {
        NotFound => "there is no path /metrics",
    }
}

/// What has been counted and how things stand.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "server",
    operation_id = "metrics",
    responses(
        (
            status = 200,
            description = "Measures in the text format 0.0.4 of Prometheus",
            body = String,
            content_type = "text/plain",
            example = "# HELP graphmill_jobs Jobs by type and state.\n# TYPE graphmill_jobs gauge\ngraphmill_jobs{job_type=\"ingestion\",state=\"completed\"} 3\n"
        ),
        CannotMeasure,
    )
)]
pub(crate) async fn handle(State(state): State<AppState>, scope: Scope) -> Result<Response> {
    if scope.bound().is_some() {
        return Err(Error::not_found("there is no path /metrics")
            .hint("measures are of all collections; use a key that is bound to none"));
    }
    show_readers();
    let readings = Readings::new();
    stores::read(&state, &readings).await;
    let (databases, disk, started) = (state.services.databases.clone(), state.services.disk.clone(), state.started);
    // Files are looked at: not on a thread that serves requests.
    let readings = tokio::task::spawn_blocking(move || {
        stores::read_files(&databases, &disk, &readings);
        process::read(started, &readings);
        readings
    });
    let readings =
        readings.await.map_err(|e| Error::new(ErrorCode::Internal, format!("the measures could not be taken: {e}")))?;
    let headers = [(header::CONTENT_TYPE, CONTENT_TYPE), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, readings.text() + &metrics::recorded()).into_response())
}
