//! How a handler can end. Outcomes are values: the runtime decides by them what is written, never by the text of an error.

use std::time::Duration;

use graphmill_core::ErrorCode;
use graphmill_store::requests::NewJobError;
use serde_json::{Map, Value};

/// Everything is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Completed {
    /// Last message.
    pub message: String,
    /// Merged into the job's metadata.
    pub metadata: Map<String, Value>,
}

/// Why a handler or stage did not go on.
#[derive(Debug, Clone, PartialEq)]
pub enum Interruption {
    /// The claim is no longer ours (cancelled, taken over, deleted) or the process is shutting down: write nothing more.
    Stopped,
    /// Wait for something outside (429, outage, full disk); no attempt is used.
    Snooze {
        /// How long.
        after: Duration,
        /// Kind of reason.
        code: ErrorCode,
        /// As a sentence.
        reason: String,
    },
    /// A failure that may pass; an attempt is used.
    Retry {
        /// How long; `None` = the runtime's backoff.
        after: Option<Duration>,
        /// What went wrong.
        error: Box<NewJobError>,
    },
    /// A failure that no retry mends.
    Fail {
        /// What went wrong.
        error: Box<NewJobError>,
    },
    /// A later upload or delete of the document was published.
    Overtaken {
        /// Says by what.
        message: String,
    },
}

impl Interruption {
    /// A failure that no retry mends.
    pub fn fail(code: ErrorCode, message: impl Into<String>, hint: impl Into<Option<String>>) -> Self {
        Self::Fail { error: job_error(code, message.into(), hint.into()) }
    }

    /// A failure that may pass, after the runtime's backoff.
    pub fn retry(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::Retry { after: None, error: job_error(code, message.into(), None) }
    }

    /// No room on the disk: asked again in a while.
    pub fn storage_full(detail: impl std::fmt::Display) -> Self {
        let reason = format!("the disk of the data folder is full ({detail})");
        Self::Snooze { after: Duration::from_secs(5), code: ErrorCode::StorageFull, reason }
    }
}

fn job_error(code: ErrorCode, message: String, hint: Option<String>) -> Box<NewJobError> {
    Box::new(NewJobError { code, message, hint, stage: None, chunk_id: None, page: None })
}

impl From<graphmill_store::Error> for Interruption {
    fn from(error: graphmill_store::Error) -> Self {
        use graphmill_store::Error as E;
        match error {
            // The row was deleted or has a higher epoch: somebody else decides about this job now.
            E::Fenced(_) | E::NotFound(_) | E::Forbidden(_) => Self::Stopped,
            E::Full(message) => Self::storage_full(message),
            E::Backend(_) | E::Blob { .. } => Self::retry(ErrorCode::StorageFailed, error.to_string()),
            E::CollectionDeleting(_) => {
                Self::Overtaken { message: "Overtaken by the deletion of the collection".to_owned() }
            }
            E::QuotaExceeded { .. } => Self::fail(ErrorCode::QuotaExceeded, error.to_string(), None),
            E::NoCollection(_) => Self::fail(ErrorCode::NotFound, error.to_string(), None),
            E::Invalid(_) | E::Unusable(_) => Self::fail(ErrorCode::StorageFailed, error.to_string(), None),
        }
    }
}
