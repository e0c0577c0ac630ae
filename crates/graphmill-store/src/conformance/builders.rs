//! Jobs, claims and endings as the suite needs them.

use std::time::Duration;

use graphmill_core::{CollectionId, CollectionSettings, DocumentId, ErrorCode, JobType, Seq};
use serde_json::{Map, Value, json};

use crate::JobStore;
use crate::records::{ClaimedJob, Enqueued, JobRecord};
use crate::requests::{ClaimRequest, DocumentTicket, Ending, NewJob, NewJobError, Progress, StagePlan, TicketKind};

pub(super) const LEASE: Duration = Duration::from_secs(15);

/// An object from a JSON literal.
pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

pub(super) fn job() -> NewJob {
    NewJob {
        job_type: JobType::Ingestion,
        collection: CollectionId::default(),
        params: object(json!({"chunk_size": 1000})),
        metadata: object(json!({"filename": "a.pdf"})),
        message: "Queued".into(),
        stages: ["loading", "embedding"].map(|name| StagePlan { name: name.into(), weight: 1 }).into(),
        priority: 0,
        delay: Duration::ZERO,
        max_attempts: 3,
        document: None,
        exclusive_key: None,
        dedupe_key: None,
        blobs: Vec::new(),
    }
}

pub(super) fn collection(name: &str) -> CollectionId {
    name.parse().expect("a valid collection name")
}

pub(super) fn document(source: &str) -> DocumentId {
    DocumentId::new(&CollectionId::default(), source)
}

pub(super) fn about(source: &str, kind: TicketKind) -> NewJob {
    let ticket = DocumentTicket { document: document(source), source: source.into(), kind, bytes: 10 };
    NewJob { document: Some(ticket), ..job() }
}

pub(super) async fn enqueue(store: &dyn JobStore, job: NewJob) -> JobRecord {
    if job.job_type != JobType::Ingestion {
        // Only documents bring a collection into being by themselves.
        store.create_collection(&job.collection, &CollectionSettings::default()).await.expect("a collection");
    }
    match store.enqueue(job).await.expect("enqueue") {
        Enqueued::New { job, .. } => job,
        other => panic!("expected a new job, got {other:?}"),
    }
}

/// An accepted upload and its ticket.
pub(super) async fn upload(store: &dyn JobStore, source: &str) -> (JobRecord, Seq) {
    let job = enqueue(store, about(source, TicketKind::Upload)).await;
    let seq = job.seq.expect("an upload has a ticket");
    (job, seq)
}

pub(super) fn request(places: u32) -> ClaimRequest {
    ClaimRequest {
        worker: "suite".into(),
        lease: LEASE,
        free: JobType::ALL.iter().map(|job_type| (*job_type, places)).collect(),
    }
}

pub(super) async fn claim(store: &dyn JobStore, places: u32) -> Vec<ClaimedJob> {
    store.claim(request(places)).await.expect("claim")
}

/// Claims the one job that is due.
pub(super) async fn claim_one(store: &dyn JobStore) -> ClaimedJob {
    let mut claimed = claim(store, 1).await;
    assert_eq!(claimed.len(), 1, "one job is due");
    claimed.remove(0)
}

pub(super) fn progress(job: f64, stage: f64) -> Progress {
    Progress { job, stage, message: format!("Processing ({job}/{stage})") }
}

pub(super) fn failure(message: &str) -> NewJobError {
    NewJobError {
        code: ErrorCode::ModelUnavailable,
        message: message.into(),
        hint: Some("Look at the model server".into()),
        stage: Some("loading".into()),
        chunk_id: None,
        page: Some(3),
    }
}

pub(super) fn completed() -> Ending {
    Ending::Completed { message: "Document ingestion complete".into(), metadata: object(json!({"chunks_created": 7})) }
}

pub(super) fn failed() -> Ending {
    Ending::Failed { error: failure("It does not work") }
}

pub(super) fn snoozed(after: Duration) -> Ending {
    Ending::Snooze { after, code: ErrorCode::ModelRateLimited, reason: "model server says 429".into() }
}

pub(super) fn retried(after: Duration) -> Ending {
    Ending::Retry { after, error: failure("It did not work") }
}
