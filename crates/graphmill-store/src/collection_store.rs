//! The part of the job store that keeps collections: settings, quota, deletion.

use async_trait::async_trait;
use graphmill_core::{CollectionId, CollectionSettings, DocumentId, Seq, Timestamp};

use crate::Result;

/// A collection as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct CollectionRecord {
    /// Its name.
    pub name: CollectionId,
    /// When it was made.
    pub created_at: Timestamp,
    /// Rises with each change of its settings.
    pub version: u64,
    /// What it was told.
    pub settings: CollectionSettings,
    /// What its quota counts.
    pub usage: CollectionUse,
    /// Jobs that stand in the store.
    pub jobs: u64,
    /// Its accepted deletion.
    pub deletion: Option<CollectionDeletion>,
}

/// What the quota counts: published documents and accepted uploads, a document once, at the size of its largest original of these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CollectionUse {
    /// Documents.
    pub documents: u64,
    /// Bytes of their originals.
    pub bytes: u64,
}

/// An accepted deletion of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectionDeletion {
    /// Its ticket: above every one that a document of the collection has.
    pub seq: Seq,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Things to remove when it was accepted (jobs, and what the caller said of the graph); for people who look at the progress.
    pub total: u64,
}

/// Answer to [`CollectionStore::create_collection`].
#[derive(Debug, Clone, PartialEq)]
pub enum CollectionMade {
    /// A new one.
    New(CollectionRecord),
    /// It was there, with these very settings.
    Same(CollectionRecord),
    /// It was there, with other settings; nothing was changed.
    Differs(CollectionRecord),
}

/// What [`CollectionStore::cancel_for_collection_delete`] has done and left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CancelledForDelete {
    /// Jobs cancelled by this call.
    pub cancelled: u64,
    /// Jobs that are publishing and end by themselves.
    pub publishing: u64,
    /// Others that have not ended: call again.
    pub left: u64,
}

/// A published document as the graph knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedSize {
    /// Its collection.
    pub collection: CollectionId,
    /// The document.
    pub document: DocumentId,
    /// Its ticket.
    pub seq: Seq,
    /// Bytes of its original.
    pub bytes: u64,
}

/// Collections. A collection comes into being by its first ingestion job, by [`CollectionStore::create_collection`], or is `default`.
#[async_trait]
pub trait CollectionStore: Send + Sync + 'static {
    /// The collection, unless there is none of that name.
    async fn collection(&self, collection: &CollectionId) -> Result<Option<CollectionRecord>>;

    /// A page of collections by name, and how many there are.
    async fn collections(&self, offset: u64, limit: u32) -> Result<(Vec<CollectionRecord>, u64)>;

    /// Makes a collection. Durable. [`crate::Error::CollectionDeleting`] while an old one of the name is being deleted.
    async fn create_collection(
        &self,
        collection: &CollectionId,
        settings: &CollectionSettings,
    ) -> Result<CollectionMade>;

    /// Replaces the settings if they still have this version; `None` when they have not. Durable.
    /// [`crate::Error::NoCollection`], [`crate::Error::CollectionDeleting`].
    async fn set_collection_settings(
        &self,
        collection: &CollectionId,
        version: u64,
        settings: &CollectionSettings,
    ) -> Result<Option<CollectionRecord>>;

    /// Published documents that the store may not know of: of an older version's folder, or lost with a job. Their collections are made, they
    /// count in their quotas. Told again, nothing changes.
    async fn note_published(&self, documents: Vec<PublishedSize>) -> Result<()>;

    // --- deletion --------------------------------------------------------------------------------------------------------------

    /// Accepts the deletion of a collection: takes a ticket; from here nothing new is accepted for it and none of its jobs is claimed. Its
    /// running jobs are cancelled, but those that are publishing. Keys that are bound to it are revoked. Durable. Accepting it again gives the same answer; `None` when there is no such
    /// collection. `graph_items`: things of it in the graph.
    async fn accept_collection_delete(
        &self,
        collection: &CollectionId,
        graph_items: u64,
    ) -> Result<Option<CollectionDeletion>>;

    /// Collections whose deletion was accepted and not finished, oldest first.
    async fn deleting_collections(&self) -> Result<Vec<(CollectionId, CollectionDeletion)>>;

    /// Cancels some jobs of a collection that is being deleted, those that wait with intent too (the graph publishes nothing of it any more), and
    /// drops its open document deletions.
    async fn cancel_for_collection_delete(&self, collection: &CollectionId, limit: u32) -> Result<CancelledForDelete>;

    /// Blobs that the jobs name which the next [`CollectionStore::delete_jobs_of_collection`] with this limit deletes.
    async fn next_blobs_of_collection(&self, collection: &CollectionId, limit: u32) -> Result<Vec<String>>;

    /// Deletes some ended jobs of a collection that is being deleted, then what its documents counted; answers whether nothing is left. The caller
    /// has deleted their blobs.
    async fn delete_jobs_of_collection(&self, collection: &CollectionId, limit: u32) -> Result<bool>;

    /// The end of a deletion: the collection is gone; `default` is there again as new. Durable.
    async fn finish_collection_delete(&self, collection: &CollectionId) -> Result<()>;
}
