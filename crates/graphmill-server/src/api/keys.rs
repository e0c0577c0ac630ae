//! `/api/keys`.

pub(crate) mod create;
pub(crate) mod list;
pub(crate) mod revoke;

use graphmill_core::{CollectionId, Timestamp};
use graphmill_store::keys::KeyRecord;
use serde::Serialize;

use crate::openapi::refusals;

refusals! {
    /// The key of the caller is bound to a collection or only reads.
    CannotManageKeys { Forbidden => "this key cannot manage keys" }
}

/// A key as it is shown: never its secret or the hash of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Key)]
pub(crate) struct KeyShape {
    name: String,
    /// The public part of its token, `gm_<id>_…`.
    key_id: String,
    read_only: bool,
    /// The one collection that it sees; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    collection: Option<CollectionId>,
    created_at: Timestamp,
    /// To about a minute; absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<Timestamp>,
}

impl From<KeyRecord> for KeyShape {
    fn from(key: KeyRecord) -> Self {
        Self {
            name: key.name.to_string(),
            key_id: key.id.to_string(),
            read_only: key.read_only,
            collection: key.collection,
            created_at: key.created_at,
            last_used_at: key.last_used_at,
        }
    }
}
