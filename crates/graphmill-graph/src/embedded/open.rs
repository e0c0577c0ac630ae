//! Opening graph.db: who it belongs to, which schema it has, how its connections are set.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use graphmill_core::Clock;
use graphmill_sqlite::Step;
use rusqlite::{Connection, OpenFlags};

use super::sql_error::DAMAGED_HINT;
use super::upgrade_functions;
use crate::{Error, Result};

/// The schema that this version writes.
pub(super) const SCHEMA_VERSION: i64 = 2;
/// What brings a file of an older schema up.
const STEPS: &[Step] = &[Step { to: 2, sql: include_str!("migrations/2.sql") }];
/// Marks the file as ours ("GMgr").
const APPLICATION_ID: i64 = 0x474d_6772;
/// How long a connection waits for a lock of another one.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Pages of the write-ahead log after which it is folded back; a large log lets a page that changes often be written back once.
const CHECKPOINT_PAGES: i64 = 8_000;
/// Bytes to which the log is cut when it was larger.
const LOG_SIZE_LIMIT: i64 = 64 << 20;

/// How to open an [`super::EmbeddedGraph`].
#[derive(Clone)]
pub struct EmbeddedOptions {
    /// The file `graph.db`; its log, index and spool files are made beside it.
    pub path: PathBuf,
    /// Decides `created_at`, `updated_at` and the age of tombstones.
    pub clock: Arc<dyn Clock>,
    /// Connections that read at the same time.
    pub readers: usize,
    /// Page cache of the writer, in bytes.
    pub writer_cache: u64,
    /// Page cache of each reader, in bytes.
    pub reader_cache: u64,
}

impl EmbeddedOptions {
    /// Options as the product uses them.
    pub fn new(path: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self { path: path.into(), clock, readers: 4, writer_cache: 32 << 20, reader_cache: 4 << 20 }
    }
}

/// Opens the file for writing and brings its schema up.
pub(super) fn open_writer(options: &EmbeddedOptions) -> Result<Connection> {
    let conn = Connection::open(&options.path).map_err(|e| cannot_open(&options.path, &e))?;
    prepare_writer(&conn, options).map_err(|e| match e {
        Error::Unusable(why) if !why.contains(&*options.path.to_string_lossy()) => {
            Error::Unusable(format!("{}: {why}", options.path.display()))
        }
        other => other,
    })?;
    Ok(conn)
}

fn prepare_writer(conn: &Connection, options: &EmbeddedOptions) -> Result<()> {
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(128);
    check_owner(conn, &options.path)?;
    // Both must be set before the first page is written; on an existing file they change nothing.
    conn.execute_batch("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL;")?;
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(Error::Unusable(format!(
            "the file system of the data folder has no shared memory for SQLite's write-ahead log (journal mode {mode}); put the \
             data folder on a local disk"
        )));
    }
    set_cache(conn, options.writer_cache)?;
    // What is deleted is overwritten: a purge, a later backup and whoever reads the disk find nothing of it.
    conn.pragma_update(None, "secure_delete", true)?;
    conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    conn.pragma_update(None, "journal_size_limit", LOG_SIZE_LIMIT)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    upgrade_functions::register(conn)?;
    migrate(conn, &options.path)
}

/// Opens a connection that can only read.
pub(super) fn open_reader(options: &EmbeddedOptions) -> Result<Connection> {
    // Not read-only: the first reader of a log may have to make its shared-memory file.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(&options.path, flags).map_err(|e| cannot_open(&options.path, &e))?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_prepared_statement_cache_capacity(64);
    set_cache(&conn, options.reader_cache)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

fn set_cache(conn: &Connection, bytes: u64) -> Result<()> {
    // A negative size is in KiB.
    let kib = i64::try_from(bytes / 1024).unwrap_or(i64::MAX).max(256);
    Ok(conn.pragma_update(None, "cache_size", -kib)?)
}

fn check_owner(conn: &Connection, path: &Path) -> Result<()> {
    let number = |name: &str| conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let (owner, version) = (number("application_id")?, number("user_version")?);
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if owner != APPLICATION_ID && (owner != 0 || tables > 0) {
        return Err(Error::Unusable(format!(
            "{} is a database of another program; give graphmill a data folder of its own",
            path.display()
        )));
    }
    if version > SCHEMA_VERSION {
        return Err(Error::Unusable(format!(
            "{} was written by a newer graphmill (schema {version}, this one knows {SCHEMA_VERSION}); start the newer version, \
             or restore the backup that was made before the upgrade",
            path.display()
        )));
    }
    Ok(())
}

/// Makes the schema, or brings an older one up.
fn migrate(conn: &Connection, path: &Path) -> Result<()> {
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if version == 0 {
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.execute_batch(&format!(
            "BEGIN IMMEDIATE;\n{}\nPRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {SCHEMA_VERSION};\nCOMMIT;",
            include_str!("schema.sql")
        ))?;
    } else {
        graphmill_sqlite::migrate(conn, path, STEPS).map_err(|e| {
            match e.sqlite().and_then(rusqlite::Error::sqlite_error_code) {
                Some(rusqlite::ErrorCode::DiskFull) => Error::Full(e.to_string()),
                _ => Error::Unusable(e.to_string()),
            }
        })?;
    }
    drop_old_indexes(conn)?;
    // Reads the whole schema, so that damage there is told now and not in the middle of a job.
    conn.query_row("SELECT job_store FROM meta WHERE one = 1", [], |_| Ok(())).map_err(|e| match e {
        rusqlite::Error::QueryReturnedNoRows => {
            Error::Unusable(format!("graph.db is damaged (its first row is missing); {DAMAGED_HINT}"))
        }
        other => other.into(),
    })
}

/// Schema 1 had a full-text index a collection in this file; words are in the index of searches now.
fn drop_old_indexes(conn: &Connection) -> Result<()> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'chunk_text_*' AND sql LIKE 'CREATE VIRTUAL TABLE%'";
    let names: Vec<String> = conn.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for name in names {
        conn.execute_batch(&format!("DROP TABLE {name}"))?;
    }
    Ok(())
}

fn cannot_open(path: &Path, error: &rusqlite::Error) -> Error {
    Error::Unusable(format!(
        "{} cannot be opened ({error}); see that its folder exists and that the user that the server runs under may write there",
        path.display()
    ))
}
