//! Messages as they go over the wire, in the contract's order of keys.

use axum::extract::ws::Utf8Bytes;
use graphmill_core::{CollectionId, EventKind, JobEvent, JobId, JobType};
use graphmill_store::records::LogRecord;
use serde_json::{Map, Value, json};

/// A message that is ready to be sent. Cheap to clone: all readers share the bytes.
#[derive(Debug, Clone)]
pub(super) struct Message {
    /// The job's version at which it happened.
    pub(super) seq: u64,
    /// What the stream does with it.
    pub(super) role: Role,
    /// The JSON text.
    pub(super) text: Utf8Bytes,
}

/// What a stream does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Superseded by the next one.
    Progress,
    /// Part of every snapshot.
    StageComplete,
    /// Sent when it happens or is replayed.
    Note,
    /// The stream ends after it, if nothing came after it.
    Last,
}

impl Message {
    pub(super) fn of(event: &JobEvent) -> Self {
        let role = match &event.kind {
            kind if kind.is_last() => Role::Last,
            EventKind::Progress { .. } => Role::Progress,
            EventKind::StageComplete { .. } => Role::StageComplete,
            _ => Role::Note,
        };
        Self { seq: event.seq, role, text: wire(event) }
    }
}

/// `type`, `job_id`, what the type has, `timestamp`, `seq`.
fn wire(event: &JobEvent) -> Utf8Bytes {
    let (name, payload) = name_and_payload(&event.kind);
    assemble(name, event.job_id, payload, json!(event.timestamp), event.seq)
}

/// The same for those who follow all jobs: `collection` and `job_type` come after `job_id`.
pub(super) fn of_any_job(event: &JobEvent, collection: &CollectionId, job_type: JobType) -> Utf8Bytes {
    let (name, payload) = name_and_payload(&event.kind);
    let mut whole = json!({"collection": collection, "job_type": job_type});
    if let (Value::Object(whole), Value::Object(payload)) = (&mut whole, payload) {
        whole.extend(payload);
    }
    assemble(name, event.job_id, whole, json!(event.timestamp), event.seq)
}

fn name_and_payload(kind: &EventKind) -> (&'static str, Value) {
    match kind {
        EventKind::Progress { progress, message, status } => (
            "progress",
            json!({"progress": crate::api::shape::fraction(*progress), "message": message, "status": status}),
        ),
        EventKind::StageComplete { stage, duration_seconds } => {
            let seconds = crate::api::shape::seconds(*duration_seconds);
            ("stage_complete", json!({"stage": stage, "duration_seconds": seconds}))
        }
        EventKind::Completed { message, metadata } => ("completed", json!({"message": message, "metadata": metadata})),
        EventKind::Error { error, code, will_retry } => {
            ("error", json!({"error": error, "code": code, "will_retry": will_retry}))
        }
        EventKind::Cancelled { message } => ("cancelled", json!({"message": message})),
        EventKind::Deleted {} => ("deleted", json!({})),
    }
}

/// A log line as a message; it carries the `seq` that the stream has reached.
pub(super) fn log_line(job: JobId, line: &LogRecord, seq: u64) -> Utf8Bytes {
    let payload = json!({"level": line.level, "message": line.message, "context": line.context});
    assemble("log", job, payload, json!(line.timestamp), seq)
}

fn assemble(name: &str, job: JobId, payload: Value, timestamp: Value, seq: u64) -> Utf8Bytes {
    let mut map = Map::new();
    map.insert("type".into(), json!(name));
    map.insert("job_id".into(), json!(job));
    if let Value::Object(payload) = payload {
        map.extend(payload);
    }
    map.insert("timestamp".into(), timestamp);
    map.insert("seq".into(), json!(seq));
    Value::Object(map).to_string().into()
}

#[cfg(test)]
mod tests {
    use graphmill_core::{ErrorCode, Timestamp};

    use super::*;

    fn text(kind: EventKind) -> String {
        let job_id = JobId::new_v7(Timestamp::from_millis(0), &[0; 10]);
        let event = JobEvent { kind, job_id, timestamp: Timestamp::from_millis(1_705_336_218_456), seq: 9 };
        Message::of(&event).text.as_str().replace(&job_id.to_string(), "J")
    }

    #[test]
    fn every_message_is_as_the_openapi_document_says() {
        let status = graphmill_core::JobStatus::Running;
        let metadata = Map::from_iter([("chunks_created".to_owned(), json!(147))]);
        let kinds = [
            EventKind::Progress { progress: 0.67, message: "Processing chunks (98/147)".into(), status },
            EventKind::StageComplete { stage: "embedding".into(), duration_seconds: 15.2 },
            EventKind::Completed { message: "Document ingestion complete".into(), metadata },
            EventKind::Error { error: "no".into(), code: ErrorCode::NoText, will_retry: false },
            EventKind::Cancelled { message: "Cancelled by request".into() },
            EventKind::Deleted {},
        ];
        let job = "job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10";
        for kind in kinds {
            let message = serde_json::from_str(&text(kind).replace("\"J\"", &format!("{job:?}"))).unwrap();
            crate::openapi::assert_described("StreamMessage", &message);
        }
    }

    #[test]
    fn keys_stand_as_on_the_contracts_page() {
        let status = graphmill_core::JobStatus::Running;
        assert_eq!(
            text(EventKind::Progress { progress: 0.67, message: "Processing chunks (98/147)".into(), status }),
            r#"{"type":"progress","job_id":"J","progress":0.67,"message":"Processing chunks (98/147)","status":"running","timestamp":"2024-01-15T16:30:18.456Z","seq":9}"#
        );
        assert_eq!(
            text(EventKind::StageComplete { stage: "embedding".into(), duration_seconds: 15.2 }),
            r#"{"type":"stage_complete","job_id":"J","stage":"embedding","duration_seconds":15.2,"timestamp":"2024-01-15T16:30:18.456Z","seq":9}"#
        );
        assert_eq!(
            text(EventKind::Error { error: "no".into(), code: ErrorCode::NoText, will_retry: false }),
            r#"{"type":"error","job_id":"J","error":"no","code":"no_text","will_retry":false,"timestamp":"2024-01-15T16:30:18.456Z","seq":9}"#
        );
        assert_eq!(
            text(EventKind::Deleted {}),
            r#"{"type":"deleted","job_id":"J","timestamp":"2024-01-15T16:30:18.456Z","seq":9}"#
        );
    }
}
