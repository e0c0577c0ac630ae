//! Jobs that do nothing, through the SQLite store: how many a second are accepted and worked. `benches/jobs` runs it beside its peer.
//!
//! usage: `noop_jobs JOBS CALLERS PLACES`: JOBS jobs are accepted from CALLERS callers, each of which waits for the answer before its next
//! one, then worked by up to PLACES at once. Prints one line of JSON.

use std::sync::Arc;
use std::time::{Duration, Instant};

use graphmill_core::{CollectionId, JobStatus, JobType, SystemClock};
use graphmill_store::requests::{ClaimRequest, Ending, NewJob};
use graphmill_store::{JobStore, SqliteJobStore, SqliteOptions};
use serde_json::{Map, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[tokio::main]
async fn main() -> Outcome<()> {
    let numbers: Vec<u32> = std::env::args().skip(1).map(|word| word.parse()).collect::<Result<_, _>>()?;
    let [jobs, callers, places] = numbers[..] else { return Err("usage: noop_jobs JOBS CALLERS PLACES".into()) };
    let folder = tempfile::tempdir()?;
    let store: Arc<dyn JobStore> =
        Arc::new(SqliteJobStore::open(SqliteOptions::new(folder.path().join("jobs.db"), Arc::new(SystemClock)))?);
    let began = Instant::now();
    accept(&store, jobs, callers).await?;
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
            "engine": "graphmill", "jobs": jobs, "callers": callers, "places": places, "insert_per_second": rate(accepted),
            "work_per_second": rate(worked), "end_to_end_per_second": rate(accepted + worked),
            // What the store does by itself: what a caller was told is synced, what only a claim tells is not.
            "journal_mode": "wal", "insert_synchronous": "FULL", "work_synchronous": "NORMAL",
        })
    );
    Ok(())
}

fn noop() -> NewJob {
    NewJob {
        job_type: JobType::Clustering,
        collection: CollectionId::default(),
        params: Map::new(),
        metadata: Map::new(),
        message: "Waiting".into(),
        stages: Vec::new(),
        priority: 0,
        delay: Duration::ZERO,
        max_attempts: 1,
        document: None,
        exclusive_key: None,
        dedupe_key: None,
        blobs: Vec::new(),
    }
}

async fn accept(store: &Arc<dyn JobStore>, jobs: u32, callers: u32) -> Outcome<()> {
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let store = store.clone();
        let share = jobs / callers + u32::from(caller < jobs % callers);
        tasks.spawn(async move {
            for _ in 0..share {
                store.enqueue(noop()).await?;
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
                    let ending = Ending::Completed { message: "Done".into(), metadata: Map::new() };
                    let _ = ended.send(store.end(job.fence, ending).await.map(|_| ()));
                });
            }
        }
        ends.recv().await.ok_or("no worker is left")??;
        (free, left) = (free + 1, left - 1);
    }
    Ok(())
}
