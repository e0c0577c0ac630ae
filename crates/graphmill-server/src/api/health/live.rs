//! `GET /livez`: the process answers. Nothing else is looked at.

use axum::Json;
use serde::Serialize;

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Live)]
pub(crate) struct Answer {
    status: &'static str,
}

/// Whether the process answers.
#[utoipa::path(
    get,
    path = "/livez",
    tag = "server",
    operation_id = "live",
    responses((status = 200, description = "It lives", body = Answer, example = json!({"status": "ok"})))
)]
pub(crate) async fn handle() -> Json<Answer> {
    Json(Answer { status: "ok" })
}
