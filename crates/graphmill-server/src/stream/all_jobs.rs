//! Following all jobs: one task hears of every change, and tells its readers how far the order of events has come and what the running jobs say.
//! Readers read the events themselves; of the progress there is one newest state for all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::Utf8Bytes;
use graphmill_core::{Clock, CollectionId, EventKind, JobEvent, JobId, JobStatus, JobType};
use graphmill_store::{Error, JobStore};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::message::of_any_job;

/// Between two looks at what running jobs say.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// Running jobs whose progress is told; the others are told of by their events alone.
const MOST_JOBS: usize = 256;

/// What running jobs say.
#[derive(Debug, Clone, Default)]
pub(super) struct ProgressNow {
    /// Every event up to here was committed before the jobs were read: who has sent more does not go back.
    pub(super) head: u64,
    /// By job.
    pub(super) jobs: BTreeMap<JobId, Told>,
}

/// What a running job says.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) version: u64,
    pub(super) collection: CollectionId,
    pub(super) job_type: JobType,
    pub(super) text: Utf8Bytes,
}

/// For those who follow all jobs. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct AllJobs {
    head: watch::Sender<u64>,
    progress: watch::Sender<Arc<ProgressNow>>,
}

impl AllJobs {
    /// Begins to listen. Changes within `pause` are looked up together.
    pub(crate) fn start(
        store: Arc<dyn JobStore>,
        clock: Arc<dyn Clock>,
        stopping: CancellationToken,
        pause: Duration,
    ) -> Self {
        let this = Self { head: watch::Sender::new(0), progress: watch::Sender::default() };
        let mut changes = store.changes();
        let mut keeper = Keeper { store, clock, out: this.clone(), dirty: BTreeSet::new(), told: Instant::now() };
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(pause.max(Duration::from_millis(1)));
            tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut woken = false;
            loop {
                tokio::select! {
                    () = stopping.cancelled() => return,
                    change = changes.recv() => match change {
                        Ok(change) => {
                            woken = true;
                            keeper.note(change.job, change.status == JobStatus::Running && !change.deleted);
                        }
                        Err(RecvError::Lagged(_)) => woken = true,
                        Err(RecvError::Closed) => return,
                    },
                    _ = tick.tick(), if woken || !keeper.dirty.is_empty() => woken = keeper.look(woken).await,
                }
            }
        });
        this
    }

    /// Hears of new events.
    pub(super) fn heads(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// Hears of the newest progress.
    pub(super) fn progress(&self) -> watch::Receiver<Arc<ProgressNow>> {
        self.progress.subscribe()
    }
}

struct Keeper {
    store: Arc<dyn JobStore>,
    clock: Arc<dyn Clock>,
    out: AllJobs,
    /// Running jobs that have changed since they were read.
    dirty: BTreeSet<JobId>,
    told: Instant,
}

impl Keeper {
    fn note(&mut self, job: JobId, runs: bool) {
        if runs && (self.dirty.len() < MOST_JOBS) {
            self.dirty.insert(job);
        } else if !runs {
            self.dirty.remove(&job);
            self.out.progress.send_if_modified(|now| {
                let known = now.jobs.contains_key(&job);
                if known {
                    Arc::make_mut(now).jobs.remove(&job);
                }
                false
            });
        }
    }

    /// Tells what is new; whether the events have to be looked at again.
    async fn look(&mut self, woken: bool) -> bool {
        if self.out.head.receiver_count() == 0 {
            self.dirty.clear();
            return false;
        }
        let mut again = false;
        if woken {
            match self.store.event_head().await {
                Ok(head) => drop(self.out.head.send_replace(head)),
                Err(_) => again = true,
            }
        }
        if !self.dirty.is_empty() && self.told.elapsed() >= PROGRESS_EVERY {
            self.told = Instant::now();
            if let Err(error) = self.tell_progress().await {
                tracing::warn!(%error, "the progress of running jobs could not be read; trying again");
                again = true;
            }
        }
        again
    }

    async fn tell_progress(&mut self) -> Result<(), Error> {
        let head = self.store.event_head().await?;
        let mut now = ProgressNow { head, jobs: self.out.progress.borrow().jobs.clone() };
        for job in std::mem::take(&mut self.dirty) {
            let record = match self.store.job(job).await {
                Ok(detail) => detail.job,
                Err(Error::NotFound(_)) => {
                    now.jobs.remove(&job);
                    continue;
                }
                Err(e) => return Err(e),
            };
            if record.status != JobStatus::Running {
                now.jobs.remove(&job);
                continue;
            }
            let (collection, job_type, version) = (record.collection, record.job_type, record.version);
            let kind =
                EventKind::Progress { progress: record.progress, message: record.message, status: record.status };
            let event = JobEvent { kind, job_id: job, timestamp: self.clock.now(), seq: version };
            let text = of_any_job(&event, &collection, job_type);
            if now.jobs.len() < MOST_JOBS {
                now.jobs.insert(job, Told { version, collection, job_type, text });
            }
        }
        self.out.progress.send_replace(Arc::new(now));
        Ok(())
    }
}
