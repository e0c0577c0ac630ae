//! The one thread that writes. Each write is a closure that gets the connection within an open transaction and is told to its caller after
//! the commit. Writes that wait and must be on disk share a transaction, each in a savepoint of its own, so that they wait for the disk
//! together; the others are committed one by one, which keeps each transaction short.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::sync::oneshot;

use crate::{Error, Result};

/// A shared transaction takes no further write after this time.
const GROUP_TIME: Duration = Duration::from_millis(20);
/// A shared transaction has at most so many writes.
const GROUP_MAX: usize = 64;
/// Writes that may wait before callers wait too: they hold what is to be written.
const QUEUE_MAX: usize = 64;

/// How safe a write must be when its caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Safety {
    /// Survives the death of the process.
    Process,
    /// Survives the loss of power.
    Disk,
}

/// Fault points around the commit of a write.
pub(super) type CommitPoints = Option<(&'static str, &'static str)>;

/// Gets the connection, or why there is no transaction.
type RunWrite = Box<dyn FnOnce(Result<&Connection>) -> Outcome + Send>;
/// Tells the caller: the write's own answer if the commit went well, else the error of the commit.
type Tell = Box<dyn FnOnce(Option<&Error>) + Send>;

struct Outcome {
    ok: bool,
    /// The whole transaction was rolled back by SQLite, or nothing more can be written now.
    fatal: bool,
    tell: Tell,
}

struct Write {
    safety: Safety,
    points: CommitPoints,
    run: RunWrite,
}

/// Handle of the thread; dropping it ends the thread after what is queued.
pub(super) struct Writer {
    queue: Option<Sender<Write>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread on `conn`.
    pub(super) fn start(conn: Connection) -> Result<Self> {
        let (queue, writes) = mpsc::channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("graph-writer".into())
            .spawn(move || WriterThread { conn, safety: None }.run(writes))
            .map_err(|e| Error::Backend(format!("cannot start the writer thread: {e}")))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Queues a write and waits for its commit. When the caller goes away the write is carried out all the same.
    pub(super) async fn write<T, F>(&self, safety: Safety, points: CommitPoints, write: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let (caller, answer) = oneshot::channel::<Result<T>>();
        let run = Box::new(move |conn: Result<&Connection>| {
            let panicked = |_| Err(Error::Backend("a write panicked; it was undone".into()));
            let (done, lost) = match conn {
                Ok(conn) => {
                    let done = catch_unwind(AssertUnwindSafe(|| write(conn))).unwrap_or_else(panicked);
                    (done, conn.is_autocommit())
                }
                Err(e) => (Err(e), true),
            };
            let fatal = lost || matches!(done, Err(Error::Full(_)));
            let ok = done.is_ok();
            let tell: Tell = Box::new(move |commit| {
                let answer = match (done, commit) {
                    (Ok(_), Some(e)) => Err(e.same()),
                    (done, _) => done,
                };
                // A caller that no longer waits has its write all the same.
                let _ = caller.send(answer);
            });
            Outcome { ok, fatal, tell }
        });
        let gone = || Error::Backend("the writer thread of the graph has ended; restart the server".into());
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(Write { safety, points, run }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct WriterThread {
    conn: Connection,
    /// What `PRAGMA synchronous` is set to.
    safety: Option<Safety>,
}

impl WriterThread {
    fn run(mut self, mut writes: Receiver<Write>) {
        let mut waiting = None;
        while let Some(first) = waiting.take().or_else(|| writes.blocking_recv()) {
            waiting = self.run_group(first, &mut writes);
        }
        // A last checkpoint leaves one file behind; what it cannot do now the next start does.
        let _ = self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    }

    /// Runs `first` and what may share its transaction; returns the write that was taken from the queue and may not.
    fn run_group(&mut self, first: Write, writes: &mut Receiver<Write>) -> Option<Write> {
        let (mut told, mut points, mut left) = (Vec::new(), Vec::new(), None);
        let outcome = self.try_group(first, writes, &mut told, &mut points, &mut left);
        if let Err(e) = &outcome {
            if !self.conn.is_autocommit()
                && let Err(e) = self.conn.execute_batch("ROLLBACK")
            {
                tracing::error!(error = %e, "the graph's writer cannot roll back");
            }
            tracing::debug!(error = %e, writes = told.len(), "a transaction of the graph was given up");
        }
        told.into_iter().for_each(|tell| tell(outcome.as_ref().err()));
        left
    }

    fn try_group(
        &mut self,
        first: Write,
        writes: &mut Receiver<Write>,
        told: &mut Vec<Tell>,
        points: &mut Vec<(&'static str, &'static str)>,
        left: &mut Option<Write>,
    ) -> Result<()> {
        let began = Instant::now();
        let safety = first.safety;
        if let Err(e) = self.begin(safety) {
            told.push((first.run)(Err(e.same())).tell);
            return Err(e);
        }
        let mut next = Some(first);
        while let Some(write) = next.take() {
            points.extend(write.points.filter(|p| !points.contains(p)));
            // A savepoint makes SQLite copy each page before it changes; the first write needs none, since nothing before it is to be kept.
            if told.is_empty() {
                self.run_first(write, told)?
            } else {
                self.run_in_savepoint(write, told)?
            }
            if safety == Safety::Process || told.len() >= GROUP_MAX || began.elapsed() > GROUP_TIME {
                break;
            }
            match writes.try_recv() {
                Ok(write) if write.safety == safety => next = Some(write),
                Ok(write) => *left = Some(write),
                Err(_) => {}
            }
        }
        self.commit(points)
    }

    fn begin(&mut self, safety: Safety) -> Result<()> {
        if self.safety != Some(safety) {
            let level = if safety == Safety::Disk { "FULL" } else { "NORMAL" };
            self.conn.pragma_update(None, "synchronous", level)?;
            self.safety = Some(safety);
        }
        Ok(self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([]).map(|_| ())?)
    }

    fn run_first(&mut self, write: Write, told: &mut Vec<Tell>) -> Result<()> {
        let outcome = (write.run)(Ok(&self.conn));
        told.push(outcome.tell);
        if outcome.ok { Ok(()) } else { Err(given_up()) }
    }

    fn run_in_savepoint(&mut self, write: Write, told: &mut Vec<Tell>) -> Result<()> {
        self.conn.prepare_cached("SAVEPOINT one")?.execute([])?;
        let outcome = (write.run)(Ok(&self.conn));
        let (ok, fatal) = (outcome.ok, outcome.fatal);
        told.push(outcome.tell);
        if fatal {
            return Err(given_up());
        }
        if !ok {
            self.conn.prepare_cached("ROLLBACK TO one")?.execute([])?;
        }
        Ok(self.conn.prepare_cached("RELEASE one")?.execute([]).map(|_| ())?)
    }

    fn commit(&mut self, points: &[(&'static str, &'static str)]) -> Result<()> {
        for (before, _) in points {
            graphmill_core::fault_point!(before);
        }
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        for (_, after) in points {
            graphmill_core::fault_point!(after);
        }
        Ok(())
    }
}

/// What the writes hear that shared a transaction with one that could not go on; the write itself tells its own error.
fn given_up() -> Error {
    Error::Backend("the transaction that this write shared was given up; try again".into())
}

#[cfg(test)]
mod tests;
