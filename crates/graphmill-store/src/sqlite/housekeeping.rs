//! Deleting ended jobs, and which blobs nothing names any more.

use graphmill_core::{CollectionId, JobId, JobStatus, Timestamp};
use rusqlite::{Connection, params};

use super::documents::forget_deletes;
use super::journal::JobsTx;
use super::row::Held;
use crate::Result;
use crate::records::{DeleteOutcome, Deleted, JobChange};

/// Pages that one call gives back to the file system at most, so that the write stays short.
const VACUUM_PAGES: u32 = 2_000;

pub(crate) fn delete_job(tx: &mut JobsTx<'_>, job: JobId) -> Result<DeleteOutcome> {
    let held = Held::find(tx.conn, job)?;
    if !held.status.is_ended() {
        return Ok(DeleteOutcome::StillActive(held.status));
    }
    Ok(DeleteOutcome::Deleted(delete_rows(tx, &[held])?))
}

pub(crate) fn cleanup(
    tx: &mut JobsTx<'_>,
    ended_until: Timestamp,
    statuses: &[JobStatus],
    collection: Option<&CollectionId>,
    limit: u32,
) -> Result<Deleted> {
    let mut oldest: Vec<(i64, i64)> = Vec::new();
    let mut wanted: Vec<JobStatus> = statuses.iter().copied().filter(|status| status.is_ended()).collect();
    wanted.sort_unstable();
    wanted.dedup();
    for status in wanted {
        let (status, until) = (status.as_str(), ended_until.as_millis());
        let found = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let rows = match collection {
            None => tx
                .conn
                .prepare_cached(
                    "SELECT completed_at, key FROM job WHERE status = ?1 AND completed_at <= ?2 AND completed_at IS NOT NULL \
                     ORDER BY completed_at, key LIMIT ?3",
                )?
                .query_map(params![status, until, limit], found)?
                .collect::<rusqlite::Result<Vec<_>>>()?,
            Some(collection) => tx
                .conn
                .prepare_cached(
                    "SELECT completed_at, key FROM job WHERE collection = ?4 AND status = ?1 AND completed_at <= ?2 \
                     AND completed_at IS NOT NULL ORDER BY completed_at, key LIMIT ?3",
                )?
                .query_map(params![status, until, limit, collection.as_str()], found)?
                .collect::<rusqlite::Result<Vec<_>>>()?,
        };
        oldest.extend(rows);
    }
    oldest.sort_unstable();
    oldest.truncate(limit as usize);
    let jobs = oldest.iter().map(|(_, key)| Held::by_key(tx.conn, *key)).collect::<Result<Vec<_>>>()?;
    delete_rows(tx, &jobs)
}

pub(crate) fn delete_rows(tx: &mut JobsTx<'_>, jobs: &[Held]) -> Result<Deleted> {
    let before = used_bytes(tx.conn)?;
    let mut blobs = Vec::new();
    for job in jobs {
        blobs.extend(blobs_named_by(tx.conn, job.key, false)?);
        super::events::bury(tx, job)?;
        for sql in [
            "DELETE FROM stage WHERE job = ?1",
            "DELETE FROM stage_data WHERE job = ?1",
            "DELETE FROM unit WHERE job = ?1",
            "DELETE FROM attempt WHERE job = ?1",
            "DELETE FROM job_error WHERE job = ?1",
            "DELETE FROM log WHERE job = ?1",
            "DELETE FROM blob WHERE job = ?1",
            "DELETE FROM job_bytes WHERE job = ?1",
            "DELETE FROM job_text WHERE job = ?1",
            "DELETE FROM job_trigrams WHERE rowid = ?1",
            "DELETE FROM job WHERE key = ?1",
        ] {
            tx.conn.prepare_cached(sql)?.execute([job.key])?;
        }
        if let Some(document) = job.document {
            forget_deletes(tx.conn, document)?;
        }
        tx.state.counters.count(job.cell(job.status), -1);
        tx.state.changes.push(JobChange {
            job: job.id,
            version: job.version + 1,
            status: job.status,
            epoch: job.epoch(),
            deleted: true,
        });
    }
    let bytes = before.saturating_sub(used_bytes(tx.conn)?);
    Ok(Deleted { jobs: jobs.len() as u64, bytes, unnamed_blobs: unnamed(tx.conn, blobs)? })
}

/// Bytes of the file that hold something.
fn used_bytes(conn: &Connection) -> Result<u64> {
    let pragma = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let pages = pragma("page_count")? - pragma("freelist_count")?;
    Ok(pages.max(0).unsigned_abs() * pragma("page_size")?.max(0).unsigned_abs())
}

/// Gives free pages back to the file system, some at a time. Returns whether there are more.
pub(crate) fn give_back_pages(tx: &mut JobsTx<'_>) -> Result<bool> {
    let mut statement = tx.conn.prepare(&format!("PRAGMA incremental_vacuum({VACUUM_PAGES})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    let left: i64 = tx.conn.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
    Ok(left > 0)
}

/// Blobs that a job names: all, or its outputs alone.
pub(crate) fn blobs_named_by(conn: &Connection, key: i64, only_outputs: bool) -> Result<Vec<String>> {
    let mut statement = conn.prepare_cached("SELECT blob FROM blob WHERE job = ?1 AND (role = 'output' OR NOT ?2)")?;
    let rows = statement.query_map(params![key, only_outputs], |row| row.get(0))?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Those of `keys` that no row names, each once, in the order given.
pub(crate) fn unnamed(conn: &Connection, keys: Vec<String>) -> Result<Vec<String>> {
    let mut statement = conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM blob WHERE blob = ?1)")?;
    let mut unnamed = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for key in keys {
        if seen.insert(key.clone()) && !statement.query_row([&key], |row| row.get::<_, bool>(0))? {
            unnamed.push(key);
        }
    }
    Ok(unnamed)
}
