//! Lease renewal and stall watch, on a thread and async runtime of their own: a server that is busy with other things does not lose its jobs.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use graphmill_core::JobId;
use graphmill_store::JobStore;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::JobContext;

/// Why a running job must stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Its epoch in the store is higher, or its row is gone.
    Fenced,
    /// It finished nothing for this long; what it worked on.
    Stalled {
        /// Unit that was under way.
        unit: String,
        /// The limit.
        limit: Duration,
    },
    /// The process is shutting down.
    Shutdown,
}

/// The jobs that run in this process.
#[derive(Default)]
pub(crate) struct RunningJobs(Mutex<HashMap<JobId, Running>>);

struct Running {
    context: Arc<JobContext>,
    stop: watch::Sender<Option<Stop>>,
}

impl RunningJobs {
    pub(crate) fn insert(&self, context: Arc<JobContext>) -> watch::Receiver<Option<Stop>> {
        let (stop, stopped) = watch::channel(None);
        self.0.lock().insert(context.fence().job, Running { context, stop });
        stopped
    }

    /// Removes the claim; a later claim of the same job stays.
    pub(crate) fn remove(&self, context: &JobContext) {
        let mut jobs = self.0.lock();
        if jobs.get(&context.fence().job).is_some_and(|r| r.context.fence() == context.fence()) {
            jobs.remove(&context.fence().job);
        }
    }

    /// The store says that only `epoch` and above may write to `job` (`None`: its row is gone).
    pub(crate) fn fence(&self, job: JobId, epoch: Option<graphmill_core::Epoch>) {
        if let Some(running) = self.0.lock().get(&job)
            && epoch.is_none_or(|e| e > running.context.fence().epoch)
        {
            running.stop(Stop::Fenced);
        }
    }

    pub(crate) fn stop_all(&self) {
        for running in self.0.lock().values() {
            running.stop(Stop::Shutdown);
        }
    }

    fn contexts(&self) -> Vec<Arc<JobContext>> {
        self.0.lock().values().map(|r| r.context.clone()).collect()
    }

    fn stop(&self, context: &JobContext, why: Stop) {
        if let Some(running) = self.0.lock().get(&context.fence().job)
            && running.context.fence() == context.fence()
        {
            running.stop(why);
        }
    }
}

impl Running {
    fn stop(&self, why: Stop) {
        self.stop.send_if_modified(|stop| {
            let first = stop.is_none();
            if first {
                *stop = Some(why);
            }
            first
        });
    }
}

/// Ends the watch thread when dropped.
pub(crate) struct WatchGuard(
    #[allow(dead_code, reason = "dropping it closes the channel")] std::sync::mpsc::Sender<()>,
);

/// Starts the thread.
pub(crate) fn start(
    store: Arc<dyn JobStore>,
    running: Arc<RunningJobs>,
    lease: Duration,
    every: Duration,
) -> std::io::Result<WatchGuard> {
    let (guard, ended) = std::sync::mpsc::channel::<()>();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    std::thread::Builder::new().name("lease-watch".into()).spawn(move || {
        let tick = (every / 5).max(Duration::from_millis(10));
        let mut since_renewal = Duration::ZERO;
        // `recv_timeout` is the sleep; it ends early when the guard is dropped.
        while ended.recv_timeout(tick) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
            since_renewal += tick;
            let renew = since_renewal >= every;
            if renew {
                since_renewal = Duration::ZERO;
            }
            for context in running.contexts() {
                if let Some((unit, limit)) = context.stalled() {
                    running.stop(&context, Stop::Stalled { unit, limit });
                } else if renew {
                    runtime.block_on(renew_one(&*store, &running, &context, lease, every));
                }
            }
        }
    })?;
    Ok(WatchGuard(guard))
}

async fn renew_one(
    store: &dyn JobStore,
    running: &RunningJobs,
    context: &JobContext,
    lease: Duration,
    every: Duration,
) {
    // A store that hangs must not keep the other jobs from being watched: the next round asks again.
    match tokio::time::timeout(every, store.renew(context.fence(), lease)).await {
        Ok(Err(graphmill_store::Error::Fenced(_) | graphmill_store::Error::NotFound(_))) => {
            running.stop(context, Stop::Fenced);
        }
        Ok(Err(error)) => tracing::warn!(job.id = %context.fence().job, %error, "the lease could not be renewed"),
        Err(_) => tracing::warn!(job.id = %context.fence().job, "the store did not answer a lease renewal in time"),
        Ok(Ok(())) => {}
    }
}
