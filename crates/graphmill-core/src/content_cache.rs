//! Where paid answers of models are kept, so that none is paid for twice.

use async_trait::async_trait;
use bytes::Bytes;

use crate::{CollectionId, DocumentId, Seq};

/// Key of an answer: a hash over everything that the answer depends on (text, model, parameters, prompt version), within a collection.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CacheKey {
    /// Answers are never shared between collections.
    pub collection: CollectionId,
    /// See [`crate::IdHasher::finish32`].
    pub hash: [u8; 32],
}

/// Who uses answers: a document, under the ticket of one of its jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheUser {
    /// The document.
    pub document: DocumentId,
    /// The ticket.
    pub seq: Seq,
}

/// What a purge removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PurgedAnswers {
    /// Answers.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// The cache could not be read or written. The caller must not go on as if an answer had been kept.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// No room on the disk: the job waits until there is.
    #[error("the answer cache has no room: {0}")]
    Full(String),
    /// Anything else.
    #[error("the answer cache failed: {0}")]
    Failed(String),
}

/// Answers of models by content. An answer is written (safe on disk) before it is used.
#[async_trait]
pub trait ContentCache: Send + Sync + 'static {
    /// The answers to `keys`, in their order; `None` where there is none.
    async fn get(&self, keys: &[CacheKey]) -> Result<Vec<Option<Bytes>>, CacheError>;

    /// Keeps the answers; returns when they are safe on disk.
    async fn put(&self, entries: Vec<(CacheKey, Bytes)>) -> Result<(), CacheError>;

    /// Notes that the user relies on these answers, before they are asked for: whatever is kept afterwards is known to be its.
    async fn note_use(&self, user: CacheUser, keys: &[CacheKey]) -> Result<(), CacheError>;

    /// Forgets what the document used under tickets up to the user's: answers that neither another document nor a later ticket uses go.
    async fn purge(&self, user: CacheUser) -> Result<PurgedAnswers, CacheError>;

    /// After this no file of the cache holds anything of what was forgotten before. `false`: somebody still reads an earlier state; to be asked again.
    async fn settle_deletions(&self) -> Result<bool, CacheError> {
        Ok(true)
    }

    /// Forgets all answers of a collection, some at a time; answers how many there were.
    async fn delete_collection(&self, collection: &CollectionId) -> Result<u64, CacheError>;
}
