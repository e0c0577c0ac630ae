//! Opening the job store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use graphmill_core::{Clock, CollectionId, JobId};
use graphmill_sqlite::Step;
use parking_lot::{FairMutex, RwLock};
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::broadcast;

use super::connection::{Schema, open_reader, open_writer, wal_path};
use super::counters::Counters;
use super::ids::JobIds;
use super::journal::JobsState;
use super::lease::Leases;
use super::readers::Readers;
use super::row::job_id;
use super::writer::{Writer, WriterThread};
use crate::records::{JobChange, Lost};
use crate::space::DiskGuard;
use crate::{Error, Result};

const SCHEMA: Schema = Schema {
    application_id: 0x676d_6a62,
    version: SqliteJobStore::SCHEMA_VERSION,
    sql: include_str!("schema.sql"),
    steps: &[Step { to: 2, sql: include_str!("migrations/2.sql") }],
    name: "jobs.db",
};

/// Changes that a slow follower may be behind before it has to read the state anew.
const FOLLOWER_LAG: usize = 4096;
/// Up to this size a file is checked whole at open; a larger one is checked beside the work, when its last owner did not close it.
const CHECKED_AT_OPEN: u64 = 4 * 1024 * 1024;

/// What a [`SqliteJobStore`] is opened with.
#[derive(Clone)]
pub struct SqliteOptions {
    /// The file; made when it is not there. Its folder must exist.
    pub path: PathBuf,
    /// The store's time.
    pub clock: Arc<dyn Clock>,
    /// Reads that may run at a time.
    pub readers: usize,
    /// Told when the disk is full, asked before claims, and whose reserve is released for the state of jobs.
    pub disk: Option<Arc<DiskGuard>>,
}

impl SqliteOptions {
    /// Four readers, no disk guard.
    pub fn new(path: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self { path: path.into(), clock, readers: 4, disk: None }
    }
}

/// Jobs in one SQLite file. The process that opens it is its sole owner: leases of an earlier owner are void.
pub struct SqliteJobStore {
    pub(super) id: [u8; 16],
    pub(super) event_order: [u8; 16],
    pub(super) clock: Arc<dyn Clock>,
    pub(super) disk: Option<Arc<DiskGuard>>,
    pub(super) followers: broadcast::Sender<JobChange>,
    // Closed in this order: only a connection that can write moves the log into the file, and only the last one does.
    pub(super) readers: Readers,
    pub(super) leases: Leases,
    pub(super) writer: Writer<JobsState>,
    damage: Arc<RwLock<Option<String>>>,
}

impl SqliteJobStore {
    /// Schema of `jobs.db` that this version writes.
    pub const SCHEMA_VERSION: i32 = 2;

    /// Opens or makes the file. Blocking, a few milliseconds whatever the number of jobs.
    ///
    /// # Errors
    /// [`Error::Unusable`]: damaged, no database of ours, of a newer version or not writable; the message says what to do.
    /// [`Error::Full`]: no room to make it.
    pub fn open(options: SqliteOptions) -> Result<Self> {
        let SqliteOptions { path, clock, readers, disk } = options;
        let conn = open_writer(&path, &SCHEMA)?;
        let damage = Arc::new(RwLock::new(None));
        check(&path, &conn, &damage)?;
        let id = store_id(&conn)?;
        let event_order = event_order(&conn)?;
        super::collections::ensure(&conn, &CollectionId::default(), clock.now())?;
        let last: Option<JobId> =
            conn.query_row("SELECT id FROM job ORDER BY key DESC LIMIT 1", [], |row| job_id(row, 0)).optional()?;
        let (followers, _) = broadcast::channel(FOLLOWER_LAG);
        let gate = Arc::new(FairMutex::new(()));
        let leases = Leases::start(&path, Arc::clone(&clock), Arc::clone(&gate), disk.clone())?;
        let state = JobsState {
            clock: Arc::clone(&clock),
            ids: JobIds::above(last),
            old_leases: true,
            found_lost: Lost::default(),
            counters: Counters::default(),
            changes: Vec::new(),
            followers: followers.clone(),
        };
        let thread = WriterThread { conn, state, gate, disk: disk.clone(), wal: wal_path(&path) };
        let writer = Writer::start("jobs-writer", thread)?;
        let readers = Readers::new(path, readers);
        Ok(Self { id, event_order, clock, disk, followers, writer, leases, readers, damage })
    }

    /// Makes a closed file that was put back from a backup begin a new order of events at its next opening: positions that were given after the
    /// backup are given once more, for other events, and whoever follows the old ones must be told. Blocking.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub fn forget_event_order(path: &Path) -> Result<()> {
        let conn = Connection::open(path)?;
        let of_this_schema = "SELECT 1 FROM pragma_table_info('store') WHERE name = 'events'";
        if conn.prepare(of_this_schema)?.exists([])? {
            conn.execute("UPDATE store SET events = NULL", [])?;
        } // An older one has no name for it yet: the migration leaves it open.
        conn.close().map_err(|(_, error)| error.into())
    }

    /// What the check of a large file, which runs beside the work after opening, found wrong.
    pub fn damage(&self) -> Option<String> {
        self.damage.read().clone()
    }
}

/// Made once; a graph store is bound to it.
fn store_id(conn: &Connection) -> Result<[u8; 16]> {
    let id: [u8; 16] = rand::random();
    conn.execute("INSERT OR IGNORE INTO store (one, id, ticket) VALUES (1, ?1, 0)", [id])?;
    Ok(conn.query_row("SELECT id FROM store WHERE one = 1", [], |row| row.get(0))?)
}

/// See the schema.
fn event_order(conn: &Connection) -> Result<[u8; 16]> {
    let order: [u8; 16] = rand::random();
    conn.execute("UPDATE store SET events = ?1 WHERE events IS NULL", [order])?;
    Ok(conn.query_row("SELECT events FROM store WHERE one = 1", [], |row| row.get(0))?)
}

fn check(path: &Path, conn: &Connection, damage: &Arc<RwLock<Option<String>>>) -> Result<()> {
    let said = |found: String| {
        Error::Unusable(format!(
            "{} is damaged ({found}); keep a copy, then restore it from a backup or run `sqlite3 jobs.db .recover`",
            path.display()
        ))
    };
    let io = |e: std::io::Error| Error::Unusable(format!("cannot read {}: {e}; check its permissions", path.display()));
    let length = std::fs::metadata(path).map_err(io)?.len();
    let page = |name: &str| conn.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let logged = std::fs::metadata(wal_path(path)).map_or(0, |wal| wal.len());
    let wanted = (page("page_count")? * page("page_size")?).unsigned_abs();
    if logged == 0 && length < wanted {
        return Err(said(format!("it has {length} bytes of {wanted}")));
    }
    if length <= CHECKED_AT_OPEN {
        return match quick_check(conn)? {
            None => Ok(()),
            Some(found) => Err(said(found)),
        };
    }
    if logged == 0 {
        // It was closed in order.
        return Ok(());
    }
    let (path, damage) = (path.to_owned(), Arc::clone(damage));
    let beside = std::thread::Builder::new().name("jobs-check".into()).spawn(move || {
        let found = open_reader(&path).and_then(|conn| quick_check(&conn));
        let found = found.unwrap_or_else(|e| Some(e.to_string()));
        if let Some(found) = found {
            tracing::error!(file = %path.display(), found, "the job database is damaged; restore it from a backup");
            *damage.write() = Some(found);
        }
    });
    beside.map(drop).map_err(|e| Error::Backend(format!("cannot start the check of the file: {e}")))
}

/// The first fault, if any.
fn quick_check(conn: &Connection) -> Result<Option<String>> {
    let found: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    Ok((found != "ok").then_some(found))
}
