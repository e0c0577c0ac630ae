//! `GET /livez`: the process answers. Nothing else is looked at.

use axum::Json;
use serde_json::{Value, json};

pub(crate) async fn handle() -> Json<Value> {
    Json(json!({"status": "ok"}))
}
