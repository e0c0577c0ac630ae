//! No-op jobs a second through the SQLite store: accepted, claimed, begun and completed, each with one stage and an attempt.
//!
//! `cargo run --release -p graphmill-store --example noop_jobs -- [JOBS] [ENQUEUERS] [WORKERS] [FOLDER]`

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use graphmill_core::{CollectionId, JobType, SystemClock};
use graphmill_store::requests::{ClaimRequest, Ending, NewJob, StagePlan};
use graphmill_store::{JobStore, SqliteJobStore, SqliteOptions};
use serde_json::Map;

/// Jobs that a worker takes at a time.
const CLAIM: u32 = 100;

fn argument(n: usize, default: u64) -> u64 {
    std::env::args().nth(n).and_then(|a| a.parse().ok()).unwrap_or(default)
}

fn noop() -> NewJob {
    NewJob {
        job_type: JobType::Ingestion,
        collection: CollectionId::default(),
        params: Map::new(),
        metadata: Map::new(),
        message: "Queued".into(),
        stages: vec![StagePlan { name: "loading".into(), weight: 1 }],
        priority: 0,
        delay: Duration::ZERO,
        max_attempts: 3,
        document: None,
        exclusive_key: None,
        dedupe_key: None,
        blobs: Vec::new(),
    }
}

async fn enqueue_all(store: &Arc<dyn JobStore>, jobs: u64, tasks: u64) {
    let tasks = (0..tasks).map(|task| {
        let store = store.clone();
        let mine = jobs / tasks + u64::from(task < jobs % tasks);
        tokio::spawn(async move {
            for _ in 0..mine {
                store.enqueue(noop()).await.expect("enqueue");
            }
        })
    });
    join_all(tasks).await;
}

async fn work_all(store: &Arc<dyn JobStore>, jobs: u64, tasks: u64) {
    let done = Arc::new(AtomicU64::new(0));
    let tasks = (0..tasks).map(|worker| {
        let (store, done) = (store.clone(), done.clone());
        tokio::spawn(async move {
            while done.load(Ordering::Relaxed) < jobs {
                let request = ClaimRequest {
                    worker: format!("worker {worker}"),
                    lease: Duration::from_secs(15),
                    free: vec![(JobType::Ingestion, CLAIM)],
                };
                let claimed = store.claim(request).await.expect("claim");
                if claimed.is_empty() {
                    tokio::task::yield_now().await;
                }
                let ends = claimed.into_iter().map(|job| {
                    let ending = Ending::Completed { message: "Done".into(), metadata: Map::new() };
                    store.end(job.fence, ending)
                });
                let ended = join_all(ends).await;
                done.fetch_add(ended.iter().filter(|e| e.is_ok()).count() as u64, Ordering::Relaxed);
            }
        })
    });
    join_all(tasks).await;
}

fn say(what: &str, jobs: u64, took: Duration) {
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let rate = jobs as f64 / took.as_secs_f64();
    println!("{what:<28} {jobs} jobs in {took:.2?}: {rate:.0} a second");
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (jobs, enqueuers, workers) = (argument(1, 50_000), argument(2, 200), argument(3, 4));
    let folder = std::env::args().nth(4).map_or_else(std::env::temp_dir, PathBuf::from);
    let path = folder.join(format!("noop-{}.db", std::process::id()));
    let store: Arc<dyn JobStore> = Arc::new(SqliteJobStore::open(SqliteOptions::new(&path, Arc::new(SystemClock)))?);

    let began = Instant::now();
    enqueue_all(&store, jobs, enqueuers).await;
    say("accepted (each on disk)", jobs, began.elapsed());
    let began = Instant::now();
    work_all(&store, jobs, workers).await;
    say("claimed and completed", jobs, began.elapsed());

    let began = Instant::now();
    let (enqueued, worked) = (enqueue_all(&store, jobs, enqueuers), work_all(&store, jobs, workers));
    futures::join!(enqueued, worked);
    say("both at once, end to end", jobs, began.elapsed());

    drop(store);
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", path.display()));
    }
    Ok(())
}
