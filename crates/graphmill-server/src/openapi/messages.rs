//! Messages of a job's stream, as the document describes them: OpenAPI has no words for a WebSocket, so they are schemas that the operation of the
//! stream refers to. A test holds them against the messages that are really sent.

use graphmill_core::{ErrorCode, JobId, JobStatus, Timestamp};
use graphmill_store::records::LogLevel;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Fields that depend on the type of job, or of the line.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a description: a name of its own, so that generators make one type of it")]
pub(super) struct Details(Map<String, Value>);

/// A message of a job's stream, over WebSocket. The type says what else stands in it.
#[derive(ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(dead_code, reason = "a description: stream/message.rs writes the messages")]
pub(super) enum StreamMessage {
    /// How far the job is. Only the latest is kept for a slow reader.
    Progress { job_id: JobId, progress: f64, message: String, status: JobStatus, timestamp: Timestamp, seq: u64 },
    /// A stage has ended.
    StageComplete { job_id: JobId, stage: String, duration_seconds: f64, timestamp: Timestamp, seq: u64 },
    /// The job has completed: the last message.
    Completed { job_id: JobId, message: String, metadata: Details, timestamp: Timestamp, seq: u64 },
    /// Something failed. Without `will_retry` it is the last message.
    Error { job_id: JobId, error: String, code: ErrorCode, will_retry: bool, timestamp: Timestamp, seq: u64 },
    /// The job was cancelled: the last message.
    Cancelled { job_id: JobId, message: String, timestamp: Timestamp, seq: u64 },
    /// The job's record was deleted: the last message.
    Deleted { job_id: JobId, timestamp: Timestamp, seq: u64 },
    /// A line of the job's log; only with `logs=true`.
    Log { job_id: JobId, level: LogLevel, message: String, context: Details, timestamp: Timestamp, seq: u64 },
}
