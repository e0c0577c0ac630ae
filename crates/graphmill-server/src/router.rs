//! All paths, and what holds for each of them: access checks, authentication, panics and unknown paths answered in JSON.

use std::any::Any;
use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::http::{Method, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use graphmill_core::{ErrorCode, trace};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{Instrument, Span};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::{
    backup, collections, communities, database, description, documents, entities, graph, health, job_types, jobs, keys,
    metrics, search, upload,
};
use crate::error::shortened;
use crate::metrics::Measured;
use crate::{AppState, Error, access, auth, known_params};

/// All paths with their descriptions. A test fails when one is added without.
pub(crate) fn paths() -> OpenApiRouter<AppState> {
    OpenApiRouter::new()
        .routes(routes!(jobs::list::handle, jobs::submit::handle))
        .routes(routes!(jobs::cleanup::handle))
        .routes(routes!(jobs::show::handle, jobs::delete::handle))
        .routes(routes!(jobs::cancel::handle))
        .routes(routes!(jobs::retry::handle))
        .routes(routes!(jobs::logs::handle))
        .routes(routes!(jobs::bulk_cancel::handle))
        .routes(routes!(jobs::bulk_retry::handle))
        .routes(routes!(jobs::bulk_delete::handle))
        .routes(routes!(jobs::all_events::handle))
        .routes(routes!(jobs::events::handle))
        .routes(routes!(job_types::list::handle))
        .routes(routes!(job_types::pause::pause))
        .routes(routes!(job_types::pause::resume))
        .routes(routes!(jobs::stream::handle))
        .routes(routes!(database::reindex::handle))
        .routes(routes!(upload::handle))
        .routes(routes!(documents::list::handle))
        .routes(routes!(documents::show::handle, documents::delete::handle))
        .routes(routes!(documents::chunks::handle))
        .routes(routes!(documents::entities::handle))
        .routes(routes!(documents::original::handle))
        .routes(routes!(documents::page::handle))
        .routes(routes!(entities::list::handle))
        .routes(routes!(entities::show::handle))
        .routes(routes!(entities::neighbours::handle))
        .routes(routes!(communities::list::handle))
        .routes(routes!(communities::show::handle))
        .routes(routes!(graph::stats::handle))
        .routes(routes!(graph::check::handle))
        .routes(routes!(graph::export::handle))
        .routes(routes!(collections::list::handle, collections::create::handle))
        .routes(routes!(collections::show::handle, collections::change::handle, collections::delete::handle))
        .routes(routes!(search::handle))
        .routes(routes!(backup::handle))
        .routes(routes!(keys::list::handle, keys::create::handle))
        .routes(routes!(keys::revoke::handle))
        .routes(routes!(health::live::handle))
        .routes(routes!(health::ready::handle))
        .routes(routes!(health::version::handle))
        .routes(routes!(metrics::handle))
        .routes(routes!(description::openapi::handle))
        .routes(routes!(description::docs::handle))
        .routes(routes!(description::docs::script))
        .routes(routes!(description::docs::style))
}

/// The whole API. [`crate::serve`] serves it over TCP; tests call it directly.
pub fn router(state: AppState) -> Router {
    let (router, _) = paths().split_for_parts();
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(unknown_method)
        // Bodies have limits of their own: JSON in `body.rs`, files in `api/upload.rs`.
        .layer(DefaultBodyLimit::disable())
        .layer(middleware::from_fn(known_params::refuse_unknown))
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

/// Named by the route's template: a path may hold what people named.
fn request_span(method: &Method, route: Option<&MatchedPath>) -> Span {
    let (method, route) = (crate::metrics::word(method), route.map_or("unknown", MatchedPath::as_str));
    tracing::info_span!(
        target: trace::TARGET,
        "http.request",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        http.response.status_code = tracing::field::Empty
    )
}

async fn log_request(request: Request, next: Next) -> Response {
    let (method, path, begun) = (request.method().clone(), request.uri().path().to_owned(), Instant::now());
    let measured = Measured::new(&method, request.extensions().get());
    let span = request_span(&method, request.extensions().get());
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", response.status().as_u16());
    measured.answered(response.status());
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
    use axum::routing::get;
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
