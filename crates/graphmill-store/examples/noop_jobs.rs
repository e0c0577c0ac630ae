//! Jobs that do nothing, through the SQLite store: how many a second are accepted and worked. `benches/jobs` runs it beside its peer.
//!
//! usage: `noop_jobs [JOBS [CALLERS [PLACES [STAGES]]]]`: JOBS jobs are accepted from CALLERS callers, each of which waits for the answer
//! before its next one, then worked by up to PLACES at once. With STAGES 1 each begins and finishes a stage, as every real job does; with 0
//! it is what other queues call a job. Prints one line of JSON.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use graphmill_core::{CollectionId, JobStatus, JobType, SystemClock};
use graphmill_store::records::ClaimedJob;
use graphmill_store::requests::{ClaimRequest, Ending, NewJob, Progress, StagePlan};
use graphmill_store::{JobStore, SqliteJobStore, SqliteOptions};
use serde_json::{Map, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

const STAGE: &str = "loading";

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let argument = |n: usize, default: u32| std::env::args().nth(n).map_or(Ok(default), |word| word.parse());
    let (jobs, callers, places) = (argument(1, 20_000)?, argument(2, 5_000)?, argument(3, 1_000)?);
    let stages = argument(4, 0)?;
    if jobs == 0 || callers == 0 || places == 0 || stages > 1 {
        return Err("usage: noop_jobs [JOBS [CALLERS [PLACES [STAGES]]]]; numbers from 1 on, STAGES 0 or 1".into());
    }
    let folder = tempfile::tempdir()?;
    let store: Arc<dyn JobStore> =
        Arc::new(SqliteJobStore::open(SqliteOptions::new(folder.path().join("jobs.db"), Arc::new(SystemClock)))?);
    let began = Instant::now();
    accept(&store, jobs, callers, stages).await?;
    let accepted = began.elapsed();
    let began = Instant::now();
    work(&store, jobs, places).await?;
    let worked = began.elapsed();
    let counts = store.counts().await?;
    if !counts.contains(&(JobStatus::Completed, u64::from(jobs))) {
        return Err(format!("{jobs} jobs should be completed, but the store counts {counts:?}").into());
    }
    let rate = |time: Duration| f64::from(jobs) / time.as_secs_f64();
    println!(
        "{}",
        json!({
            "engine": "graphmill", "jobs": jobs, "callers": callers, "places": places, "stages": stages, "insert_per_second": rate(accepted),
            "work_per_second": rate(worked), "end_to_end_per_second": rate(accepted + worked),
            // What the store does by itself: what a caller was told is synced, what only a claim tells is not.
            "journal_mode": "wal", "insert_synchronous": "FULL", "work_synchronous": "NORMAL",
        })
    );
    Ok(())
}

fn noop(stages: u32) -> NewJob {
    NewJob {
        job_type: JobType::Clustering,
        collection: CollectionId::default(),
        params: Map::new(),
        metadata: Map::new(),
        message: "Waiting".into(),
        stages: (0..stages).map(|_| StagePlan { name: STAGE.into(), weight: 1 }).collect(),
        priority: 0,
        delay: Duration::ZERO,
        max_attempts: 1,
        document: None,
        exclusive_key: None,
        dedupe_key: None,
        blobs: Vec::new(),
    }
}

async fn accept(store: &Arc<dyn JobStore>, jobs: u32, callers: u32, stages: u32) -> Outcome<()> {
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let store = store.clone();
        let share = jobs / callers + u32::from(caller < jobs % callers);
        tasks.spawn(async move {
            for _ in 0..share {
                store.enqueue(noop(stages)).await?;
            }
            Ok::<_, graphmill_store::Error>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// Claims into the free places, and ends each claimed job from a task of its own, as a worker does. Returns when all are committed.
async fn work(store: &Arc<dyn JobStore>, jobs: u32, places: u32) -> Outcome<()> {
    let (ended, mut ends) = mpsc::unbounded_channel::<Result<(), graphmill_store::Error>>();
    let (mut free, mut left, mut unclaimed) = (places, jobs, jobs);
    while left > 0 {
        // Half of the places at a time: a claim costs a transaction, however few jobs it takes.
        if unclaimed > 0 && free >= places.div_ceil(2) {
            let request = ClaimRequest {
                worker: "bench".into(),
                lease: Duration::from_secs(15),
                free: vec![(JobType::Clustering, free)],
            };
            let claimed = store.claim(request).await?;
            let taken = u32::try_from(claimed.len())?;
            free -= taken;
            unclaimed -= taken;
            for job in claimed {
                let (store, ended) = (store.clone(), ended.clone());
                tokio::spawn(async move {
                    let _ = ended.send(run(&*store, job).await);
                });
            }
        }
        ends.recv().await.ok_or("no worker is left")??;
        (free, left) = (free + 1, left - 1);
    }
    Ok(())
}

/// What a worker says about a job that does nothing.
async fn run(store: &dyn JobStore, job: ClaimedJob) -> Result<(), graphmill_store::Error> {
    if !job.stages.is_empty() {
        let progress = Progress { job: 1.0, stage: 1.0, message: "Done".into() };
        store.start_stage(job.fence, STAGE, Bytes::new(), 0).await?;
        store.finish_stage(job.fence, STAGE, Bytes::new(), progress).await?;
    }
    store.end(job.fence, Ending::Completed { message: "Done".into(), metadata: Map::new() }).await.map(|_| ())
}
