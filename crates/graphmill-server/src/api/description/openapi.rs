//! `GET /openapi.json`: the OpenAPI 3.1 document of this server.

use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::openapi::DOCUMENT;

/// This description.
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "server",
    operation_id = "openapi",
    responses((status = 200, description = "An OpenAPI 3.1 document", body = Object, content_type = "application/json"))
)]
pub(crate) async fn handle() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.clone()).into_response()
}
