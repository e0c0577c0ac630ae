//! Paid answers of models, in a file of their own, so that nothing else waits behind them.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use graphmill_core::{CacheError, CacheKey, CollectionId, ContentCache};
use parking_lot::FairMutex;
use rusqlite::{Connection, OptionalExtension, params};

use crate::space::DiskGuard;
use crate::sqlite::writer::{Kind, Tx, Writer, WriterThread};
use crate::sqlite::{Readers, Schema, open_writer, wal_path};
use crate::{Error, Result};

// `WITHOUT ROWID` would put the answers into the inner pages of the tree.
const SCHEMA: Schema = Schema {
    application_id: 0x676d_6361,
    version: 1,
    sql: "CREATE TABLE answer (
            key INTEGER PRIMARY KEY AUTOINCREMENT,
            collection TEXT NOT NULL,
            hash BLOB NOT NULL CHECK (length(hash) = 32),
            bytes BLOB NOT NULL,
            UNIQUE (collection, hash)
          ) STRICT;",
    steps: &[],
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
    let mut vacuum = tx.conn.prepare("PRAGMA incremental_vacuum(1000)")?;
    let mut rows = vacuum.query([])?;
    while rows.next()?.is_some() {}
    Ok(deleted as u64)
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
    async fn a_file_of_another_kind_is_refused_with_a_hint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cache.db");
        std::fs::write(&path, "this is no database, and it is long enough to have been read as a header ".repeat(20))
            .unwrap();
        let message = SqliteContentCache::open(&path).err().unwrap().to_string();
        assert!(message.contains("cache.db") && message.contains("backup"), "{message}");
    }
}
