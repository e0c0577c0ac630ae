//! Exclusive keys: of the jobs with one key, one runs at a time. The others are parked, and their message says for which job they wait.

use graphmill_core::{JobId, JobStatus, JobType};
use rusqlite::{Connection, OptionalExtension, params};

use super::journal::JobsTx;
use super::row::{Held, exactly_one, job_id, signed, word};
use super::transition::Queue;
use crate::Result;

/// What a job says that waits for nothing but a worker.
const WAITING: &str = "Waiting for a worker";
const WAITING_TO_GO_ON: &str = "Waiting to go on";

/// The job with this key that runs.
pub(crate) fn holder(conn: &Connection, exclusive_key: Option<&str>) -> Result<Option<(JobId, JobType)>> {
    let Some(exclusive_key) = exclusive_key else { return Ok(None) };
    Ok(conn
        .prepare_cached(
            "SELECT id, job_type FROM job WHERE exclusive_key = ?1 AND exclusive_key IS NOT NULL AND status = 'running'",
        )?
        .query_row([exclusive_key], |row| Ok((job_id(row, 0)?, word(row, 1)?)))
        .optional()?)
}

/// What a parked job says.
pub(crate) fn message((job, job_type): (JobId, JobType)) -> String {
    format!("Waiting for the {job_type} {job} of the same collection to end")
}

/// Puts a pending job behind the one that runs.
pub(crate) fn park(tx: &mut JobsTx<'_>, key: i64, behind: (JobId, JobType)) -> Result<()> {
    let held = Held::by_key(tx.conn, key)?;
    place(tx, held, Queue::Parked, &message(behind))
}

/// This job was claimed: all others with its key wait for it now, those too that waited for another one before.
pub(crate) fn park_others(tx: &mut JobsTx<'_>, held: &Held) -> Result<()> {
    let Some(exclusive_key) = &held.exclusive_key else { return Ok(()) };
    let others: Vec<i64> = {
        let mut statement = tx.conn.prepare_cached(
            "SELECT key FROM job WHERE exclusive_key = ?1 AND exclusive_key IS NOT NULL AND status = 'pending' \
             AND queue IN ('ready', 'parked') AND key <> ?2 ORDER BY key",
        )?;
        let keys = statement.query_map(params![exclusive_key, held.key], |row| row.get(0))?;
        keys.collect::<rusqlite::Result<_>>()?
    };
    others.into_iter().try_for_each(|key| park(tx, key, (held.id, held.job_type)))
}

/// `gone` no longer runs or no longer waits in front: the best of those parked behind it is ready.
pub(crate) fn unpark(tx: &mut JobsTx<'_>, gone: &Held) -> Result<()> {
    let Some(exclusive_key) = &gone.exclusive_key else { return Ok(()) };
    if holder(tx.conn, Some(exclusive_key))?.is_some() {
        return Ok(());
    }
    let best: Option<i64> = tx
        .conn
        .prepare_cached(
            "SELECT key FROM job WHERE queue = 'parked' AND exclusive_key = ?1 ORDER BY priority DESC, key LIMIT 1",
        )?
        .query_row([exclusive_key], |row| row.get(0))
        .optional()?;
    let Some(best) = best else { return Ok(()) };
    let held = Held::by_key(tx.conn, best)?;
    let message = if held.attempts == 0 { WAITING } else { WAITING_TO_GO_ON };
    place(tx, held, Queue::Ready, message)
}

/// Jobs whose time has come are ready, or parked when their key is taken. The index of later ones is never walked beyond those.
pub(crate) fn promote_due(tx: &mut JobsTx<'_>) -> Result<()> {
    let now = tx.now().as_millis();
    tx.conn
        .prepare_cached(
            "UPDATE job SET queue = 'ready' WHERE queue = 'later' AND run_at <= ?1 AND exclusive_key IS NULL",
        )?
        .execute([now])?;
    let keyed: Vec<i64> = {
        let mut statement = tx
            .conn
            .prepare_cached("SELECT key FROM job WHERE queue = 'later' AND run_at <= ?1 ORDER BY run_at, key")?;
        let keys = statement.query_map([now], |row| row.get(0))?;
        keys.collect::<rusqlite::Result<_>>()?
    };
    for key in keyed {
        let held = Held::by_key(tx.conn, key)?;
        match holder(tx.conn, held.exclusive_key.as_deref())? {
            Some(other) => place(tx, held, Queue::Parked, &message(other))?,
            None => {
                tx.conn
                    .prepare_cached("UPDATE job SET queue = 'ready' WHERE key = ?1 AND queue = 'later'")?
                    .execute([key])?;
            }
        }
    }
    Ok(())
}

/// Another place in the queue and another message of a pending job.
fn place(tx: &mut JobsTx<'_>, mut held: Held, queue: Queue, message: &str) -> Result<()> {
    let said: String =
        tx.conn.prepare_cached("SELECT message FROM job WHERE key = ?1")?.query_row([held.key], |row| row.get(0))?;
    if said != message {
        tx.state_event(&mut held, JobStatus::Pending, message)?;
    }
    let changed = tx
        .conn
        .prepare_cached(
            "UPDATE job SET queue = ?1, message = ?2, version = ?3 WHERE key = ?4 AND status = 'pending' AND epoch = ?5",
        )?
        .execute(params![queue.as_str(), message, signed(held.version), held.key, held.epoch])?;
    exactly_one(changed, held.id)?;
    tx.changed(&held, JobStatus::Pending, held.epoch());
    Ok(())
}
