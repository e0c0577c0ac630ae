//! [`CollectionStore`]: which write is durable, which may use the reserve, which passes a fault point.

use async_trait::async_trait;
use graphmill_core::{CollectionId, CollectionSettings};

use super::open::SqliteJobStore;
use super::store::{ACCEPT, STATE};
use super::writer::Kind;
use super::{collection_delete, collections};
use crate::Result;
use crate::collection_store::{
    CancelledForDelete, CollectionDeletion, CollectionMade, CollectionRecord, CollectionStore, PublishedSize,
};

const DELETE_ACCEPT: Kind =
    Kind { fault: Some(("collection_delete.accept.before_commit", "collection_delete.accept.after_commit")), ..STATE };
const DELETE_CANCEL: Kind = Kind {
    durable: false,
    fault: Some(("collection_delete.cancel.before_commit", "collection_delete.cancel.after_commit")),
    ..STATE
};
const DELETE_JOBS: Kind = Kind {
    durable: false,
    fault: Some(("collection_delete.jobs.before_commit", "collection_delete.jobs.after_commit")),
    ..STATE
};
const DELETE_FINISH: Kind =
    Kind { fault: Some(("collection_delete.finish.before_commit", "collection_delete.finish.after_commit")), ..STATE };

#[async_trait]
impl CollectionStore for SqliteJobStore {
    async fn collection(&self, collection: &CollectionId) -> Result<Option<CollectionRecord>> {
        let collection = collection.clone();
        self.readers.read(move |conn| collections::find(conn, &collection)).await
    }

    async fn collections(&self, offset: u64, limit: u32) -> Result<(Vec<CollectionRecord>, u64)> {
        self.readers.read(move |conn| collections::list(conn, offset, limit)).await
    }

    async fn create_collection(
        &self,
        collection: &CollectionId,
        settings: &CollectionSettings,
    ) -> Result<CollectionMade> {
        let (collection, settings) = (collection.clone(), settings.clone());
        self.writer.write(ACCEPT, move |tx| collections::create(tx, &collection, &settings)).await
    }

    async fn set_collection_settings(
        &self,
        collection: &CollectionId,
        version: u64,
        settings: &CollectionSettings,
    ) -> Result<Option<CollectionRecord>> {
        let (collection, settings) = (collection.clone(), settings.clone());
        self.writer.write(ACCEPT, move |tx| collections::set_settings(tx, &collection, version, &settings)).await
    }

    async fn note_published(&self, documents: Vec<PublishedSize>) -> Result<()> {
        self.writer.write(STATE, move |tx| collections::note_published(tx, &documents)).await
    }

    async fn accept_collection_delete(
        &self,
        collection: &CollectionId,
        graph_items: u64,
    ) -> Result<Option<CollectionDeletion>> {
        let collection = collection.clone();
        self.writer.write(DELETE_ACCEPT, move |tx| collection_delete::accept(tx, &collection, graph_items)).await
    }

    async fn deleting_collections(&self) -> Result<Vec<(CollectionId, CollectionDeletion)>> {
        self.readers.read(collection_delete::all_open).await
    }

    async fn cancel_for_collection_delete(&self, collection: &CollectionId, limit: u32) -> Result<CancelledForDelete> {
        let collection = collection.clone();
        self.writer.write(DELETE_CANCEL, move |tx| collection_delete::cancel_some(tx, &collection, limit)).await
    }

    async fn next_blobs_of_collection(&self, collection: &CollectionId, limit: u32) -> Result<Vec<String>> {
        let collection = collection.clone();
        self.readers.read(move |conn| collection_delete::next_blobs(conn, &collection, limit)).await
    }

    async fn delete_jobs_of_collection(&self, collection: &CollectionId, limit: u32) -> Result<bool> {
        let collection = collection.clone();
        let done =
            self.writer.write(DELETE_JOBS, move |tx| collection_delete::delete_some(tx, &collection, limit)).await?;
        if done {
            self.give_back_pages().await;
        }
        Ok(done)
    }

    async fn finish_collection_delete(&self, collection: &CollectionId) -> Result<()> {
        let collection = collection.clone();
        self.writer.write(DELETE_FINISH, move |tx| collection_delete::finish(tx, &collection)).await
    }
}
