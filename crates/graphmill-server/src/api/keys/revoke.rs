//! `DELETE /api/keys/{name}`: revokes a key at once: its requests and open streams end. `keys_left` 0: on a loopback address everyone on the machine is
//! served again without a key; on another address only the local token is left. 401, 403: the caller cannot manage keys. 404: there is no such key.

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;

use super::CannotManageKeys;
use crate::caller::Caller;
use crate::error::shortened;
use crate::openapi::{And, refusals};
use crate::{AppState, Error, Result};

refusals! {
    /// No key has this name.
    NoSuchKey { NotFound => "there is no key ci" }
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = KeyRevoked)]
pub(crate) struct Answer {
    message: &'static str,
    name: String,
    keys_left: usize,
    /// Whether callers still need a key.
    key_required: bool,
}

/// Revoke a key; its requests and open streams end.
#[utoipa::path(
    delete,
    path = "/api/keys/{name}",
    tag = "keys",
    operation_id = "revoke_key",
    params(("name" = String, Path, description = "The key")),
    responses(
        (
            status = 200,
            description = "It opens nothing any more",
            body = Answer,
            example = json!({"message": "Key revoked", "name": "ci", "keys_left": 1, "key_required": true})
        ),
        And<NoSuchKey, CannotManageKeys>,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    caller: Caller,
    path: std::result::Result<Path<String>, axum::extract::rejection::PathRejection>,
) -> Result<Json<Answer>> {
    caller.check_manages_keys()?;
    let shown = path.map(|Path(name)| name).unwrap_or_default();
    let none =
        || Error::not_found(format!("there is no key {}", shortened(&shown))).hint("GET /api/keys lists the keys");
    let name = shown.parse().map_err(|_| none())?;
    let keys = &state.services.keys;
    let key = keys.revoke(name).await?.ok_or_else(none)?;
    tracing::info!(key.name = %key.name, key.id = %key.id, "a key was revoked");
    Ok(Json(Answer {
        message: "Key revoked",
        name: key.name.to_string(),
        keys_left: keys.len(),
        key_required: keys.required(),
    }))
}
