//! The trait: which write is durable, which may use the reserve, which passes a fault point. What each does stands in its own file.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use graphmill_core::{CollectionId, DocumentId, Fence, JobEvent, JobId, JobStatus, JobType, Seq};
use serde_json::{Map, Value};
use tokio::sync::broadcast;

use super::open::SqliteJobStore;
use super::writer::Kind;
use super::{accept, answers, claim, documents, ending, events, housekeeping, list, read, types, work};
use crate::job_store::JobStore;
use crate::records::{
    Acceptance, BlobRole, CancelOutcome, ClaimedJob, DeleteOutcome, Deleted, DocumentDelete, Ended, Enqueued,
    EventPage, JobChange, JobDetail, JobPage, JobRecord, JobTypeRecord, KeptAnswer, Keyed, LogPage, Lost, RetryOutcome,
};
use crate::requests::{
    ClaimRequest, Ending, EventFilter, JobFilter, LogQuery, NewJob, NewJobError, NewLog, Output, PageStart, Progress,
    RequestKey,
};
use crate::{Error, Result};

/// Safe from the death of the process.
pub(super) const WORK: Kind = Kind { durable: false, reserve: false, fault: None };
/// On disk before it is answered.
pub(super) const ACCEPT: Kind = Kind { durable: true, reserve: false, fault: None };
/// The state of jobs must be writable on a full disk too.
pub(super) const STATE: Kind = Kind { durable: true, reserve: true, fault: None };

const ENQUEUE: Kind = Kind { fault: Some(("store.enqueue.before_commit", "store.enqueue.after_commit")), ..ACCEPT };
const RETRY: Kind = Kind { fault: Some(("store.retry.before_commit", "store.retry.after_commit")), ..ACCEPT };
const UNITS: Kind = Kind { fault: Some(("store.units.before_commit", "store.units.after_commit")), ..WORK };
const STAGE: Kind = Kind { fault: Some(("store.stage.before_commit", "store.stage.after_commit")), ..WORK };
const INTENT: Kind = Kind { fault: Some(("store.intent.before_commit", "store.intent.after_commit")), ..STATE };
const END: Kind =
    Kind { durable: false, reserve: true, fault: Some(("store.end.before_commit", "store.end.after_commit")) };
const CLEANUP: Kind = Kind { fault: Some(("cleanup.before_commit", "cleanup.after_commit")), ..STATE };

#[async_trait]
impl JobStore for SqliteJobStore {
    fn id(&self) -> [u8; 16] {
        self.id
    }

    fn event_order(&self) -> [u8; 16] {
        self.event_order
    }

    fn changes(&self) -> broadcast::Receiver<JobChange> {
        self.followers.subscribe()
    }

    async fn raise_tickets_above(&self, seq: Seq) -> Result<()> {
        self.writer.write(ACCEPT, move |tx| documents::raise_tickets_above(tx.conn, seq)).await
    }

    async fn enqueue(&self, job: NewJob) -> Result<Enqueued> {
        accept::check(&job)?;
        self.writer.write(ENQUEUE, move |tx| accept::enqueue(tx, &job)).await
    }

    async fn enqueue_all(&self, jobs: Vec<NewJob>, key: Option<RequestKey>) -> Result<Keyed<Acceptance>> {
        jobs.iter().try_for_each(accept::check)?;
        self.writer.write(ENQUEUE, move |tx| accept::enqueue_all(tx, &jobs, key.as_ref())).await
    }

    async fn kept_answer(&self, scope: &str, key: &str) -> Result<Option<([u8; 32], KeptAnswer)>> {
        let (scope, key, now) = (scope.to_owned(), key.to_owned(), self.clock.now());
        self.readers.read(move |conn| answers::find(conn, &scope, &key, now)).await
    }

    async fn keep_answer(&self, key: RequestKey) -> Result<Keyed<()>> {
        let keep = move |tx: &mut super::journal::JobsTx<'_>| {
            if let Some(earlier) = answers::earlier(tx, Some(&key))? {
                return Ok(earlier);
            }
            answers::keep(tx, Some(&key), &[])?;
            Ok(Keyed::Done(()))
        };
        self.writer.write(ACCEPT, keep).await
    }

    async fn cancel(&self, job: JobId, message: &str) -> Result<CancelOutcome> {
        let message = message.to_owned();
        self.writer.write(STATE, move |tx| accept::cancel(tx, job, &message)).await
    }

    async fn retry_keyed(
        &self,
        job: JobId,
        published: Option<Seq>,
        key: Option<RequestKey>,
    ) -> Result<Keyed<RetryOutcome>> {
        self.writer.write(RETRY, move |tx| accept::retry(tx, job, published, key.as_ref())).await
    }

    async fn accept_document_delete(&self, collection: &CollectionId, document: DocumentId) -> Result<DocumentDelete> {
        let collection = collection.clone();
        self.writer.write(STATE, move |tx| documents::accept_delete(tx, &collection, document, false)).await
    }

    async fn accept_document_purge(&self, collection: &CollectionId, document: DocumentId) -> Result<DocumentDelete> {
        let collection = collection.clone();
        self.writer.write(STATE, move |tx| documents::accept_delete(tx, &collection, document, true)).await
    }

    async fn purgeable_blobs(&self, delete: &DocumentDelete) -> Result<Option<Vec<String>>> {
        let delete = delete.clone();
        self.readers.read(move |conn| documents::purgeable_blobs(conn, &delete)).await
    }

    async fn purge_document(&self, delete: &DocumentDelete) -> Result<u64> {
        let delete = delete.clone();
        self.writer.write(STATE, move |tx| documents::purge(tx.conn, &delete)).await
    }

    async fn settle_deletions(&self) -> Result<bool> {
        self.readers.empty_log().await
    }

    async fn open_document_deletes(&self, limit: u32) -> Result<Vec<DocumentDelete>> {
        self.readers.read(move |conn| documents::open_deletes(conn, limit)).await
    }

    async fn finish_document_delete(&self, delete: &DocumentDelete) -> Result<()> {
        let delete = delete.clone();
        self.writer.write(STATE, move |tx| documents::finish_delete(tx, &delete)).await
    }

    async fn claim(&self, request: ClaimRequest) -> Result<Vec<ClaimedJob>> {
        if self.disk.as_ref().is_some_and(|disk| !disk.accepts_uploads()) {
            return Err(Error::Full("no job is taken until there is room again".into()));
        }
        self.writer.write(WORK, move |tx| claim::claim(tx, &request)).await
    }

    async fn set_paused(&self, job_type: JobType, paused: bool) -> Result<()> {
        self.writer.write(STATE, move |tx| types::set_paused(tx, job_type, paused)).await
    }

    async fn job_types(&self, collection: Option<&CollectionId>) -> Result<Vec<JobTypeRecord>> {
        let collection = collection.cloned();
        self.readers.read(move |conn| types::job_types(conn, collection.as_ref())).await
    }

    async fn next_due(&self) -> Result<Option<Duration>> {
        let now = self.clock.now();
        self.readers.read(move |conn| read::next_due(conn, now)).await
    }

    async fn queue_ages(&self) -> Result<Vec<(JobType, Duration)>> {
        let now = self.clock.now();
        self.readers.read(move |conn| read::queue_ages(conn, now)).await
    }

    async fn renew(&self, fence: Fence, lease: Duration) -> Result<()> {
        self.leases.renew(fence, lease).await
    }

    async fn requeue_lost(&self) -> Result<Lost> {
        self.writer.write(Kind { reserve: true, ..WORK }, claim::requeue_lost).await
    }

    async fn start_stage(&self, fence: Fence, stage: &str, plan: Bytes, units_total: u32) -> Result<()> {
        let stage = stage.to_owned();
        self.writer.write(WORK, move |tx| work::start_stage(tx, fence, &stage, &plan, units_total)).await
    }

    async fn record_units(
        &self,
        fence: Fence,
        stage: &str,
        units: Vec<(u32, Output)>,
        progress: Progress,
    ) -> Result<()> {
        let stage = stage.to_owned();
        self.writer.write(UNITS, move |tx| work::record_units(tx, fence, &stage, &units, &progress)).await
    }

    async fn report(&self, fence: Fence, stage: &str, progress: Progress) -> Result<()> {
        let stage = stage.to_owned();
        self.writer.write(WORK, move |tx| work::report(tx, fence, &stage, &progress)).await
    }

    async fn finish_stage(&self, fence: Fence, stage: &str, output: Bytes, progress: Progress) -> Result<()> {
        let stage = stage.to_owned();
        self.writer.write(STAGE, move |tx| work::finish_stage(tx, fence, &stage, &output, &progress)).await
    }

    async fn finished_units(&self, job: JobId, stage: &str) -> Result<Vec<u32>> {
        let stage = stage.to_owned();
        self.readers.read(move |conn| read::finished_units(conn, job, &stage)).await
    }

    async fn unit_outputs(&self, job: JobId, stage: &str, from: u32, limit: u32) -> Result<Vec<(u32, Output)>> {
        let stage = stage.to_owned();
        self.readers.read(move |conn| read::unit_outputs(conn, job, &stage, from, limit)).await
    }

    async fn merge_metadata(&self, fence: Fence, patch: Map<String, Value>) -> Result<()> {
        self.writer.write(WORK, move |tx| work::merge_metadata(tx, fence, &patch)).await
    }

    async fn add_errors(&self, fence: Fence, errors: Vec<NewJobError>) -> Result<()> {
        self.writer.write(WORK, move |tx| work::add_errors(tx, fence, &errors)).await
    }

    async fn append_logs(&self, fence: Fence, logs: Vec<NewLog>) -> Result<()> {
        self.writer.write(WORK, move |tx| work::append_logs(tx, fence, &logs)).await
    }

    async fn name_blobs(&self, fence: Fence, blobs: Vec<(BlobRole, String)>) -> Result<()> {
        self.writer.write(WORK, move |tx| work::name_blobs(tx, fence, &blobs)).await
    }

    async fn commit_intent(&self, fence: Fence) -> Result<()> {
        self.writer.write(INTENT, move |tx| work::commit_intent(tx, fence)).await
    }

    async fn end(&self, fence: Fence, ending: Ending) -> Result<Ended> {
        self.writer.write(END, move |tx| ending::end(tx, fence, &ending)).await
    }

    async fn job(&self, job: JobId) -> Result<JobDetail> {
        let now = self.clock.now();
        self.readers.read(move |conn| read::detail(conn, job, now)).await
    }

    async fn list(&self, filter: &JobFilter, start: PageStart, limit: u32) -> Result<JobPage> {
        let filter = filter.clone();
        self.readers.read(move |conn| list::list(conn, &filter, &start, limit)).await
    }

    async fn events(&self, job: JobId, after: u64, limit: u32) -> Result<Vec<JobEvent>> {
        self.readers.read(move |conn| read::events(conn, job, after, limit)).await
    }

    async fn event_head(&self) -> Result<u64> {
        self.readers.read(events::head).await
    }

    async fn all_events(&self, filter: &EventFilter, after: u64, limit: u32) -> Result<Option<EventPage>> {
        let filter = filter.clone();
        self.readers.read(move |conn| events::page(conn, &filter, after, limit)).await
    }

    async fn logs(&self, job: JobId, query: &LogQuery) -> Result<LogPage> {
        let query = query.clone();
        self.readers.read(move |conn| read::logs(conn, job, &query)).await
    }

    async fn counts(&self) -> Result<Vec<(JobStatus, u64)>> {
        self.readers.read(read::counts).await
    }

    async fn latest_job_of(&self, document: DocumentId) -> Result<Option<JobRecord>> {
        self.readers.read(move |conn| read::latest_job_of(conn, document)).await
    }

    async fn unended_among(&self, documents: &[DocumentId]) -> Result<Vec<DocumentId>> {
        let documents = documents.to_vec();
        self.readers.read(move |conn| documents::unended_among(conn, &documents)).await
    }

    async fn delete_job(&self, job: JobId) -> Result<DeleteOutcome> {
        let outcome = self.writer.write(CLEANUP, move |tx| housekeeping::delete_job(tx, job)).await?;
        if matches!(&outcome, DeleteOutcome::Deleted(deleted) if deleted.bytes > 0) {
            self.give_back_pages().await;
        }
        Ok(outcome)
    }

    async fn cleanup(
        &self,
        older_than: Duration,
        statuses: &[JobStatus],
        collection: Option<&CollectionId>,
        limit: u32,
    ) -> Result<Deleted> {
        let (statuses, collection) = (statuses.to_vec(), collection.cloned());
        let older = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
        let clock = std::sync::Arc::clone(&self.clock);
        let delete = move |tx: &mut super::journal::JobsTx<'_>| {
            let until = graphmill_core::Timestamp::from_millis(clock.now().as_millis().saturating_sub(older));
            housekeeping::cleanup(tx, until, &statuses, collection.as_ref(), limit)
        };
        let deleted = self.writer.write(CLEANUP, delete).await?;
        if deleted.jobs == 0 || deleted.bytes > 0 {
            self.give_back_pages().await;
        }
        Ok(deleted)
    }

    async fn unnamed_among(&self, keys: &[String]) -> Result<Vec<String>> {
        let keys = keys.to_vec();
        self.readers.read(move |conn| housekeeping::unnamed(conn, keys)).await
    }
}

impl SqliteJobStore {
    /// Rows are gone already; that the file does not shrink is worth a line, not an error.
    pub(super) async fn give_back_pages(&self) {
        let kind = Kind { reserve: true, ..WORK };
        loop {
            match self.writer.write(kind, housekeeping::give_back_pages).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(e) => {
                    tracing::warn!(error = %e, "free pages of the job database could not be given back");
                    return;
                }
            }
        }
    }
}
