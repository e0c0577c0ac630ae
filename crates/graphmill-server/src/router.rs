//! All paths, and what holds for each of them: access checks, panics and unknown paths answered in JSON.

use std::any::Any;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{Method, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use graphmill_core::ErrorCode;
use tower_http::catch_panic::CatchPanicLayer;

use crate::api::{documents, graph, health, jobs, upload};
use crate::error::shortened;
use crate::{AppState, Error, access};

/// The whole API. [`crate::serve`] serves it over TCP; tests call it directly.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/api/jobs", get(jobs::list::handle).post(jobs::submit::handle))
        .route("/api/jobs/cleanup", post(jobs::cleanup::handle))
        .route("/api/jobs/{job_id}", get(jobs::show::handle).delete(jobs::delete::handle))
        .route("/api/jobs/{job_id}/cancel", post(jobs::cancel::handle))
        .route("/api/jobs/{job_id}/retry", post(jobs::retry::handle))
        .route("/api/jobs/{job_id}/logs", get(jobs::logs::handle))
        .route("/api/jobs/{job_id}/stream", get(jobs::stream::handle))
        .route("/api/upload", post(upload::handle))
        .route("/api/documents", get(documents::list::handle))
        .route("/api/documents/{document_id}", get(documents::show::handle).delete(documents::delete::handle))
        .route("/api/documents/{document_id}/chunks", get(documents::chunks::handle))
        .route("/api/graph/stats", get(graph::stats::handle))
        .route("/api/graph/export", get(graph::export::handle))
        .route("/livez", get(health::live::handle))
        .route("/readyz", get(health::ready::handle))
        .route("/version", get(health::version::handle))
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        // Bodies have limits of their own: JSON in `body.rs`, files in `api/upload.rs`.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(state.clone(), access::enforce))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(log_request))
        .with_state(state)
}

async fn unknown_path(uri: Uri) -> Error {
    Error::not_found(format!("there is no path {}", shortened(uri.path()))).hint("the API lies under /api")
}

async fn unknown_method(method: Method, uri: Uri) -> Error {
    Error::new(ErrorCode::MethodNotAllowed, format!("{} does not take {method}", shortened(uri.path())))
        .hint("the header Allow lists the methods of this path")
}

/// The panic itself was logged by the hook of the process.
fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    Error::new(ErrorCode::Internal, "the server made a mistake with this request; its log says more").into_response()
}

async fn log_request(request: Request, next: Next) -> Response {
    let (method, path, begun) = (request.method().clone(), request.uri().path().to_owned(), Instant::now());
    let response = next.run(request).await;
    tracing::debug!(
        http.method = %method,
        http.path = %shortened(&path),
        http.status = response.status().as_u16(),
        duration_seconds = begun.elapsed().as_secs_f64(),
        "request"
    );
    response
}
