//! Lists of a store with a million jobs: p50 and p95 of pages by filter, cursor and offset, of claims, and of opening the file.
//!
//! `cargo run --release -p graphmill-store --example list_million -- [JOBS] [FOLDER]`; the file is kept and used again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use graphmill_core::{CollectionId, JobStatus, JobType, SystemClock, Timestamp};
use graphmill_store::requests::{ClaimRequest, JobFilter, NewJob, PageStart, StagePlan};
use graphmill_store::{JobStore, SqliteJobStore, SqliteOptions};
use rusqlite::{Connection, params};
use serde_json::Map;

const ROUNDS: usize = 60;

/// Rows as the store makes them, in one transaction: a million jobs by the trait would take minutes.
fn fill(path: &Path, jobs: i64) -> rusqlite::Result<()> {
    let conn = Connection::open(path)?;
    conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -400000; BEGIN")?;
    {
        let mut insert = conn.prepare(
            "INSERT INTO job (id, job_type, collection, status, queue, epoch, progress, priority, created_at, run_at, started_at, \
             completed_at, attempts, max_attempts, message, metadata, params) VALUES \
             (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8, ?9, ?10, ?11, ?6, 3, 'Document ingestion complete', ?12, '{}')",
        )?;
        let mut words = conn.prepare("INSERT INTO job_text (job, words) VALUES (?1, ?2)")?;
        for n in 0..jobs {
            let created = 1_700_000_000_000 + n * 20;
            let id = graphmill_core::JobId::new_v7(Timestamp::from_millis(created), &[7; 10]);
            let status = match n % 100 {
                0..90 => JobStatus::Completed,
                90..94 => JobStatus::Failed,
                94..96 => JobStatus::Cancelled,
                _ => JobStatus::Pending,
            };
            let job_type = if n % 50 == 0 { JobType::Clustering } else { JobType::Ingestion };
            let collection = if n % 10 == 3 { "team-a" } else { "default" };
            let (queue, ended) = match status {
                JobStatus::Pending => (Some("later"), None),
                _ => (None, Some(created + 5_000)),
            };
            let claims = i64::from(status == JobStatus::Completed || status == JobStatus::Failed);
            let metadata = format!(r#"{{"filename":"manual-{n}.pdf","document_id":"doc-{n}","file_size":123456}}"#);
            let key = insert.insert(params![
                id.as_bytes(),
                job_type.as_str(),
                collection,
                status.as_str(),
                queue,
                claims,
                if status == JobStatus::Completed { 1.0 } else { 0.0 },
                created,
                if queue.is_some() { i64::MAX / 2 } else { created },
                (claims == 1).then_some(created + 100),
                ended,
                metadata
            ])?;
            words.execute(params![key, format!("manual-{n}.pdf\nmanuals/manual-{n}.pdf")])?;
        }
    }
    conn.execute_batch(
        "INSERT INTO job_trigrams (rowid, words) SELECT job, words FROM job_text ORDER BY job;
         INSERT INTO job_count (status, collection, job_type, n) SELECT status, collection, job_type, count(*) FROM job GROUP BY 1, 2, 3;
         COMMIT; PRAGMA wal_checkpoint(TRUNCATE)",
    )
}

async fn measure(store: &dyn JobStore, what: &str, filter: JobFilter, starts: impl Fn(usize) -> PageStart) {
    let mut took = Vec::new();
    let mut total = 0;
    for round in 0..ROUNDS {
        let began = Instant::now();
        total = store.list(&filter, starts(round), 50).await.expect("list").total;
        took.push(began.elapsed());
    }
    say(what, took, &format!("total {total}"));
}

fn say(what: &str, mut took: Vec<Duration>, more: &str) {
    took.sort_unstable();
    println!("{what:<46} p50 {:>8.2?}  p95 {:>8.2?}  {more}", took[took.len() / 2], took[took.len() * 95 / 100]);
}

async fn walk(store: &dyn JobStore, filter: &JobFilter) {
    let mut took = Vec::new();
    let mut start = PageStart::Offset(0);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let page = store.list(filter, start, 1_000).await.expect("list");
        took.push(began.elapsed());
        match page.next_cursor {
            Some(cursor) => start = PageStart::Cursor(cursor),
            None => break,
        }
    }
    say("cursor walk, pages of 1,000", took, "");
}

async fn claims(store: &dyn JobStore) {
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let job = NewJob {
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
        };
        store.enqueue(job).await.expect("enqueue");
        let request = ClaimRequest {
            worker: "bench".into(),
            lease: Duration::from_secs(15),
            free: vec![(JobType::Ingestion, 1)],
        };
        let began = Instant::now();
        assert_eq!(store.claim(request).await.expect("claim").len(), 1);
        took.push(began.elapsed());
    }
    say("claim beside 40,000 snoozed jobs", took, "");
}

fn open(path: &Path) -> SqliteJobStore {
    let began = Instant::now();
    let store = SqliteJobStore::open(SqliteOptions::new(path, Arc::new(SystemClock))).expect("open");
    println!("open                                           {:.2?}", began.elapsed());
    store
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let jobs: i64 = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(1_000_000);
    let folder = std::env::args().nth(2).map_or_else(std::env::temp_dir, PathBuf::from);
    let path = folder.join(format!("list-{jobs}.db"));
    if !path.exists() {
        drop(open(&path));
        let began = Instant::now();
        fill(&path, jobs)?;
        println!("filled in {:.2?}", began.elapsed());
    }
    let store = open(&path);
    let last = jobs.unsigned_abs();
    let any = JobFilter::default;
    let first = |_| PageStart::Offset(0);
    measure(&store, "first page", any(), first).await;
    for (what, filter) in [
        ("status=failed", JobFilter { status: Some(JobStatus::Failed), ..any() }),
        ("status=completed", JobFilter { status: Some(JobStatus::Completed), ..any() }),
        ("job_type=clustering", JobFilter { job_type: Some(JobType::Clustering), ..any() }),
        (
            "status=failed job_type=clustering",
            JobFilter { status: Some(JobStatus::Failed), job_type: Some(JobType::Clustering), ..any() },
        ),
        ("collection=team-a", JobFilter { collection: Some("team-a".parse()?), ..any() }),
        ("q=manual-99 (common)", JobFilter { q: Some("manual-99".into()), ..any() }),
        ("q=manual-4711.pdf (rare)", JobFilter { q: Some("manual-4711.pdf".into()), ..any() }),
        ("created_after the middle", JobFilter { created_after: Some(middle(jobs)), ..any() }),
    ] {
        measure(&store, what, filter, first).await;
    }
    for offset in [last / 100, last / 4, last / 2, last / 4 * 3, last - last / 1_000] {
        measure(&store, &format!("offset {offset}"), any(), |_| PageStart::Offset(offset)).await;
    }
    let completed = JobFilter { status: Some(JobStatus::Completed), ..any() };
    let deep = last / 100 * 45;
    measure(&store, &format!("status=completed offset {deep}"), completed.clone(), |_| PageStart::Offset(deep)).await;
    walk(&store, &any()).await;
    walk(&store, &completed).await;
    claims(&store).await;
    Ok(())
}

fn middle(jobs: i64) -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000 + jobs * 10)
}
