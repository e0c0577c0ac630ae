//! Upkeep: when a collection has been quiet for a while and its layers are behind, the job that brings them up is put into the queue by itself.
//!
//! Whether one is due follows from the stores alone (the newest document, the jobs of before), so that a restart changes nothing but that a deletion seen
//! by the process before is dated by the newest document. A job that did not help is followed by ever longer pauses.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use graphmill_core::{Clock, CollectionId, JobStatus, JobType, Timestamp};
use graphmill_graph::GraphStore;
use graphmill_graph::listing::{DocumentQuery, PageStart as GraphPage};
use graphmill_store::JobStore;
use graphmill_store::records::{Enqueued, JobRecord};
use graphmill_store::requests::{JobFilter, NewJob, PageStart};
use serde_json::json;

/// Longest pause between two jobs that did not help.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// Jobs of before that are looked at.
const LOOK_BACK: u32 = 20;

/// Waiting jobs read at once.
const PAGE: u32 = 200;

/// Makes the job that brings the layers of a collection up.
pub type MakeJob = Arc<dyn Fn(CollectionId) -> NewJob + Send + Sync>;

/// Puts jobs of upkeep into the queue.
pub struct Upkeep {
    jobs: Arc<dyn JobStore>,
    graph: Arc<dyn GraphStore>,
    clock: Arc<dyn Clock>,
    /// How long a collection must have been quiet.
    quiet: Duration,
    make: MakeJob,
    /// Publish number of each collection when it was looked at last, and since when it stands.
    seen: HashMap<CollectionId, (u64, Timestamp)>,
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Jobs(#[from] graphmill_store::Error),
    #[error(transparent)]
    Graph(#[from] graphmill_graph::Error),
}

impl Upkeep {
    /// Upkeep after `quiet` time without a publication.
    pub fn new(
        jobs: Arc<dyn JobStore>,
        graph: Arc<dyn GraphStore>,
        clock: Arc<dyn Clock>,
        quiet: Duration,
        make: MakeJob,
    ) -> Self {
        Self { jobs, graph, clock, quiet, make, seen: HashMap::new() }
    }

    /// Looks again and again, often enough for the quiet time.
    pub(super) async fn run(mut self) {
        let every = (self.quiet / 10).clamp(Duration::from_millis(200), Duration::from_secs(15));
        loop {
            tokio::time::sleep(every).await;
            self.look().await;
        }
    }

    /// Looks at every collection once; answers how many jobs were put into the queue.
    pub async fn look(&mut self) -> usize {
        let collections = match self.graph.collections().await {
            Ok(collections) => collections,
            Err(error) => {
                tracing::warn!(%error, "collections could not be looked at for upkeep");
                return 0;
            }
        };
        self.seen.retain(|collection, _| collections.contains(collection));
        let mut started = 0;
        for collection in collections {
            match self.look_at(&collection).await {
                Ok(true) => started += 1,
                Ok(false) => {}
                Err(error) => tracing::warn!(%collection, %error, "a collection could not be looked at for upkeep"),
            }
        }
        started
    }

    async fn look_at(&mut self, collection: &CollectionId) -> Result<bool, Error> {
        let report = self.graph.layer_report(collection).await?;
        let published =
            self.last_publication(collection, report.communities.stands_at + report.communities.behind).await?;
        let made = (self.make)(collection.clone());
        if !(report.communities.stale || (made.job_type == JobType::Reindex && report.similarities.stale)) {
            return Ok(false);
        }
        let now = self.clock.now();
        let Some(published) = published.filter(|at| now.since(*at) >= self.quiet) else { return Ok(false) };
        if self.is_busy(collection, made.job_type, now).await? {
            return Ok(false);
        }
        let before = self.jobs_of(collection, made.job_type, None, LOOK_BACK).await?;
        if !is_due(&before, published, now, self.quiet) {
            return Ok(false);
        }
        let mut job = made;
        job.metadata.insert("trigger".to_owned(), json!("auto"));
        match self.jobs.enqueue(job).await? {
            Enqueued::New { job, .. } => {
                tracing::info!(%collection, job.id = %job.id, "the layers are behind; upkeep begins");
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// When something of the collection was published or removed last, as far as is known; `None` when nothing ever was.
    async fn last_publication(&mut self, collection: &CollectionId, number: u64) -> Result<Option<Timestamp>, Error> {
        let now = self.clock.now();
        let query = DocumentQuery { collection: Some(collection.clone()), ..DocumentQuery::default() };
        let newest = self.graph.documents(&query, &GraphPage::default(), 1).await?;
        let newest = newest.items.first().map(|document| document.updated_at);
        let (known, since) = match self.seen.get(collection) {
            Some((known, since)) if *known == number => (true, *since),
            Some(_) => (true, now),
            // What happened before this process is dated by the documents.
            None => (false, newest.unwrap_or(now)),
        };
        self.seen.insert(collection.clone(), (number, since));
        Ok(match newest {
            Some(newest) => Some(newest.max(since)),
            None => (known || number > 0).then_some(since),
        })
    }

    /// Whether a job over the layers runs or is about to, or the type of upkeep's own is paused. One that waits for a time to come, or whose type is paused,
    /// may do so for years: it says nothing about the layers of today.
    async fn is_busy(&self, collection: &CollectionId, own: JobType, now: Timestamp) -> Result<bool, Error> {
        let types = self.jobs.job_types(Some(collection)).await?;
        let paused = |job_type| types.iter().any(|t| t.job_type == job_type && t.paused);
        if paused(own) {
            return Ok(true);
        }
        for job_type in [JobType::Reindex, JobType::Clustering] {
            if !self.jobs_of(collection, job_type, Some(JobStatus::Running), 1).await?.is_empty()
                || (!paused(job_type) && self.has_due(collection, job_type, now).await?)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a pending job of the type waits for nothing but a worker or another job.
    async fn has_due(&self, collection: &CollectionId, job_type: JobType, now: Timestamp) -> Result<bool, Error> {
        let filter = JobFilter {
            status: Some(JobStatus::Pending),
            job_type: Some(job_type),
            collection: Some(collection.clone()),
            ..JobFilter::default()
        };
        let mut start = PageStart::Offset(0);
        loop {
            let page = self.jobs.list(&filter, start, PAGE).await?;
            if page.jobs.iter().any(|job| !job.later || job.run_at <= now) {
                return Ok(true);
            }
            let Some(next) = page.next_cursor else { return Ok(false) };
            start = PageStart::Cursor(next);
        }
    }

    async fn jobs_of(
        &self,
        collection: &CollectionId,
        job_type: JobType,
        status: Option<JobStatus>,
        limit: u32,
    ) -> Result<Vec<JobRecord>, Error> {
        let filter = JobFilter {
            status,
            job_type: Some(job_type),
            collection: Some(collection.clone()),
            ..JobFilter::default()
        };
        Ok(self.jobs.list(&filter, PageStart::Offset(0), limit).await?.jobs)
    }
}

/// Whether another job may begin. `before`: ended jobs, newest first. Those of upkeep that began after the last publication and left the layers behind all the
/// same did not help: each doubles the pause.
fn is_due(before: &[JobRecord], published: Timestamp, now: Timestamp, quiet: Duration) -> bool {
    let useless: Vec<&JobRecord> = before
        .iter()
        .filter(|job| job.metadata.get("trigger").is_some_and(|trigger| trigger == "auto"))
        .take_while(|job| job.created_at >= published || job.status != JobStatus::Completed)
        .collect();
    let Some(ended) = useless.iter().filter_map(|job| job.completed_at).max() else { return true };
    let doubled = quiet.saturating_mul(1 << useless.len().min(16)).min(LONGEST_PAUSE.max(quiet));
    now.since(ended) >= doubled
}

#[cfg(test)]
mod tests {
    use graphmill_core::JobId;
    use serde_json::Map;

    use super::*;

    const QUIET: Duration = Duration::from_secs(300);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    fn job(created: i64, ended: i64, status: JobStatus, trigger: Option<&str>) -> JobRecord {
        JobRecord {
            id: JobId::from_bytes([1; 16]),
            job_type: JobType::Reindex,
            status,
            collection: CollectionId::default(),
            progress: 0.0,
            message: String::new(),
            created_at: at(created),
            started_at: None,
            completed_at: Some(at(ended)),
            metadata: trigger.map(|t| Map::from_iter([("trigger".to_owned(), json!(t))])).unwrap_or_default(),
            version: 1,
            document: None,
            seq: None,
            priority: 0,
            intent: false,
            run_at: at(created),
            max_attempts: 5,
            later: false,
        }
    }

    #[test]
    fn jobs_that_did_not_help_are_followed_by_longer_pauses() {
        let failed = |created, ended| job(created, ended, JobStatus::Failed, Some("auto"));
        let due = |before: &[JobRecord], now| is_due(before, at(0), at(now), QUIET);
        assert!(due(&[], 300));
        assert!(!due(&[failed(300, 310)], 800));
        assert!(due(&[failed(300, 310)], 910));
        assert!(!due(&[failed(910, 920), failed(300, 310)], 2_000));
        assert!(due(&[failed(910, 920), failed(300, 310)], 2_120));
        let many: Vec<JobRecord> = (0..20).rev().map(|n| failed(300 + n, 310 + n)).collect();
        assert!(!due(&many, 80_000));
        assert!(due(&many, 329 + 24 * 3_600));
        // A person's own job says nothing about upkeep.
        assert!(due(&[job(300, 310, JobStatus::Failed, None)], 400));
        // One that completed before the last publication helped.
        assert!(is_due(&[job(300, 310, JobStatus::Completed, Some("auto"))], at(350), at(700), QUIET));
        // One that completed after it and left the layers behind did not.
        assert!(!due(&[job(300, 310, JobStatus::Completed, Some("auto"))], 400));
    }
}
