//! `GET /api/keys`: all keys by name, without their secrets. 401, 403: the caller cannot manage keys.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::KeyShape;
use crate::caller::Caller;
use crate::{AppState, Result};

#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    keys: Vec<KeyShape>,
    total: usize,
}

pub(crate) async fn handle(State(state): State<AppState>, caller: Caller) -> Result<Json<Answer>> {
    caller.check_manages_keys()?;
    let keys: Vec<KeyShape> = state.services.keys.list().await?.into_iter().map(KeyShape::from).collect();
    Ok(Json(Answer { total: keys.len(), keys }))
}
