//! What is asked of a [`crate::JobStore`].

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use graphmill_core::{CollectionId, DocumentId, ErrorCode, JobStatus, JobType, Timestamp};
use serde_json::{Map, Value};

use crate::records::{AcceptedJob, BlobRole, KeptAnswer, LogLevel};

/// A job to be put into the queue.
#[derive(Debug, Clone)]
pub struct NewJob {
    /// Kind of job.
    pub job_type: JobType,
    /// Collection it works on.
    pub collection: CollectionId,
    /// What the handler needs to run it; not shown in lists.
    pub params: Map<String, Value>,
    /// What people see; the store adds nothing to it.
    pub metadata: Map<String, Value>,
    /// First message shown.
    pub message: String,
    /// Stages in order, with the weight (expected cost) of each in the job's progress.
    pub stages: Vec<StagePlan>,
    /// Higher goes first.
    pub priority: i32,
    /// Not before this much time has passed.
    pub delay: Duration,
    /// Failures of ours that are tried again before the job fails; at least 1.
    pub max_attempts: u32,
    /// The document that it is about: takes a ticket ([`graphmill_core::Seq`]) in the same transaction.
    pub document: Option<DocumentTicket>,
    /// At most one job with this key runs at a time; the others wait.
    pub exclusive_key: Option<String>,
    /// A pending job with this key is returned instead of making a new one. Never set for uploads.
    pub dedupe_key: Option<String>,
    /// Blobs that live while this job's row does (safe on disk already).
    pub blobs: Vec<(BlobRole, String)>,
}

/// A stage as it is planned when the job is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagePlan {
    /// Its name, as the API spells it.
    pub name: String,
    /// Share of the job's expected cost, in any unit.
    pub weight: u32,
}

/// Which document a job is about and why.
#[derive(Debug, Clone)]
pub struct DocumentTicket {
    /// The document.
    pub document: DocumentId,
    /// Its source (file name or relative path).
    pub source: String,
    /// Why a ticket is taken.
    pub kind: TicketKind,
    /// Bytes of the original: what the quota of the collection counts.
    pub bytes: u64,
}

/// Why a document takes a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TicketKind {
    /// An upload: always accepted.
    Upload,
    /// The published original again: refused ([`crate::records::Enqueued::Overtaken`]) while anything else of the document is unended.
    Reingestion,
    /// Quarantined chunks of a completed job again: refused while anything else of the document is unended, or when something later
    /// than `original` was published or accepted.
    RetryOf {
        /// Ticket of the job whose chunks are tried again.
        original: graphmill_core::Seq,
        /// Ticket that the graph store has published for the document (or its tombstone), if any.
        published: Option<graphmill_core::Seq>,
    },
}

/// What a worker can take now.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// Name of the worker process, for people.
    pub worker: String,
    /// How long the claim holds without renewal.
    pub lease: Duration,
    /// Free places by type; a type that is not listed is not claimed.
    pub free: Vec<(JobType, u32)>,
}

/// Output of a unit or stage: small ones lie in the job's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Up to [`Output::INLINE_MAX`] bytes.
    Inline(Bytes),
    /// Key of a blob that is safe on disk already; the store names it for the job (role `Output`).
    Blob(String),
}

impl Output {
    /// Largest inline output, in bytes.
    pub const INLINE_MAX: usize = 256 * 1024;
}

/// Progress as a person sees it. The store never lets `job` fall and caps it below 1 until the job completes.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// Of the job, 0 to 1.
    pub job: f64,
    /// Of the running stage, 0 to 1.
    pub stage: f64,
    /// `Processing chunks (95/147)`.
    pub message: String,
}

/// An error of a job, for its `errors`.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJobError {
    /// Its code.
    pub code: ErrorCode,
    /// A sentence with the bad value.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// Stage in which it happened.
    pub stage: Option<String>,
    /// Chunk that was set aside.
    pub chunk_id: Option<String>,
    /// Page of the document, from 1.
    pub page: Option<u32>,
}

/// A log line of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct NewLog {
    /// Severity.
    pub level: LogLevel,
    /// A sentence.
    pub message: String,
    /// Details.
    pub context: Map<String, Value>,
}

/// How a claim ends.
#[derive(Debug, Clone, PartialEq)]
pub enum Ending {
    /// Everything is done: state `completed`, progress 1, metadata merged.
    Completed {
        /// Last message.
        message: String,
        /// Merged into the job's metadata.
        metadata: Map<String, Value>,
    },
    /// State `failed`.
    Failed {
        /// Why; also added to `errors`.
        error: NewJobError,
    },
    /// State `cancelled`: a later upload or delete of the document overtook the job. (A person's cancel is [`crate::JobStore::cancel`].)
    Overtaken {
        /// Last message; says by what.
        message: String,
    },
    /// Back to `pending` for another try; counts as an attempt; `failed` when none is left.
    Retry {
        /// Time until the next try.
        after: Duration,
        /// Why; also added to `errors`.
        error: NewJobError,
    },
    /// Back to `pending`; no attempt is used. The reason is added to `errors`, once while it stays the same.
    Snooze {
        /// Time until the next try.
        after: Duration,
        /// Kind of reason.
        code: ErrorCode,
        /// Shown with the time in `message`.
        reason: String,
    },
    /// Back to `pending` at once: the process is shutting down.
    Released,
}

/// Which jobs a list shows. All conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// Only this state.
    pub status: Option<JobStatus>,
    /// Only this type.
    pub job_type: Option<JobType>,
    /// Only this collection.
    pub collection: Option<CollectionId>,
    /// Case-insensitive substring of id, file name, source or document id.
    pub q: Option<String>,
    /// Made at or after.
    pub created_after: Option<Timestamp>,
    /// Made before.
    pub created_before: Option<Timestamp>,
    /// Ended at or before; of a job that has not ended: made at or before.
    pub aged_before: Option<Timestamp>,
}

/// Where a page of a list begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageStart {
    /// Skip this many.
    Offset(u64),
    /// After the row that an earlier page's `next_cursor` names (opaque; [`crate::Error::Invalid`] when it is none).
    Cursor(String),
}

/// Which log lines are wanted.
#[derive(Debug, Clone)]
pub struct LogQuery {
    /// Least severity shown.
    pub level: Option<LogLevel>,
    /// Only lines after this instant.
    pub after: Option<Timestamp>,
    /// Newest first.
    pub descending: bool,
    /// At most this many.
    pub limit: u32,
}

/// Which events of all jobs are wanted. All conditions must hold.
#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    /// Only of this collection.
    pub collection: Option<CollectionId>,
    /// Only of this type.
    pub job_type: Option<JobType>,
}

/// Makes an answer out of what was accepted.
pub type AnswerOf = dyn Fn(&[AcceptedJob]) -> KeptAnswer + Send + Sync;

/// A caller's key for a request that must not be carried out twice. The answer is kept for 24 hours in the transaction that accepts.
#[derive(Clone)]
pub struct RequestKey {
    /// Whose keys these are: the same key in another scope is another one.
    pub scope: String,
    /// The key.
    pub key: String,
    /// Hash of what is asked; the same key with another hash is refused.
    pub request: [u8; 32],
    /// Makes the answer out of what was accepted. It runs inside of the transaction, perhaps more than once.
    pub answer: Arc<AnswerOf>,
}

impl std::fmt::Debug for RequestKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestKey").field("scope", &self.scope).field("key", &self.key).finish_non_exhaustive()
    }
}
