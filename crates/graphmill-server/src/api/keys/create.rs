//! `POST /api/keys` with `{"name": "ci", "read_only": false, "collection": null}`: makes a key. 201 with its token, which is shown this once. From the
//! first key on the server asks every caller for one. 400: a bad or unknown field. 401, 403: the caller cannot manage keys. 409 `key_exists`: the name is
//! taken. 409 `collection_deleting`: the key would outlive its collection.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use graphmill_core::{CollectionId, ErrorCode};
use graphmill_store::keys::{CreatedKey, KeyName, KeyToken, MOST_KEYS, NewKey};
use serde::Serialize;

use super::{CannotManageKeys, KeyShape};
use crate::body::Fields;
use crate::caller::Caller;
use crate::openapi::{And, BadBody, refusals};
use crate::{AppState, Error, Result};

refusals! {
    /// The name is taken.
    KeyExists {
        KeyExists => "there is a key ci already",
        CollectionDeleting => "the collection manuals is being deleted",
    }
}

#[derive(utoipa::ToSchema)]
#[schema(as = KeyRequest)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a description: the handler reads the fields")]
struct Request {
    #[schema(min_length = 1, max_length = 64, pattern = "^[A-Za-z0-9._@-]+$")]
    name: String,
    /// It may only read.
    #[schema(default = false)]
    read_only: Option<bool>,
    /// The one collection that it sees.
    collection: Option<CollectionId>,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = CreatedKey)]
pub(crate) struct Answer {
    #[serde(flatten)]
    key: KeyShape,
    /// `gm_<id>_<secret>`.
    token: String,
}

/// Make a key. From the first one on the server asks every caller for one.
#[utoipa::path(
    post,
    path = "/api/keys",
    tag = "keys",
    operation_id = "create_key",
    request_body(content = Request, description = "The key", example = json!({"name": "ci", "read_only": true})),
    responses(
        (
            status = 201,
            description = "The key and its token, which is shown this once",
            body = Answer,
            example = json!({"name": "ci", "key_id": "k7q2m4x5", "read_only": false, "created_at": "2024-01-15T16:30:00.000Z", "token": "gm_k7q2m4x5_secret"})
        ),
        And<And<BadBody, KeyExists>, CannotManageKeys>,
    )
)]
pub(crate) async fn handle(State(state): State<AppState>, caller: Caller, mut fields: Fields) -> Result<Response> {
    caller.check_manages_keys()?;
    let name = fields.text("name")?.ok_or_else(|| Error::invalid("the field name is missing; it names the key"))?;
    let read_only = fields.flag("read_only")?.unwrap_or(false);
    let collection = fields.text("collection")?;
    fields.finish(&["name", "read_only", "collection"])?;
    let name: KeyName = name.parse().map_err(|e| Error::invalid(format!("the field name: {e}")))?;
    let parse = |text: String| text.parse().map_err(|e| Error::invalid(format!("the field collection: {e}")));
    let collection: Option<CollectionId> = collection.map(parse).transpose()?;
    let token = KeyToken::generate();
    let new = NewKey { id: token.id(), secret_hash: token.secret_hash(), name: name.clone(), read_only, collection };
    let key = match state.services.keys.create(new).await? {
        CreatedKey::Created(key) => key,
        CreatedKey::NameTaken => {
            return Err(Error::new(ErrorCode::KeyExists, format!("there is a key {name} already"))
                .hint("choose another name, or revoke that one first"));
        }
        CreatedKey::TooMany => {
            return Err(Error::new(ErrorCode::Forbidden, format!("there are {MOST_KEYS} keys, which is the most"))
                .hint("revoke those that nobody uses: GET /api/keys says when each was last used"));
        }
    };
    tracing::info!(key.name = %key.name, key.id = %key.id, "a key was made");
    let answer = Answer { key: key.into(), token: token.reveal() };
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}
