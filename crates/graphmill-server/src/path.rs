//! Ids in paths. A string that can be no id names nothing: 404 with the string, like an id that nobody has.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;
use graphmill_core::{CollectionId, CommunityId, DocumentId, EntityId, JobId, JobType};

use crate::Error;
use crate::error::{no_such_community, no_such_document, no_such_entity, no_such_job, shortened};
use crate::scope::no_such_collection;

/// The `{job_id}` of a path.
pub(crate) struct JobPath(pub(crate) JobId);

/// The `{name}` of a collection's path.
pub(crate) struct CollectionPath(pub(crate) CollectionId);

/// The `{document_id}` of a path.
pub(crate) struct DocumentPath(pub(crate) DocumentId);

/// The `{job_type}` of a path.
pub(crate) struct JobTypePath(pub(crate) JobType);

impl<S: Send + Sync> FromRequestParts<S> for JobTypePath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let text = only_value(parts, state).await;
        text.parse().map(Self).map_err(|_| {
            Error::not_found(format!("there is no job type {}", shortened(&text)))
                .hint("GET /api/job-types lists the types")
        })
    }
}

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

/// The `{entity_id}` of a path.
pub(crate) struct EntityPath(pub(crate) EntityId);

/// The `{community_id}` of a path.
pub(crate) struct CommunityPath(pub(crate) CommunityId);

/// The `{document_id}` and the `{page}` of a path; the latter as it was written.
pub(crate) struct PagePath(pub(crate) DocumentId, pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for EntityPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let text = only_value(parts, state).await;
        text.parse().map(Self).map_err(|_| no_such_entity(&text))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for CommunityPath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let text = only_value(parts, state).await;
        text.parse().map(Self).map_err(|_| no_such_community(&text))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PagePath {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let DocumentPath(document) = DocumentPath::from_request_parts(parts, state).await?;
        let params = RawPathParams::from_request_parts(parts, state).await;
        let page = params.ok().and_then(|p| p.iter().nth(1).map(|(_, value)| value.to_owned()));
        Ok(Self(document, page.unwrap_or_default()))
    }
}

/// The id stands first in our paths. What is not UTF-8 after decoding can be no id either.
async fn only_value<S: Send + Sync>(parts: &mut Parts, state: &S) -> String {
    match RawPathParams::from_request_parts(parts, state).await {
        Ok(params) => params.iter().next().map(|(_, value)| value.to_owned()).unwrap_or_default(),
        Err(_) => parts.uri.path().to_owned(),
    }
}
