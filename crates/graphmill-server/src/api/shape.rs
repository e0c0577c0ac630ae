//! Jobs and documents as JSON: names and order of keys are the contract's.

use std::time::Duration;

use graphmill_core::{CollectionId, DocumentId, JobId, JobStatus, JobType, StageStatus, Timestamp};
use graphmill_graph::records::DocumentRecord;
use graphmill_jobs::USUAL_ATTEMPTS;
use graphmill_store::records::{AttemptRecord, JobDetail, JobErrorRecord, JobRecord, StageRecord};
use serde::Serialize;
use serde_json::{Map, Value};

/// A job as a list shows it.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Job)]
pub(crate) struct JobShape {
    pub(crate) job_id: JobId,
    job_type: JobType,
    status: JobStatus,
    /// 0 to 1; never falls; 1 only when completed.
    #[schema(minimum = 0, maximum = 1)]
    progress: f64,
    /// What a person reads.
    message: String,
    created_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    started_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<Timestamp>,
    /// What the job is about, and its results.
    metadata: Map<String, Value>,
    /// It waits for this instant, or was to wait for it and ended before.
    #[serde(skip_serializing_if = "Option::is_none")]
    run_at: Option<Timestamp>,
    /// Higher is earlier; absent: 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<i32>,
    /// Failures after which it fails; absent: 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<u32>,
}

impl From<JobRecord> for JobShape {
    fn from(job: JobRecord) -> Self {
        // Cancelled before its time came.
        let ended_unbegun = job.completed_at.is_some_and(|ended| ended < job.run_at) && job.started_at.is_none();
        Self {
            job_id: job.id,
            job_type: job.job_type,
            status: job.status,
            progress: fraction(job.progress),
            message: job.message,
            created_at: job.created_at,
            started_at: job.started_at,
            completed_at: job.completed_at,
            metadata: job.metadata,
            run_at: (job.later || ended_unbegun).then_some(job.run_at),
            priority: (job.priority != 0).then_some(job.priority),
            max_attempts: (job.max_attempts != USUAL_ATTEMPTS).then_some(job.max_attempts),
        }
    }
}

/// A job with everything that its page shows.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = JobDetail)]
pub(crate) struct JobDetailShape {
    #[serde(flatten)]
    job: JobShape,
    stages: Vec<StageShape>,
    errors: Vec<JobErrorRecord>,
    attempts: Vec<AttemptRecord>,
}

impl From<JobDetail> for JobDetailShape {
    fn from(detail: JobDetail) -> Self {
        Self {
            job: detail.job.into(),
            stages: detail.stages.into_iter().map(StageShape::from).collect(),
            errors: detail.errors,
            attempts: detail.attempts,
        }
    }
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Stage)]
struct StageShape {
    name: String,
    status: StageStatus,
    #[schema(minimum = 0, maximum = 1)]
    progress: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_seconds: Option<f64>,
}

impl From<StageRecord> for StageShape {
    fn from(stage: StageRecord) -> Self {
        Self {
            name: stage.name,
            status: stage.status,
            progress: fraction(stage.progress),
            duration_seconds: stage.duration.as_ref().map(Duration::as_secs_f64).map(seconds),
        }
    }
}

/// A published document.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Document)]
pub(crate) struct DocumentShape {
    pub(crate) document_id: DocumentId,
    collection: CollectionId,
    source: String,
    filename: String,
    pub(crate) status: &'static str,
    mime_type: String,
    file_size: u64,
    page_count: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    chunk_count: u64,
    quarantined_chunks: u32,
    content_hash: String,
    created_at: Timestamp,
    updated_at: Timestamp,
}

impl From<DocumentRecord> for DocumentShape {
    fn from(document: DocumentRecord) -> Self {
        let p = document.properties;
        Self {
            document_id: document.id,
            collection: document.collection,
            source: p.source,
            filename: p.filename,
            status: "published",
            mime_type: p.mime_type,
            file_size: p.file_size,
            page_count: p.page_count,
            title: p.title,
            language: p.language,
            chunk_count: document.chunk_count,
            quarantined_chunks: p.quarantined_chunks,
            content_hash: p.content_hash.to_string(),
            created_at: document.created_at,
            updated_at: document.updated_at,
        }
    }
}

/// Progress to four decimals, rounded down: 1 is for completed jobs alone.
pub(crate) fn fraction(progress: f64) -> f64 {
    // The addend keeps 0.29 from becoming 0.2899.
    ((progress * 10_000.0 + 1e-6).floor() / 10_000.0).clamp(0.0, 1.0)
}

/// Seconds to the millisecond.
pub(crate) fn seconds(seconds: f64) -> f64 {
    (seconds * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_never_rounds_up_to_one() {
        assert_eq!(fraction(0.999_999), 0.9999);
        assert_eq!(fraction(1.0), 1.0);
        for hundredths in 0..=100 {
            let value = f64::from(hundredths) / 100.0;
            assert_eq!(fraction(value), value);
        }
    }
}
