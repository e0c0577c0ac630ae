//! The one guarded change of a job's state: what [`next_state`] allows, from exactly the state and epoch that were read in this transaction.

use graphmill_core::{Epoch, JobStatus, Timestamp, Transition, next_state};
use rusqlite::params;

use super::journal::JobsTx;
use super::row::{Held, exactly_one, signed};
use crate::Result;

/// Why a pending job is not running.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queue {
    /// A worker may take it.
    Ready,
    /// Its time has not come.
    Later,
    /// Another job with its exclusive key runs.
    Parked,
}

impl Queue {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Later => "later",
            Self::Parked => "parked",
        }
    }
}

/// What a change of state writes besides the state and what [`Held`] carries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change<'c> {
    pub(crate) transition: Transition,
    pub(crate) message: &'c str,
    /// Of a job that is pending afterwards.
    pub(crate) queue: Queue,
    /// Of a job that is pending afterwards; else it stays.
    pub(crate) run_at: Option<Timestamp>,
    /// Of a job that runs afterwards.
    pub(crate) lease_until: Option<Timestamp>,
    /// Instead of the present metadata.
    pub(crate) metadata: Option<&'c str>,
}

impl<'c> Change<'c> {
    pub(crate) fn new(transition: Transition, message: &'c str) -> Self {
        Self { transition, message, queue: Queue::Ready, run_at: None, lease_until: None, metadata: None }
    }
}

/// Whether writes under the epoch before are void afterwards.
fn raises_epoch(transition: Transition) -> bool {
    match transition {
        Transition::Claim | Transition::Cancel | Transition::RetryByPerson => true,
        Transition::Requeue | Transition::Complete | Transition::Fail => false,
    }
}

/// Writes the new state with everything of `held` that a change of state may change, and tells the followers. The event that goes with it was
/// written before. When the job no longer stands before those with its exclusive key, the best of them is made ready. Answers the epoch that may
/// write now.
pub(crate) fn change_state(tx: &mut JobsTx<'_>, held: &Held, change: &Change<'_>) -> Result<Epoch> {
    let status = next_state(held.status, change.transition)?;
    let now = tx.now().as_millis();
    let raise = i64::from(raises_epoch(change.transition));
    let pending = status == JobStatus::Pending;
    let changed = tx
        .conn
        .prepare_cached(
            "UPDATE job SET status = ?1, queue = ?2, run_at = coalesce(?3, run_at), lease_until = ?4, completed_at = ?5, \
             started_at = CASE WHEN ?6 >= 1 THEN coalesce(started_at, ?7) END, epoch = epoch + ?8, attempts = ?6, failures = ?9, \
             deaths = ?10, intent = ?11, seq = ?12, progress = ?13, metadata = coalesce(?14, metadata), message = ?15, version = ?16 \
             WHERE key = ?17 AND status = ?18 AND epoch = ?19",
        )?
        .execute(params![
            status.as_str(),
            pending.then(|| change.queue.as_str()),
            change.run_at.filter(|_| pending).map(Timestamp::as_millis),
            change.lease_until.filter(|_| status == JobStatus::Running).map(Timestamp::as_millis),
            status.is_ended().then_some(now),
            held.attempts,
            now,
            raise,
            held.failures,
            held.deaths,
            held.intent,
            held.seq,
            held.progress,
            change.metadata,
            change.message,
            signed(held.version),
            held.key,
            held.status.as_str(),
            held.epoch,
        ])?;
    exactly_one(changed, held.id)?;
    if status != JobStatus::Running && (held.status == JobStatus::Running || held.ready) {
        super::parking::unpark(tx, held)?;
    }
    let epoch = Epoch(held.epoch().0 + raise.unsigned_abs());
    tx.changed(held, status, epoch);
    Ok(epoch)
}
