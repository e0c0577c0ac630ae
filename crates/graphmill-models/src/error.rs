//! What can go wrong with a model, and what to do about it.

use std::time::Duration;

use graphmill_core::{CacheError, ErrorCode};

/// One item (a chunk) that its model cannot process; the others go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Quarantined {
    /// `model_bad_answer` or `model_refused`.
    pub code: ErrorCode,
    /// A sentence for people: what was wrong, after how many tries. Never has a payload.
    pub reason: String,
}

/// A failed call of a model. Never holds a key or a payload.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The server said 429, or the client still waits out an earlier 429.
    #[error("{model} at {host} is rate limited; it can be asked again in {} s", after.as_secs().max(1))]
    RateLimited {
        /// The model.
        model: String,
        /// Host and port of the server.
        host: String,
        /// When to ask again.
        after: Duration,
    },
    /// No connection, a cut or late answer, or 5xx, after the tries of one call.
    #[error("{model} at {host} is not available: {reason}")]
    Unavailable {
        /// The model.
        model: String,
        /// Host and port of the server.
        host: String,
        /// What happened last, as `connection refused` or `HTTP 503`.
        reason: String,
        /// When to ask again.
        after: Duration,
    },
    /// The content cache has no room; an answer that cannot be kept is not asked for.
    #[error("{0}")]
    CacheFull(String),
    /// The content cache failed in another way.
    #[error("{0}")]
    CacheFailed(String),
    /// Several items in a row got answers that cannot be used: the fault is the server's, not an item's.
    #[error("{model} at {host} gives answers that cannot be used: {reason}")]
    BadAnswers {
        /// The model.
        model: String,
        /// Host and port of the server.
        host: String,
        /// What was wrong with the last one.
        reason: String,
    },
    /// This item alone cannot be processed.
    #[error(transparent)]
    Quarantined(#[from] Quarantined),
    /// The server refuses every request of this kind: key, model name, address.
    #[error("{model} at {host} refuses the request: {reason}")]
    Refused {
        /// The model.
        model: String,
        /// Host and port of the server.
        host: String,
        /// Status and the server's own error code, as `HTTP 401 (invalid_api_key)`.
        reason: String,
        /// What a person can do.
        hint: String,
    },
    /// A setting that no client can be made from.
    #[error("the setting {name} is not usable: {reason}")]
    Settings {
        /// The setting as `graphmill.toml` spells it.
        name: &'static str,
        /// What is wrong with it and what would be right.
        reason: String,
    },
}

/// What the caller does about an [`Error`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorClass {
    /// Wait without using up an attempt.
    Snooze {
        /// When to try again.
        after: Duration,
        /// What people are told.
        code: ErrorCode,
        /// A sentence for people.
        reason: String,
    },
    /// Try again with backoff; an attempt is used.
    Retry {
        /// What people are told.
        code: ErrorCode,
    },
    /// Set this one item aside and go on with the others.
    Quarantine {
        /// What people are told.
        code: ErrorCode,
    },
    /// Fail the job: trying again changes nothing until a person does something.
    Fatal {
        /// What people are told.
        code: ErrorCode,
        /// What a person can do.
        hint: String,
    },
}

/// How long a job sleeps when the disk is full; the store's own watch wakes claims as soon as there is room.
const STORAGE_FULL_SNOOZE: Duration = Duration::from_secs(30);

impl Error {
    /// What to do.
    pub fn class(&self) -> ErrorClass {
        let code = self.code();
        match self {
            Self::RateLimited { after, .. } | Self::Unavailable { after, .. } => {
                ErrorClass::Snooze { after: *after, code, reason: self.to_string() }
            }
            Self::CacheFull(_) => ErrorClass::Snooze { after: STORAGE_FULL_SNOOZE, code, reason: self.to_string() },
            Self::CacheFailed(_) | Self::BadAnswers { .. } => ErrorClass::Retry { code },
            Self::Quarantined(_) => ErrorClass::Quarantine { code },
            Self::Refused { hint, .. } => ErrorClass::Fatal { code, hint: hint.clone() },
            Self::Settings { name, .. } => ErrorClass::Fatal { code, hint: format!("correct {name} and start again") },
        }
    }

    /// The code that people and programs see.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::RateLimited { .. } => ErrorCode::ModelRateLimited,
            Self::Unavailable { .. } => ErrorCode::ModelUnavailable,
            Self::CacheFull(_) => ErrorCode::StorageFull,
            Self::CacheFailed(_) => ErrorCode::StorageFailed,
            Self::BadAnswers { .. } => ErrorCode::ModelBadAnswer,
            Self::Quarantined(quarantined) => quarantined.code,
            Self::Refused { .. } => ErrorCode::ModelRefused,
            Self::Settings { .. } => ErrorCode::InvalidParameter,
        }
    }
}

impl From<CacheError> for Error {
    fn from(error: CacheError) -> Self {
        match error {
            CacheError::Full(_) => Self::CacheFull(error.to_string()),
            CacheError::Failed(_) => Self::CacheFailed(error.to_string()),
        }
    }
}
