//! What a change of a job leaves behind: its version, an event row, errors, attempts, and word to those who follow.

use graphmill_core::{Clock, Epoch, EventKind, JobStatus, Timestamp};
use rusqlite::{Connection, params};
use tokio::sync::broadcast;

use super::counters::Counters;
use super::ids::JobIds;
use super::row::{Held, signed};
use super::writer::{Tx, WriterState};
use crate::records::JobChange;
use crate::requests::NewJobError;
use crate::{Error, Result};

/// Newest events and claims that a job keeps: a job that is snoozed for a week must not grow without end.
const EVENTS_MAX: i64 = 10_000;
const ATTEMPTS_MAX: i64 = 1_000;

/// What the writer thread of the job store keeps between writes.
pub(crate) struct JobsState {
    pub(crate) clock: std::sync::Arc<dyn Clock>,
    pub(crate) ids: JobIds,
    /// Leases of an earlier owner are void but not yet looked at.
    pub(crate) old_leases: bool,
    /// Found when a claim looked at them; told by the next `requeue_lost`.
    pub(crate) found_lost: crate::records::Lost,
    pub(crate) counters: Counters,
    pub(crate) changes: Vec<JobChange>,
    pub(crate) followers: broadcast::Sender<JobChange>,
}

/// What a write that is undone takes back.
pub(crate) struct JobsMark {
    changes: usize,
    counters: usize,
    old_leases: bool,
    found_lost: crate::records::Lost,
}

impl WriterState for JobsState {
    type Mark = JobsMark;

    fn mark(&self) -> JobsMark {
        JobsMark {
            changes: self.changes.len(),
            counters: self.counters.mark(),
            old_leases: self.old_leases,
            found_lost: self.found_lost,
        }
    }

    fn undo(&mut self, mark: JobsMark) {
        self.changes.truncate(mark.changes);
        self.counters.undo(mark.counters);
        self.old_leases = mark.old_leases;
        self.found_lost = mark.found_lost;
    }

    fn before_commit(&mut self, conn: &Connection) -> Result<()> {
        self.counters.write(conn)
    }

    fn committed(&mut self) {
        self.counters.clear();
        for change in self.changes.drain(..) {
            // Nobody may follow at the moment.
            let _ = self.followers.send(change);
        }
    }
}

pub(crate) type JobsTx<'w> = Tx<'w, JobsState>;

impl JobsTx<'_> {
    /// The store's time.
    pub(crate) fn now(&self) -> Timestamp {
        self.state.clock.now()
    }

    /// The row of `held` was written: it has this state and epoch now. Counts a change of state; followers are told after the
    /// commit.
    pub(crate) fn changed(&mut self, held: &Held, status: JobStatus, epoch: Epoch) {
        if held.status != status {
            self.state.counters.count(held.cell(held.status), -1);
            self.state.counters.count(held.cell(status), 1);
        }
        let change = JobChange { job: held.id, version: held.version, status, epoch, deleted: false };
        self.state.changes.push(change);
    }

    /// Writes an event row at the job's next version and moves `held` there. The caller writes the version to the row.
    pub(crate) fn event(&mut self, held: &mut Held, kind: &EventKind) -> Result<()> {
        // Before an end one number stays free, for the progress that a stream tells between the last stage and the end.
        held.version += if kind.is_last() { 2 } else { 1 };
        self.event_row(held.key, held.version, kind)?;
        if held.version.is_multiple_of(1_000) {
            super::events::forget_beyond(self.conn, held.key, EVENTS_MAX)?;
        }
        Ok(())
    }

    /// An event of the job with this key at this version. Its position in the order of all events is the next one: positions rise in commit
    /// order, since there is one writer.
    pub(crate) fn event_row(&mut self, key: i64, version: u64, kind: &EventKind) -> Result<()> {
        let json = serde_json::to_string(kind).map_err(|e| Error::Invalid(format!("event cannot be written: {e}")))?;
        self.conn
            .prepare_cached("INSERT INTO event (job, seq, at, kind) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![key, signed(version), self.now().as_millis(), json])?;
        Ok(())
    }

    /// An event about a change of state that is no end.
    pub(crate) fn state_event(&mut self, held: &mut Held, status: JobStatus, message: &str) -> Result<()> {
        let kind = EventKind::Progress { progress: held.progress, message: message.to_owned(), status };
        self.event(held, &kind)
    }

    /// Adds to the job's `errors`.
    pub(crate) fn error_row(&mut self, held: &Held, error: &NewJobError) -> Result<()> {
        self.conn
            .prepare_cached(
                "INSERT INTO job_error (job, number, attempt, at, code, message, hint, stage, chunk_id, page) VALUES \
                 (?1, (SELECT coalesce(max(number), 0) + 1 FROM job_error WHERE job = ?1), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                held.key,
                held.attempts,
                self.now().as_millis(),
                error.code.as_str(),
                error.message,
                error.hint,
                error.stage,
                error.chunk_id,
                error.page
            ])?;
        Ok(())
    }

    /// Begins a claim.
    pub(crate) fn begin_attempt(&mut self, key: i64, number: u32, worker: &str) -> Result<()> {
        self.conn
            .prepare_cached("INSERT INTO attempt (job, number, worker, started_at) VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![key, number, worker, self.now().as_millis()])?;
        if i64::from(number) > ATTEMPTS_MAX {
            self.conn
                .prepare_cached("DELETE FROM attempt WHERE job = ?1 AND number <= ?2")?
                .execute(params![key, i64::from(number) - ATTEMPTS_MAX])?;
        }
        Ok(())
    }

    /// Ends a claim, and with it the present run of its stage, at `ended`.
    pub(crate) fn end_attempt(&mut self, held: &Held, outcome: &str, ended: Timestamp) -> Result<()> {
        self.conn
            .prepare_cached(
                "UPDATE attempt SET ended_at = max(?1, started_at), outcome = ?2 WHERE job = ?3 AND number = ?4 AND outcome = 'running'",
            )?
            .execute(params![ended.as_millis(), outcome, held.key, held.attempts])?;
        self.conn
            .prepare_cached(
                "UPDATE stage SET ran_ms = ran_ms + max(0, ?1 - since), since = NULL WHERE job = ?2 AND since IS NOT NULL",
            )?
            .execute(params![ended.as_millis(), held.key])?;
        Ok(())
    }
}
