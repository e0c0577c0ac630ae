//! One writer thread with group commit: many queued writes become one transaction. What waits for the disk waits together.
//!
//! A write that fails before it has changed anything (a stale epoch, an unknown job) costs the others nothing. One that fails later
//! ends the group: it is rolled back and each of its writes runs alone. That is rare, and cheaper than a savepoint for every write,
//! which would copy each page before its first change.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::FairMutex;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use crate::space::DiskGuard;
use crate::{Error, Result};

/// Most writes of one transaction.
const GROUP_MAX: usize = 512;
/// A transaction takes no further write after this time, so that a lease renewal never waits longer than about this.
const GROUP_TIME: Duration = Duration::from_millis(25);
/// Writes that may wait before callers wait too.
const QUEUE_MAX: usize = 4096;

/// Only one thread of the process holds SQLite's write lock at a time; fair, so that a busy writer cannot starve lease renewals.
pub(crate) type WriteGate = Arc<FairMutex<()>>;

/// How a write is committed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Kind {
    /// On disk before the caller is told: the group is committed with `synchronous=FULL`.
    pub(crate) durable: bool,
    /// Job state, a delete or a cleanup: on a full disk the reserve is released for it.
    pub(crate) reserve: bool,
    /// Fault points just before and just after the commit of a group with this write.
    pub(crate) fault: Option<(&'static str, &'static str)>,
}

/// State of the writer thread that its writes share, undone with them.
pub(crate) trait WriterState: Send + 'static {
    /// What [`WriterState::undo`] goes back to.
    type Mark;
    /// Before a write.
    fn mark(&self) -> Self::Mark;
    /// The write was rolled back.
    fn undo(&mut self, mark: Self::Mark);
    /// Writes what was gathered for the whole group.
    fn before_commit(&mut self, conn: &Connection) -> Result<()>;
    /// All writes since the last call are committed.
    fn committed(&mut self);
}

impl WriterState for () {
    type Mark = ();
    fn mark(&self) {}
    fn undo(&mut self, (): ()) {}
    fn before_commit(&mut self, _: &Connection) -> Result<()> {
        Ok(())
    }
    fn committed(&mut self) {}
}

/// What a write sees.
pub(crate) struct Tx<'w, S> {
    /// Within the group's transaction.
    pub(crate) conn: &'w Connection,
    /// See [`WriterState`].
    pub(crate) state: &'w mut S,
    /// Set by a write that turns out to need its group on disk before its caller is told.
    pub(crate) must_sync: bool,
}

/// A queued write. It may run more than once: after its group failed, it runs alone.
trait Queued<S>: Send {
    fn kind(&self) -> Kind;
    fn run(&mut self, tx: &mut Tx<'_, S>) -> Result<()>;
    /// The outcome of `run` goes to the caller, or this error instead.
    fn reply(self: Box<Self>, failed: Option<Error>);
}

struct Item<F, T> {
    kind: Kind,
    write: F,
    value: Option<T>,
    caller: oneshot::Sender<Result<T>>,
}

impl<S, F, T> Queued<S> for Item<F, T>
where
    F: FnMut(&mut Tx<'_, S>) -> Result<T> + Send,
    T: Send,
{
    fn kind(&self) -> Kind {
        self.kind
    }

    fn run(&mut self, tx: &mut Tx<'_, S>) -> Result<()> {
        self.value = None;
        self.value = Some((self.write)(tx)?);
        Ok(())
    }

    fn reply(self: Box<Self>, failed: Option<Error>) {
        let answer = match (failed, self.value) {
            (Some(e), _) => Err(e),
            (None, Some(value)) => Ok(value),
            (None, None) => Err(Error::Backend("a write ended without an answer".into())),
        };
        // A caller that no longer waits has its write all the same.
        let _ = self.caller.send(answer);
    }
}

type Entry<S> = Box<dyn Queued<S>>;

/// Handle of the writer thread; dropping it ends the thread after what is queued.
pub(crate) struct Writer<S> {
    queue: Option<mpsc::Sender<Entry<S>>>,
    thread: Option<JoinHandle<()>>,
}

impl<S: WriterState> Writer<S> {
    /// Starts the thread.
    pub(crate) fn start(name: &str, work: WriterThread<S>) -> Result<Self> {
        let (queue, entries) = mpsc::channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || work.run(entries))
            .map_err(|e| Error::Backend(format!("cannot start the writer thread: {e}")))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Queues a write and waits for its commit.
    pub(crate) async fn write<T, F>(&self, kind: Kind, write: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_, S>) -> Result<T> + Send + 'static,
    {
        let gone = || Error::Backend("the writer thread has ended".into());
        let (caller, answer) = oneshot::channel();
        let item = Box::new(Item { kind, write, value: None, caller });
        self.queue.as_ref().ok_or_else(gone)?.send(item).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl<S> Drop for Writer<S> {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The group is committed; why it is not known to be on disk, if that was wanted. (It must not run again.)
struct Synced(Option<String>);

impl Synced {
    fn error(&self) -> Option<Error> {
        self.0.as_ref().map(|e| Error::Backend(format!("written, but the write-ahead log cannot be synced: {e}")))
    }
}

/// What the writer thread owns.
pub(crate) struct WriterThread<S> {
    pub(crate) conn: Connection,
    pub(crate) state: S,
    pub(crate) gate: WriteGate,
    pub(crate) disk: Option<Arc<DiskGuard>>,
    /// The write-ahead log, for a commit that must be on disk after all.
    pub(crate) wal: PathBuf,
}

impl<S: WriterState> WriterThread<S> {
    fn run(mut self, mut entries: mpsc::Receiver<Entry<S>>) {
        let mut waiting: VecDeque<Entry<S>> = VecDeque::new();
        let mut synchronous_full = None;
        loop {
            if waiting.is_empty() {
                match entries.blocking_recv() {
                    Some(entry) => waiting.push_back(entry),
                    None => return,
                }
            }
            while waiting.len() < GROUP_MAX {
                match entries.try_recv() {
                    Ok(entry) => waiting.push_back(entry),
                    Err(_) => break,
                }
            }
            let durable = waiting.iter().any(|entry| entry.kind().durable);
            if synchronous_full != Some(durable) {
                let level = if durable { "FULL" } else { "NORMAL" };
                if let Err(e) = self.conn.pragma_update(None, "synchronous", level) {
                    tracing::error!(error = %e, "cannot set how commits are synchronised");
                    synchronous_full = None;
                } else {
                    synchronous_full = Some(durable);
                }
            }
            self.run_group(&mut waiting);
        }
    }

    /// Runs as many of the waiting writes as fit in one transaction; those that it must give up run alone.
    fn run_group(&mut self, waiting: &mut VecDeque<Entry<S>>) {
        let gate = Arc::clone(&self.gate);
        let _held = gate.lock();
        let mut done: Vec<(Entry<S>, Option<Error>)> = Vec::with_capacity(waiting.len());
        let whole = self.state.mark();
        match self.try_group(waiting, &mut done) {
            Ok(unsynced) => {
                self.state.committed();
                done.into_iter().for_each(|(entry, failed)| entry.reply(failed.or_else(|| unsynced.error())));
            }
            Err(e) => {
                self.roll_back(whole);
                tracing::debug!(writes = done.len(), error = %e, "a group of writes failed; each runs alone");
                for (entry, _) in done {
                    self.run_alone(entry);
                }
            }
        }
    }

    fn try_group(
        &mut self,
        waiting: &mut VecDeque<Entry<S>>,
        done: &mut Vec<(Entry<S>, Option<Error>)>,
    ) -> Result<Synced> {
        let began = Instant::now();
        let mut must_sync = false;
        let mut faults: Vec<(&'static str, &'static str)> = Vec::new();
        // The first write leaves the queue whatever happens, so that a failure cannot go round for ever.
        let begun = self.conn.execute_batch("BEGIN IMMEDIATE");
        while let Some(mut entry) = waiting.pop_front() {
            if begun.is_err() {
                done.push((entry, None));
                break;
            }
            let (outcome, halfway) = self.run_one(entry.as_mut(), &mut must_sync);
            if outcome.is_ok() {
                faults.extend(entry.kind().fault.filter(|f| !faults.contains(f)));
            }
            done.push((entry, outcome.err()));
            if halfway {
                return Err(Error::Backend("the transaction was given up".into()));
            }
            if began.elapsed() > GROUP_TIME {
                break;
            }
        }
        begun?;
        self.commit(&faults, must_sync)
    }

    /// Runs one write. The second value: whether it failed halfway, so that the transaction must be given up.
    fn run_one(&mut self, entry: &mut dyn Queued<S>, must_sync: &mut bool) -> (Result<()>, bool) {
        let mark = self.state.mark();
        let changes = self.conn.total_changes();
        let mut tx = Tx { conn: &self.conn, state: &mut self.state, must_sync: false };
        let outcome = catch_unwind(AssertUnwindSafe(|| entry.run(&mut tx)))
            .unwrap_or_else(|_| Err(Error::Backend("a write panicked; it was undone".into())));
        *must_sync |= tx.must_sync && outcome.is_ok();
        if outcome.is_ok() {
            return (outcome, false);
        }
        self.state.undo(mark);
        let halfway =
            self.conn.total_changes() != changes || self.conn.is_autocommit() || matches!(outcome, Err(Error::Full(_)));
        (outcome, halfway)
    }

    fn commit(&mut self, faults: &[(&'static str, &'static str)], must_sync: bool) -> Result<Synced> {
        self.state.before_commit(&self.conn)?;
        for (before, _) in faults {
            graphmill_core::fault_point!(before);
        }
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        let mut synced = Synced(None);
        if must_sync {
            // What FULL does after a commit; asked for here because only the write itself could know.
            synced.0 = std::fs::File::open(&self.wal).and_then(|wal| wal.sync_data()).err().map(|e| e.to_string());
        }
        for (_, after) in faults {
            graphmill_core::fault_point!(after);
        }
        Ok(synced)
    }

    fn roll_back(&mut self, mark: S::Mark) {
        if !self.conn.is_autocommit()
            && let Err(e) = self.conn.execute_batch("ROLLBACK")
        {
            tracing::error!(error = %e, "cannot roll back");
        }
        self.state.undo(mark);
    }

    fn run_alone(&mut self, mut entry: Entry<S>) {
        let mut outcome = self.try_alone(entry.as_mut());
        if let (Err(Error::Full(_)), Some(disk)) = (&outcome, &self.disk) {
            disk.note_full();
            if entry.kind().reserve && disk.release() {
                outcome = self.try_alone(entry.as_mut());
            }
        }
        entry.reply(outcome.err());
    }

    fn try_alone(&mut self, entry: &mut dyn Queued<S>) -> Result<()> {
        let mark = self.state.mark();
        let kind = entry.kind();
        let outcome = self.conn.execute_batch("BEGIN IMMEDIATE").map_err(Error::from).and_then(|()| {
            let mut must_sync = false;
            self.run_one(entry, &mut must_sync).0?;
            self.commit(kind.fault.as_slice(), must_sync)
        });
        match outcome {
            Ok(unsynced) => {
                self.state.committed();
                unsynced.error().map_or(Ok(()), Err)
            }
            Err(e) => {
                self.roll_back(mark);
                Err(e)
            }
        }
    }
}

#[cfg(test)]
#[path = "tests/writer.rs"]
mod tests;
