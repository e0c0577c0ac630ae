//! Emptying a write-ahead log.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// Longest wait for readers of an earlier state, in which others cannot write.
const WAIT: Duration = Duration::from_millis(200);

/// Moves what is in the write-ahead log of `path` into the file and cuts the log to nothing: pages as they stood before are in neither of them afterwards.
/// `false`: somebody still reads an earlier state; to be asked again. Blocking.
///
/// # Errors
/// The file cannot be written.
pub fn empty_log(path: &Path) -> rusqlite::Result<bool> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(WAIT)?;
    // Most of the work, beside which others write.
    conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).map(|busy: i64| busy == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Snapshot;

    #[test]
    fn nothing_is_left_in_the_log_once_nobody_reads_an_earlier_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let writer = Connection::open(&path).unwrap();
        writer
            .execute_batch(
                "PRAGMA secure_delete = ON; PRAGMA journal_mode = WAL; CREATE TABLE t (a TEXT) STRICT; INSERT INTO t VALUES ('quixotic')",
            )
            .unwrap();
        let earlier = Snapshot::begin(&path).unwrap();
        writer.execute_batch("DELETE FROM t").unwrap();
        assert!(!empty_log(&path).unwrap());
        drop(earlier);
        assert!(empty_log(&path).unwrap());
        for name in ["t.db", "t.db-wal"] {
            let bytes = std::fs::read(folder.path().join(name)).unwrap();
            assert!(!bytes.windows(8).any(|w| w == b"quixotic"), "{name}");
        }
    }
}
