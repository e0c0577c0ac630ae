//! Rows of `job` as records, and the few columns that a write decides by.

use graphmill_core::{CollectionId, DocumentId, Epoch, Fence, JobId, JobStatus, JobType, Seq, StageStatus, Timestamp};
use rusqlite::types::Type;
use rusqlite::{CachedStatement, Connection, OptionalExtension, Row, named_params};
use serde_json::{Map, Value};

use super::counters::Cell;
use crate::records::{JobRecord, StageRecord};
use crate::{Error, Result};

/// Columns of [`job_record`], in its order.
pub(crate) const JOB_COLUMNS: &str = "id, job_type, status, collection, progress, message, created_at, started_at, completed_at, \
     metadata, version, document, seq, priority, intent, run_at, max_attempts, queue IS 'later', \
     queue IS 'ready' AND EXISTS (SELECT 1 FROM paused_type WHERE paused_type.job_type = job.job_type)";

/// How many columns [`JOB_COLUMNS`] names.
pub(crate) const JOB_COLUMN_COUNT: usize = 19;

pub(crate) fn job_record(row: &Row<'_>) -> rusqlite::Result<JobRecord> {
    let (later, paused): (bool, bool) = (row.get(17)?, row.get(18)?);
    let (begun, run_at) = (optional_time(row, 7)?.is_some(), time(row, 15)?);
    Ok(JobRecord {
        id: job_id(row, 0)?,
        job_type: word(row, 1)?,
        status: word(row, 2)?,
        collection: word::<CollectionId>(row, 3)?,
        progress: row.get(4)?,
        // A job that was begun says itself why it waits (what it was snoozed for).
        message: if later && !begun {
            waiting_until(run_at)
        } else if paused {
            PAUSED.to_owned()
        } else {
            row.get(5)?
        },
        created_at: time(row, 6)?,
        started_at: optional_time(row, 7)?,
        completed_at: optional_time(row, 8)?,
        metadata: json(row, 9)?,
        version: unsigned(row, 10)?,
        document: document(row, 11)?,
        seq: row.get::<_, Option<i64>>(12)?.map(|seq| Seq(seq.unsigned_abs())),
        priority: row.get(13)?,
        intent: row.get(14)?,
        run_at,
        max_attempts: row.get(16)?,
        later,
    })
}

/// What a job says whose type is paused.
pub(crate) const PAUSED: &str = "Waiting: jobs of this type are paused";

/// What a job says that was asked for at a later time.
pub(crate) fn waiting_until(run_at: Timestamp) -> String {
    format!("Waiting until {run_at}")
}

/// What a write decides by, and what it changes without reading the whole row.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) key: i64,
    pub(crate) id: JobId,
    pub(crate) status: JobStatus,
    pub(crate) epoch: i64,
    pub(crate) version: u64,
    pub(crate) progress: f64,
    pub(crate) attempts: u32,
    pub(crate) failures: u32,
    pub(crate) deaths: u32,
    pub(crate) max_attempts: u32,
    pub(crate) intent: bool,
    pub(crate) ready: bool,
    pub(crate) lease_until: Option<i64>,
    pub(crate) document: Option<DocumentId>,
    pub(crate) seq: Option<i64>,
    pub(crate) exclusive_key: Option<String>,
    pub(crate) collection: CollectionId,
    pub(crate) job_type: JobType,
}

const HELD_COLUMNS: &str = "key, id, status, epoch, version, progress, attempts, failures, deaths, max_attempts, intent, \
     queue IS 'ready', lease_until, document, seq, exclusive_key, collection, job_type";

fn held(row: &Row<'_>) -> rusqlite::Result<Held> {
    Ok(Held {
        key: row.get(0)?,
        id: job_id(row, 1)?,
        status: word(row, 2)?,
        epoch: row.get(3)?,
        version: unsigned(row, 4)?,
        progress: row.get(5)?,
        attempts: row.get(6)?,
        failures: row.get(7)?,
        deaths: row.get(8)?,
        max_attempts: row.get(9)?,
        intent: row.get(10)?,
        ready: row.get(11)?,
        lease_until: row.get(12)?,
        document: document(row, 13)?,
        seq: row.get(14)?,
        exclusive_key: row.get(15)?,
        collection: word(row, 16)?,
        job_type: word(row, 17)?,
    })
}

impl Held {
    /// The job with this id.
    pub(crate) fn find(conn: &Connection, job: JobId) -> Result<Self> {
        let mut statement = held_statement(conn, "id = :id")?;
        statement.query_row(named_params! {":id": job.as_bytes()}, held).optional()?.ok_or(Error::NotFound(job))
    }

    /// The job with this key.
    pub(crate) fn by_key(conn: &Connection, key: i64) -> Result<Self> {
        Ok(held_statement(conn, "key = :key")?.query_row(named_params! {":key": key}, held)?)
    }

    /// The running job of this fence, or [`Error::Fenced`].
    pub(crate) fn fenced(conn: &Connection, fence: Fence) -> Result<Self> {
        let mut statement = held_statement(conn, "id = :id AND epoch = :epoch AND status = 'running'")?;
        statement
            .query_row(named_params! {":id": fence.job.as_bytes(), ":epoch": signed(fence.epoch.0)}, held)
            .optional()?
            .ok_or(Error::Fenced(fence.job))
    }

    /// All jobs that run now.
    pub(crate) fn running(conn: &Connection) -> Result<Vec<Self>> {
        // The types are spelt out so that the index on (job_type, status) is used.
        let mut statement =
            held_statement(conn, "job_type IN ('ingestion', 'reindex', 'clustering') AND status = 'running'")?;
        let rows = statement.query_map([], held)?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }

    /// Its counter in this state.
    pub(crate) fn cell(&self, status: JobStatus) -> Cell {
        (status, self.collection.clone(), self.job_type)
    }

    /// The epoch that may write now.
    pub(crate) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.unsigned_abs())
    }
}

fn held_statement<'c>(conn: &'c Connection, condition: &str) -> Result<CachedStatement<'c>> {
    Ok(conn.prepare_cached(&format!("SELECT {HELD_COLUMNS} FROM job WHERE {condition}"))?)
}

/// Whole record of a job by key.
pub(crate) fn record_by_key(conn: &Connection, key: i64) -> Result<JobRecord> {
    Ok(conn.prepare_cached(&select_jobs("WHERE key = ?1"))?.query_row([key], job_record)?)
}

/// `SELECT` of [`JOB_COLUMNS`] with this condition.
pub(crate) fn select_jobs(rest: &str) -> String {
    format!("SELECT {JOB_COLUMNS} FROM job {rest}")
}

/// Stages of a job in order; a running one has run up to `now`.
pub(crate) fn stages(conn: &Connection, key: i64, now: Timestamp) -> Result<Vec<(StageRecord, u32)>> {
    let mut statement = conn.prepare_cached(
        "SELECT name, weight, status, progress, ran_ms, since, units_total FROM stage WHERE job = ?1 ORDER BY position",
    )?;
    let rows = statement.query_map([key], |row| {
        let status: StageStatus = word(row, 2)?;
        let ran = std::time::Duration::from_millis(unsigned(row, 4)?);
        let running = optional_time(row, 5)?.map_or(std::time::Duration::ZERO, |since| now.since(since));
        let duration = (status != StageStatus::Pending || !ran.is_zero()).then_some(ran + running);
        let stage = StageRecord { name: row.get(0)?, weight: row.get(1)?, status, progress: row.get(3)?, duration };
        Ok((stage, row.get(6)?))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// SQLite integers are signed; ours that are not stay far below 2⁶³.
pub(crate) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

pub(crate) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

pub(crate) fn job_id(row: &Row<'_>, column: usize) -> rusqlite::Result<JobId> {
    Ok(JobId::from_bytes(row.get(column)?))
}

pub(crate) fn document(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<DocumentId>> {
    Ok(row.get::<_, Option<[u8; 16]>>(column)?.map(DocumentId::from_bytes))
}

pub(crate) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    Ok(Timestamp::from_millis(row.get(column)?))
}

pub(crate) fn optional_time(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}

/// A word of an enum, or a collection's name.
pub(crate) fn word<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: std::str::FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text = row.get_ref(column)?.as_str()?;
    text.parse().map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(e)))
}

pub(crate) fn json(row: &Row<'_>, column: usize) -> rusqlite::Result<Map<String, Value>> {
    let text = row.get_ref(column)?.as_str()?;
    serde_json::from_str(text).map_err(|e| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(e)))
}

/// An object as text.
pub(crate) fn text(map: &Map<String, Value>) -> String {
    serde_json::to_string(map).unwrap_or_else(|_| "{}".to_owned())
}

/// The guard of every update has hit exactly the row that was read in the same transaction.
pub(crate) fn exactly_one(changed: usize, job: JobId) -> Result<()> {
    if changed == 1 { Ok(()) } else { Err(Error::Fenced(job)) }
}
