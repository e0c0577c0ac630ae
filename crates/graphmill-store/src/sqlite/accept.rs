//! What people ask for: a new job, a cancel, another try.

use graphmill_core::{Epoch, EventKind, JobId, JobStatus, JobType, Seq, StageStatus, Transition, next_state};
use rusqlite::{OptionalExtension, params};
use serde_json::Value;

use super::answers::{earlier, keep};
use super::documents::{next_ticket, obstacle_of_retry, refusal_of_ticket};
use super::journal::JobsTx;
use super::parking::{self, holder};
use super::row::{Held, PAUSED, record_by_key, signed, text, waiting_until};
use super::transition::{Change, Queue, change_state};
use super::{collections, quota};
use crate::records::{
    Acceptance, AcceptedJob, BlobRole, CancelOutcome, Enqueued, JobChange, JobDetail, JobRecord, Keyed, RetryOutcome,
    StageRecord,
};
use crate::requests::{NewJob, RequestKey, StagePlan};
use crate::{Error, Result};

/// Checks that need no look at the store.
pub(crate) fn check(job: &NewJob) -> Result<()> {
    if job.max_attempts == 0 {
        return Err(Error::Invalid("max_attempts is 0; it must be at least 1".into()));
    }
    for (i, stage) in job.stages.iter().enumerate() {
        if stage.name.is_empty() || job.stages[..i].iter().any(|other| other.name == stage.name) {
            return Err(Error::Invalid(format!("stage {:?} has no name or stands twice", stage.name)));
        }
    }
    Ok(())
}

pub(crate) fn enqueue(tx: &mut JobsTx<'_>, job: &NewJob) -> Result<Enqueued> {
    if let Some(existing) = pending_duplicate(tx, job)? {
        return Ok(Enqueued::Existing(record_by_key(tx.conn, existing)?));
    }
    // Layers are made of what is there: only documents bring a collection into being.
    if !quota::refuse_deleting(tx.conn, &job.collection)? && job.job_type != JobType::Ingestion {
        return Err(Error::NoCollection(job.collection.clone()));
    }
    let mut known_source = false;
    if let Some(ticket) = &job.document {
        if let Some(by) = refusal_of_ticket(tx.conn, ticket)? {
            return Ok(Enqueued::Overtaken { by });
        }
        quota::check(tx.conn, &job.collection, ticket.document, ticket.bytes)?;
        known_source = tx
            .conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM job WHERE document = ?1)")?
            .query_row([ticket.document.as_bytes()], |row| row.get(0))?;
    }
    collections::ensure(tx.conn, &job.collection, tx.now())?;
    let seq = job.document.as_ref().map(|_| next_ticket(tx.conn)).transpose()?;
    let behind = holder(tx.conn, job.exclusive_key.as_deref())?.filter(|_| job.delay.is_zero());
    let queue = match behind {
        Some(_) => Queue::Parked,
        None if job.delay.is_zero() => Queue::Ready,
        None => Queue::Later,
    };
    let stored = behind.map_or_else(|| job.message.clone(), parking::message);
    let record = new_record(tx, job, seq, queue, &stored)?;
    let key = insert_job(tx, job, &record, queue, &stored)?;
    let accepted = EventKind::Progress { progress: 0.0, message: record.message.clone(), status: record.status };
    tx.event_row(key, record.version, &accepted)?;
    for (position, stage) in (0_u32..).zip(&job.stages) {
        tx.conn
            .prepare_cached("INSERT INTO stage (job, position, name, weight) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![key, position, stage.name, stage.weight])?;
    }
    for (role, blob) in &job.blobs {
        name_blob(tx, key, *role, blob)?;
    }
    if let Some(ticket) = &job.document {
        quota::note_job(tx.conn, key, ticket)?;
        quota::recharge(tx.conn, &job.collection, ticket.document)?;
    }
    tx.state.counters.count((record.status, record.collection.clone(), record.job_type), 1);
    tx.state.changes.push(JobChange {
        job: record.id,
        version: record.version,
        status: record.status,
        epoch: Epoch(0),
        deleted: false,
    });
    Ok(Enqueued::New { job: record, known_source })
}

/// All of them or none: what refuses one is looked for before anything is written.
pub(crate) fn enqueue_all(tx: &mut JobsTx<'_>, jobs: &[NewJob], key: Option<&RequestKey>) -> Result<Keyed<Acceptance>> {
    if let Some(earlier) = earlier(tx, key)? {
        return Ok(earlier);
    }
    for (index, job) in jobs.iter().enumerate() {
        if let Some(ticket) = &job.document
            && let Some(by) = refusal_of_ticket(tx.conn, ticket)?
        {
            return Ok(Keyed::Done(Acceptance::Overtaken { index, by }));
        }
    }
    let mut accepted = Vec::with_capacity(jobs.len());
    for job in jobs {
        accepted.push(match enqueue(tx, job)? {
            Enqueued::New { job: record, known_source } => {
                AcceptedJob { detail: fresh_detail(record, job), existing: false, known_source }
            }
            Enqueued::Existing(record) => {
                let detail = super::read::detail(tx.conn, record.id, tx.now())?;
                AcceptedJob { detail, existing: true, known_source: false }
            }
            // Undoes the others too.
            Enqueued::Overtaken { by } => {
                return Err(Error::Invalid(format!("two of these jobs are of one document: {by} stands in the way")));
            }
        });
    }
    keep(tx, key, &accepted)?;
    Ok(Keyed::Done(Acceptance::Accepted(accepted)))
}

/// The page of a job that was made in this moment.
fn fresh_detail(record: JobRecord, job: &NewJob) -> JobDetail {
    let stage = |plan: &StagePlan| StageRecord {
        name: plan.name.clone(),
        weight: plan.weight,
        status: StageStatus::Pending,
        progress: 0.0,
        duration: None,
    };
    JobDetail {
        job: record,
        params: job.params.clone(),
        stages: job.stages.iter().map(stage).collect(),
        errors: Vec::new(),
        attempts: Vec::new(),
    }
}

fn pending_duplicate(tx: &JobsTx<'_>, job: &NewJob) -> Result<Option<i64>> {
    let Some(dedupe_key) = &job.dedupe_key else { return Ok(None) };
    let mut statement = tx
        .conn
        .prepare_cached("SELECT key FROM job WHERE dedupe_key = ?1 AND status = 'pending' ORDER BY key LIMIT 1")?;
    Ok(statement.query_row([dedupe_key], |row| row.get(0)).optional()?)
}

/// The job as it will be read. `stored` is what it says when it waits for neither its time nor its type.
fn new_record(tx: &mut JobsTx<'_>, job: &NewJob, seq: Option<Seq>, queue: Queue, stored: &str) -> Result<JobRecord> {
    let now = tx.now();
    let run_at = now.plus(job.delay);
    let message = match queue {
        Queue::Later => waiting_until(run_at),
        Queue::Ready if super::types::paused(tx.conn)?.contains(&job.job_type) => PAUSED.to_owned(),
        Queue::Ready | Queue::Parked => stored.to_owned(),
    };
    let (id, created_at) = tx.state.ids.next(now);
    Ok(JobRecord {
        id,
        job_type: job.job_type,
        status: JobStatus::Pending,
        collection: job.collection.clone(),
        progress: 0.0,
        message,
        created_at,
        started_at: None,
        completed_at: None,
        metadata: job.metadata.clone(),
        version: 1,
        document: job.document.as_ref().map(|ticket| ticket.document),
        seq,
        priority: job.priority,
        intent: false,
        run_at,
        max_attempts: job.max_attempts,
        later: queue == Queue::Later,
    })
}

fn insert_job(tx: &mut JobsTx<'_>, job: &NewJob, record: &JobRecord, queue: Queue, stored: &str) -> Result<i64> {
    let id = record.id;
    let document = job.document.as_ref();
    let mut statement = tx.conn.prepare_cached(
        "INSERT INTO job (id, job_type, collection, status, queue, priority, created_at, run_at, max_attempts, document, seq, \
         exclusive_key, dedupe_key, message, metadata, params) VALUES \
         (?1, ?2, ?3, 'pending', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
    )?;
    let key = statement.insert(params![
        id.as_bytes(),
        job.job_type.as_str(),
        job.collection.as_str(),
        queue.as_str(),
        job.priority,
        record.created_at.as_millis(),
        record.run_at.as_millis(),
        job.max_attempts,
        record.document.map(|document| *document.as_bytes()),
        record.seq.map(|seq| signed(seq.0)),
        job.exclusive_key,
        job.dedupe_key,
        stored,
        text(&job.metadata),
        text(&job.params),
    ])?;
    let filename = job.metadata.get("filename").and_then(Value::as_str).unwrap_or_default();
    let source = document.map(|ticket| ticket.source.as_str()).unwrap_or_default();
    let words = format!("{filename}\n{source}").to_lowercase();
    for sql in
        ["INSERT INTO job_text (job, words) VALUES (?1, ?2)", "INSERT INTO job_trigrams (rowid, words) VALUES (?1, ?2)"]
    {
        tx.conn.prepare_cached(sql)?.execute(params![key, words])?;
    }
    Ok(key)
}

/// Names a blob for a job; naming it again changes nothing.
pub(crate) fn name_blob(tx: &JobsTx<'_>, key: i64, role: BlobRole, blob: &str) -> Result<()> {
    let role = match role {
        BlobRole::Original => "original",
        BlobRole::PageText => "page_text",
        BlobRole::Output => "output",
    };
    tx.conn
        .prepare_cached("INSERT OR IGNORE INTO blob (job, role, blob) VALUES (?1, ?2, ?3)")?
        .execute(params![key, role, blob])?;
    Ok(())
}

pub(crate) fn cancel(tx: &mut JobsTx<'_>, job: JobId, message: &str) -> Result<CancelOutcome> {
    let held = Held::find(tx.conn, job)?;
    if held.status.is_ended() {
        return Ok(CancelOutcome::AlreadyEnded(held.status));
    }
    if held.intent {
        return Ok(CancelOutcome::Publishing);
    }
    let key = held.key;
    cancel_held(tx, held, message, "cancelled")?;
    Ok(CancelOutcome::Cancelled(record_by_key(tx.conn, key)?))
}

/// Ends an unended job as cancelled and raises its epoch, so that its worker can write nothing more.
pub(crate) fn cancel_held(tx: &mut JobsTx<'_>, mut held: Held, message: &str, outcome: &str) -> Result<()> {
    if held.status == JobStatus::Running {
        let now = tx.now();
        tx.end_attempt(&held, outcome, now)?;
    }
    end_stage(tx, held.key, StageStatus::Cancelled)?;
    tx.event(&mut held, &EventKind::Cancelled { message: message.to_owned() })?;
    change_state(tx, &held, &Change::new(Transition::Cancel, message))?;
    recharge(tx, &held)
}

/// After a change of the job's state: what its document counts.
pub(crate) fn recharge(tx: &JobsTx<'_>, held: &Held) -> Result<()> {
    held.document.map_or(Ok(()), |document| quota::recharge(tx.conn, &held.collection, document))
}

/// The stage in which the job ended badly: the one under way, or the one in which it was given back.
pub(crate) fn end_stage(tx: &JobsTx<'_>, key: i64, status: StageStatus) -> Result<()> {
    tx.conn
        .prepare_cached(
            "UPDATE stage SET status = ?1, since = NULL WHERE job = ?2 AND (status = 'running' OR (status = 'pending' \
             AND (units_total > 0 OR progress > 0 OR ran_ms > 0)))",
        )?
        .execute(params![status.as_str(), key])?;
    Ok(())
}

pub(crate) fn retry(
    tx: &mut JobsTx<'_>,
    job: JobId,
    published: Option<Seq>,
    key: Option<&RequestKey>,
) -> Result<Keyed<RetryOutcome>> {
    if let Some(earlier) = earlier(tx, key)? {
        return Ok(earlier);
    }
    let outcome = retry_job(tx, job, published)?;
    if let (RetryOutcome::Requeued(record), Some(_)) = (&outcome, key) {
        let detail = super::read::detail(tx.conn, record.id, tx.now())?;
        keep(tx, key, &[AcceptedJob { detail, existing: false, known_source: true }])?;
    }
    Ok(Keyed::Done(outcome))
}

fn retry_job(tx: &mut JobsTx<'_>, job: JobId, published: Option<Seq>) -> Result<RetryOutcome> {
    let mut held = Held::find(tx.conn, job)?;
    let Ok(status) = next_state(held.status, Transition::RetryByPerson) else {
        return Ok(RetryOutcome::NotRetryable(held.status));
    };
    quota::refuse_deleting(tx.conn, &held.collection)?;
    let mut seq = None;
    if let (Some(document), Some(own)) = (held.document, held.seq) {
        quota::check(tx.conn, &held.collection, document, quota::bytes_of_job(tx.conn, held.key)?)?;
        if let Some(by) = obstacle_of_retry(tx.conn, document, Seq(own.unsigned_abs()), published)? {
            return Ok(RetryOutcome::Overtaken { by });
        }
        seq = Some(next_ticket(tx.conn)?);
    }
    let behind = holder(tx.conn, held.exclusive_key.as_deref())?;
    let message = behind.map_or_else(|| "Waiting to be tried again".to_owned(), parking::message);
    tx.conn
        .prepare_cached("UPDATE stage SET status = 'pending' WHERE job = ?1 AND status IN ('failed', 'cancelled')")?
        .execute([held.key])?;
    tx.state_event(&mut held, status, &message)?;
    let retried = Held { failures: 0, deaths: 0, intent: false, seq: seq.map(|seq| signed(seq.0)), ..held };
    let queue = if behind.is_some() { Queue::Parked } else { Queue::Ready };
    let run_at = Some(tx.now());
    change_state(tx, &retried, &Change { queue, run_at, ..Change::new(Transition::RetryByPerson, &message) })?;
    recharge(tx, &retried)?;
    Ok(RetryOutcome::Requeued(record_by_key(tx.conn, retried.key)?))
}
