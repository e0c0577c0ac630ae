//! The file itself: what is refused, what the schema forbids, what is given back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use graphmill_core::{CollectionId, JobStatus, JobType, SystemClock, Timestamp};
use graphmill_store::records::{ClaimedJob, Enqueued, JobRecord};
use graphmill_store::requests::{ClaimRequest, Ending, JobFilter, LogQuery, NewJob, NewLog, PageStart, StagePlan};
use graphmill_store::{Error, JobStore, SqliteJobStore, SqliteOptions};
use rusqlite::Connection;
use serde_json::Map;

fn open(path: &Path) -> graphmill_store::Result<SqliteJobStore> {
    SqliteJobStore::open(SqliteOptions::new(path, Arc::new(SystemClock)))
}

fn refused(path: &Path) -> String {
    match open(path) {
        Err(Error::Unusable(message)) => message,
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("it was opened"),
    }
}

async fn enqueue(store: &SqliteJobStore) -> JobRecord {
    let job = NewJob {
        job_type: JobType::Ingestion,
        collection: CollectionId::default(),
        params: Map::new(),
        metadata: Map::from_iter([("filename".to_owned(), "report.pdf".into())]),
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
    match store.enqueue(job).await.unwrap() {
        Enqueued::New { job, .. } => job,
        other => panic!("{other:?}"),
    }
}

async fn claim(store: &SqliteJobStore) -> ClaimedJob {
    let free = vec![(JobType::Ingestion, 1)];
    let request = ClaimRequest { worker: "test".into(), lease: Duration::from_secs(15), free };
    store.claim(request).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused_with_a_hint() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jobs.db");
    drop(open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let message = refused(&path);
    assert!(message.contains("schema 99") && message.contains("newer") && message.contains("backup"), "{message}");
}

#[tokio::test]
async fn a_database_of_another_program_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jobs.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let message = refused(&path);
    assert!(message.contains("another program"), "{message}");
    let tables: i64 =
        Connection::open(&path).unwrap().query_row("SELECT count(*) FROM sqlite_schema", [], |r| r.get(0)).unwrap();
    assert_eq!(tables, 1);
}

#[tokio::test]
async fn a_damaged_file_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jobs.db");
    let store = open(&path).unwrap();
    for _ in 0..200 {
        enqueue(&store).await;
    }
    drop(store);
    let whole = std::fs::read(&path).unwrap();
    let half = whole.len() / 2;
    let mut scribbled = whole.clone();
    scribbled[4096..].fill(0x5a);
    let mut headless = whole.clone();
    headless[..100].fill(0);
    for (what, bytes) in [("cut", whole[..half].to_vec()), ("scribbled", scribbled), ("headless", headless)] {
        std::fs::write(&path, bytes).unwrap();
        let message = refused(&path);
        assert!(message.contains("jobs.db") && message.contains("backup"), "{what}: {message}");
    }
    std::fs::write(&path, whole).unwrap();
    assert!(open(&path).is_ok());
}

#[tokio::test]
async fn a_missing_folder_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let message = refused(&dir.path().join("not/there/jobs.db"));
    assert!(message.contains("writable") || message.contains("permissions"), "{message}");
}

/// The third guard of every transition: a program with a defect cannot write what cannot be.
#[tokio::test]
async fn the_schema_forbids_what_cannot_be() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jobs.db");
    let store = open(&path).unwrap();
    enqueue(&store).await;
    drop(store);
    let conn = Connection::open(&path).unwrap();
    for change in [
        "status = 'done'",
        "status = 'running'",
        "status = 'running', queue = NULL, lease_until = 1",
        "status = 'completed', queue = NULL, completed_at = 1",
        "status = 'failed', queue = NULL",
        "status = 'cancelled', completed_at = 1",
        "completed_at = 1",
        "lease_until = 1",
        "progress = 1",
        "progress = 1.5",
        "queue = NULL",
        "queue = 'parked'",
        "started_at = 1",
        "epoch = -1",
        "seq = 1",
        "job_type = 'other'",
        "max_attempts = 0",
        "intent = 2",
    ] {
        let outcome = conn.execute(&format!("UPDATE job SET {change}"), []);
        assert!(outcome.is_err(), "{change} was accepted");
    }
    conn.execute("UPDATE job SET status = 'cancelled', queue = NULL, completed_at = 1", []).unwrap();
}

#[tokio::test]
async fn deleted_jobs_give_their_room_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jobs.db");
    let store = open(&path).unwrap();
    let line =
        NewLog { level: graphmill_store::records::LogLevel::Info, message: "x".repeat(2_000), context: Map::new() };
    for _ in 0..10 {
        enqueue(&store).await;
        let fence = claim(&store).await.fence;
        store.append_logs(fence, vec![line.clone(); 100]).await.unwrap();
        store.end(fence, Ending::Completed { message: "Done".into(), metadata: Map::new() }).await.unwrap();
    }
    let pages = |name: &str| -> i64 {
        Connection::open(&path).unwrap().pragma_query_value(None, name, |row| row.get(0)).unwrap()
    };
    let before = pages("page_count");
    let deleted = store.cleanup(Duration::ZERO, &[JobStatus::Completed], None, 100).await.unwrap();
    assert_eq!(deleted.jobs, 10);
    assert!(deleted.bytes > 2_000_000, "{} bytes of 2,000,000 in messages alone", deleted.bytes);
    assert_eq!(pages("freelist_count"), 0);
    // The file is smaller by what was said, give or take the pages that only say which page is whose.
    let gone = u64::try_from((before - pages("page_count")) * 4096).unwrap();
    assert!(gone.abs_diff(deleted.bytes) <= 16 * 4096, "{gone} {}", deleted.bytes);
}

#[tokio::test]
async fn a_renewal_does_not_wait_behind_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&dir.path().join("jobs.db")).unwrap());
    enqueue(&store).await;
    let fence = claim(&store).await.fence;
    let line = NewLog { level: graphmill_store::records::LogLevel::Info, message: "x".into(), context: Map::new() };
    let busy: Vec<_> = (0..4_000)
        .map(|_| {
            let (store, line) = (store.clone(), line.clone());
            tokio::spawn(async move { store.append_logs(fence, vec![line; 20]).await.unwrap() })
        })
        .collect();
    tokio::task::yield_now().await;
    store.renew(fence, Duration::from_secs(15)).await.unwrap();
    let behind = busy.iter().filter(|task| !task.is_finished()).count();
    assert!(behind > 1_000, "the renewal waited until only {behind} writes were left");
    for task in busy {
        task.await.unwrap();
    }
    let query = LogQuery { level: None, after: None, descending: false, limit: 1 };
    assert_eq!(store.logs(fence.job, &query).await.unwrap().total, 10_000);
}

/// With dates or `q` counting stops at 10,000 and says so; the plain total stays exact, and a page beyond the cap is still a page.
#[tokio::test(flavor = "multi_thread")]
async fn a_total_over_ten_thousand_is_capped_where_it_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("jobs.db")).unwrap();
    const JOBS: u64 = 10_003;
    futures::stream::iter(0..JOBS).for_each_concurrent(256, |_| async { drop(enqueue(&store).await) }).await;
    let page = async |filter: &JobFilter, offset| store.list(filter, PageStart::Offset(offset), 5).await.unwrap();
    let all = page(&JobFilter::default(), 10_000).await;
    assert_eq!((all.total, all.total_capped, all.jobs.len()), (JOBS, false, 3));
    let dates = JobFilter { created_after: Some(Timestamp::from_millis(0)), ..JobFilter::default() };
    let words = JobFilter { q: Some("report".into()), ..JobFilter::default() };
    for filter in [dates, words] {
        let counted = page(&filter, 0).await;
        assert_eq!((counted.total, counted.total_capped, counted.jobs.len()), (10_000, true, 5), "{filter:?}");
        assert_eq!(page(&filter, 10_000).await.jobs, all.jobs, "{filter:?}");
    }
    let one = JobFilter { q: Some(all.jobs[0].id.to_string()), ..JobFilter::default() };
    let found = page(&one, 0).await;
    assert_eq!((found.total, found.total_capped, found.jobs), (1, false, vec![all.jobs[0].clone()]));
}

/// Above the cap a filter, a cursor and dates still pick among the jobs that have the text.
#[tokio::test(flavor = "multi_thread")]
async fn a_common_text_is_found_page_by_page_among_what_the_filter_shows() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("jobs.db")).unwrap();
    futures::stream::iter(0..10_003).for_each_concurrent(256, |_| async { drop(enqueue(&store).await) }).await;
    let free = vec![(JobType::Ingestion, 7)];
    let request = ClaimRequest { worker: "test".into(), lease: Duration::from_secs(15), free };
    let running = store.claim(request).await.unwrap();
    let words = JobFilter { q: Some("REPORT".into()), ..JobFilter::default() };
    let filter = JobFilter { status: Some(JobStatus::Running), ..words.clone() };
    let found = store.list(&filter, PageStart::Offset(0), 50).await.unwrap();
    assert_eq!((found.total, found.total_capped, found.jobs.len()), (7, false, running.len()));
    let filter = JobFilter { status: Some(JobStatus::Pending), ..words.clone() };
    let found = store.list(&filter, PageStart::Offset(9_990), 50).await.unwrap();
    assert_eq!((found.total, found.total_capped, found.jobs.len()), (9_996, false, 6));
    let middle = store.list(&JobFilter::default(), PageStart::Offset(5_000), 1).await.unwrap().jobs.remove(0);
    let dated = JobFilter { created_before: Some(middle.created_at), ..words.clone() };
    let all = JobFilter { created_before: Some(middle.created_at), ..JobFilter::default() };
    let page = async |filter: &JobFilter| store.list(filter, PageStart::Offset(3), 5).await.unwrap();
    assert_eq!(page(&dated).await.jobs, page(&all).await.jobs);
    let mut start = PageStart::Offset(0);
    let (mut seen, mut pages) = (Vec::new(), 0);
    loop {
        let page = store.list(&words, start, 1_000).await.unwrap();
        seen.extend(page.jobs.iter().map(|job| job.id));
        pages += 1;
        match page.next_cursor {
            Some(cursor) => start = PageStart::Cursor(cursor),
            None => break,
        }
    }
    assert_eq!((pages, seen.len()), (11, 10_003));
    assert!(seen.is_sorted_by(|a, b| a > b), "newest first, each once");
}

/// Jobs keep the order in which they were made when the clock steps back.
#[tokio::test]
async fn the_order_of_the_list_survives_a_clock_that_steps_back() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(graphmill_core::ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
    let store = SqliteJobStore::open(SqliteOptions::new(dir.path().join("jobs.db"), clock.clone())).unwrap();
    let mut made = vec![enqueue(&store).await.id];
    clock.set(Timestamp::from_millis(1_699_999_000_000));
    made.insert(0, enqueue(&store).await.id);
    for q in [None, Some("report".to_owned())] {
        let filter = JobFilter { q, ..JobFilter::default() };
        let page = store.list(&filter, PageStart::Offset(0), 5).await.unwrap();
        assert_eq!(page.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), made);
        assert!(page.jobs[0].created_at >= page.jobs[1].created_at);
    }
}

/// Closed in order, the file is whole by itself: a copy of it alone has everything.
#[tokio::test]
async fn a_closed_store_leaves_no_log() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jobs.db");
    let store = open(&path).unwrap();
    enqueue(&store).await;
    assert_eq!(store.list(&JobFilter::default(), PageStart::Offset(0), 5).await.unwrap().total, 1);
    drop(store);
    assert!(!dir.path().join("jobs.db-wal").exists());
    let copy = dir.path().join("copy.db");
    std::fs::copy(&path, &copy).unwrap();
    assert_eq!(open(&copy).unwrap().list(&JobFilter::default(), PageStart::Offset(0), 5).await.unwrap().total, 1);
}
