//! Paid answers of models, in a file of their own, so that nothing else waits behind them.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use graphmill_core::{CacheError, CacheKey, CacheUser, CollectionId, ContentCache, PurgedAnswers};
use parking_lot::FairMutex;
use rusqlite::{Connection, OptionalExtension, params};

use crate::space::DiskGuard;
use crate::sqlite::writer::{Kind, Tx, Writer, WriterThread};
use crate::sqlite::{Readers, Schema, open_writer, wal_path};
use crate::{Error, Result};
use graphmill_sqlite::Step;

/// Which document uses which answer, under which tickets. (A macro, so that it is part of both texts.)
macro_rules! uses {
    () => {
        "CREATE TABLE used (
            document BLOB NOT NULL CHECK (length(document) = 16),
            seq INTEGER NOT NULL,
            collection TEXT NOT NULL,
            hash BLOB NOT NULL CHECK (length(hash) = 32),
            PRIMARY KEY (document, seq, collection, hash)
          ) STRICT, WITHOUT ROWID;
          CREATE INDEX used_answer ON used (collection, hash);"
    };
}

// `WITHOUT ROWID` would put the answers into the inner pages of the tree.
const SCHEMA: Schema = Schema {
    application_id: 0x676d_6361,
    version: SqliteContentCache::SCHEMA_VERSION,
    sql: concat!(
        "CREATE TABLE answer (
            key INTEGER PRIMARY KEY AUTOINCREMENT,
            collection TEXT NOT NULL,
            hash BLOB NOT NULL CHECK (length(hash) = 32),
            bytes BLOB NOT NULL,
            UNIQUE (collection, hash)
          ) STRICT;",
        uses!()
    ),
    steps: &[Step { to: 2, sql: uses!() }],
    name: "cache.db",
};

/// Rows that one write deletes, so that it stays short.
const DELETE_BATCH: u32 = 1_000;

const PUT: Kind =
    Kind { durable: true, reserve: false, fault: Some(("cache.put.before_commit", "cache.put.after_commit")) };
const DELETE: Kind =
    Kind { durable: true, reserve: true, fault: Some(("cache.delete.before_commit", "cache.delete.after_commit")) };

/// The answer cache in `cache.db`.
pub struct SqliteContentCache {
    // Closed in this order: only a connection that can write moves the log into the file, and only the last one does.
    readers: Readers,
    writer: Writer<()>,
}

impl SqliteContentCache {
    /// `PRAGMA user_version` that this program writes.
    pub const SCHEMA_VERSION: i32 = 2;

    /// Opens or makes the file.
    ///
    /// # Errors
    /// [`Error::Unusable`] when the file is damaged, none of ours or not writable; [`Error::Full`] when there is no room to make it.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        Self::open_with(path, None)
    }

    /// The same; the guard is told when a write finds no room.
    ///
    /// # Errors
    /// As [`SqliteContentCache::open`].
    pub fn open_with(path: impl Into<PathBuf>, disk: Option<Arc<DiskGuard>>) -> Result<Self> {
        let path = path.into();
        let conn = open_writer(&path, &SCHEMA)?;
        let thread = WriterThread { conn, state: (), gate: Arc::new(FairMutex::new(())), disk, wal: wal_path(&path) };
        Ok(Self { writer: Writer::start("cache-writer", thread)?, readers: Readers::new(path, 2) })
    }

    /// The file.
    pub(crate) fn path(&self) -> &std::path::Path {
        self.readers.path()
    }
}

fn delete_batch(tx: &mut Tx<'_, ()>, collection: &CollectionId) -> Result<u64> {
    let deleted = tx
        .conn
        .prepare_cached(
            "DELETE FROM answer WHERE key IN (SELECT key FROM answer WHERE collection = ?1 ORDER BY hash LIMIT ?2)",
        )?
        .execute(params![collection.as_str(), DELETE_BATCH])?;
    if deleted < DELETE_BATCH as usize {
        tx.conn.prepare_cached("DELETE FROM used WHERE collection = ?1")?.execute([collection.as_str()])?;
    }
    let mut vacuum = tx.conn.prepare("PRAGMA incremental_vacuum(1000)")?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    Ok(deleted as u64)
}

fn note_use(tx: &mut Tx<'_, ()>, user: CacheUser, keys: &[CacheKey]) -> Result<()> {
    let mut note = tx
        .conn
        .prepare_cached("INSERT OR IGNORE INTO used (document, seq, collection, hash) VALUES (?1, ?2, ?3, ?4)")?;
    for key in keys {
        note.execute(params![user.document.as_bytes(), signed(user.seq), key.collection.as_str(), key.hash])?;
    }
    Ok(())
}

fn signed(seq: graphmill_core::Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

/// Forgets some uses and what nobody uses any more; answers what went and whether no use is left.
fn purge_batch(tx: &mut Tx<'_, ()>, user: CacheUser) -> Result<(PurgedAnswers, bool)> {
    let sql = "SELECT seq, collection, hash FROM used WHERE document = ?1 AND seq <= ?2 LIMIT ?3";
    let mut statement = tx.conn.prepare_cached(sql)?;
    let bound = params![user.document.as_bytes(), signed(user.seq), DELETE_BATCH];
    let uses: Vec<(i64, String, [u8; 32])> = statement
        .query_map(bound, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<rusqlite::Result<_>>()?;
    let mut purged = PurgedAnswers::default();
    let mut forget = tx
        .conn
        .prepare_cached("DELETE FROM used WHERE document = ?1 AND seq = ?2 AND collection = ?3 AND hash = ?4")?;
    let mut remove = tx.conn.prepare_cached(
        "DELETE FROM answer WHERE collection = ?1 AND hash = ?2 \
         AND NOT EXISTS (SELECT 1 FROM used WHERE collection = ?1 AND hash = ?2) RETURNING length(bytes)",
    )?;
    for (seq, collection, hash) in &uses {
        forget.execute(params![user.document.as_bytes(), seq, collection, hash])?;
        let gone: Option<i64> = remove.query_row(params![collection, hash], |row| row.get(0)).optional()?;
        purged.entries += u64::from(gone.is_some());
        purged.bytes += gone.unwrap_or(0).unsigned_abs();
    }
    Ok((purged, uses.len() < DELETE_BATCH as usize))
}

fn put(tx: &mut Tx<'_, ()>, entries: &[(CacheKey, Bytes)]) -> Result<()> {
    // The first answer stays: what was used once is what is used again.
    let mut insert =
        tx.conn.prepare_cached("INSERT OR IGNORE INTO answer (collection, hash, bytes) VALUES (?1, ?2, ?3)")?;
    for (key, bytes) in entries {
        insert.execute(params![key.collection.as_str(), key.hash, &bytes[..]])?;
    }
    Ok(())
}

fn get(conn: &Connection, keys: &[CacheKey]) -> Result<Vec<Option<Bytes>>> {
    let mut select = conn.prepare_cached("SELECT bytes FROM answer WHERE collection = ?1 AND hash = ?2")?;
    let mut answers = Vec::with_capacity(keys.len());
    for key in keys {
        let bytes: Option<Vec<u8>> =
            select.query_row(params![key.collection.as_str(), key.hash], |row| row.get(0)).optional()?;
        answers.push(bytes.map(Bytes::from));
    }
    Ok(answers)
}

#[async_trait]
impl ContentCache for SqliteContentCache {
    async fn get(&self, keys: &[CacheKey]) -> std::result::Result<Vec<Option<Bytes>>, CacheError> {
        let keys = keys.to_vec();
        self.readers.read(move |conn| get(conn, &keys)).await.map_err(cache_error)
    }

    async fn put(&self, entries: Vec<(CacheKey, Bytes)>) -> std::result::Result<(), CacheError> {
        self.writer.write(PUT, move |tx| put(tx, &entries)).await.map_err(cache_error)
    }

    async fn note_use(&self, user: CacheUser, keys: &[CacheKey]) -> std::result::Result<(), CacheError> {
        let keys = keys.to_vec();
        self.writer.write(PUT, move |tx| note_use(tx, user, &keys)).await.map_err(cache_error)
    }

    async fn purge(&self, user: CacheUser) -> std::result::Result<PurgedAnswers, CacheError> {
        let mut all = PurgedAnswers::default();
        loop {
            let (purged, done) =
                self.writer.write(DELETE, move |tx| purge_batch(tx, user)).await.map_err(cache_error)?;
            all.entries += purged.entries;
            all.bytes += purged.bytes;
            if done {
                return Ok(all);
            }
        }
    }

    async fn settle_deletions(&self) -> std::result::Result<bool, CacheError> {
        self.readers.empty_log().await.map_err(cache_error)
    }

    async fn delete_collection(&self, collection: &CollectionId) -> std::result::Result<u64, CacheError> {
        let mut deleted = 0;
        loop {
            let name = collection.clone();
            let batch = self.writer.write(DELETE, move |tx| delete_batch(tx, &name)).await.map_err(cache_error)?;
            deleted += batch;
            if batch < u64::from(DELETE_BATCH) {
                return Ok(deleted);
            }
        }
    }
}

fn cache_error(e: Error) -> CacheError {
    match e {
        Error::Full(message) => CacheError::Full(message),
        other => CacheError::Failed(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(collection: &str, n: u8) -> CacheKey {
        CacheKey { collection: collection.parse().unwrap(), hash: [n; 32] }
    }

    #[tokio::test]
    async fn answers_are_kept_over_a_restart_and_within_their_collection() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache.db");
        let cache = SqliteContentCache::open(&path).unwrap();
        cache.put(vec![(key("a", 1), "one".into()), (key("a", 2), "two".into())]).await.unwrap();
        cache.put(vec![(key("a", 1), "another answer".into())]).await.unwrap();
        drop(cache);
        let cache = SqliteContentCache::open(&path).unwrap();
        let got = cache.get(&[key("a", 2), key("b", 1), key("a", 1)]).await.unwrap();
        assert_eq!(got, [Some("two".into()), None, Some("one".into())]);
        assert_eq!(cache.delete_collection(&"a".parse().unwrap()).await.unwrap(), 2);
        assert_eq!(cache.get(&[key("a", 1)]).await.unwrap(), [None]);
    }

    #[tokio::test]
    async fn a_purge_spares_what_others_use() {
        let dir = tempfile::tempdir().unwrap();
        let cache = SqliteContentCache::open(dir.path().join("cache.db")).unwrap();
        let user = |source: &str, seq| CacheUser {
            document: graphmill_core::DocumentId::new(&CollectionId::default(), source),
            seq: graphmill_core::Seq(seq),
        };
        let keys = [key("a", 1), key("a", 2), key("a", 3), key("a", 4)];
        cache.note_use(user("one", 1), &keys[..3]).await.unwrap();
        cache.note_use(user("two", 2), &keys[1..2]).await.unwrap();
        cache.note_use(user("one", 5), &keys[2..3]).await.unwrap();
        cache.put(keys.iter().map(|key| (key.clone(), "four".into())).collect()).await.unwrap();
        let purged = cache.purge(user("one", 4)).await.unwrap();
        assert_eq!(purged, PurgedAnswers { entries: 1, bytes: 4 });
        let kept = cache.get(&keys).await.unwrap();
        assert_eq!(kept.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, true, true]);
        assert_eq!(cache.purge(user("one", 4)).await.unwrap(), PurgedAnswers::default(), "twice is once");
        assert_eq!(cache.purge(user("two", 2)).await.unwrap().entries, 1);
        assert_eq!(cache.purge(user("one", 5)).await.unwrap().entries, 1);
        assert!(cache.get(&keys).await.unwrap()[3].is_some(), "what nobody is known to use is kept");
    }

    #[tokio::test]
    async fn a_file_of_another_kind_is_refused_with_a_hint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache.db");
        std::fs::write(&path, "this is no database, and it is long enough to have been read as a header ".repeat(20))
            .unwrap();
        let message = SqliteContentCache::open(&path).err().unwrap().to_string();
        assert!(message.contains("cache.db") && message.contains("backup"), "{message}");
    }
}
