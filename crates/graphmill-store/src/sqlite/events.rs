//! The order of all events, over all jobs: rows by rising position, which one writer gives in commit order, so that a reader who asks for what lies
//! above its position misses nothing. Rows of a deleted job stay until they are [`KEPT`] old, named by a row of `deleted_job`; the highest position
//! that was ever removed is kept, and who has seen less than that is told so.

use std::time::Duration;

use graphmill_core::{CollectionId, EventKind, JobEvent, JobId, JobType, Timestamp};
use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};

use super::journal::JobsTx;
use super::row::{Held, job_id, signed, time, unsigned, word};
use crate::Result;
use crate::records::{EventPage, PlacedEvent};
use crate::requests::EventFilter;

/// How long the events of a deleted job, its `deleted` last of all, can still be read.
pub(crate) const KEPT: Duration = Duration::from_secs(600);
/// Rows looked at for one page, whatever the filter leaves of them.
const LOOKED_AT: u32 = 2_000;
/// Deleted jobs that one sweep forgets.
const SWEPT: u32 = 500;

/// The position of the newest event.
pub(crate) fn head(conn: &Connection) -> Result<u64> {
    let mut statement =
        conn.prepare_cached("SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'event'), 0)")?;
    Ok(statement.query_row([], |row| unsigned(row, 0))?)
}

/// The highest position whose row was removed.
fn floor(conn: &Connection) -> Result<u64> {
    let mut statement = conn.prepare_cached("SELECT coalesce((SELECT position FROM event_floor WHERE one = 1), 0)")?;
    Ok(statement.query_row([], |row| unsigned(row, 0))?)
}

/// What lies above `after`; `None` when some of that is gone, or when nobody was ever given such a position.
pub(crate) fn page(conn: &Connection, filter: &EventFilter, after: u64, limit: u32) -> Result<Option<EventPage>> {
    if after < floor(conn)? || after > head(conn)? {
        return Ok(None);
    }
    let mut statement = conn.prepare_cached(
        "SELECT event.position, event.seq, event.at, event.kind, coalesce(job.id, deleted_job.id), \
         coalesce(job.collection, deleted_job.collection), coalesce(job.job_type, deleted_job.job_type) \
         FROM event LEFT JOIN job ON job.key = event.job LEFT JOIN deleted_job ON deleted_job.job = event.job \
         WHERE event.position > ?1 ORDER BY event.position LIMIT ?2",
    )?;
    let mut rows = statement.query(params![signed(after), LOOKED_AT])?;
    let mut page = EventPage { events: Vec::new(), position: after, more: false };
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        if page.events.len() >= limit as usize {
            page.more = true;
            return Ok(Some(page));
        }
        looked_at += 1;
        page.position = unsigned(row, 0)?;
        let collection: CollectionId = word(row, 5)?;
        let job_type: JobType = word(row, 6)?;
        let wanted = filter.collection.as_ref().is_none_or(|wanted| *wanted == collection)
            && filter.job_type.is_none_or(|wanted| wanted == job_type);
        if wanted {
            page.events.push(PlacedEvent { position: page.position, collection, job_type, event: event(row)? });
        }
    }
    page.more = looked_at == LOOKED_AT;
    Ok(Some(page))
}

fn event(row: &Row<'_>) -> rusqlite::Result<JobEvent> {
    let kind = serde_json::from_str(row.get_ref(3)?.as_str()?)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(3, Type::Text, Box::new(e)))?;
    let job_id: JobId = job_id(row, 4)?;
    Ok(JobEvent { kind, job_id, timestamp: time(row, 2)?, seq: unsigned(row, 1)? })
}

/// The job's row goes: its last event, and a name for those of its rows that are not old yet.
pub(crate) fn bury(tx: &mut JobsTx<'_>, job: &Held) -> Result<()> {
    let now = tx.now();
    let old = now.as_millis().saturating_sub(i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX));
    remove(tx.conn, "job = ?1 AND at <= ?2", (job.key, old))?;
    tx.event_row(job.key, job.version + 1, &EventKind::Deleted {})?;
    tx.conn
        .prepare_cached(
            "INSERT INTO deleted_job (job, id, collection, job_type, deleted_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            job.key,
            job.id.as_bytes(),
            job.collection.as_str(),
            job.job_type.as_str(),
            now.as_millis()
        ])?;
    Ok(())
}

/// Forgets jobs that were deleted long enough ago, some at a time.
pub(crate) fn sweep(conn: &Connection, now: Timestamp) -> Result<()> {
    let until = now.as_millis().saturating_sub(i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX));
    let gone: Vec<i64> = {
        let mut statement =
            conn.prepare_cached("SELECT job FROM deleted_job WHERE deleted_at <= ?1 ORDER BY deleted_at LIMIT ?2")?;
        let keys = statement.query_map(params![until, SWEPT], |row| row.get(0))?;
        keys.collect::<rusqlite::Result<_>>()?
    };
    for key in gone {
        remove(conn, "job = ?1 AND ?2 IS NOT NULL", (key, 0))?;
        conn.prepare_cached("DELETE FROM deleted_job WHERE job = ?1")?.execute([key])?;
    }
    Ok(())
}

/// A job keeps its newest rows: one that is snoozed for a week must not grow without end.
pub(crate) fn forget_beyond(conn: &Connection, key: i64, most: i64) -> Result<()> {
    remove(
        conn,
        "job = ?1 AND seq <= (SELECT seq FROM event WHERE job = ?1 ORDER BY seq DESC LIMIT 1 OFFSET ?2)",
        (key, most),
    )
}

/// Removes rows and remembers the highest position among them.
fn remove(conn: &Connection, condition: &str, values: (i64, i64)) -> Result<()> {
    let values = params![values.0, values.1];
    let highest: Option<i64> = conn
        .prepare_cached(&format!("SELECT max(position) FROM event WHERE {condition}"))?
        .query_row(values, |row| row.get(0))?;
    let Some(highest) = highest else { return Ok(()) };
    conn.prepare_cached(&format!("DELETE FROM event WHERE {condition}"))?.execute(values)?;
    conn.prepare_cached(
        "INSERT INTO event_floor (one, position) VALUES (1, ?1) \
         ON CONFLICT (one) DO UPDATE SET position = max(position, excluded.position)",
    )?
    .execute([highest])?;
    Ok(())
}
