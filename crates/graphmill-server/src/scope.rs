//! What the caller of a request may see. Access control puts a scope into each request; without one (a server that has no keys) everything is
//! seen. A handler asks its scope for each collection that it reads or writes, so that what lies outside is answered exactly as what does not
//! exist.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use graphmill_core::CollectionId;

use crate::{Error, Result};

/// The collections that a request reaches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// `None`: all.
    only: Option<CollectionId>,
}

impl Scope {
    /// All collections.
    pub fn everything() -> Self {
        Self::default()
    }

    /// One collection and nothing else.
    pub fn only(collection: CollectionId) -> Self {
        Self { only: Some(collection) }
    }

    /// The one collection that it is bound to.
    pub fn bound(&self) -> Option<&CollectionId> {
        self.only.as_ref()
    }

    /// Whether what belongs to `collection` may be seen. What may not be seen is answered as not found.
    pub fn admits(&self, collection: &CollectionId) -> bool {
        self.only.as_ref().is_none_or(|own| own == collection)
    }

    /// The collection that a list, a search or an export looks at: the one `asked` for, else the bound one; `None` = all. 404 when it lies outside.
    pub fn reading(&self, asked: Option<CollectionId>) -> Result<Option<CollectionId>> {
        match asked {
            Some(asked) if !self.admits(&asked) => Err(no_such_collection(asked.as_str())),
            Some(asked) => Ok(Some(asked)),
            None => Ok(self.only.clone()),
        }
    }

    /// The collection that something new goes to: the one `asked` for, else the bound one, else `default`. 404 when it lies outside.
    pub fn writing(&self, asked: Option<CollectionId>) -> Result<CollectionId> {
        Ok(self.reading(asked)?.unwrap_or_default())
    }
}

impl<S: Sync> FromRequestParts<S> for Scope {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

/// No collection has this name (or the caller must not know of it).
pub(crate) fn no_such_collection(shown: &str) -> Error {
    Error::not_found(format!("there is no collection {}", crate::error::shortened(shown)))
        .hint("GET /api/collections lists the collections")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_outside_is_not_found() {
        let (own, other): (CollectionId, CollectionId) = ("own".parse().unwrap(), "other".parse().unwrap());
        let scope = Scope::only(own.clone());
        assert!(scope.admits(&own) && !scope.admits(&other));
        assert_eq!(scope.reading(None).unwrap(), Some(own.clone()));
        assert_eq!(scope.writing(None).unwrap(), own.clone());
        assert_eq!(scope.reading(Some(own.clone())).unwrap(), Some(own));
        assert_eq!(scope.writing(Some(other.clone())).unwrap_err().to_string(), "there is no collection other");
        let all = Scope::everything();
        assert_eq!(all.reading(None).unwrap(), None);
        assert_eq!(all.reading(Some(other.clone())).unwrap(), Some(other));
        assert_eq!(all.writing(None).unwrap(), CollectionId::default());
    }
}
