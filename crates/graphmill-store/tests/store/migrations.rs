//! A file of schema 1 becomes one of the present schema, with everything in it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use graphmill_core::{JobStatus, JobType, SystemClock};
use graphmill_sqlite::shape;
use graphmill_store::requests::{ClaimRequest, JobFilter, PageStart};
use graphmill_store::{JobStore, SqliteJobStore, SqliteOptions};
use rusqlite::Connection;

/// `jobs.db` as schema 1 made it, with one job that waits for a worker and one that ended; the second was made when the clock had stepped back.
fn old_file(path: &Path) {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch(concat!(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; BEGIN;",
        include_str!("../../src/sqlite/migrations/1.sql"),
        "INSERT INTO store VALUES (1, randomblob(16), 41);
         INSERT INTO job (id, job_type, collection, status, queue, priority, created_at, run_at, max_attempts, document, seq, message, metadata, params)
         VALUES (x'018bcfe568007000800000000000000a', 'ingestion', 'default', 'pending', 'ready', 0, 1700000000000, 1700000000000, 3,
                 randomblob(16), 40, 'Queued', '{\"filename\":\"old.pdf\"}', '{}');
         INSERT INTO job (id, job_type, collection, status, epoch, attempts, progress, priority, created_at, run_at, started_at, completed_at,
                          max_attempts, message, metadata, params)
         VALUES (x'018bcfe568007000800000000000000b', 'ingestion', 'default', 'completed', 1, 1, 1, 0, 1699999000000, 1699999000000,
                 1699999000000, 1699999001000, 3, 'Done', '{\"filename\":\"older.pdf\"}', '{}');
         INSERT INTO job_text VALUES (1, 'old.pdf'), (2, 'older.pdf');
         INSERT INTO job_trigrams (rowid, words) SELECT job, words FROM job_text;
         INSERT INTO job_count VALUES ('pending', 'default', 'ingestion', 1), ('completed', 'default', 'ingestion', 1);
         INSERT INTO stage (job, position, name, weight) VALUES (1, 0, 'loading', 1);
         INSERT INTO event VALUES (1, 1, 1700000000000, '{}');
         PRAGMA application_id = 0x676d6a62; PRAGMA user_version = 1; COMMIT;"
    ))
    .unwrap();
}

fn open(path: &Path) -> SqliteJobStore {
    SqliteJobStore::open(SqliteOptions::new(path, Arc::new(SystemClock))).unwrap()
}

#[tokio::test]
async fn a_file_of_schema_1_is_brought_up_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old.db"), dir.path().join("new.db"));
    old_file(&old);
    drop(open(&new));
    let store = open(&old);
    let page = store
        .list(&JobFilter { q: Some("old".into()), ..JobFilter::default() }, PageStart::Offset(0), 10)
        .await
        .unwrap();
    let names: Vec<_> = page.jobs.iter().map(|job| job.metadata["filename"].as_str().unwrap()).collect();
    assert_eq!((page.total, names), (2, vec!["older.pdf", "old.pdf"]));
    assert!(page.jobs[0].created_at >= page.jobs[1].created_at, "one order for keys, ids and times");
    let request =
        ClaimRequest { worker: "test".into(), lease: Duration::from_secs(15), free: vec![(JobType::Ingestion, 2)] };
    let claimed = store.claim(request).await.unwrap();
    assert_eq!(claimed[0].job.status, JobStatus::Running);
    drop(store);
    assert_eq!(shape(&old).unwrap(), shape(&new).unwrap(), "brought up or made anew, the schema is the same");
    let copy = dir.path().join(format!("old.db.before-schema-{}", SqliteJobStore::SCHEMA_VERSION));
    let version: i32 =
        Connection::open(&copy).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 1, "the file as it was is kept");
}
