//! Who makes a request, as authentication found out.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use graphmill_core::ErrorCode;
use graphmill_store::keys::KeyRecord;
use tokio_util::sync::CancellationToken;

use crate::{Error, Result, Scope};

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// Who makes a request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    who: Who,
    /// Cancelled when the caller's authority ends; open streams end with it.
    pub(crate) ended: CancellationToken,
}

#[derive(Debug, Clone)]
enum Who {
    /// Somebody, while there is no key.
    Anyone,
    /// A user who may read the data folder.
    Local,
    /// The holder of a key.
    Key(Arc<KeyRecord>),
}

impl Caller {
    /// Somebody, while there is no key; `ended` is cancelled when there is one.
    pub(crate) fn anyone(ended: CancellationToken) -> Self {
        Self { who: Who::Anyone, ended }
    }

    /// A user who may read the data folder.
    pub(crate) fn local() -> Self {
        Self { who: Who::Local, ended: CancellationToken::new() }
    }

    /// The holder of a key; `ended` is cancelled when it is revoked.
    pub(crate) fn key(key: Arc<KeyRecord>, ended: CancellationToken) -> Self {
        Self { who: Who::Key(key), ended }
    }

    /// What the caller may see.
    pub(crate) fn scope(&self) -> Scope {
        match &self.who {
            Who::Key(key) => key.collection.clone().map_or_else(Scope::everything, Scope::only),
            Who::Anyone | Who::Local => Scope::everything(),
        }
    }

    /// Name of the key, for the log.
    pub(crate) fn key_name(&self) -> Option<&str> {
        match &self.who {
            Who::Key(key) => Some(key.name.as_str()),
            Who::Anyone | Who::Local => None,
        }
    }

    /// 403 for a key that may only read.
    pub(crate) fn check_writes(&self) -> Result<()> {
        match &self.who {
            Who::Key(key) if key.read_only => Err(Error::new(
                ErrorCode::ReadOnlyKey,
                format!("the key {} may only read: it may call GET and HEAD", key.name),
            )
            .hint("use a key that was made without --read-only")),
            _ => Ok(()),
        }
    }

    /// Keys are managed by the local token, and by keys that reach everything.
    pub(crate) fn check_manages_keys(&self) -> Result<()> {
        match &self.who {
            Who::Local => Ok(()),
            Who::Key(key) if !key.read_only && key.collection.is_none() => Ok(()),
            Who::Key(key) => Err(Error::new(
                ErrorCode::Forbidden,
                format!("the key {} cannot manage keys: it is read-only or bound to a collection", key.name),
            )
            .hint("use a key without limits, or graphmill key on the server's machine")),
            Who::Anyone => Err(Error::new(ErrorCode::Unauthorized, "keys are managed by who holds one")
                .hint("the first key is made by `graphmill key create NAME` on the server's machine")),
        }
    }

    /// 403 for a key that may not do everything: a backup holds all data and the hashes of all keys.
    pub(crate) fn check_backs_up(&self) -> Result<()> {
        match &self.who {
            Who::Key(key) if key.read_only => Err(Error::new(
                ErrorCode::Forbidden,
                format!("the key {} may only read, and a backup needs a key that may do everything", key.name),
            )
            .hint("a backup holds all data and can be made a server of its own; use a key without limits, or `graphmill backup` on the server's machine")),
            _ => Ok(()),
        }
    }

    /// Why an open stream of this caller ends when `ended` is cancelled.
    pub(crate) fn end_reason(&self) -> &'static str {
        match &self.who {
            Who::Anyone => "the server takes requests with a key only from now on",
            Who::Local | Who::Key(_) => "the key was revoked",
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_else(|| Self::anyone(CancellationToken::new())))
    }
}
