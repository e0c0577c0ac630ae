//! What a running job is given.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use graphmill_core::{ErrorCode, Fence};
use graphmill_store::records::{ClaimedJob, LogLevel};
use graphmill_store::requests::{NewJobError, NewLog, Progress};
use graphmill_store::{Blobs, JobStore};
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

use crate::{CpuPool, Interruption};

/// A claimed job and the services that every handler needs. Nothing of what a particular job does.
pub struct JobContext {
    pub(crate) store: Arc<dyn JobStore>,
    pub(crate) claimed: ClaimedJob,
    cpu: CpuPool,
    blobs: Blobs,
    written: Mutex<Vec<String>>,
    activity: Mutex<Activity>,
    logs: Mutex<Vec<NewLog>>,
    progress: Mutex<Latest>,
}

/// What the runtime hands to every job.
#[derive(Clone)]
pub struct Services {
    /// The pool for work that computes.
    pub cpu: CpuPool,
    /// Where large outputs and originals lie.
    pub blobs: Blobs,
}

/// When the job last finished something, for the stall watch.
struct Activity {
    last: Instant,
    unit: String,
    limit: Duration,
}

/// The newest progress and whether the store has it.
struct Latest {
    stage: String,
    progress: Option<Progress>,
    sent: bool,
}

impl JobContext {
    pub(crate) fn new(
        store: Arc<dyn JobStore>,
        claimed: ClaimedJob,
        services: Services,
        stall_limit: Duration,
    ) -> Self {
        Self {
            store,
            claimed,
            cpu: services.cpu,
            blobs: services.blobs.for_claim(),
            written: Mutex::default(),
            activity: Mutex::new(Activity { last: Instant::now(), unit: "start".into(), limit: stall_limit }),
            logs: Mutex::default(),
            progress: Mutex::new(Latest { stage: String::new(), progress: None, sent: true }),
        }
    }

    /// The job as it was claimed.
    pub fn job(&self) -> &ClaimedJob {
        &self.claimed
    }

    /// What every job-store write carries.
    pub fn fence(&self) -> Fence {
        self.claimed.fence
    }

    /// The job store.
    pub fn store(&self) -> &dyn JobStore {
        &*self.store
    }

    /// The pool for work that computes.
    pub fn cpu(&self) -> &CpuPool {
        &self.cpu
    }

    /// Where large outputs and originals lie.
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// The store knows that this claim is over: it can name no blob any more, so what it has written without naming it is garbage.
    pub(crate) fn close_blobs(&self) {
        *self.written.lock() = self.blobs.close_claim();
    }

    /// Keys of blobs that the claim wrote, once it is over and each can be told from garbage by whether anything names it; else empty.
    pub fn written_blobs(&self) -> Vec<String> {
        std::mem::take(&mut self.written.lock())
    }

    /// Runs `work` on the CPU pool; a panic in it becomes a retry.
    pub async fn compute<T: Send + 'static>(
        &self,
        work: impl FnOnce(&AtomicBool) -> T + Send + 'static,
    ) -> Result<T, Interruption> {
        let done = self.cpu.run(work).await;
        done.ok_or_else(|| {
            Interruption::retry(ErrorCode::Internal, "a computation panicked; this is a defect of graphmill")
        })
    }

    /// Adds a log line; written with the next progress, at the latest when the job ends.
    pub fn log(&self, level: LogLevel, message: impl Into<String>, context: Value) {
        let context = if let Value::Object(map) = context { map } else { Map::new() };
        self.logs.lock().push(NewLog { level, message: message.into(), context });
    }

    /// Adds to the job's `errors` and log; the job goes on.
    pub async fn add_errors(&self, errors: Vec<NewJobError>) -> Result<(), Interruption> {
        for error in &errors {
            self.log(LogLevel::Warning, error.message.clone(), json!({"code": error.code, "page": error.page}));
        }
        Ok(self.store.add_errors(self.fence(), errors).await?)
    }

    /// Something was finished: the stall watch begins anew. `next` names what is worked on now.
    pub fn alive(&self, next: impl Into<String>) {
        let mut activity = self.activity.lock();
        activity.last = Instant::now();
        activity.unit = next.into();
    }

    /// The job waits for something that may rightly take up to `limit` (a model server's pause): no stall before that.
    pub fn waiting(&self, what: impl Into<String>, limit: Duration) {
        let mut activity = self.activity.lock();
        let base = activity.limit;
        activity.last = Instant::now() + limit.saturating_sub(base);
        activity.unit = what.into();
    }

    /// `Some(what)` when nothing was finished for longer than allowed.
    pub(crate) fn stalled(&self) -> Option<(String, Duration)> {
        let activity = self.activity.lock();
        (activity.last.elapsed() > activity.limit).then(|| (activity.unit.clone(), activity.limit))
    }

    /// Notes that `part` (0 to 1) of a stage is done; the store gets the newest a few times a second.
    pub fn progress(&self, stage: &str, part: f64, message: String) {
        let progress = self.progress_at(stage, part, message);
        let mut latest = self.progress.lock();
        stage.clone_into(&mut latest.stage);
        latest.progress = Some(progress);
        latest.sent = false;
    }

    /// Progress of the job when `part` of this stage is done: each listed stage counts by its weight.
    pub fn progress_at(&self, stage: &str, part: f64, message: String) -> Progress {
        let stages = &self.claimed.stages;
        let total: u32 = stages.iter().map(|s| s.stage.weight).sum();
        let before: u32 = stages.iter().take_while(|s| s.stage.name != stage).map(|s| s.stage.weight).sum();
        let own = stages.iter().find(|s| s.stage.name == stage).map_or(0, |s| s.stage.weight);
        let part = part.clamp(0.0, 1.0);
        let job = (f64::from(before) + f64::from(own) * part) / f64::from(total.max(1));
        Progress { job, stage: part, message }
    }

    /// Name of the stage that reported last.
    pub(crate) fn running_stage(&self) -> Option<String> {
        Some(self.progress.lock().stage.clone()).filter(|s| !s.is_empty())
    }

    /// The store has been told this progress with another write.
    pub(crate) fn progress_sent(&self) {
        self.progress.lock().sent = true;
    }

    /// Writes pending log lines.
    pub(crate) async fn flush_logs(&self) -> Result<(), Interruption> {
        let logs = std::mem::take(&mut *self.logs.lock());
        if !logs.is_empty() {
            self.store.append_logs(self.fence(), logs).await?;
        }
        Ok(())
    }

    /// Writes pending log lines and the newest progress.
    pub(crate) async fn flush(&self) -> Result<(), Interruption> {
        self.flush_logs().await?;
        let pending = {
            let mut latest = self.progress.lock();
            let take = !latest.sent;
            latest.sent = true;
            take.then(|| (latest.stage.clone(), latest.progress.clone()))
        };
        if let Some((stage, Some(progress))) = pending {
            self.store.report(self.fence(), &stage, progress).await?;
        }
        Ok(())
    }
}
