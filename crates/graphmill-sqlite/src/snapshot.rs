//! A file as it stood at one moment, while others go on writing to it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

/// A read transaction of its own on a file with a write-ahead log: it sees the file as it stood when it was begun. The log grows until it is
/// dropped.
pub struct Snapshot {
    conn: Connection,
    path: PathBuf,
}

/// Why a copy is none.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// SQLite could not read the file or write the copy.
    #[error("{} cannot be copied: {source}", path.display())]
    Copy {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The copy was read back and is damaged, so the file is.
    #[error("{} is damaged ({found}); restore it from an earlier backup", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first fault.
        found: String,
    },
}

impl Snapshot {
    /// Begins it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn begin(path: &Path) -> rusqlite::Result<Self> {
        // Not read-only: the first reader of a log may have to make its shared-memory file.
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags)?;
        conn.busy_timeout(Duration::from_secs(5))?;
        conn.pragma_update(None, "query_only", true)?;
        conn.execute_batch("BEGIN")?;
        // A transaction begins with its first read.
        let _: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok(Self { conn, path: path.to_owned() })
    }

    /// The connection, within the transaction.
    pub fn conn(&self) -> &Connection {
        &self.conn
    }

    /// Its schema (`PRAGMA user_version`).
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn schema_version(&self) -> rusqlite::Result<i64> {
        self.conn.pragma_query_value(None, "user_version", |row| row.get(0))
    }

    /// The first fault of the file, if any. Reads all of it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn fault(&self) -> rusqlite::Result<Option<String>> {
        fault(&self.conn)
    }

    /// Writes the file as it stood to `target`, which must not exist, and checks the copy.
    ///
    /// # Errors
    /// See [`SnapshotError`]; what was written of the copy stays and is the caller's to remove.
    pub fn copy_to(&self, target: &Path) -> Result<(), SnapshotError> {
        let failed = |source| SnapshotError::Copy { path: self.path.clone(), source };
        let mut copy = Connection::open(target).map_err(failed)?;
        copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").map_err(failed)?;
        {
            let backup = Backup::new(&self.conn, &mut copy).map_err(failed)?;
            while backup.step(-1).map_err(failed)? != StepResult::Done {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        drop_free_pages(&copy).map_err(failed)?;
        match fault(&copy).map_err(failed)? {
            None => Ok(()),
            Some(found) => Err(SnapshotError::Damaged { path: self.path.clone(), found }),
        }
    }
}

/// Pages that hold nothing any more are no part of a copy: what stood on them was deleted (by a version, perhaps, that did not overwrite it).
fn drop_free_pages(copy: &Connection) -> rusqlite::Result<()> {
    let mut vacuum = copy.prepare("PRAGMA incremental_vacuum")?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

fn fault(conn: &Connection) -> rusqlite::Result<Option<String>> {
    let found: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((found != "ok").then_some(found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_has_nothing_of_what_was_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let writer = Connection::open(&path).unwrap();
        writer
            .execute_batch(
                "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA secure_delete = OFF; PRAGMA journal_mode = WAL; \
                 CREATE TABLE t (a TEXT) STRICT; INSERT INTO t VALUES (replace(hex(zeroblob(50000)), '00', 'quixotic')); DELETE FROM t",
            )
            .unwrap();
        let target = folder.path().join("copy.db");
        Snapshot::begin(&path).unwrap().copy_to(&target).unwrap();
        // What a deletion leaves on a page that is still used is less than a page, and nothing once it overwrites, as those of the stores do.
        let left = |path| std::fs::read(path).unwrap().windows(8).filter(|w| w == b"quixotic").count();
        assert!(left(&target) * 8 < 4_096, "{} of 50,000 are left", left(&target));
        let free =
            |path| Connection::open(path).unwrap().query_row("PRAGMA freelist_count", [], |row| row.get::<_, i64>(0));
        assert!(free(&path).unwrap() > 50 && free(&target).unwrap() == 0);
    }

    #[test]
    fn a_copy_has_the_moment_of_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let writer = Connection::open(&path).unwrap();
        writer
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (a INTEGER) STRICT; INSERT INTO t VALUES (1)")
            .unwrap();
        let snapshot = Snapshot::begin(&path).unwrap();
        writer.execute_batch("INSERT INTO t VALUES (2)").unwrap();
        let target = folder.path().join("copy.db");
        snapshot.copy_to(&target).unwrap();
        writer.execute_batch("INSERT INTO t VALUES (3)").unwrap();
        let rows =
            |conn: &Connection| conn.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!((rows(snapshot.conn()), rows(&Connection::open(&target).unwrap()), rows(&writer)), (1, 1, 3));
        assert!(!folder.path().join("copy.db-wal").exists());
    }
}
