//! A cache that remembers, refuses, or waits.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use graphmill_core::{CacheError, CacheKey, CacheUser, CollectionId, ContentCache, PurgedAnswers};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

pub(crate) struct MemoryCache {
    pub(crate) entries: Mutex<HashMap<CacheKey, Bytes>>,
    /// Writes fail for want of room.
    pub(crate) full: AtomicBool,
    /// Reads fail.
    pub(crate) broken: AtomicBool,
    /// Each write takes one permit.
    pub(crate) writes: Semaphore,
}

impl Default for MemoryCache {
    fn default() -> Self {
        let writes = Semaphore::new(1_000_000);
        Self { entries: Mutex::default(), full: AtomicBool::new(false), broken: AtomicBool::new(false), writes }
    }
}

#[async_trait]
impl ContentCache for MemoryCache {
    async fn get(&self, keys: &[CacheKey]) -> Result<Vec<Option<Bytes>>, CacheError> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(CacheError::Failed("broken on purpose".into()));
        }
        let entries = self.entries.lock();
        Ok(keys.iter().map(|key| entries.get(key).cloned()).collect())
    }

    async fn put(&self, new: Vec<(CacheKey, Bytes)>) -> Result<(), CacheError> {
        if self.full.load(Ordering::SeqCst) {
            return Err(CacheError::Full("full on purpose".into()));
        }
        let permit = self.writes.acquire().await.map_err(|e| CacheError::Failed(e.to_string()))?;
        permit.forget();
        self.entries.lock().extend(new);
        Ok(())
    }

    async fn note_use(&self, _: CacheUser, _: &[CacheKey]) -> Result<(), CacheError> {
        Ok(())
    }

    async fn purge(&self, _: CacheUser) -> Result<PurgedAnswers, CacheError> {
        Ok(PurgedAnswers::default())
    }

    async fn delete_collection(&self, collection: &CollectionId) -> Result<u64, CacheError> {
        let mut entries = self.entries.lock();
        let before = entries.len();
        entries.retain(|key, _| key.collection != *collection);
        Ok((before - entries.len()) as u64)
    }
}
