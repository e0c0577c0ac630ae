//! The runtime over the real SQLite store, with handlers that do what a test wants.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use graphmill_core::{CollectionId, ErrorCode, JobId, JobStatus, JobType, SystemClock};
use graphmill_runtime::stage::encode;
use graphmill_runtime::{
    Completed, CpuPool, Interruption, JobContext, JobHandler, Registry, Runtime, RuntimeConfig, Services, Stage,
    StageRun, UnitDone,
};
use graphmill_store::records::{CancelOutcome, Enqueued, JobDetail};
use graphmill_store::requests::{NewJob, StagePlan};
use graphmill_store::{Blobs, JobStore, SqliteJobStore, SqliteOptions};
use parking_lot::Mutex;
use serde_json::Map;

/// What the handler's stage does with a unit.
#[derive(Clone, Default)]
struct Script {
    /// Runs of each unit, by number.
    runs: Arc<Mutex<BTreeMap<u32, u32>>>,
    /// Units under way now, and the most at once.
    at_once: Arc<(AtomicU32, AtomicU32)>,
    /// What comes before a unit's end, by (unit, run of this unit).
    trouble: Arc<Mutex<BTreeMap<(u32, u32), Trouble>>>,
}

#[derive(Clone)]
enum Trouble {
    Interrupt(Interruption),
    Hang,
    Block(Duration),
    Panic,
}

struct Numbers {
    script: Script,
    units: u32,
}

#[async_trait]
impl Stage for Numbers {
    const NAME: &'static str = "numbers";
    type Unit = u32;
    type Output = u64;

    async fn plan(&self, _context: &JobContext) -> Result<Vec<u32>, Interruption> {
        Ok((0..self.units).collect())
    }

    async fn run(&self, _context: &JobContext, unit: &u32) -> Result<UnitDone, Interruption> {
        let (now, most) = &*self.script.at_once;
        most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        let _leave = Leave(now);
        let run = {
            let mut runs = self.script.runs.lock();
            *runs.entry(*unit).and_modify(|n| *n += 1).or_insert(1)
        };
        tokio::time::sleep(Duration::from_millis(2)).await;
        let trouble = self.script.trouble.lock().get(&(*unit, run)).cloned();
        match trouble {
            Some(Trouble::Interrupt(interruption)) => return Err(interruption),
            Some(Trouble::Hang) => std::future::pending().await,
            Some(Trouble::Block(time)) => std::thread::sleep(time),
            Some(Trouble::Panic) => panic!("a defect in unit {unit}"),
            None => {}
        }
        Ok(UnitDone { output: encode(&u64::from(*unit))? })
    }

    async fn finish(&self, context: &JobContext, _units: &[u32]) -> Result<u64, Interruption> {
        let mut sum = 0;
        let mut order = Vec::new();
        context
            .each_unit_output(Self::NAME, |n, bytes: Bytes| {
                order.push(n);
                sum += graphmill_runtime::stage::decode::<u64>(&bytes)?;
                Ok(())
            })
            .await?;
        assert!(order.windows(2).all(|w| w[0] < w[1]), "outputs come in unit order");
        Ok(sum)
    }

    fn concurrency(&self, _context: &JobContext) -> usize {
        4
    }

    fn message(&self, done: u64, total: u64) -> String {
        format!("Adding ({done}/{total})")
    }
}

struct Leave<'a>(&'a AtomicU32);

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

struct Adding {
    script: Script,
    units: u32,
    after: Arc<AtomicU32>,
}

#[async_trait]
impl JobHandler for Adding {
    fn job_type(&self) -> JobType {
        JobType::Ingestion
    }

    async fn run(&self, context: &JobContext) -> Result<Completed, Interruption> {
        let stage = Numbers { script: self.script.clone(), units: self.units };
        let sum = StageRun::new(context).stage(&stage).await?;
        Ok(Completed { message: format!("The sum is {sum}"), metadata: Map::new() })
    }

    async fn after(&self, _context: &JobContext) {
        self.after.fetch_add(1, Ordering::SeqCst);
    }
}

/// A store, a runtime over it, and what a test steers.
struct Bench {
    dir: tempfile::TempDir,
    store: Arc<dyn JobStore>,
    script: Script,
    after: Arc<AtomicU32>,
    runtime: Option<Runtime>,
}

impl Bench {
    async fn new(units: u32, troubles: impl IntoIterator<Item = ((u32, u32), Trouble)>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = SqliteOptions::new(dir.path().join("jobs.db"), Arc::new(SystemClock));
        let store: Arc<dyn JobStore> = Arc::new(SqliteJobStore::open(options).unwrap());
        let script = Script::default();
        script.trouble.lock().extend(troubles);
        let mut bench = Self { dir, store, script, after: Arc::default(), runtime: None };
        bench.start(units).await;
        bench
    }

    async fn start(&mut self, units: u32) {
        let handler = Adding { script: self.script.clone(), units, after: self.after.clone() };
        let registry = Registry::default().with(Arc::new(handler));
        let blobs = Blobs::open(self.dir.path().join("blobs")).unwrap();
        let services = Services { cpu: CpuPool::new(1), blobs };
        let mut config = RuntimeConfig::new("test");
        config.lease = Duration::from_secs(2);
        config.renew_every = Duration::from_millis(100);
        // Far above what a loaded machine needs to print a backtrace.
        config.stall_limit = Duration::from_millis(1_500);
        config.poll = Duration::from_millis(200);
        self.runtime = Some(Runtime::start(self.store.clone(), registry, services, config).await.unwrap());
    }

    async fn stop(&mut self) {
        self.runtime.take().unwrap().shutdown().await;
    }

    async fn enqueue(&self) -> JobId {
        let job = NewJob {
            job_type: JobType::Ingestion,
            collection: CollectionId::default(),
            params: Map::new(),
            metadata: Map::new(),
            message: "Waiting for a worker".into(),
            stages: vec![StagePlan { name: "numbers".into(), weight: 1 }],
            priority: 0,
            delay: Duration::ZERO,
            max_attempts: 3,
            document: None,
            exclusive_key: None,
            dedupe_key: None,
            blobs: Vec::new(),
        };
        match self.store.enqueue(job).await.unwrap() {
            Enqueued::New { job, .. } => job.id,
            other => panic!("{other:?}"),
        }
    }

    async fn until(&self, job: JobId, wanted: impl Fn(&JobDetail) -> bool) -> JobDetail {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let detail = self.store.job(job).await.unwrap();
            if wanted(&detail) {
                return detail;
            }
            assert!(Instant::now() < deadline, "not as wanted: {detail:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn ended(&self, job: JobId) -> JobDetail {
        self.until(job, |d| d.job.status.is_ended()).await
    }

    fn runs(&self) -> Vec<u32> {
        self.script.runs.lock().values().copied().collect()
    }
}

fn retry() -> Trouble {
    let mut interruption = Interruption::retry(ErrorCode::GraphUnavailable, "the graph hiccuped");
    if let Interruption::Retry { after, .. } = &mut interruption {
        *after = Some(Duration::from_millis(10));
    }
    Trouble::Interrupt(interruption)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_its_units_once_and_at_once() {
    let bench = Bench::new(40, []).await;
    let job = bench.enqueue().await;
    let detail = bench.ended(job).await;
    assert_eq!((detail.job.status, detail.job.message.as_str()), (JobStatus::Completed, "The sum is 780"));
    assert_eq!(bench.runs(), vec![1; 40]);
    assert_eq!(bench.script.at_once.1.load(Ordering::SeqCst), 4, "the stage's concurrency is used and kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_runs_only_the_units_that_are_missing() {
    let bench = Bench::new(20, [((7, 1), retry()), ((13, 1), retry())]).await;
    let job = bench.enqueue().await;
    let detail = bench.ended(job).await;
    assert_eq!(detail.job.status, JobStatus::Completed, "{detail:#?}");
    let runs = bench.runs();
    assert_eq!((runs[7], runs[13]), (2, 2));
    assert_eq!(runs.iter().sum::<u32>(), 22, "{runs:?}");
    assert_eq!(detail.errors.len(), 2, "{detail:#?}");
    assert_eq!(detail.attempts.len(), 3, "{detail:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_run_out_and_a_person_goes_on_from_there() {
    let bench = Bench::new(10, (1..=3).map(|run| ((5, run), retry()))).await;
    let job = bench.enqueue().await;
    let detail = bench.ended(job).await;
    assert_eq!(detail.job.status, JobStatus::Failed, "{detail:#?}");
    assert_eq!(detail.errors.len(), 3, "{detail:#?}");
    bench.store.retry(job, None).await.unwrap();
    let detail = bench.ended(job).await;
    assert_eq!(detail.job.status, JobStatus::Completed, "{detail:#?}");
    assert_eq!(bench.runs().iter().sum::<u32>(), 13, "units that were recorded are not run again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snooze_uses_no_attempt() {
    let snooze = || {
        let reason = "the model server says 429".to_owned();
        Trouble::Interrupt(Interruption::Snooze {
            after: Duration::from_millis(20),
            code: ErrorCode::ModelRateLimited,
            reason,
        })
    };
    let bench = Bench::new(5, (1..=8).map(|run| ((2, run), snooze()))).await;
    let job = bench.enqueue().await;
    let detail = bench.ended(job).await;
    assert_eq!(detail.job.status, JobStatus::Completed, "{detail:#?}");
    assert_eq!(detail.attempts.iter().filter(|a| a.outcome == "snoozed").count(), 8, "{detail:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hanging_unit_is_abandoned_and_tried_again() {
    let bench = Bench::new(6, [((3, 1), Trouble::Hang)]).await;
    let job = bench.enqueue().await;
    let detail = bench.ended(job).await;
    assert_eq!(detail.job.status, JobStatus::Completed, "{detail:#?}");
    assert_eq!(detail.errors[0].code, ErrorCode::StageStalled);
    assert!(detail.errors[0].message.contains("numbers"), "{:?}", detail.errors[0]);
    assert_eq!(bench.runs(), [1, 1, 1, 2, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_that_blocks_its_thread_holds_no_lease() {
    // Blocks for far longer than lease and stall limit; the watch is on a thread of its own and gives the job back all the same.
    let bench = Bench::new(1, [((0, 1), Trouble::Block(Duration::from_secs(6)))]).await;
    let job = bench.enqueue().await;
    let started = Instant::now();
    bench.until(job, |d| d.errors.iter().any(|e| e.code == ErrorCode::StageStalled)).await;
    assert!(started.elapsed() < Duration::from_millis(5_500), "{:?}", started.elapsed());
    assert_eq!(bench.ended(job).await.job.status, JobStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_costs_an_attempt() {
    let bench = Bench::new(3, [((1, 1), Trouble::Panic)]).await;
    let job = bench.enqueue().await;
    let detail = bench.until(job, |d| !d.errors.is_empty()).await;
    assert_eq!(detail.errors[0].code, ErrorCode::Internal, "{detail:#?}");
    assert_eq!(bench.ended(job).await.job.status, JobStatus::Completed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_stops_the_work_at_once() {
    let bench = Bench::new(10_000, []).await;
    let job = bench.enqueue().await;
    bench.until(job, |d| d.job.progress > 0.0).await;
    let outcome = bench.store.cancel(job, "Cancelled by a person").await.unwrap();
    assert!(matches!(outcome, CancelOutcome::Cancelled(_)), "{outcome:?}");
    let deadline = Instant::now() + Duration::from_secs(1);
    while bench.after.load(Ordering::SeqCst) == 0 {
        assert!(Instant::now() < deadline, "the handler still runs");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let runs = bench.runs().len();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(bench.runs().len(), runs, "a unit was begun after the cancel");
    assert_eq!(bench.store.job(job).await.unwrap().job.status, JobStatus::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_gives_jobs_back_and_the_next_start_goes_on() {
    let mut bench = Bench::new(400, []).await;
    let job = bench.enqueue().await;
    bench.until(job, |d| d.job.progress > 0.1).await;
    bench.stop().await;
    let detail = bench.store.job(job).await.unwrap();
    assert_eq!(detail.job.status, JobStatus::Pending, "{detail:#?}");
    assert_eq!(detail.attempts[0].outcome, "released");
    bench.start(400).await;
    let detail = bench.ended(job).await;
    assert_eq!(detail.job.status, JobStatus::Completed, "{detail:#?}");
    let again = bench.runs().iter().filter(|n| **n > 1).count();
    assert!(again <= 8, "{again} units were run again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_jobs_all_end() {
    let bench = Bench::new(3, []).await;
    let mut jobs = Vec::new();
    for _ in 0..100 {
        jobs.push(bench.enqueue().await);
    }
    for job in jobs {
        assert_eq!(bench.ended(job).await.job.status, JobStatus::Completed);
    }
}
