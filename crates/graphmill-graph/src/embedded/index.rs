//! The index of searches: `graph.search.db` beside `graph.db`, derived from it and from nothing else. Every search brings it up to the state of the graph
//! that it sees (publications do so as well when many chunks wait, so that searches find little to do), and what the index proposes is looked up in that state before it
//! is answered: what is not placed there is never found. So the index may hold more than is live, may be lost, and may be removed at any time.
//!
//! - Words: immutable segments of up to some thousand chunks with a list a word (`text.rs`, `postings.rs`); small ones are merged (`merge.rs`).
//! - Vectors: blocks of rounded vectors, with a bound of what rounding did (`vectors.rs`, `codes.rs`).
//!
//! A damaged or foreign file is removed and made again. When it cannot be written (the disk is full), a search takes the words that it lacks into memory and
//! compares the vectors of the graph themselves: slower, and the same answer.

mod codes;
mod merge;
mod postings;
mod shortlist;
mod text;
mod vectors;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::vectors::spaces_of;
use crate::varint::Malformed;
use crate::{Error, Result};

/// Marks a file of ours ("GMsr") and its format.
const APPLICATION_ID: i64 = 0x474d_7372;
const FORMAT: i64 = 1;
/// Chunks that are worth a visit after a publication: a word of many chunks is one row, and a search has that many in some milliseconds.
const WAITING_CHUNKS: i64 = 512;
/// Page cache of each connection, in KiB.
const CACHE_KIB: i64 = 4_096;
/// Bytes of the file that readers see as memory of the page cache, without copying them first.
const MAPPED: i64 = 1 << 40;

/// What went wrong, and in which of the two files.
#[derive(Debug)]
enum Fault {
    /// In the graph.
    Graph(Error),
    /// In the index.
    Index(rusqlite::Error),
    /// The index holds what this version never writes.
    Damaged,
}

type Outcome<T> = std::result::Result<T, Fault>;

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Graph(error)
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Index(error)
    }
}

impl From<Malformed> for Fault {
    fn from(_: Malformed) -> Self {
        Self::Damaged
    }
}

impl Fault {
    /// Whether making the index anew helps.
    fn is_damage(&self) -> bool {
        let code = match self {
            Self::Graph(_) => return false,
            Self::Damaged => return true,
            Self::Index(error) => error.sqlite_error_code(),
        };
        // Unknown: a table or column that is not there. A type that was not expected has no code.
        matches!(code, None | Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown))
    }

    /// Whether the index cannot be written now (a full disk, mostly) and searches have to do without its newest part.
    fn is_no_room(&self) -> bool {
        use ErrorCode::{CannotOpen, DiskFull, ReadOnly, SystemIoFailure};
        let Self::Index(error) = self else { return false };
        matches!(error.sqlite_error_code(), Some(DiskFull | SystemIoFailure | CannotOpen | ReadOnly))
    }

    fn into_error(self) -> Error {
        match self {
            Self::Graph(error) => error,
            Self::Index(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                Error::Full(error.to_string())
            }
            Self::Index(error) => Error::Backend(format!("the index of searches: {error}")),
            Self::Damaged => Error::Backend("the index of searches is damaged; the next search makes it again".into()),
        }
    }
}

/// The index of one graph.
pub(super) struct SearchIndex {
    path: PathBuf,
    /// Who brings the index up holds it; `None` until the file is opened.
    writer: Mutex<Option<Connection>>,
    idle: Mutex<Vec<(u64, Connection)>>,
    /// Raised when the file is made anew: connections of the old one are not used again.
    generation: AtomicU64,
    /// Chunks up to this key have their words in the index, as far as this process knows.
    text_to: AtomicI64,
    /// Spaces whose blocks were compared with their checksums since the file was opened.
    verified: Mutex<HashSet<u32>>,
}

impl SearchIndex {
    /// The index beside a graph. One that knows more than the graph does is of another state of it (a copy was put back) and is removed.
    pub(super) fn open(graph_path: &Path, graph: &Connection) -> Self {
        let index = Self {
            path: graph_path.with_extension("search.db"),
            writer: Mutex::new(None),
            idle: Mutex::default(),
            generation: AtomicU64::new(0),
            text_to: AtomicI64::new(0),
            verified: Mutex::default(),
        };
        if index.path.exists() && !index.belongs_to(graph).unwrap_or(false) {
            tracing::info!(path = %index.path.display(), "the index of searches is not of this graph or damaged; it is made again");
            index.discard();
        }
        index
    }

    fn belongs_to(&self, graph: &Connection) -> Outcome<bool> {
        self.write(|conn| {
            let (text_to, of): (i64, Option<Vec<u8>>) =
                conn.query_row("SELECT text_to, job_store FROM meta", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let ours: Option<Vec<u8>> =
                graph.query_row("SELECT job_store FROM meta", [], |row| row.get(0)).map_err(Error::from)?;
            let same = of.is_none() || of == ours;
            Ok(same && text_to <= text::newest_chunk(graph)? && vectors::stand_within(conn, graph)?)
        })
    }

    /// After a publication: brings the index up when many chunks wait. Fewer are left to the next search, which is soon done with them.
    pub(super) fn follow(&self, graph: &Connection, collection: i64) {
        let waiting = text::newest_chunk(graph).map(|newest| newest - self.text_to.load(Ordering::SeqCst));
        if waiting.is_ok_and(|waiting| waiting < WAITING_CHUNKS) {
            return;
        }
        self.bring_up(graph, collection);
    }

    /// Brings the index up to the state that `graph` reads. Nothing waits for this but searches: a failure is theirs to tell.
    pub(super) fn bring_up(&self, graph: &Connection, collection: i64) {
        let brought = self.healing(|| {
            self.bring_text_up(graph)?;
            self.write(|conn| merge::merge(conn, graph, collection))?;
            self.bring_active_space_up(graph, collection)
        });
        if let Err(error) = brought {
            tracing::warn!(%error, "the index of searches could not be brought up; the next search tries again");
        }
    }

    /// Forgets what the graph does not have any more: collections and spaces at once, chunks when they are most of what is there.
    pub(super) fn forget_gone(&self, graph: &Connection) {
        if !self.path.exists() {
            return;
        }
        let forgotten = self.healing(|| {
            self.write(|conn| {
                merge::forget_gone(conn, graph)?;
                vectors::forget_gone(conn, graph)
            })
        });
        if let Err(error) = forgotten {
            tracing::warn!(%error, "the index of searches still holds what is gone; the next sweep tries again");
        }
    }

    /// Removes whatever is gone from a collection: words and rounded vectors of deleted documents that a merge would find some day. Each segment and
    /// block is a transaction of its own, so that searches go on beside it.
    pub(super) fn compact(&self, graph: &Connection, collection: i64) -> Result<()> {
        if !self.path.exists() {
            return Ok(());
        }
        self.healing(|| {
            // Somebody who reads an earlier state may merge what is gone into a new segment meanwhile: until nothing is found.
            loop {
                let segments = self.read(|conn| merge::with_gone(conn, graph, collection))?;
                for segment in &segments {
                    self.write(|conn| merge::compact(conn, graph, collection, *segment))?;
                }
                if segments.is_empty() {
                    break;
                }
            }
            for space in spaces_of(graph, collection)? {
                for block in self.read(|conn| vectors::with_gone(conn, graph, space.id))? {
                    self.write(|conn| vectors::compact(conn, graph, space.id, block))?;
                }
            }
            Ok(())
        })
    }

    /// Empties the write-ahead log; `false`: somebody reads an earlier state. Blocking.
    pub(super) fn empty_log(&self) -> Result<bool> {
        if !self.path.exists() {
            return Ok(true);
        }
        graphmill_sqlite::empty_log(&self.path).map_err(|e| Fault::Index(e).into_error())
    }

    /// Runs `search`; when the index turns out to be damaged, once more after making it anew.
    fn healing<T>(&self, search: impl Fn() -> Outcome<T>) -> Result<T> {
        match search() {
            Err(fault) if fault.is_damage() => {
                tracing::warn!(?fault, "the index of searches is damaged; it is made again");
                self.discard();
                search().map_err(Fault::into_error)
            }
            other => other.map_err(Fault::into_error),
        }
    }

    /// Removes the file. Readers that are under way keep the old one, which is as good for them as before.
    fn discard(&self) {
        let mut writer = self.writer.lock();
        *writer = None;
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.idle.lock().clear();
        self.verified.lock().clear();
        self.text_to.store(0, Ordering::SeqCst);
        for suffix in ["", "-wal", "-shm"] {
            let mut name = self.path.clone().into_os_string();
            name.push(suffix);
            if let Err(error) = std::fs::remove_file(&name)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(path = %Path::new(&name).display(), %error, "a file of the search index cannot be removed");
            }
        }
    }

    /// Runs `write` in one transaction, one at a time.
    fn write<T>(&self, write: impl FnOnce(&Connection) -> Outcome<T>) -> Outcome<T> {
        let mut writer = self.writer.lock();
        if writer.is_none() {
            *writer = Some(open_writer(&self.path)?);
        }
        let conn = writer.as_ref().ok_or(Fault::Damaged)?;
        conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let written = write(conn);
        if written.is_ok() {
            graphmill_core::fault_point!("index.before_commit");
        }
        let ended = if written.is_ok() { "COMMIT" } else { "ROLLBACK" };
        match (written, conn.prepare_cached(ended).and_then(|mut end| end.execute([]))) {
            (Ok(done), Ok(_)) => {
                graphmill_core::fault_point!("index.after_commit");
                Ok(done)
            }
            (Ok(_), Err(error)) => {
                if !conn.is_autocommit() {
                    let _ = conn.execute_batch("ROLLBACK");
                }
                Err(error.into())
            }
            // SQLite may have rolled back by itself.
            (Err(fault), _) => Err(fault),
        }
    }

    /// Runs `read` in one read transaction.
    fn read<T>(&self, read: impl FnOnce(&Connection) -> Outcome<T>) -> Outcome<T> {
        let generation = self.generation.load(Ordering::SeqCst);
        let idle = self.idle.lock().pop();
        let conn = match idle {
            Some((of, conn)) if of == generation => conn,
            _ => {
                if self.writer.lock().is_none() {
                    self.write(|_| Ok(()))?;
                }
                open_reader(&self.path)?
            }
        };
        conn.prepare_cached("BEGIN")?.execute([])?;
        let answer = read(&conn);
        conn.prepare_cached("ROLLBACK")?.execute([])?;
        if self.generation.load(Ordering::SeqCst) == generation {
            self.idle.lock().push((generation, conn));
        }
        answer
    }
}

fn prepare(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(std::time::Duration::from_secs(5))?;
    conn.set_prepared_statement_cache_capacity(64);
    conn.pragma_update(None, "cache_size", -CACHE_KIB)?;
    conn.pragma_update(None, "temp_store", "MEMORY")
}

fn open_writer(path: &Path) -> Outcome<Connection> {
    let conn = Connection::open(path)?;
    prepare(&conn)?;
    let number = |name: &str| conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let (owner, format) = (number("application_id")?, number("user_version")?);
    conn.execute_batch("PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL;")?;
    conn.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    // A loss of power may take the newest writes, together with the marks of how far they went.
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.pragma_update(None, "wal_autocheckpoint", 4_000)?;
    conn.pragma_update(None, "secure_delete", true)?;
    conn.pragma_update(None, "journal_size_limit", 16 << 20)?;
    if (owner, format) == (0, 0) {
        conn.execute_batch(&format!(
            "BEGIN IMMEDIATE;\n{}\nPRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {FORMAT};\nCOMMIT;",
            include_str!("index/schema.sql")
        ))?;
    } else if (owner, format) != (APPLICATION_ID, FORMAT) {
        return Err(Fault::Damaged);
    }
    Ok(conn)
}

/// An index in memory alone, for what the file has no room for.
fn open_in_memory() -> Outcome<Connection> {
    let conn = Connection::open_in_memory()?;
    prepare(&conn)?;
    conn.execute_batch(include_str!("index/schema.sql"))?;
    Ok(conn)
}

fn open_reader(path: &Path) -> Outcome<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    prepare(&conn)?;
    conn.pragma_update(None, "mmap_size", MAPPED)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}
