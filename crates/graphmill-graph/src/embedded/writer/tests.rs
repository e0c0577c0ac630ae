use std::sync::Arc;

use graphmill_core::SystemClock;

use super::*;
use crate::embedded::open::{EmbeddedOptions, open_writer};

fn writer(folder: &tempfile::TempDir, prepare: impl Fn(&Connection)) -> Writer {
    let conn = open_writer(&EmbeddedOptions::new(folder.path().join("graph.db"), Arc::new(SystemClock))).unwrap();
    conn.execute_batch("CREATE TABLE t (x PRIMARY KEY)").unwrap();
    prepare(&conn);
    Writer::start(conn).unwrap()
}

fn insert(x: i64) -> impl FnOnce(&Connection) -> Result<i64> + Send {
    move |conn| {
        conn.execute("INSERT INTO t VALUES (?1)", [x])?;
        Ok(conn.query_row("SELECT count(*) FROM t", [], |row| row.get(0))?)
    }
}

/// Holds the writer so that all writes queued meanwhile share a transaction.
async fn hold(writer: &Writer) -> std::sync::mpsc::Sender<()> {
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (began, begun) = oneshot::channel();
    let queue = writer.queue.clone().unwrap();
    let run: RunWrite = Box::new(move |_| {
        began.send(()).unwrap();
        let _ = held.recv();
        Outcome { ok: true, fatal: false, tell: Box::new(|_| {}) }
    });
    queue
        .send(Write { safety: Safety::Process, points: None, run })
        .await
        .unwrap_or_else(|_| panic!("the writer ended"));
    begun.await.unwrap();
    release
}

#[tokio::test]
async fn a_write_that_fails_costs_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let writer = writer(&folder, |_| {});
    let release = hold(&writer).await;
    let writes = async {
        tokio::join!(
            writer.write(Safety::Disk, None, insert(1)),
            writer.write(Safety::Disk, None, insert(1)),
            writer.write(Safety::Disk, None, |_| -> Result<()> { panic!("of a test") }),
            writer.write(Safety::Disk, None, insert(2)),
        )
    };
    let queued = async {
        while writer.queue.as_ref().is_some_and(|queue| queue.max_capacity() - queue.capacity() < 4) {
            tokio::task::yield_now().await;
        }
        drop(release);
    };
    let ((first, twice, panicked, last), ()) = tokio::join!(writes, queued);
    assert_eq!((first.unwrap(), last.unwrap()), (1, 2));
    assert!(matches!(twice, Err(Error::Backend(_))) && matches!(panicked, Err(Error::Backend(_))));
    let left = writer.write(Safety::Process, None, insert(3)).await.unwrap();
    assert_eq!(left, 3);
}

#[tokio::test]
async fn a_first_write_that_fails_is_undone_and_tells_its_own_error() {
    let folder = tempfile::tempdir().unwrap();
    let writer = writer(&folder, |_| {});
    let failed = writer.write(Safety::Process, None, |conn| {
        conn.execute("INSERT INTO t VALUES (7)", [])?;
        Err::<(), _>(Error::Invalid("no".into()))
    });
    assert!(matches!(failed.await, Err(Error::Invalid(why)) if why == "no"));
    assert_eq!(writer.write(Safety::Disk, None, insert(7)).await.unwrap(), 1);
}

#[tokio::test]
async fn a_full_disk_is_told_and_undone() {
    let folder = tempfile::tempdir().unwrap();
    let writer = writer(&folder, |conn| {
        let pages: i64 = conn.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        conn.query_row(&format!("PRAGMA max_page_count = {}", pages + 4), [], |_| Ok(())).unwrap();
    });
    let big = |conn: &Connection| {
        conn.execute("INSERT INTO t VALUES (zeroblob(1000000))", [])?;
        Ok(())
    };
    for safety in [Safety::Process, Safety::Disk] {
        let full = writer.write(safety, None, big).await;
        assert!(matches!(&full, Err(e @ Error::Full(_)) if e.is_retryable()), "{full:?}");
    }
    assert_eq!(writer.write(Safety::Disk, None, insert(1)).await.unwrap(), 1, "what fits is written still");
}
