//! Types of jobs: which are paused, and how many jobs each has.

use graphmill_core::{CollectionId, JobStatus, JobType};
use rusqlite::{Connection, OptionalExtension, params};

use super::journal::JobsTx;
use super::row::{Held, word};
use crate::Result;
use crate::records::JobTypeRecord;

/// Types of which no job is claimed.
pub(crate) fn paused(conn: &Connection) -> Result<Vec<JobType>> {
    let mut statement = conn.prepare_cached("SELECT job_type FROM paused_type")?;
    let types = statement.query_map([], |row| word(row, 0))?;
    Ok(types.collect::<rusqlite::Result<_>>()?)
}

/// Doing it twice changes nothing. After a resume the oldest waiting job of the type is told as changed, so that workers look at the queue.
pub(crate) fn set_paused(tx: &mut JobsTx<'_>, job_type: JobType, paused: bool) -> Result<()> {
    let changed = if paused {
        tx.conn
            .prepare_cached("INSERT OR IGNORE INTO paused_type (job_type, at) VALUES (?1, ?2)")?
            .execute(params![job_type.as_str(), tx.now().as_millis()])?
    } else {
        tx.conn.prepare_cached("DELETE FROM paused_type WHERE job_type = ?1")?.execute([job_type.as_str()])?
    };
    if changed == 0 || paused {
        return Ok(());
    }
    let waiting: Option<i64> = tx
        .conn
        .prepare_cached("SELECT key FROM job WHERE queue = 'ready' AND job_type = ?1 ORDER BY priority DESC LIMIT 1")?
        .query_row([job_type.as_str()], |row| row.get(0))
        .optional()?;
    if let Some(key) = waiting {
        let held = Held::by_key(tx.conn, key)?;
        tx.changed(&held, held.status, held.epoch());
    }
    Ok(())
}

/// Every type, with its counts in every state.
pub(crate) fn job_types(conn: &Connection, collection: Option<&CollectionId>) -> Result<Vec<JobTypeRecord>> {
    let paused = paused(conn)?;
    let mut statement = conn.prepare_cached(
        "SELECT coalesce(sum(n), 0) FROM job_count WHERE status = ?1 AND job_type = ?2 AND (?3 IS NULL OR collection = ?3)",
    )?;
    let mut record = |job_type: JobType| -> Result<JobTypeRecord> {
        let mut counts = Vec::with_capacity(JobStatus::ALL.len());
        for status in JobStatus::ALL {
            let values = params![status.as_str(), job_type.as_str(), collection.map(CollectionId::as_str)];
            let n: i64 = statement.query_row(values, |row| row.get(0))?;
            counts.push((*status, n.unsigned_abs()));
        }
        Ok(JobTypeRecord { job_type, paused: paused.contains(&job_type), counts })
    };
    JobType::ALL.iter().map(|job_type| record(*job_type)).collect()
}
