//! Ids in paths. A string that can be no id names nothing: 404 with the string, like an id that nobody has.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use graphmill_core::{CollectionId, DocumentId, JobId};

use crate::Error;
use crate::error::{no_such_document, no_such_job};
use crate::scope::no_such_collection;

/// The `{job_id}` of a path.
pub(crate) struct JobPath(pub(crate) JobId);

/// The `{name}` of a collection's path.
pub(crate) struct CollectionPath(pub(crate) CollectionId);

/// The `{document_id}` of a path.
pub(crate) struct DocumentPath(pub(crate) DocumentId);

impl<S: Send + Sync> FromRequestParts<S> for JobPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let text = only_value(parts, state).await;
        text.parse().map(Self).map_err(|_| no_such_job(&text))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CollectionPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let text = only_value(parts, state).await;
        text.parse().map(Self).map_err(|_| no_such_collection(&text))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for DocumentPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let text = only_value(parts, state).await;
        text.parse().map(Self).map_err(|_| no_such_document(&text))
    }
}

/// Our paths have one parameter each. What is not UTF-8 after decoding can be no id either.
async fn only_value<S: Send + Sync>(parts: &mut Parts, state: &S) -> String {
    match RawPathParams::from_request_parts(parts, state).await {
        Ok(params) => params.iter().next().map(|(_, value)| value.to_owned()).unwrap_or_default(),
        Err(_) => parts.uri.path().to_owned(),
    }
}
