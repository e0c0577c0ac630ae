//! Every error of a request, as JSON, and the one table from error code to HTTP status.

use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use graphmill_core::ErrorCode;
use serde::Serialize;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong between a request and its answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request cannot be carried out; the sentence is for the client.
    #[error("{message}")]
    Refused {
        /// Kind of error; decides the status.
        code: ErrorCode,
        /// A sentence with the bad value and the allowed ones.
        message: String,
        /// What to do.
        hint: Option<String>,
    },
    /// The job store said no.
    #[error(transparent)]
    Jobs(#[from] graphmill_store::Error),
    /// The graph store said no.
    #[error(transparent)]
    Graph(#[from] graphmill_graph::Error),
    /// Certificate or key cannot be used. Says what to do.
    #[error("{0}")]
    Tls(String),
    /// The server cannot take connections.
    #[error("cannot take connections: {0}")]
    Listen(std::io::Error),
}

impl Error {
    /// A request that cannot be carried out.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Refused { code, message: message.into(), hint: None }
    }

    /// A parameter or field with a value that is not allowed.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidParameter, message)
    }

    /// No such thing.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::NotFound, message)
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        if let Self::Refused { hint, .. } = &mut self {
            *hint = Some(text.into());
        }
        self
    }

    /// The code that the client sees.
    pub fn code(&self) -> ErrorCode {
        use graphmill_graph::Error as G;
        use graphmill_store::Error as S;
        match self {
            Self::Refused { code, .. } => *code,
            Self::Jobs(S::NotFound(_) | S::NoCollection(_)) => ErrorCode::NotFound,
            Self::Jobs(S::QuotaExceeded { .. }) => ErrorCode::QuotaExceeded,
            Self::Jobs(S::CollectionDeleting(_)) | Self::Graph(G::CollectionRemoved(_)) => {
                ErrorCode::CollectionDeleting
            }
            Self::Jobs(S::Invalid(_)) | Self::Graph(G::Invalid(_)) => ErrorCode::InvalidParameter,
            Self::Jobs(S::Full(_)) | Self::Graph(G::Full(_)) => ErrorCode::StorageFull,
            Self::Graph(
                G::Unavailable { .. }
                | G::ReadOnly(_)
                | G::WrongPassword(_)
                | G::WrongDatabase(_)
                | G::UnsupportedServer(_),
            ) => ErrorCode::GraphUnavailable,
            Self::Jobs(S::Fenced(_) | S::Forbidden(_))
            | Self::Graph(G::StaleRun { .. })
            | Self::Listen(_)
            | Self::Tls(_) => ErrorCode::Internal,
            Self::Jobs(S::Unusable(_) | S::Backend(_) | S::Blob { .. })
            | Self::Graph(G::WrongJobStore { .. } | G::Unusable(_) | G::Backend(_)) => ErrorCode::StorageFailed,
        }
    }

    /// What to do about it, if that is known.
    pub(crate) fn hint_text(&self) -> Option<String> {
        match self {
            Self::Refused { hint, .. } => hint.clone(),
            Self::Jobs(graphmill_store::Error::NotFound(_)) => Some("GET /api/jobs lists the jobs".to_owned()),
            Self::Jobs(graphmill_store::Error::NoCollection(_)) => Some(COLLECTIONS_HINT.to_owned()),
            Self::Jobs(graphmill_store::Error::QuotaExceeded { .. }) => Some(QUOTA_HINT.to_owned()),
            Self::Jobs(graphmill_store::Error::CollectionDeleting(_)) => Some(DELETING_HINT.to_owned()),
            _ if self.code() == ErrorCode::StorageFull => Some(FULL_HINT.to_owned()),
            _ => None,
        }
    }
}

/// What to do when the disk is full.
pub(crate) const FULL_HINT: &str = "free space on the disk of the data folder; waiting jobs go on by themselves";

/// Where the collections are.
pub(crate) const COLLECTIONS_HINT: &str = "GET /api/collections lists the collections";
/// What to do when a collection is full.
pub(crate) const QUOTA_HINT: &str = "delete documents, or raise the quota with PATCH /api/collections/{name}";
/// What to do while a collection is being deleted.
pub(crate) const DELETING_HINT: &str =
    "GET /api/collections/{name} shows how far it is; when it is gone the name can be used again";

/// No job has this id; `shown` is what the client wrote.
pub(crate) fn no_such_job(shown: &str) -> Error {
    let hint = format!("a job id looks like {JOB_ID_EXAMPLE}; GET /api/jobs lists the jobs");
    Error::not_found(format!("there is no job {}", shortened(shown))).hint(hint)
}

/// No document has this id; `shown` is what the client wrote.
pub(crate) fn no_such_document(shown: &str) -> Error {
    Error::not_found(format!("there is no document {}", shortened(shown)))
        .hint("a document id looks like doc-aaaaaaaaaaaaaaaaaaaaaaaaaa; GET /api/documents lists the documents")
}

/// No entity has this id; `shown` is what the client wrote.
pub(crate) fn no_such_entity(shown: &str) -> Error {
    Error::not_found(format!("there is no entity {}", shortened(shown)))
        .hint("an entity id looks like ent-aaaaaaaaaaaaaaaaaaaaaaaaaa; GET /api/entities?q=… finds entities by name")
}

/// No community that readers see has this id; `shown` is what the client wrote.
pub(crate) fn no_such_community(shown: &str) -> Error {
    Error::not_found(format!("there is no community {}", shortened(shown)))
        .hint("a community id looks like com-aaaaaaaaaaaaaaaaaaaaaaaaaa; GET /api/communities lists the communities")
}

const JOB_ID_EXAMPLE: &str = "job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10";

/// A client's value as it may stand in a sentence: at most 80 characters, control characters escaped.
pub(crate) fn shortened(value: &str) -> String {
    let mut shown = String::new();
    for c in value.chars().take(80) {
        if c.is_control() { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    if value.chars().nth(80).is_some() {
        shown.push('…');
    }
    shown
}

/// The one table from error code to HTTP status. Codes that a request never answers with are those of jobs; as an answer they would be a
/// defect of ours.
pub fn status_of(code: ErrorCode) -> StatusCode {
    use ErrorCode as C;
    match code {
        C::InvalidParameter | C::InvalidJson | C::InvalidMultipart | C::EmptyFile | C::NoText => {
            StatusCode::BAD_REQUEST
        }
        C::CannotCancel | C::CannotDelete | C::CannotRetry => StatusCode::BAD_REQUEST,
        C::BadRequest => StatusCode::BAD_REQUEST,
        C::Unauthorized => StatusCode::UNAUTHORIZED,
        C::HostNotAllowed | C::OriginNotAllowed | C::ReadOnlyKey | C::Forbidden => StatusCode::FORBIDDEN,
        C::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        C::HeadersTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        C::NotFound => StatusCode::NOT_FOUND,
        C::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        C::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        C::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
        C::CursorExpired => StatusCode::GONE,
        C::Overtaken
        | C::IdempotencyKeyReused
        | C::IdempotencyInFlight
        | C::KeyExists
        | C::QuotaExceeded
        | C::LastKeys
        | C::CollectionDeleting
        | C::CollectionExists
        | C::SpaceMismatch
        | C::GraphElsewhere
        | C::BackupRunning => StatusCode::CONFLICT,
        C::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        C::WrongContentType | C::UnsupportedFormat => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        C::Encrypted | C::Damaged | C::TooManyChunks => StatusCode::UNPROCESSABLE_ENTITY,
        C::Unavailable | C::GraphUnavailable | C::ModelUnavailable | C::ModelRateLimited => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        C::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        C::ModelBadAnswer | C::ModelRefused => StatusCode::BAD_GATEWAY,
        C::ParserCrashed | C::ParserTimeout | C::ParserMemory | C::ChunkQuarantined => StatusCode::UNPROCESSABLE_ENTITY,
        C::StageStalled | C::CrashLoop | C::WorkerLost | C::StorageFailed | C::Internal => {
            StatusCode::INTERNAL_SERVER_ERROR
        }
    }
}

/// The body of every error.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Error)]
pub(crate) struct ErrorBody {
    /// What is wrong, for a person: the bad value and the allowed ones.
    error: String,
    /// What is wrong, for a program.
    code: ErrorCode,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let code = self.code();
        let status = status_of(code);
        if status.is_server_error() {
            // Logged once, here, where it is handled.
            tracing::error!(error = %self, error.code = code.as_str(), http.status = status.as_u16(), "request failed");
        }
        let body = ErrorBody { error: self.to_string(), code, hint: self.hint_text() };
        let mut response = (status, axum::Json(body)).into_response();
        let retry_after = match (status, code) {
            (StatusCode::SERVICE_UNAVAILABLE, _) => Some("5"),
            (_, ErrorCode::IdempotencyInFlight) => Some("1"),
            _ => None,
        };
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(HeaderName::from_static("retry-after"), HeaderValue::from_static(seconds));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_a_status_of_an_error() {
        for &code in ErrorCode::ALL {
            let status = status_of(code);
            assert!(status.is_client_error() || status.is_server_error(), "{code}: {status}");
        }
    }

    #[test]
    fn a_bad_value_cannot_break_the_sentence() {
        assert_eq!(shortened("a\nb\0"), "a\\nb\\u{0}");
        assert_eq!(shortened(&"x".repeat(300)).chars().count(), 81);
        assert_eq!(shortened("日本 🙂"), "日本 🙂");
    }

    #[tokio::test]
    async fn the_body_is_error_code_hint() {
        let response = Error::invalid("limit is 0").hint("1 to 1000").into_response();
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        let bytes = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        assert_eq!(&bytes[..], br#"{"error":"limit is 0","code":"invalid_parameter","hint":"1 to 1000"}"#);
    }
}
