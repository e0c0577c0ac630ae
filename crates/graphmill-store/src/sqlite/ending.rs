//! How a claim ends.

use graphmill_core::{ErrorCode, EventKind, Fence, JobStatus, Timestamp, Transition, next_state};
use rusqlite::{OptionalExtension, params};
use serde_json::{Map, Value};

use super::accept::cancel_held;
use super::claim::{fail, rest_stage, running_stage};
use super::housekeeping::{blobs_named_by, unnamed};
use super::journal::JobsTx;
use super::quota;
use super::row::{Held, text};
use super::transition::{Change, Queue, change_state};
use super::work::merged_metadata;
use crate::Result;
use crate::records::Ended;
use crate::requests::{Ending, NewJobError};

pub(crate) fn end(tx: &mut JobsTx<'_>, fence: Fence, ending: &Ending) -> Result<Ended> {
    let mut held = Held::fenced(tx.conn, fence)?;
    held.deaths = 0;
    match ending {
        Ending::Completed { message, metadata } => complete(tx, held, message, metadata),
        Ending::Failed { error } => fail_for_good(tx, held, error),
        Ending::Overtaken { message } => {
            cancel_held(tx, held, message, "overtaken")?;
            Ok(Ended { status: JobStatus::Cancelled, unnamed_blobs: Vec::new() })
        }
        Ending::Retry { after, error } => {
            held.failures += 1;
            if held.failures >= held.max_attempts {
                return fail_for_good(tx, held, error);
            }
            tx.error_row(&held, error)?;
            tx.event(
                &mut held,
                &EventKind::Error { error: error.message.clone(), code: error.code, will_retry: true },
            )?;
            let run_at = tx.now().plus(*after);
            let message = format!("Trying again at {run_at}: {}", error.message);
            give_back(tx, held, "retried", run_at, &message)
        }
        Ending::Snooze { after, reason, code } => {
            let run_at = tx.now().plus(*after);
            tell_snooze(tx, &mut held, *code, reason)?;
            give_back(tx, held, "snoozed", run_at, &format!("Waiting until {run_at}: {reason}"))
        }
        Ending::Released => {
            let now = tx.now();
            give_back(tx, held, "released", now, "Interrupted by a shutdown; waiting to go on")
        }
    }
}

/// Adds the reason to the job's errors and tells its followers, once for as long as it stays the same: an outage of hours is one error.
fn tell_snooze(tx: &mut JobsTx<'_>, held: &mut Held, code: ErrorCode, reason: &str) -> Result<()> {
    let last = tx
        .conn
        .prepare_cached("SELECT code = ?2 AND message = ?3 FROM job_error WHERE job = ?1 ORDER BY number DESC LIMIT 1")?
        .query_row(params![held.key, code.as_str(), reason], |row| row.get::<_, bool>(0))
        .optional()?;
    if last == Some(true) {
        return Ok(());
    }
    let stage = running_stage(tx.conn, held.key)?;
    let message = reason.to_owned();
    let hint = (code == ErrorCode::StorageFull)
        .then(|| "free space on the disk of the data folder; the job goes on by itself".to_owned());
    tx.error_row(held, &NewJobError { code, message, hint, stage, chunk_id: None, page: None })?;
    tx.event(held, &EventKind::Error { error: reason.to_owned(), code, will_retry: true })?;
    Ok(())
}

fn complete(tx: &mut JobsTx<'_>, mut held: Held, message: &str, metadata: &Map<String, Value>) -> Result<Ended> {
    let now = tx.now();
    tx.end_attempt(&held, "completed", now)?;
    tx.conn
        .prepare_cached(
            "UPDATE stage SET status = 'completed', progress = 1, since = NULL WHERE job = ?1 AND status = 'running'",
        )?
        .execute([held.key])?;
    let metadata = merged_metadata(tx, held.key, metadata)?;
    let stored = text(&metadata);
    tx.event(&mut held, &EventKind::Completed { message: message.to_owned(), metadata })?;
    held.progress = 1.0;
    change_state(tx, &held, &Change { metadata: Some(&stored), ..Change::new(Transition::Complete, message) })?;
    let outputs = blobs_named_by(tx.conn, held.key, true)?;
    for sql in [
        "DELETE FROM unit WHERE job = ?1",
        "DELETE FROM stage_data WHERE job = ?1",
        "DELETE FROM blob WHERE job = ?1 AND role = 'output'",
    ] {
        tx.conn.prepare_cached(sql)?.execute([held.key])?;
    }
    let unnamed_blobs = unnamed(tx.conn, outputs)?;
    // The caller deletes them: no power cut may bring back a job that wants them.
    tx.must_sync |= !unnamed_blobs.is_empty();
    if let (Some(document), Some(seq)) = (held.document, held.seq) {
        let bytes = quota::bytes_of_job(tx.conn, held.key)?;
        quota::note_published(tx.conn, &held.collection, document, seq, bytes)?;
    }
    Ok(Ended { status: JobStatus::Completed, unnamed_blobs })
}

fn fail_for_good(tx: &mut JobsTx<'_>, mut held: Held, error: &NewJobError) -> Result<Ended> {
    let now = tx.now();
    tx.end_attempt(&held, "failed", now)?;
    fail(tx, &mut held, error)?;
    Ok(Ended { status: JobStatus::Failed, unnamed_blobs: Vec::new() })
}

fn give_back(tx: &mut JobsTx<'_>, mut held: Held, outcome: &str, run_at: Timestamp, message: &str) -> Result<Ended> {
    let status = next_state(held.status, Transition::Requeue)?;
    let now = tx.now();
    tx.end_attempt(&held, outcome, now)?;
    tx.state_event(&mut held, status, message)?;
    let queue = if run_at > now { Queue::Later } else { Queue::Ready };
    let run_at = Some(run_at);
    change_state(tx, &held, &Change { queue, run_at, ..Change::new(Transition::Requeue, message) })?;
    rest_stage(tx, held.key)?;
    Ok(Ended { status, unnamed_blobs: Vec::new() })
}
