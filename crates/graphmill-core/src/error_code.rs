//! Every error code that a person or a program can meet. The server has the one table from code to HTTP status.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($(#[doc = $doc:literal] $variant:ident = $word:literal),+ $(,)?) => {
        /// Stable name of a kind of error, in snake case.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum ErrorCode { $(#[doc = $doc] #[serde(rename = $word)] $variant,)+ }

        impl ErrorCode {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The code as text.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            /// What it means, as a sentence without its full stop.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $doc),+ }.trim().trim_end_matches('.')
            }
        }

        impl FromStr for ErrorCode {
            type Err = UnknownCode;

            fn from_str(s: &str) -> Result<Self, UnknownCode> {
                match s { $($word => Ok(Self::$variant),)+ _ => Err(UnknownCode(s.to_owned())) }
            }
        }
    };
}

/// A string that is no error code (a row written by a newer version).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no error code of this version")]
pub struct UnknownCode(pub String);

codes! {
    // --- of a request
    /// No such path, job or document.
    NotFound = "not_found",
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed",
    /// A byte range that begins behind the end of the file.
    RangeNotSatisfiable = "range_not_satisfiable",
    /// A parameter or field has a value that is not allowed.
    InvalidParameter = "invalid_parameter",
    /// The body is not the JSON that was wanted.
    InvalidJson = "invalid_json",
    /// The body is not multipart as RFC 7578 says, or ended early.
    InvalidMultipart = "invalid_multipart",
    /// The body's `Content-Type` is not what this path takes.
    WrongContentType = "wrong_content_type",
    /// The file is of a kind that is not read.
    UnsupportedFormat = "unsupported_format",
    /// The body or a file is over its limit.
    TooLarge = "too_large",
    /// The file has no bytes.
    EmptyFile = "empty_file",
    /// `Host` is not ours.
    HostNotAllowed = "host_not_allowed",
    /// `Origin` is foreign and not allowed.
    OriginNotAllowed = "origin_not_allowed",
    /// The head of the request is not HTTP that the server understands.
    BadRequest = "bad_request",
    /// The head of the request is over its limit.
    HeadersTooLarge = "headers_too_large",
    /// A key is needed, or the one that was shown is not known.
    Unauthorized = "unauthorized",
    /// The key may only read.
    ReadOnlyKey = "read_only_key",
    /// The key may not do this.
    Forbidden = "forbidden",
    /// There is a key of this name.
    KeyExists = "key_exists",
    /// What was asked would revoke the only keys as a side effect.
    LastKeys = "last_keys",
    /// Too many wrong tokens came from this address.
    TooManyRequests = "too_many_requests",
    /// The job's state does not allow a cancel.
    CannotCancel = "cannot_cancel",
    /// The job's state does not allow its deletion.
    CannotDelete = "cannot_delete",
    /// The job's state does not allow a retry.
    CannotRetry = "cannot_retry",
    /// The `Idempotency-Key` was used for another request.
    IdempotencyKeyReused = "idempotency_key_reused",
    /// A request with this `Idempotency-Key` has not been answered yet.
    IdempotencyInFlight = "idempotency_in_flight",
    /// What a cursor of the event stream follows is gone, or it is of another store.
    CursorExpired = "cursor_expired",
    /// A later upload, delete, retry or re-ingestion of the document stands in the way.
    Overtaken = "overtaken",
    /// The collection would hold more than its quota allows.
    QuotaExceeded = "quota_exceeded",
    /// The collection is being deleted.
    CollectionDeleting = "collection_deleting",
    /// There is a collection of this name with other settings.
    CollectionExists = "collection_exists",
    /// The graph is on a server of its own, which makes its own backups.
    GraphElsewhere = "graph_elsewhere",
    /// Backups are made one at a time.
    BackupRunning = "backup_running",
    /// The server is starting or stopping.
    Unavailable = "unavailable",
    /// The client took too long.
    RequestTimeout = "request_timeout",
    // --- of a document
    /// The document has no text.
    NoText = "no_text",
    /// The document cannot be opened without a password.
    Encrypted = "encrypted",
    /// The document is damaged beyond repair.
    Damaged = "damaged",
    /// The document would be more chunks than one document may have.
    TooManyChunks = "too_many_chunks",
    /// The parser process died.
    ParserCrashed = "parser_crashed",
    /// The parser took too long on a page.
    ParserTimeout = "parser_timeout",
    /// The parser reached its memory limit.
    ParserMemory = "parser_memory",
    // --- of models
    /// The model server does not answer or says 5xx.
    ModelUnavailable = "model_unavailable",
    /// The model server says 429.
    ModelRateLimited = "model_rate_limited",
    /// The model's answer cannot be used.
    ModelBadAnswer = "model_bad_answer",
    /// The collection's vectors are of another model than the configured one.
    SpaceMismatch = "space_mismatch",
    /// The model server refuses the request (key, model name, size).
    ModelRefused = "model_refused",
    // --- of the runtime and the stores
    /// A chunk could not be processed and was set aside; the rest went on.
    ChunkQuarantined = "chunk_quarantined",
    /// A stage finished no unit within its limit.
    StageStalled = "stage_stalled",
    /// The process died again and again while it worked on this job.
    CrashLoop = "crash_loop",
    /// The worker's process ended or lost its lease.
    WorkerLost = "worker_lost",
    /// The graph store does not answer.
    GraphUnavailable = "graph_unavailable",
    /// No room on the disk.
    StorageFull = "storage_full",
    /// A store failed.
    StorageFailed = "storage_failed",
    /// A defect of ours.
    Internal = "internal",
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_snake_case_words() {
        let mut seen = std::collections::HashSet::new();
        for code in ErrorCode::ALL {
            let s = code.as_str();
            assert!(s.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{s}");
            assert!(seen.insert(s), "{s} twice");
            assert_eq!(s.parse::<ErrorCode>().unwrap(), *code);
        }
    }
}
