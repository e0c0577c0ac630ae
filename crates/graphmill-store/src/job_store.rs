//! The one trait behind which jobs are kept.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use graphmill_core::{CollectionId, DocumentId, Fence, JobEvent, JobId, JobStatus, JobType, Seq};
use serde_json::{Map, Value};
use tokio::sync::broadcast;

use crate::Result;
use crate::collection_store::CollectionStore;
use crate::records::{
    Acceptance, BlobRole, CancelOutcome, ClaimedJob, DeleteOutcome, Deleted, DocumentDelete, Ended, Enqueued,
    EventPage, JobChange, JobDetail, JobPage, JobRecord, JobTypeRecord, KeptAnswer, Keyed, LogPage, Lost, RetryOutcome,
};
use crate::requests::{
    ClaimRequest, Ending, EventFilter, JobFilter, LogQuery, NewJob, NewJobError, NewLog, Output, PageStart, Progress,
    RequestKey,
};

/// Durable jobs. Every method is atomic; times are the store's own (callers pass durations); "durable" = on disk, safe from a power
/// cut, before the call returns; the others are safe from the death of the process.
///
/// Methods that take a [`Fence`] change nothing and answer [`crate::Error::Fenced`] when the job's epoch is higher, the job is not
/// running or its row is gone.
#[async_trait]
pub trait JobStore: CollectionStore {
    /// Random id of this store, made once; a graph store is bound to it.
    fn id(&self) -> [u8; 16];

    /// Random name of the order that positions of events are in: another one after a restore, which gives positions once more.
    fn event_order(&self) -> [u8; 16];

    /// Told after the commit of every change of a job. A receiver that lags reads the present state anew.
    fn changes(&self) -> broadcast::Receiver<JobChange>;

    /// Raises the ticket counter above `seq` (the highest that the graph store knows). Called at start before anything is accepted.
    async fn raise_tickets_above(&self, seq: Seq) -> Result<()>;

    // --- accepting -------------------------------------------------------------------------------------------------------------

    /// Puts a job into the queue. Durable. A document's ticket is taken in the same transaction.
    async fn enqueue(&self, job: NewJob) -> Result<Enqueued>;

    /// Puts several jobs into the queue, all of them or none, in one transaction. Durable. With a key, its answer is kept in the same transaction.
    async fn enqueue_all(&self, jobs: Vec<NewJob>, key: Option<RequestKey>) -> Result<Keyed<Acceptance>>;

    /// The answer that is kept under a key, and the hash of the request that it answered.
    async fn kept_answer(&self, scope: &str, key: &str) -> Result<Option<([u8; 32], KeptAnswer)>>;

    /// Keeps an answer under a key by itself: for what was done in several transactions. Durable.
    async fn keep_answer(&self, key: RequestKey) -> Result<Keyed<()>>;

    /// Cancels a pending or running job at once: epoch raised, so that its worker can write nothing more. Durable. Unless publishing
    /// has begun.
    async fn cancel(&self, job: JobId, message: &str) -> Result<CancelOutcome>;

    /// A person's retry of a failed or cancelled job, at the stage where it ended, under a new ticket; failures are forgotten, finished
    /// units kept. `published`: the ticket that the graph store has for the document. Durable.
    async fn retry(&self, job: JobId, published: Option<Seq>) -> Result<RetryOutcome> {
        // Without a key there is nothing that could stand in the way.
        let outcome = self.retry_keyed(job, published, None).await?.done();
        outcome.ok_or_else(|| crate::Error::Backend("a retry without a key was taken for one with a key".into()))
    }

    /// [`JobStore::retry`] under a caller's key; the answer is kept when the job waits again.
    async fn retry_keyed(
        &self,
        job: JobId,
        published: Option<Seq>,
        key: Option<RequestKey>,
    ) -> Result<Keyed<RetryOutcome>>;

    /// Accepts the deletion of a document: takes a ticket and cancels the document's older unended jobs but those that have
    /// begun to publish. Durable. Accepting it again while it is open gives the same answer.
    async fn accept_document_delete(&self, collection: &CollectionId, document: DocumentId) -> Result<DocumentDelete>;

    /// The same for a deletion that purges; one that is open and does not is made one that does. Durable.
    async fn accept_document_purge(&self, collection: &CollectionId, document: DocumentId) -> Result<DocumentDelete>;

    /// Blobs that only older jobs of the document name, for a purge; `None` while one of those jobs has not ended.
    async fn purgeable_blobs(&self, delete: &DocumentDelete) -> Result<Option<Vec<String>>>;

    /// Removes logs, kept outputs and names of blobs of the document's older jobs; answers how many log lines there were. Durable. Repeating it
    /// changes nothing.
    async fn purge_document(&self, delete: &DocumentDelete) -> Result<u64>;

    /// After this no file of the store holds anything of what was deleted before. `false`: somebody still reads an earlier state; to be asked again.
    async fn settle_deletions(&self) -> Result<bool>;

    /// Deletions that were accepted and not finished, oldest first.
    async fn open_document_deletes(&self, limit: u32) -> Result<Vec<DocumentDelete>>;

    /// The graph store has carried it out. Durable.
    async fn finish_document_delete(&self, delete: &DocumentDelete) -> Result<()>;

    // --- working ---------------------------------------------------------------------------------------------------------------

    /// Takes due pending jobs, as many as there are free places: by priority, then fair between collections (the one with
    /// the fewest running first), then age. Raises the epoch of each and begins an attempt.
    async fn claim(&self, request: ClaimRequest) -> Result<Vec<ClaimedJob>>;

    /// From here no job of the type is claimed, or they are again. Durable; doing it twice changes nothing. Running jobs go on.
    async fn set_paused(&self, job_type: JobType, paused: bool) -> Result<()>;

    /// Every type, whether it is paused and how many jobs it has (of one collection, or of all).
    async fn job_types(&self, collection: Option<&CollectionId>) -> Result<Vec<JobTypeRecord>>;

    /// Time until the next pending job of a type that is not paused becomes due; `None` when there is none. Zero when one is due now.
    async fn next_due(&self) -> Result<Option<Duration>>;

    /// How long the job that has waited longest since it became due waits, of each type that has such a job (paused types and jobs that wait for an
    /// exclusive key too).
    async fn queue_ages(&self) -> Result<Vec<(JobType, Duration)>>;

    /// Renews a lease. Runs on a connection of its own, so that it never waits behind other writes.
    async fn renew(&self, fence: Fence, lease: Duration) -> Result<()>;

    /// Requeues running jobs whose worker is gone: expired leases, and on the first call after a store was opened by its sole owner
    /// all of them. A job whose process died 20 times in a row without finishing a unit fails as `crash_loop`.
    async fn requeue_lost(&self) -> Result<Lost>;

    /// Begins a stage (or goes on with it). `plan` is kept the first time; `units_total` counts its units.
    async fn start_stage(&self, fence: Fence, stage: &str, plan: Bytes, units_total: u32) -> Result<()>;

    /// Records finished units (by number) with their outputs, and progress. A unit recorded twice keeps its first output.
    async fn record_units(
        &self,
        fence: Fence,
        stage: &str,
        units: Vec<(u32, Output)>,
        progress: Progress,
    ) -> Result<()>;

    /// Progress without a finished unit: state only, no row.
    async fn report(&self, fence: Fence, stage: &str, progress: Progress) -> Result<()>;

    /// Ends a stage: kept output, event `stage_complete`, the stage's progress 1. Its units' outputs stay until the job completes.
    async fn finish_stage(&self, fence: Fence, stage: &str, output: Bytes, progress: Progress) -> Result<()>;

    /// Numbers of the finished units of a stage, rising.
    async fn finished_units(&self, job: JobId, stage: &str) -> Result<Vec<u32>>;

    /// Outputs of units with numbers ≥ `from`, rising, at most `limit`.
    async fn unit_outputs(&self, job: JobId, stage: &str, from: u32, limit: u32) -> Result<Vec<(u32, Output)>>;

    /// Merges into the job's metadata (`null` removes a key).
    async fn merge_metadata(&self, fence: Fence, patch: Map<String, Value>) -> Result<()>;

    /// Adds to the job's `errors`; the job goes on.
    async fn add_errors(&self, fence: Fence, errors: Vec<NewJobError>) -> Result<()>;

    /// Adds log lines. A job keeps its newest 10,000.
    async fn append_logs(&self, fence: Fence, logs: Vec<NewLog>) -> Result<()>;

    /// Names blobs (safe on disk already) for the job.
    async fn name_blobs(&self, fence: Fence, blobs: Vec<(BlobRole, String)>) -> Result<()>;

    /// From here the job can no longer be cancelled. Durable.
    async fn commit_intent(&self, fence: Fence) -> Result<()>;

    /// Ends the claim. A completed job's units and stage outputs go in the same transaction; the caller deletes the blobs that nothing
    /// names any more.
    async fn end(&self, fence: Fence, ending: Ending) -> Result<Ended>;

    // --- reading ---------------------------------------------------------------------------------------------------------------

    /// A job with stages, errors and attempts.
    async fn job(&self, job: JobId) -> Result<JobDetail>;

    /// A page of jobs, newest first by (created_at, id).
    async fn list(&self, filter: &JobFilter, start: PageStart, limit: u32) -> Result<JobPage>;

    /// Event rows of a job with `seq` above `after`, rising, at most `limit`.
    async fn events(&self, job: JobId, after: u64, limit: u32) -> Result<Vec<JobEvent>>;

    /// Position of the newest event in the order of all events, which is the order of commits.
    async fn event_head(&self) -> Result<u64>;

    /// Events of all jobs with a position above `after`, rising, at most `limit`. Those of a deleted job, `deleted` last, stay for ten minutes. `None`:
    /// something above `after` is gone already, or no event ever had that position.
    async fn all_events(&self, filter: &EventFilter, after: u64, limit: u32) -> Result<Option<EventPage>>;

    /// Log lines of a job.
    async fn logs(&self, job: JobId, query: &LogQuery) -> Result<LogPage>;

    /// How many jobs are in each state, over all types and collections.
    async fn counts(&self) -> Result<Vec<(JobStatus, u64)>>;

    /// The document's latest job, if any stands in the store.
    async fn latest_job_of(&self, document: DocumentId) -> Result<Option<JobRecord>>;

    /// Those of `documents` that have an unended job or an open deletion.
    async fn unended_among(&self, documents: &[DocumentId]) -> Result<Vec<DocumentId>>;

    // --- keeping house ---------------------------------------------------------------------------------------------------------

    /// Deletes an ended job's rows. Durable.
    async fn delete_job(&self, job: JobId) -> Result<DeleteOutcome>;

    /// Deletes up to `limit` ended jobs in one of `statuses` that ended at least `older_than` ago, oldest first; of one collection alone when it is
    /// given. Durable. The caller repeats until `jobs` is 0.
    async fn cleanup(
        &self,
        older_than: Duration,
        statuses: &[JobStatus],
        collection: Option<&CollectionId>,
        limit: u32,
    ) -> Result<Deleted>;

    /// Those of `keys` that no row of this store names.
    async fn unnamed_among(&self, keys: &[String]) -> Result<Vec<String>>;
}
