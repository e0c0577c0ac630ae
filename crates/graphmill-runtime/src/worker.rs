//! The claim loop, and the handle by which the process starts and stops it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use graphmill_core::{JobStatus, JobType};
use graphmill_store::JobStore;
use graphmill_store::requests::ClaimRequest;
use parking_lot::Mutex;
use tokio::sync::{Notify, broadcast};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::context::Services;
use crate::supervise::supervise;
use crate::watch::{self, RunningJobs, WatchGuard};
use crate::{JobContext, Occupancy, Registry};

/// Settings of a runtime.
#[derive(Clone)]
pub struct RuntimeConfig {
    /// Name of this process in claims, for people.
    pub worker: String,
    /// Jobs of each type that run at once; a type that is not listed runs one.
    pub concurrency: BTreeMap<JobType, u32>,
    /// How long a claim holds without renewal.
    pub lease: Duration,
    /// How often it is renewed.
    pub renew_every: Duration,
    /// A stage that finishes nothing for this long is abandoned.
    pub stall_limit: Duration,
    /// Longest time between two looks at the queue when nothing is heard of it.
    pub poll: Duration,
    /// Asked before each claim: false while the disk is full.
    pub may_claim: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Told which collections have a handler at work.
    pub occupancy: Occupancy,
}

impl RuntimeConfig {
    /// The defaults of DESIGN.md: lease 15 s, renewed every 5 s, stall limit 10 minutes.
    pub fn new(worker: impl Into<String>) -> Self {
        Self {
            worker: worker.into(),
            concurrency: BTreeMap::new(),
            lease: Duration::from_secs(15),
            renew_every: Duration::from_secs(5),
            stall_limit: Duration::from_secs(600),
            poll: Duration::from_secs(2),
            may_claim: Arc::new(|| true),
            occupancy: Occupancy::default(),
        }
    }
}

/// A running runtime.
pub struct Runtime {
    stop: CancellationToken,
    main: tokio::task::JoinHandle<()>,
    _watch: WatchGuard,
}

impl Runtime {
    /// Requeues what a dead process left, then begins to claim. Fails when the store does not answer or no thread can be started.
    pub async fn start(
        store: Arc<dyn JobStore>,
        registry: Registry,
        services: Services,
        config: RuntimeConfig,
    ) -> Result<Self, graphmill_store::Error> {
        // Before the first look at the queue, so that nothing said in between is missed.
        let changes = store.changes();
        let lost = store.requeue_lost().await?;
        if lost.requeued + lost.failed > 0 {
            tracing::info!(
                requeued = lost.requeued,
                failed = lost.failed,
                "jobs of a process that ended were taken up"
            );
        }
        let running = Arc::new(RunningJobs::default());
        let guard = watch::start(store.clone(), running.clone(), config.lease, config.renew_every)
            .map_err(|e| graphmill_store::Error::Backend(format!("the lease thread cannot be started: {e}")))?;
        let stop = CancellationToken::new();
        let worker =
            Worker { store, registry, services, config, running, wake: Arc::new(Notify::new()), used: Arc::default() };
        let main = tokio::spawn(worker.run(changes, stop.clone()));
        Ok(Self { stop, main, _watch: guard })
    }

    /// Stops claiming, gives the running jobs back (their finished units are kept) and waits until the store knows.
    pub async fn shutdown(self) {
        self.stop.cancel();
        if let Err(error) = self.main.await {
            tracing::error!(%error, "the claim loop ended by a panic");
        }
    }
}

struct Worker {
    store: Arc<dyn JobStore>,
    registry: Registry,
    services: Services,
    config: RuntimeConfig,
    running: Arc<RunningJobs>,
    wake: Arc<Notify>,
    used: Arc<Mutex<BTreeMap<JobType, u32>>>,
}

impl Worker {
    async fn run(self, mut changes: broadcast::Receiver<graphmill_store::records::JobChange>, stop: CancellationToken) {
        let mut jobs = JoinSet::new();
        let mut since_lost = tokio::time::Instant::now();
        let mut may_have_work = true;
        let mut next_look = tokio::time::Instant::now();
        loop {
            if may_have_work && !stop.is_cancelled() {
                let pause = self.claim(&mut jobs).await.min(self.config.poll);
                next_look = tokio::time::Instant::now() + pause;
                may_have_work = false;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                change = changes.recv() => match change {
                    Ok(change) => {
                        self.running.fence(change.job, (!change.deleted).then_some(change.epoch));
                        may_have_work |= change.status == JobStatus::Pending || change.status.is_ended();
                    }
                    // What was missed is covered: lost claims by the lease watch, new jobs by a look at the queue now.
                    Err(broadcast::error::RecvError::Lagged(_)) => may_have_work = true,
                    Err(broadcast::error::RecvError::Closed) => break,
                },
                () = self.wake.notified() => may_have_work = true,
                () = tokio::time::sleep_until(next_look) => may_have_work = true,
            }
            while jobs.try_join_next().is_some() {}
            if since_lost.elapsed() > self.config.lease {
                since_lost = tokio::time::Instant::now();
                if let Err(error) = self.store.requeue_lost().await {
                    tracing::warn!(%error, "expired leases could not be looked for");
                }
            }
        }
        self.running.stop_all();
        while jobs.join_next().await.is_some() {}
    }

    /// Claims into the free places; answers how long nothing more can be expected.
    async fn claim(&self, jobs: &mut JoinSet<()>) -> Duration {
        let free = self.free();
        if free.is_empty() || !(self.config.may_claim)() {
            return self.config.poll;
        }
        let request = ClaimRequest { worker: self.config.worker.clone(), lease: self.config.lease, free };
        match self.store.claim(request).await {
            Ok(claimed) if claimed.is_empty() => {
                let due = self.store.next_due().await.ok().flatten().unwrap_or(self.config.poll);
                // A job that is due and was not claimed waits for something else (a place, an exclusive key): its end wakes us.
                if due.is_zero() { self.config.poll } else { due }
            }
            Ok(claimed) => {
                for job in claimed {
                    self.start(job, jobs);
                }
                Duration::from_millis(1)
            }
            Err(error) => {
                tracing::warn!(%error, "no job could be claimed");
                self.config.poll
            }
        }
    }

    fn start(&self, claimed: graphmill_store::records::ClaimedJob, jobs: &mut JoinSet<()>) {
        let job_type = claimed.job.job_type;
        let Some(handler) = self.registry.get(job_type) else { return };
        let context =
            Arc::new(JobContext::new(self.store.clone(), claimed, self.services.clone(), self.config.stall_limit));
        let stop = self.running.insert(context.clone());
        *self.used.lock().entry(job_type).or_default() += 1;
        let place = Place { used: self.used.clone(), job_type, wake: self.wake.clone() };
        let running = self.running.clone();
        let (occupancy, lease) = (self.config.occupancy.clone(), self.config.lease);
        tracing::info!(job.id = %context.fence().job, job.kind = %job_type, attempt = context.job().attempt, "job started");
        jobs.spawn(async move {
            supervise(context.clone(), handler, stop, (occupancy, lease)).await;
            running.remove(&context);
            drop(place);
        });
    }

    fn free(&self) -> Vec<(JobType, u32)> {
        let used = self.used.lock();
        let places = |t: &JobType| self.config.concurrency.get(t).copied().unwrap_or(1);
        let free = self.registry.types().map(|t| (t, places(&t).saturating_sub(used.get(&t).copied().unwrap_or(0))));
        free.filter(|(_, n)| *n > 0).collect()
    }
}

/// A taken place; given back when dropped, so that a panic cannot lose it.
struct Place {
    used: Arc<Mutex<BTreeMap<JobType, u32>>>,
    job_type: JobType,
    wake: Arc<Notify>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(n) = self.used.lock().get_mut(&self.job_type) {
            *n = n.saturating_sub(1);
        }
        self.wake.notify_one();
    }
}
