//! The pool of children.

use super::ParserLimits;
use super::protocol::Request;
use super::spawner::{Idle, IdleList, Spawner, Worker};
use super::stream::{PageStream, drive};
use crate::{Error, Format};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Semaphore, mpsc};

/// Events that wait for a slow reader. Each may be a page of megabytes, so few.
const WAITING_EVENTS: usize = 4;

/// The program that is started as a child: one that calls [`super::main`] when it sees these arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParserCommand {
    /// The program; an absolute path.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<OsString>,
}

impl ParserCommand {
    /// This very program with other arguments. On Linux it is named so that a replaced file does not matter.
    ///
    /// # Errors
    /// [`Error::ParserStart`] if the system does not know where this program lies.
    pub fn this_program(args: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Self, Error> {
        let own = Path::new("/proc/self/exe");
        let program = if own.exists() {
            own.to_owned()
        } else {
            std::env::current_exe()
                .map_err(|error| Error::ParserStart { program: "this program".to_owned(), detail: error.to_string() })?
        };
        Ok(Self { program, args: args.into_iter().map(Into::into).collect() })
    }
}

/// Parses documents in child processes, a bounded number at once. Cheap to clone.
#[derive(Clone)]
pub struct ParserPool(Arc<Pool>);

pub(super) struct Pool {
    pub limits: ParserLimits,
    places: Arc<Semaphore>,
    idle: IdleList,
    spawner: Spawner,
    #[cfg(feature = "fault-points")]
    faults: parking_lot::Mutex<std::collections::VecDeque<super::Fault>>,
}

impl ParserPool {
    /// A pool without children; they are started when documents come.
    ///
    /// # Errors
    /// [`Error::ParserStart`] if the thread of the pool cannot be started.
    pub fn new(command: ParserCommand, limits: ParserLimits) -> Result<Self, Error> {
        let idle = IdleList::default();
        let program = command.program.display().to_string();
        let spawner = Spawner::start(command, &idle, limits.idle)
            .map_err(|error| Error::ParserStart { program, detail: error.to_string() })?;
        Ok(Self(Arc::new(Pool {
            places: Arc::new(Semaphore::new(limits.children.max(1))),
            limits,
            idle,
            spawner,
            #[cfg(feature = "fault-points")]
            faults: parking_lot::Mutex::default(),
        })))
    }

    /// Parses a document, as soon as a child is free. Errors come through the stream.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn parse(&self, path: &Path, format: Format) -> PageStream {
        let (events, receiver) = mpsc::channel(WAITING_EVENTS);
        let pool = Arc::clone(&self.0);
        let path = path.to_owned();
        #[cfg(feature = "fault-points")]
        let fault = self.0.faults.lock().pop_front();
        tokio::spawn(async move {
            let _place = tokio::select! {
                place = Arc::clone(&pool.places).acquire_owned() => place,
                () = events.closed() => return,
            };
            // The child has another working folder.
            let path = match std::path::absolute(&path) {
                Ok(path) => path,
                Err(error) => {
                    let _ = events.send(Err(Error::read(&path, &error))).await;
                    return;
                }
            };
            let request = Request {
                path,
                format,
                memory_bytes: pool.limits.memory_bytes,
                cpu_seconds: pool.limits.cpu.as_secs(),
                #[cfg(feature = "fault-points")]
                fault,
            };
            drive(&pool, &request, events).await;
        });
        PageStream::new(receiver)
    }

    /// Makes the next document's child go wrong; several wait in turn.
    #[cfg(feature = "fault-points")]
    pub fn inject(&self, fault: super::Fault) {
        self.0.faults.lock().push_back(fault);
    }

    /// Children that wait for a document.
    #[must_use]
    pub fn idle_children(&self) -> usize {
        self.0.idle.lock().len()
    }
}

impl std::fmt::Debug for ParserPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParserPool").field("limits", &self.0.limits).field("idle", &self.idle_children()).finish()
    }
}

impl Pool {
    pub(super) async fn worker(&self) -> Result<Worker, Error> {
        let idle = self.idle.lock().pop();
        match idle {
            Some(idle) => Ok(idle.worker),
            None => self.spawner.spawn().await,
        }
    }

    /// Keeps a child for the next document unless it is old or large.
    pub(super) fn give_back(&self, mut worker: Worker, resident_bytes: u64) {
        let complaint = worker.complaint();
        if !complaint.is_empty() {
            tracing::debug!(complaint, "a parser child said something");
        }
        if worker.documents < self.limits.documents_per_child && resident_bytes <= self.limits.retire_bytes {
            self.idle.lock().push(Idle { worker, since: Instant::now() });
        }
    }
}
