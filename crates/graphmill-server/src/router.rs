//! All paths, and what holds for each of them: access checks, authentication, panics and unknown paths answered in JSON.

use std::any::Any;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{Method, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use graphmill_core::ErrorCode;
use tower_http::catch_panic::CatchPanicLayer;

use crate::api::{
    backup, collections, communities, database, documents, entities, graph, health, job_types, jobs, keys, search,
    upload,
};
use crate::error::shortened;
use crate::{AppState, Error, access, auth};

/// The whole API. [`crate::serve`] serves it over TCP; tests call it directly.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/api/jobs", get(jobs::list::handle).post(jobs::submit::handle))
        .route("/api/jobs/cleanup", post(jobs::cleanup::handle))
        .route("/api/jobs/cancel", post(jobs::bulk_cancel::handle))
        .route("/api/jobs/retry", post(jobs::bulk_retry::handle))
        .route("/api/jobs/delete", post(jobs::bulk_delete::handle))
        .route("/api/jobs/events", get(jobs::all_events::handle))
        .route("/api/jobs/{job_id}", get(jobs::show::handle).delete(jobs::delete::handle))
        .route("/api/jobs/{job_id}/cancel", post(jobs::cancel::handle))
        .route("/api/jobs/{job_id}/retry", post(jobs::retry::handle))
        .route("/api/jobs/{job_id}/logs", get(jobs::logs::handle))
        .route("/api/jobs/{job_id}/stream", get(jobs::stream::handle))
        .route("/api/jobs/{job_id}/events", get(jobs::events::handle))
        .route("/api/job-types", get(job_types::list::handle))
        .route("/api/job-types/{job_type}/pause", post(job_types::pause::pause))
        .route("/api/job-types/{job_type}/resume", post(job_types::pause::resume))
        .route("/api/database/reindex", post(database::reindex::handle))
        .route("/api/upload", post(upload::handle))
        .route("/api/documents", get(documents::list::handle))
        .route("/api/documents/{document_id}", get(documents::show::handle).delete(documents::delete::handle))
        .route("/api/documents/{document_id}/chunks", get(documents::chunks::handle))
        .route("/api/collections", get(collections::list::handle).post(collections::create::handle))
        .route(
            "/api/collections/{name}",
            get(collections::show::handle).patch(collections::change::handle).delete(collections::delete::handle),
        )
        .route("/api/search", get(search::handle))
        .route("/api/documents/{document_id}/entities", get(documents::entities::handle))
        .route("/api/documents/{document_id}/original", get(documents::original::handle))
        .route("/api/documents/{document_id}/pages/{page}", get(documents::page::handle))
        .route("/api/entities", get(entities::list::handle))
        .route("/api/entities/{entity_id}", get(entities::show::handle))
        .route("/api/entities/{entity_id}/neighbours", get(entities::neighbours::handle))
        .route("/api/communities", get(communities::list::handle))
        .route("/api/communities/{community_id}", get(communities::show::handle))
        .route("/api/graph/stats", get(graph::stats::handle))
        .route("/api/graph/check", get(graph::check::handle))
        .route("/api/graph/export", get(graph::export::handle))
        .route("/api/keys", get(keys::list::handle).post(keys::create::handle))
        .route("/api/keys/{name}", delete(keys::revoke::handle))
        .route("/api/backup", get(backup::handle))
        .route("/livez", get(health::live::handle))
        .route("/readyz", get(health::ready::handle))
        .route("/version", get(health::version::handle))
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        // Bodies have limits of their own: JSON in `body.rs`, files in `api/upload.rs`.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn_with_state(state.clone(), auth::authenticate))
        .layer(middleware::from_fn_with_state(state.clone(), access::enforce))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn(log_request))
        // Outermost: nothing else may see a token.
        .layer(middleware::from_fn(auth::hide_token))
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

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;
    use crate::test_server::TestServer;

    #[tokio::test]
    async fn unknown_paths_and_methods_are_json() {
        let server = TestServer::start().await;
        let answer = server.get("/api/nothing").await;
        assert_eq!(answer.error(), (404, "not_found".into(), "there is no path /api/nothing".into()));
        let answer = server.delete("/api/upload").await;
        assert_eq!(answer.error(), (405, "method_not_allowed".into(), "/api/upload does not take DELETE".into()));
        assert_eq!(answer.headers["allow"], "POST");
        let answer = server.get("/api/jobs/%FF%00").await;
        assert_eq!(answer.error().0, 404);
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with("application/json"));
    }

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        let app = Router::new()
            .route(
                "/",
                get(|| async {
                    if true {
                        panic!("a defect")
                    }
                }),
            )
            .layer(CatchPanicLayer::custom(panicked));
        let response = app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 500);
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&body).unwrap()["code"], "internal");
    }
}
