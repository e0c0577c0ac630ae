//! From an older schema to the present one.

use std::fs::File;
use std::path::{Path, PathBuf};

use graphmill_core::fault_point;
use rusqlite::Connection;

/// One version further.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// `PRAGMA user_version` after it.
    pub to: i32,
    /// The statements; they run in one transaction.
    pub sql: &'static str,
}

/// Why a file could not be brought up. The file is as it was before the step that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No copy could be made, so nothing was changed.
    #[error(
        "cannot copy the database to {} before its schema is brought up ({source}); make room for a second copy of it, then start again",
        path.display()
    )]
    Copy {
        /// Where the copy should lie.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The copy could not be made safe, so nothing was changed.
    #[error("cannot keep {} ({source}); see that the data folder is writable, then start again", path.display())]
    Keep {
        /// Where the copy should lie.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A step failed and was undone.
    #[error("the schema could not be brought up to version {to} ({source}); nothing is lost: {} has the state before", copy.display())]
    Step {
        /// The version that was wanted.
        to: i32,
        /// The copy that was made before.
        copy: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
}

impl Error {
    /// What SQLite said, if it was asked.
    pub fn sqlite(&self) -> Option<&rusqlite::Error> {
        match self {
            Self::Copy { source, .. } | Self::Step { source, .. } => Some(source),
            Self::Keep { .. } => None,
        }
    }
}

/// Takes the steps above the file's `user_version`, each in a transaction of its own, after the whole file was copied to `<path>.before-schema-<N>`
/// (`N` = the version that it is brought to). A kill in between leaves the file at a whole version and the copy. Returns the path of the copy, or `None` when
/// nothing was to be done. The connection must be the only one.
///
/// # Errors
/// See [`Error`].
pub fn migrate(conn: &Connection, path: &Path, steps: &[Step]) -> Result<Option<PathBuf>, Error> {
    let read = |source| Error::Step { to: 0, copy: path.to_owned(), source };
    let version: i32 = conn.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(read)?;
    let steps: Vec<Step> = steps.iter().copied().filter(|step| step.to > version).collect();
    let Some(last) = steps.last() else { return Ok(None) };
    let copy = copy_beside(conn, path, last.to)?;
    for step in &steps {
        fault_point!("migrate.before_step");
        let sql = format!("BEGIN IMMEDIATE;\n{}\nPRAGMA user_version = {};\nCOMMIT;", step.sql, step.to);
        conn.execute_batch(&sql).map_err(|source| {
            // The batch stopped where it failed, within its transaction.
            let _ = conn.execute_batch("ROLLBACK");
            Error::Step { to: step.to, copy: copy.clone(), source }
        })?;
        fault_point!("migrate.after_step");
    }
    tracing::info!(
        file = %path.display(),
        from = version,
        to = last.to,
        copy = %copy.display(),
        "the schema was brought up; the copy made before can be deleted once all is well"
    );
    Ok(Some(copy))
}

/// Copies the file as it stands, log included. The name appears when the copy is whole and on disk; one of an earlier try is replaced, since the
/// file was not changed by it.
fn copy_beside(conn: &Connection, path: &Path, to: i32) -> Result<PathBuf, Error> {
    let beside = |suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let (copy, part) = (beside(&format!(".before-schema-{to}")), beside(".copying"));
    let keep = |source| Error::Keep { path: copy.clone(), source };
    match std::fs::remove_file(&part) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(keep(e)),
        _ => {}
    }
    let written = conn.execute("VACUUM INTO ?1", [part.to_string_lossy()]);
    written.map_err(|source| Error::Copy { path: copy.clone(), source })?;
    fault_point!("migrate.copy_written");
    let synced = || {
        File::open(&part)?.sync_all()?;
        std::fs::rename(&part, &copy)?;
        // The folder holds the name.
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    };
    synced().map_err(keep)?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[Step] = &[
        Step { to: 2, sql: "ALTER TABLE t ADD COLUMN b INTEGER NOT NULL DEFAULT 7;" },
        Step { to: 3, sql: "CREATE TABLE u (c INTEGER) STRICT; INSERT INTO u SELECT b FROM t;" },
    ];

    fn old(folder: &Path) -> (PathBuf, Connection) {
        let path = folder.join("t.db");
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(
            "PRAGMA journal_mode = WAL; CREATE TABLE t (a INTEGER) STRICT; INSERT INTO t VALUES (1); PRAGMA user_version = 1",
        )
        .unwrap();
        (path, conn)
    }

    fn version(conn: &Connection) -> i32 {
        conn.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap()
    }

    #[test]
    fn an_old_file_is_copied_and_brought_up_once() {
        let folder = tempfile::tempdir().unwrap();
        let (path, conn) = old(folder.path());
        let copy = migrate(&conn, &path, STEPS).unwrap().unwrap();
        assert_eq!(copy, folder.path().join("t.db.before-schema-3"));
        assert_eq!((version(&conn), version(&Connection::open(&copy).unwrap())), (3, 1));
        assert_eq!(conn.query_row("SELECT c FROM u", [], |row| row.get::<_, i64>(0)).unwrap(), 7);
        assert_eq!(migrate(&conn, &path, STEPS).unwrap(), None, "nothing is left to do");
        assert!(!folder.path().join("t.db.copying").exists());
    }

    #[test]
    fn a_step_that_fails_is_undone_and_names_the_copy() {
        let folder = tempfile::tempdir().unwrap();
        let (path, conn) = old(folder.path());
        let broken =
            [STEPS[0], Step { to: 3, sql: "CREATE TABLE u (c INTEGER) STRICT; INSERT INTO nowhere VALUES (1);" }];
        let error = migrate(&conn, &path, &broken).unwrap_err();
        assert!(error.to_string().contains("t.db.before-schema-3"), "{error}");
        assert_eq!(version(&conn), 2, "whole steps stay");
        let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
        assert_eq!(tables, 1);
        migrate(&conn, &path, STEPS).unwrap();
        assert_eq!(version(&conn), 3);
    }

    #[test]
    fn without_a_copy_nothing_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, conn) = old(folder.path());
        std::fs::create_dir(folder.path().join("t.db.copying")).unwrap();
        assert!(matches!(migrate(&conn, &path, STEPS), Err(Error::Keep { .. })));
        assert_eq!(version(&conn), 1);
    }
}
