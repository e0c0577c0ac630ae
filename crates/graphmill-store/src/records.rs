//! What a [`crate::JobStore`] answers.

use std::time::Duration;

use bytes::Bytes;
use graphmill_core::{
    CollectionId, DocumentId, ErrorCode, Fence, JobEvent, JobId, JobStatus, JobType, Seq, StageStatus, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A job as a list shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRecord {
    /// Its id.
    pub id: JobId,
    /// Its type.
    pub job_type: JobType,
    /// Its state.
    pub status: JobStatus,
    /// Its collection.
    pub collection: CollectionId,
    /// 0 to 1; never falls; 1 only when completed.
    pub progress: f64,
    /// What a person reads.
    pub message: String,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it was first claimed.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// What people see of its subject and result.
    pub metadata: Map<String, Value>,
    /// Rises with every visible change.
    pub version: u64,
    /// Its document, if it is about one.
    pub document: Option<DocumentId>,
    /// Its document's ticket.
    pub seq: Option<Seq>,
    /// Higher goes first.
    pub priority: i32,
    /// Whether publishing has begun: from then on it cannot be cancelled.
    pub intent: bool,
    /// Not before this instant (pending jobs).
    pub run_at: Timestamp,
    /// Failures of ours after which it fails.
    pub max_attempts: u32,
    /// Pending, and `run_at` has not come.
    pub later: bool,
}

/// A job with everything that its page shows.
#[derive(Debug, Clone, PartialEq)]
pub struct JobDetail {
    /// The job.
    pub job: JobRecord,
    /// What its handler was given.
    pub params: Map<String, Value>,
    /// Its stages in order.
    pub stages: Vec<StageRecord>,
    /// Its errors, oldest first.
    pub errors: Vec<JobErrorRecord>,
    /// Its claims, oldest first.
    pub attempts: Vec<AttemptRecord>,
}

/// A stage of a job.
#[derive(Debug, Clone, PartialEq)]
pub struct StageRecord {
    /// Its name.
    pub name: String,
    /// Its weight in the job's progress.
    pub weight: u32,
    /// Its state.
    pub status: StageStatus,
    /// 0 to 1.
    pub progress: f64,
    /// Time that it ran, over all attempts (up to now while it runs); `None` while pending.
    pub duration: Option<Duration>,
}

/// An error of a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JobErrorRecord {
    /// Its code.
    pub code: ErrorCode,
    /// A sentence.
    pub message: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Stage in which it happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Number of the attempt in which it happened.
    pub attempt: u32,
    /// When.
    pub timestamp: Timestamp,
    /// Chunk that was set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chunk_id: Option<String>,
    /// Page of the document, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page: Option<u32>,
}

/// One claim of a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AttemptRecord {
    /// From 1.
    pub number: u32,
    /// When it was claimed.
    pub started_at: Timestamp,
    /// When the claim ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// `running`, `completed`, `failed`, `cancelled`, `overtaken`, `retried`, `snoozed`, `released` or `lost` (the process died).
    pub outcome: String,
    /// Names of the stages that ran in it, in order.
    pub stages: Vec<String>,
}

/// Severity of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum LogLevel {
    /// For whoever debugs.
    Debug,
    /// The ordinary course.
    Info,
    /// Something that a person may want to look at.
    Warning,
    /// Something failed.
    Error,
}

/// A log line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogRecord {
    /// When.
    pub timestamp: Timestamp,
    /// Severity.
    pub level: LogLevel,
    /// A sentence.
    pub message: String,
    /// Details.
    pub context: Map<String, Value>,
}

/// Some log lines and how many match in all.
#[derive(Debug, Clone, PartialEq)]
pub struct LogPage {
    /// In the order that was asked for.
    pub logs: Vec<LogRecord>,
    /// All that match the filter, whatever the limit.
    pub total: u64,
}

/// A page of jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct JobPage {
    /// Newest first by (created_at, id).
    pub jobs: Vec<JobRecord>,
    /// How many match in all.
    pub total: u64,
    /// Counting stopped at `total`: there may be more.
    pub total_capped: bool,
    /// Names the last row of this page; `None` when nothing follows.
    pub next_cursor: Option<String>,
}

/// Answer to [`crate::JobStore::enqueue`].
#[derive(Debug, Clone, PartialEq)]
pub enum Enqueued {
    /// A new job. `known_source`: an earlier job of the same document stands in the store.
    New {
        /// The job.
        job: JobRecord,
        /// Whether the document was known.
        known_source: bool,
    },
    /// The same request is pending already: this is it.
    Existing(JobRecord),
    /// Refused: this unended or later job (or delete) of the document stands in the way.
    Overtaken {
        /// A job id, or a sentence about a delete.
        by: String,
    },
}

/// A claimed job with all that its handler needs to go on.
#[derive(Debug, Clone)]
pub struct ClaimedJob {
    /// What every write carries.
    pub fence: Fence,
    /// The job.
    pub job: JobRecord,
    /// What it was given.
    pub params: Map<String, Value>,
    /// Number of this claim, from 1.
    pub attempt: u32,
    /// Failures of ours so far and how many are allowed.
    pub failures: u32,
    /// See [`crate::requests::NewJob::max_attempts`].
    pub max_attempts: u32,
    /// Its stages in order.
    pub stages: Vec<StageCheckpoint>,
}

/// What a stage has done already.
#[derive(Debug, Clone)]
pub struct StageCheckpoint {
    /// The stage.
    pub stage: StageRecord,
    /// What `plan` said, once it has been run: kept so that a resumed stage has the same units.
    pub plan: Option<Bytes>,
    /// How many units `plan` gave.
    pub units_total: u32,
    /// What `finish` said; present exactly when the stage is completed.
    pub output: Option<Bytes>,
}

/// Answer to [`crate::JobStore::end`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// State after it: a retry with no attempt left is `failed`.
    pub status: JobStatus,
    /// Blobs of role `Output` that nothing names any more.
    pub unnamed_blobs: Vec<String>,
}

/// Answer to [`crate::JobStore::cancel`].
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one answer a call; never kept")]
pub enum CancelOutcome {
    /// Done.
    Cancelled(JobRecord),
    /// Publishing has begun; wait for the end and tell that.
    Publishing,
    /// It had ended, in this state.
    AlreadyEnded(JobStatus),
}

/// Answer to [`crate::JobStore::retry`].
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "one answer a call; never kept")]
pub enum RetryOutcome {
    /// Pending again, at the stage where it ended.
    Requeued(JobRecord),
    /// It is in this state, from which nothing is retried.
    NotRetryable(JobStatus),
    /// Something later of the same document stands in the way.
    Overtaken {
        /// A job id, or a sentence about a delete.
        by: String,
    },
}

/// Answer to [`crate::JobStore::delete_job`].
#[derive(Debug, Clone, PartialEq)]
pub enum DeleteOutcome {
    /// Done.
    Deleted(Deleted),
    /// Pending or running: cancel it first.
    StillActive(JobStatus),
}

/// What a deletion of job rows removed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Deleted {
    /// How many jobs.
    pub jobs: u64,
    /// Bytes that the database file gave back or can use again.
    pub bytes: u64,
    /// Blobs that these rows named and no other row of the job store names now. The caller deletes those that no document names either.
    pub unnamed_blobs: Vec<String>,
}

/// An accepted deletion of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentDelete {
    /// Collection of the document.
    pub collection: CollectionId,
    /// The document.
    pub document: DocumentId,
    /// The deletion's ticket.
    pub seq: Seq,
    /// Whether it removes logs, originals and cached answers too.
    pub purge: bool,
}

/// What a blob is to the row that names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlobRole {
    /// The uploaded file.
    Original,
    /// Text of its pages.
    PageText,
    /// Output of a stage or unit; goes when the job completes, else with its row.
    Output,
}

/// A job has changed; what a stream or a worker looks up then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobChange {
    /// The job.
    pub job: JobId,
    /// Its new version.
    pub version: u64,
    /// Its state.
    pub status: JobStatus,
    /// The epoch that may write now; a worker with a lower one stops.
    pub epoch: graphmill_core::Epoch,
    /// Its row is gone.
    pub deleted: bool,
}

/// What [`crate::JobStore::requeue_lost`] found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lost {
    /// Jobs that are pending again.
    pub requeued: u64,
    /// Jobs that failed as `crash_loop`.
    pub failed: u64,
}

/// An event in the order of all events.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedEvent {
    /// Its place: rises in commit order, never given twice by one store.
    pub position: u64,
    /// Collection of its job.
    pub collection: CollectionId,
    /// Type of its job.
    pub job_type: JobType,
    /// The event.
    pub event: JobEvent,
}

/// Some events of all jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    /// By rising position.
    pub events: Vec<PlacedEvent>,
    /// Everything up to here was looked at: where the next page begins.
    pub position: u64,
    /// There may be more already.
    pub more: bool,
}

/// A type of jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobTypeRecord {
    /// The type.
    pub job_type: JobType,
    /// No job of it is claimed.
    pub paused: bool,
    /// How many jobs are in each state.
    pub counts: Vec<(JobStatus, u64)>,
}

/// An answer that is kept under a caller's key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptAnswer {
    /// HTTP status, 2xx.
    pub status: u16,
    /// Path of what was made.
    pub location: Option<String>,
    /// The body.
    pub body: String,
}

/// A job that was accepted.
#[derive(Debug, Clone, PartialEq)]
pub struct AcceptedJob {
    /// The job as it stands in the queue.
    pub detail: JobDetail,
    /// The same request was pending already: this is its job.
    pub existing: bool,
    /// An earlier job of the same document stands in the store.
    pub known_source: bool,
}

/// Answer to [`crate::JobStore::enqueue_all`].
#[derive(Debug, Clone, PartialEq)]
pub enum Acceptance {
    /// All of them, in the order given.
    Accepted(Vec<AcceptedJob>),
    /// None of them: this one is refused.
    Overtaken {
        /// Its index.
        index: usize,
        /// A job id, or a sentence about a delete.
        by: String,
    },
}

/// Answer to a call that may carry a caller's key.
#[derive(Debug, Clone, PartialEq)]
pub enum Keyed<T> {
    /// Carried out.
    Done(T),
    /// It was carried out before, under this key: nothing was done now, and this is what was answered then.
    Replayed(KeptAnswer),
    /// The key was used for another request: nothing was done.
    Reused,
}

impl<T> Keyed<T> {
    /// What was done; `None` when nothing was.
    pub fn done(self) -> Option<T> {
        match self {
            Self::Done(value) => Some(value),
            Self::Replayed(_) | Self::Reused => None,
        }
    }
}
