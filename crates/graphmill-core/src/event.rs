//! What a job's stream says. Rows of the store for everything but the ticks of `progress`, which are state (latest only).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{ErrorCode, JobId, Timestamp};

/// One message about a job. `seq` rises with every visible change of the job over its whole life, never repeats within it, and is what
/// `?since=` takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobEvent {
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
    /// The job.
    pub job_id: JobId,
    /// When, by the store's clock.
    pub timestamp: Timestamp,
    /// The job's version at which it happened.
    pub seq: u64,
}

/// The kinds of [`JobEvent`]; the tag is the `type` of the wire message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EventKind {
    /// Progress, or a change of state that is not an end (started, snoozed, given back, retried).
    Progress {
        /// 0 to 1, never falling over the job's life; 1 only when completed.
        progress: f64,
        /// What a person reads.
        message: String,
        /// State of the job at that moment.
        status: crate::JobStatus,
    },
    /// A stage ended well.
    StageComplete {
        /// Its name.
        stage: String,
        /// Seconds that it ran, over all attempts.
        duration_seconds: f64,
    },
    /// Last message: the job ended well.
    Completed {
        /// What a person reads.
        message: String,
        /// The job's metadata at its end.
        metadata: Map<String, Value>,
    },
    /// Something failed. Last message unless `will_retry`.
    Error {
        /// What went wrong, as a sentence.
        error: String,
        /// Its code.
        code: ErrorCode,
        /// Whether the job goes on by itself.
        will_retry: bool,
    },
    /// Last message: cancelled, by whom or what in `message`.
    Cancelled {
        /// What a person reads.
        message: String,
    },
    /// Last message: the job's record was deleted while somebody followed it.
    Deleted {},
}

impl EventKind {
    /// Whether a stream ends after this message.
    pub fn is_last(&self) -> bool {
        match self {
            Self::Progress { .. } | Self::StageComplete { .. } | Self::Error { will_retry: true, .. } => false,
            Self::Completed { .. } | Self::Error { .. } | Self::Cancelled { .. } | Self::Deleted {} => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wire_form_is_the_contracts() {
        let event = JobEvent {
            kind: EventKind::StageComplete { stage: "embedding".into(), duration_seconds: 15.2 },
            job_id: JobId::new_v7(Timestamp::from_millis(0), &[0; 10]),
            timestamp: Timestamp::from_millis(1_705_336_220_123),
            seq: 4,
        };
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["type"], "stage_complete");
        assert_eq!(json["stage"], "embedding");
        assert_eq!(json["timestamp"], "2024-01-15T16:30:20.123Z");
        assert_eq!(serde_json::from_value::<JobEvent>(json).unwrap(), event);
    }
}
