//! `GET /api/keys`: all keys by name, without their secrets. 401, 403: the caller cannot manage keys.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::{CannotManageKeys, KeyShape};
use crate::caller::Caller;
use crate::{AppState, Result};

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = KeyList)]
pub(crate) struct Answer {
    keys: Vec<KeyShape>,
    total: usize,
}

/// List the keys.
#[utoipa::path(
    get,
    path = "/api/keys",
    tag = "keys",
    operation_id = "list_keys",
    responses(
        (
            status = 200,
            description = "All keys by name, without their secrets",
            body = Answer,
            example = json!({"keys": [{"name": "ci", "key_id": "k7q2m4x5", "read_only": false, "created_at": "2024-01-15T16:30:00.000Z"}], "total": 1})
        ),
        CannotManageKeys,
    )
)]
pub(crate) async fn handle(State(state): State<AppState>, caller: Caller) -> Result<Json<Answer>> {
    caller.check_manages_keys()?;
    let keys: Vec<KeyShape> = state.services.keys.list().await?.into_iter().map(KeyShape::from).collect();
    Ok(Json(Answer { total: keys.len(), keys }))
}
