use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;

use super::*;
use crate::space::{DiskOptions, DiskState};

struct Bench {
    dir: tempfile::TempDir,
    disk: Arc<DiskGuard>,
    writer: Writer<()>,
}

const PLAIN: Kind = Kind { durable: false, reserve: false, fault: None };
const STATE: Kind = Kind { durable: true, reserve: true, fault: None };

fn bench() -> Bench {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.db");
    let conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (n INTEGER PRIMARY KEY, CHECK (n < 1000)) STRICT")
        .unwrap();
    let disk = Arc::new(DiskGuard::open(DiskOptions { dir: dir.path().into(), reserve_bytes: 50_000 }).unwrap());
    let wal = crate::sqlite::wal_path(&path);
    let thread = WriterThread { conn, state: (), gate: WriteGate::default(), disk: Some(disk.clone()), wal };
    Bench { dir, disk, writer: Writer::start("test-writer", thread).unwrap() }
}

fn insert(tx: &mut Tx<'_, ()>, n: i64) -> Result<()> {
    tx.conn.execute("INSERT INTO t VALUES (?1)", [n])?;
    Ok(())
}

fn stored(bench: &Bench) -> Vec<i64> {
    let conn = Connection::open(bench.dir.path().join("t.db")).unwrap();
    let mut statement = conn.prepare("SELECT n FROM t ORDER BY n").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(|n| n.unwrap()).collect()
}

/// The thread is held in a first write until the others wait behind it, so that they make one group.
async fn as_one_group<T, F>(bench: &Bench, writes: Vec<(Kind, F)>) -> Vec<Result<T>>
where
    T: Send + 'static,
    F: FnMut(&mut Tx<'_, ()>) -> Result<T> + Send + 'static,
{
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let holding = bench.writer.write(PLAIN, move |_| {
        let _ = wait.recv();
        Ok(())
    });
    let rest = join_all(writes.into_iter().map(|(kind, write)| bench.writer.write(kind, write)));
    // Polled after the others have queued theirs. The sender goes with it: the first write may run again.
    let release = async move { go.send(()).unwrap() };
    let (held, outcomes, ()) = futures::join!(holding, rest, release);
    held.unwrap();
    outcomes
}

#[tokio::test]
async fn a_write_that_fails_halfway_costs_no_other() {
    let bench = bench();
    let writes = (0..20_i64).map(|n| {
        let write = move |tx: &mut Tx<'_, ()>| {
            insert(tx, n)?;
            if n % 5 == 3 { insert(tx, 5_000) } else { Ok(()) }
        };
        (PLAIN, write)
    });
    let outcomes = as_one_group(&bench, writes.collect()).await;
    for (n, outcome) in (0..20).zip(&outcomes) {
        assert_eq!(outcome.is_ok(), n % 5 != 3, "{n}: {outcome:?}");
    }
    assert_eq!(stored(&bench), (0..20).filter(|n| n % 5 != 3).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_write_that_panics_is_undone_and_the_thread_goes_on() {
    let bench = bench();
    let writes = (0..6_i64).map(|n| {
        let write = move |tx: &mut Tx<'_, ()>| {
            insert(tx, n)?;
            assert!(n != 2, "a defect");
            Ok(())
        };
        (PLAIN, write)
    });
    let outcomes = as_one_group(&bench, writes.collect()).await;
    assert_eq!(outcomes.iter().filter(|o| o.is_ok()).count(), 5);
    assert_eq!(stored(&bench), [0, 1, 3, 4, 5]);
}

/// The disk counts as full as long as the reserve lies on it.
fn while_reserved(bench: &Bench, n: i64, runs: &Arc<AtomicUsize>) -> impl FnMut(&mut Tx<'_, ()>) -> Result<()> + use<> {
    let (reserve, runs) = (bench.dir.path().join("reserve"), runs.clone());
    move |tx| {
        runs.fetch_add(1, Ordering::SeqCst);
        insert(tx, n)?;
        if reserve.exists() { Err(Error::Full("no space left on device".into())) } else { Ok(()) }
    }
}

#[tokio::test]
async fn on_a_full_disk_the_reserve_is_for_state_alone() {
    let bench = bench();
    let runs = Arc::new(AtomicUsize::new(0));
    let outcome = bench.writer.write(PLAIN, while_reserved(&bench, 1, &runs)).await;
    assert!(matches!(outcome, Err(Error::Full(_))), "{outcome:?}");
    assert_eq!(bench.disk.state(), DiskState::Full);
    assert!(bench.dir.path().join("reserve").exists());
    bench.writer.write(STATE, while_reserved(&bench, 2, &runs)).await.unwrap();
    assert!(!bench.dir.path().join("reserve").exists());
    assert_eq!(stored(&bench), [2]);
    assert_eq!(bench.disk.check().unwrap(), DiskState::Ok, "there is room again");
    assert!(bench.dir.path().join("reserve").exists());
}

#[tokio::test]
async fn what_is_queued_is_written_before_the_thread_ends() {
    let bench = bench();
    let queued: Vec<_> = (0..50).map(|n| bench.writer.write(PLAIN, move |tx| insert(tx, n))).collect();
    join_all(queued).await.into_iter().for_each(|outcome| outcome.unwrap());
    assert_eq!(stored(&bench).len(), 50);
}
