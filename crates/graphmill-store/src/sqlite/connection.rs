//! Opening a database file of ours: pragmas, schema version, and what to say about a file that cannot be used.

use std::path::{Path, PathBuf};
use std::time::Duration;

use graphmill_sqlite::Step;
use rusqlite::{Connection, OpenFlags};

use crate::{Error, Result};

/// What distinguishes one of our files from any other SQLite file, and its schema.
pub(crate) struct Schema {
    /// `PRAGMA application_id`.
    pub(crate) application_id: i32,
    /// `PRAGMA user_version` that this program writes.
    pub(crate) version: i32,
    /// Makes an empty file this version.
    pub(crate) sql: &'static str,
    /// Brings a file of an older version up.
    pub(crate) steps: &'static [Step],
    /// Name of the file, for people.
    pub(crate) name: &'static str,
}

/// A statement cache that holds all statements of a store.
const STATEMENTS: usize = 160;
/// The WAL goes into the file after this many pages of 4 KiB, and is cut to this size when it does.
const WAL_PAGES: i64 = 4_000;

/// Path of the write-ahead log of `path`.
pub(crate) fn wal_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    PathBuf::from(name)
}

/// Opens (or makes) the file for writing. The check is of what opening itself relies on and takes the same time for any size.
pub(crate) fn open_writer(path: &Path, schema: &Schema) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags).map_err(|e| unusable(path, schema, &e))?;
    prepare(&conn, path, schema).map_err(|e| match e {
        Error::Unusable(_) | Error::Full(_) => e,
        other => Error::Unusable(format!(
            "cannot open {} ({other}); check that the data folder is writable for this user and that no other program holds the file",
            path.display()
        )),
    })?;
    Ok(conn)
}

fn prepare(conn: &Connection, path: &Path, schema: &Schema) -> Result<()> {
    let say = |e: rusqlite::Error| unusable(path, schema, &e);
    conn.busy_timeout(Duration::from_secs(5)).map_err(say)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    let pages: i64 = conn.pragma_query_value(None, "page_count", |row| row.get(0)).map_err(say)?;
    if pages == 0 {
        // Before the first table, or it would need a VACUUM.
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL").map_err(say)?;
    }
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).map_err(say)?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(Error::Unusable(format!(
            "{} cannot use a write-ahead log (its file system said {mode:?}); put the data folder on a local disk",
            path.display()
        )));
    }
    conn.pragma_update(None, "synchronous", "FULL").map_err(say)?;
    conn.pragma_update(None, "wal_autocheckpoint", WAL_PAGES).map_err(say)?;
    conn.pragma_update(None, "journal_size_limit", WAL_PAGES * 4096).map_err(say)?;
    conn.pragma_update(None, "cache_size", -16_384).map_err(say)?;
    // What is deleted is overwritten: a purge, a later backup and whoever reads the disk find nothing of it.
    conn.pragma_update(None, "secure_delete", true).map_err(say)?;
    conn.pragma_update(None, "trusted_schema", false).map_err(say)?;
    // What a savepoint would undo is kept in memory (it is one write's worth): in a file it took 40 % of the writer's time.
    conn.pragma_update(None, "temp_store", "MEMORY").map_err(say)?;
    let version: i32 = conn.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(say)?;
    let application: i32 = conn.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(say)?;
    match version {
        0 if pages == 0 || is_empty(conn).map_err(say)? => create(conn, schema).map_err(say)?,
        v if application != schema.application_id => {
            return Err(Error::Unusable(format!(
                "{} is a database of another program (application id {application}, version {v}); choose another data folder",
                path.display()
            )));
        }
        v if v > schema.version => {
            return Err(Error::Unusable(format!(
                "{} was written by a newer graphmill (schema {v}; this one knows {}); run that version, or restore a backup that \
                 was made before the upgrade",
                path.display(),
                schema.version
            )));
        }
        _ => {
            let brought_up = graphmill_sqlite::migrate(conn, path, schema.steps);
            brought_up.map_err(|e| match e.sqlite().and_then(rusqlite::Error::sqlite_error_code) {
                Some(rusqlite::ErrorCode::DiskFull) => Error::Full(e.to_string()),
                _ => Error::Unusable(e.to_string()),
            })?;
        }
    }
    Ok(())
}

fn is_empty(conn: &Connection) -> rusqlite::Result<bool> {
    conn.query_row("SELECT NOT EXISTS (SELECT 1 FROM sqlite_schema)", [], |row| row.get(0))
}

/// All or nothing: a kill in between leaves an empty file.
fn create(conn: &Connection, schema: &Schema) -> rusqlite::Result<()> {
    conn.execute_batch(&format!(
        "BEGIN IMMEDIATE; {} PRAGMA application_id = {}; PRAGMA user_version = {}; COMMIT;",
        schema.sql, schema.application_id, schema.version
    ))
}

/// A connection that can only read.
pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    conn.pragma_update(None, "query_only", true)?;
    conn.pragma_update(None, "cache_size", -8_192)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    Ok(conn)
}

/// Another writing connection of a file that [`open_writer`] has prepared.
pub(crate) fn open_second_writer(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    // Moving the log into the file is the first writer's work: what goes through here must stay short.
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "secure_delete", true)?;
    conn.pragma_update(None, "cache_size", -512)?;
    conn.pragma_update(None, "trusted_schema", false)?;
    Ok(conn)
}

fn unusable(path: &Path, schema: &Schema, e: &rusqlite::Error) -> Error {
    use rusqlite::ErrorCode as Code;
    let path = path.display();
    match e.sqlite_error_code() {
        Some(Code::DiskFull) => Error::Full(e.to_string()),
        Some(Code::NotADatabase | Code::DatabaseCorrupt) => {
            let name = schema.name;
            // A graph keeps to the job store that it was made with.
            let away = if name == "jobs.db" { "it and graph.db" } else { "it" };
            Error::Unusable(format!(
                "{path} is damaged or no SQLite database ({e}); keep a copy, then restore it from a backup, or try \
                 `sqlite3 {name} .recover`, or move {away} away to start anew (what only this knows is lost then)"
            ))
        }
        Some(Code::CannotOpen | Code::ReadOnly | Code::PermissionDenied) => Error::Unusable(format!(
            "cannot write {path} ({e}); make the data folder and the files in it writable for this user, or choose another folder"
        )),
        Some(Code::DatabaseBusy | Code::DatabaseLocked) => {
            Error::Unusable(format!("{path} is held by another program ({e}); close it and start again"))
        }
        _ => Error::Unusable(format!("cannot open {path}: {e}; check the disk and the permissions of the data folder")),
    }
}
