//! [`GraphStore`] of the embedded graph: which connection does what, and how safe it is when the caller is told.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use graphmill_core::{ChunkId, CollectionId, CommunityId, DocumentId, EntityId, Seq};
use serde_json::{Map, Value};

use super::collections::collection_key;
use super::readers::in_snapshot;
use super::writer::{CommitPoints, Safety};
use super::{
    EmbeddedGraph, check, collection_removal, collections, communities, document_entities, document_list,
    document_part, documents, entity_detail, entity_list, export, found, layers, present_communities, publish, remove,
    search, similarity_rows, staging, staleness, stats, vectors,
};
use crate::listing::{
    CommunityDetail, CommunityList, DocumentEntity, DocumentPage, DocumentQuery, EntityDetail, EntityQuery,
    LayerReport, Page, PageStart,
};
use crate::records::{
    ChunkRecord, CollectionRemoval, CommunityRow, Discrepancy, DocumentRecord, EntityRecord, FoundChunk, GraphStats,
    Layer, LayerRun, LayerState, Neighbourhood, PlacedChunk, ProjectionRow, Publication, PublishOutcome, PublishedSeq,
    RemoveOutcome, RunStanding, SearchFilter, SearchHit, SimilarityHead, SimilarityRow, Space, SpaceId, StagedChunk,
    Touch, TouchOutcome, VectorPage,
};
use crate::{Error, GraphStore, Result};

/// Pages of the projection that may wait for a slow reader.
const PAGES_AHEAD: usize = 2;

const PUBLISH: CommitPoints = Some(("publish.before_commit", "publish.after_commit"));
const STAGE: CommitPoints = Some(("stage.before_commit", "stage.after_commit"));
const REMOVE: CommitPoints = Some(("remove.before_commit", "remove.after_commit"));
const REMOVAL: CommitPoints = Some(("collection_removal.before_commit", "collection_removal.after_commit"));
const COLLECTION_SWEEP: CommitPoints = Some(("collection_sweep.before_commit", "collection_sweep.after_commit"));
const PUT_VECTORS: CommitPoints = Some(("put_vectors.before_commit", "put_vectors.after_commit"));
const ACTIVATE: CommitPoints = Some(("activate_space.before_commit", "activate_space.after_commit"));
const PUT_SIMILARITIES: CommitPoints = Some(("put_similarities.before_commit", "put_similarities.after_commit"));
const FINISH_RUN: CommitPoints = Some(("finish_run.before_commit", "finish_run.after_commit"));
const SWEEP: CommitPoints = Some(("sweep.before_commit", "sweep.after_commit"));

#[async_trait]
impl GraphStore for EmbeddedGraph {
    async fn bind(&self, job_store: [u8; 16]) -> Result<()> {
        self.writer.write(Safety::Disk, None, move |conn| collections::bind(conn, job_store)).await
    }

    async fn highest_seq(&self) -> Result<Seq> {
        self.readers.read(collections::highest_seq).await
    }

    async fn ensure_collection(&self, collection: &CollectionId) -> Result<()> {
        let collection = collection.clone();
        self.writer
            .write(Safety::Disk, None, move |conn| collections::ensure_collection(conn, &collection).map(drop))
            .await
    }

    async fn collections(&self) -> Result<Vec<CollectionId>> {
        self.readers.read(collections::names).await
    }

    async fn begin_collection_removal(&self, collection: &CollectionId, seq: Seq) -> Result<()> {
        let collection = collection.clone();
        self.writer.write(Safety::Disk, REMOVAL, move |conn| collection_removal::begin(conn, &collection, seq)).await
    }

    async fn collection_removal(&self, collection: &CollectionId) -> Result<Option<CollectionRemoval>> {
        let collection = collection.clone();
        self.readers.read(move |conn| collection_removal::progress(conn, &collection)).await
    }

    async fn blobs_under_removal(
        &self,
        collection: &CollectionId,
        after: u64,
        limit: u32,
    ) -> Result<Option<(u64, Vec<String>)>> {
        let collection = collection.clone();
        self.readers.read(move |conn| collection_removal::blobs(conn, &collection, after, limit)).await
    }

    async fn sweep_collection(&self, collection: &CollectionId) -> Result<bool> {
        let collection = collection.clone();
        let sweep = move |conn: &rusqlite::Connection| collection_removal::sweep(conn, &collection);
        let done = self.writer.write(Safety::Process, COLLECTION_SWEEP, sweep).await?;
        if done {
            self.forget_gone_in_index().await?;
        }
        Ok(done)
    }

    async fn ensure_space(&self, collection: &CollectionId, model: &str, dimension: u32) -> Result<Space> {
        let (collection, model) = (collection.clone(), model.to_owned());
        self.writer
            .write(Safety::Disk, None, move |conn| vectors::ensure_space(conn, &collection, &model, dimension))
            .await
    }

    async fn spaces(&self, collection: &CollectionId) -> Result<Vec<Space>> {
        self.read_collection(collection, vectors::spaces_of).await
    }

    async fn space_delta(
        &self,
        collection: &CollectionId,
        space: SpaceId,
        after: Option<ChunkId>,
        limit: u32,
    ) -> Result<Vec<(ChunkId, String)>> {
        self.read_collection(collection, move |conn, key| vectors::space_delta(conn, key, space, after, limit)).await
    }

    async fn chunk_texts(
        &self,
        collection: &CollectionId,
        after: Option<ChunkId>,
        limit: u32,
    ) -> Result<Vec<(ChunkId, String)>> {
        self.read_collection(collection, move |conn, key| vectors::chunk_texts(conn, key, after, limit)).await
    }

    async fn vectors(
        &self,
        collection: &CollectionId,
        space: SpaceId,
        positions: Range<u64>,
        limit: u32,
    ) -> Result<VectorPage> {
        self.read_collection(collection, move |conn, _| similarity_rows::vectors(conn, space, &positions, limit)).await
    }

    async fn vectors_at(&self, collection: &CollectionId, space: SpaceId, positions: &[u64]) -> Result<VectorPage> {
        let positions = positions.to_vec();
        self.read_collection(collection, move |conn, _| similarity_rows::vectors_at(conn, space, &positions)).await
    }

    async fn set_aside_embeddings(&self, run: &LayerRun, chunks: Vec<ChunkId>) -> Result<()> {
        let run = run.clone();
        self.writer.write(Safety::Process, None, move |conn| layers::set_aside_embeddings(conn, &run, &chunks)).await
    }

    async fn activate_space(&self, run: &LayerRun, space: SpaceId) -> Result<bool> {
        let (collection, run) = (run.collection.clone(), run.clone());
        let active =
            self.writer.write(Safety::Disk, ACTIVATE, move |conn| layers::activate_space(conn, &run, space)).await?;
        if active {
            self.bring_index_up(&collection).await?;
        }
        Ok(active)
    }

    async fn put_vectors(&self, run: &LayerRun, space: SpaceId, rows: Vec<(ChunkId, Vec<f32>)>) -> Result<()> {
        let mut columns = Vec::with_capacity(rows.len());
        for (chunk, vector) in rows {
            columns.push((chunk, vectors::to_column(space, &vector)?));
        }
        let run = run.clone();
        self.writer
            .write(Safety::Process, PUT_VECTORS, move |conn| layers::put_vectors(conn, &run, space, &columns))
            .await
    }

    async fn stage(&self, collection: &CollectionId, document: DocumentId, chunks: Vec<StagedChunk>) -> Result<()> {
        let name = collection.clone();
        let encoded = tokio::task::spawn_blocking(move || staging::encode(&name, chunks)).await;
        for batch in encoded.map_err(|e| Error::Backend(format!("chunks could not be encoded: {e}")))?? {
            let collection = collection.clone();
            self.writer
                .write(Safety::Process, STAGE, move |conn| staging::stage(conn, &collection, document, &batch))
                .await?;
        }
        Ok(())
    }

    async fn publish(&self, publication: &Publication) -> Result<PublishOutcome> {
        let (collection, now) = (publication.collection.clone(), self.clock.now());
        let publication = publication.clone();
        let outcome =
            self.writer.write(Safety::Disk, PUBLISH, move |conn| publish::publish(conn, &publication, now)).await?;
        if matches!(outcome, PublishOutcome::Published(_)) {
            let index = Arc::clone(&self.index);
            self.read_collection(&collection, move |conn, key| {
                index.follow(conn, key);
                Ok(())
            })
            .await?;
        }
        Ok(outcome)
    }

    async fn touch(&self, touch: &Touch) -> Result<TouchOutcome> {
        let (touch, now) = (touch.clone(), self.clock.now());
        self.writer.write(Safety::Disk, None, move |conn| publish::touch(conn, &touch, now)).await
    }

    async fn remove(&self, collection: &CollectionId, document: DocumentId, seq: Seq) -> Result<RemoveOutcome> {
        let (collection, now) = (collection.clone(), self.clock.now());
        self.writer.write(Safety::Disk, REMOVE, move |conn| remove::remove(conn, &collection, document, seq, now)).await
    }

    async fn sweep_document(&self, document: DocumentId) -> Result<u64> {
        let mut swept = 0;
        loop {
            let batch = move |conn: &rusqlite::Connection| remove::sweep_batch(conn, document);
            let (count, done) = self.writer.write(Safety::Process, SWEEP, batch).await?;
            swept += count;
            if done {
                if swept > 0 {
                    self.forget_gone_in_index().await?;
                }
                return Ok(swept);
            }
        }
    }

    async fn compact_search(&self, collection: &CollectionId) -> Result<()> {
        let index = Arc::clone(&self.index);
        self.read_collection(collection, move |conn, key| index.compact(conn, key)).await
    }

    async fn settle_deletions(&self) -> Result<bool> {
        let (index, path) = (Arc::clone(&self.index), self.path.clone());
        let settle = move || Ok(graphmill_sqlite::empty_log(&path)? && index.empty_log()?);
        tokio::task::spawn_blocking(settle)
            .await
            .map_err(|e| Error::Backend(format!("a log could not be emptied: {e}")))?
    }

    async fn sweep_retired_spaces(&self, collection: &CollectionId) -> Result<u64> {
        let collection = collection.clone();
        let sweep = move |conn: &rusqlite::Connection| vectors::sweep_retired(conn, &collection);
        self.writer.write(Safety::Process, SWEEP, sweep).await
    }

    async fn unplaced_documents(&self, limit: u32) -> Result<Vec<DocumentId>> {
        self.readers.read(move |conn| remove::unplaced_documents(conn, limit)).await
    }

    async fn old_tombstones(&self, older_than: Duration, limit: u32) -> Result<Vec<DocumentId>> {
        let now = self.clock.now();
        self.readers.read(move |conn| remove::old_tombstones(conn, older_than, limit, now)).await
    }

    async fn forget_tombstones(&self, documents: &[DocumentId]) -> Result<()> {
        let documents = documents.to_vec();
        self.writer.write(Safety::Process, None, move |conn| remove::forget_tombstones(conn, &documents)).await
    }

    async fn document(&self, document: DocumentId) -> Result<Option<DocumentRecord>> {
        self.readers.read(move |conn| documents::document(conn, document)).await
    }

    async fn published_seq(&self, document: DocumentId) -> Result<Option<PublishedSeq>> {
        self.readers.read(move |conn| documents::published_seq(conn, document)).await
    }

    async fn documents(&self, query: &DocumentQuery, start: &PageStart, limit: u32) -> Result<DocumentPage> {
        let (query, start) = (query.clone(), start.clone());
        self.readers.read(move |conn| document_list::documents(conn, &query, &start, limit)).await
    }

    async fn document_entities(
        &self,
        document: DocumentId,
        start: &PageStart,
        limit: u32,
    ) -> Result<Option<Page<DocumentEntity>>> {
        let start = start.clone();
        self.readers.read(move |conn| document_entities::document_entities(conn, document, &start, limit)).await
    }

    async fn chunks(&self, document: DocumentId, from: u32, limit: u32) -> Result<Vec<ChunkRecord>> {
        self.readers.read(move |conn| documents::chunks(conn, document, from, limit)).await
    }

    async fn document_part(
        &self,
        document: DocumentId,
        seq: Seq,
        from: u32,
        limit: u32,
    ) -> Result<Option<Vec<PlacedChunk>>> {
        self.readers.read(move |conn| document_part::document_part(conn, document, seq, from, limit)).await
    }

    async fn blobs_unnamed_among(&self, keys: &[String]) -> Result<Vec<String>> {
        let keys = keys.to_vec();
        self.readers.read(move |conn| documents::blobs_unnamed_among(conn, keys)).await
    }

    async fn stats(&self, collection: Option<&CollectionId>) -> Result<GraphStats> {
        let (collection, counts) = (collection.cloned(), Arc::clone(&self.layer_counts));
        self.readers.read(move |conn| stats::stats(conn, collection.as_ref(), &counts)).await
    }

    async fn export(&self, collection: &CollectionId) -> Result<BoxStream<'static, Result<Bytes>>> {
        let (conn, path, of) = (self.readers.own()?, self.path.clone(), collection.clone());
        let ended = |e| Error::Backend(format!("the export did not end: {e}"));
        let spool =
            tokio::task::spawn_blocking(move || in_snapshot(&conn, |conn| export::write_spool(conn, &path, &of)));
        let spool = match spool.await.map_err(ended)? {
            Err(Error::Full(_)) => return self.export_directly(collection),
            spool => spool?,
        };
        Ok(stream::try_unfold(spool, move |mut spool| async move {
            let read = tokio::task::spawn_blocking(move || export::next_piece(&mut spool).map(|piece| (piece, spool)));
            let (piece, spool) = read.await.map_err(ended)??;
            Ok(piece.map(|piece| (piece, spool)))
        })
        .boxed())
    }

    async fn fulltext(
        &self,
        collection: &CollectionId,
        query: &str,
        limit: u32,
        filter: &SearchFilter,
    ) -> Result<Vec<SearchHit>> {
        let (query, filter) = (query.to_owned(), filter.clone());
        let index = Arc::clone(&self.index);
        self.read_collection(collection, move |conn, key| index.text(conn, key, &query, limit as usize, &filter)).await
    }

    async fn nearest(
        &self,
        collection: &CollectionId,
        space: SpaceId,
        query: &[f32],
        limit: u32,
        filter: &SearchFilter,
    ) -> Result<Vec<SearchHit>> {
        let (query, filter) = (query.to_vec(), filter.clone());
        let (index, limit) = (Arc::clone(&self.index), limit as usize);
        self.read_collection(collection, move |conn, key| index.nearest(conn, key, space, &query, limit, &filter)).await
    }

    async fn found_chunks(
        &self,
        collection: &CollectionId,
        chunks: &[ChunkId],
        entities: u32,
    ) -> Result<Vec<FoundChunk>> {
        let (chunks, most) = (chunks.to_vec(), entities as usize);
        self.read_collection(collection, move |conn, key| found::found_chunks(conn, key, &chunks, most)).await
    }

    async fn entities(
        &self,
        collection: &CollectionId,
        query: &EntityQuery,
        start: &PageStart,
        limit: u32,
    ) -> Result<Page<EntityRecord>> {
        let (query, start) = (query.clone(), start.clone());
        self.read_collection(collection, move |conn, key| entity_list::entities(conn, key, &query, &start, limit)).await
    }

    async fn entity(&self, entity: EntityId, mentions: &PageStart, limit: u32) -> Result<Option<EntityDetail>> {
        let mentions = mentions.clone();
        self.readers.read(move |conn| entity_detail::entity(conn, entity, &mentions, limit)).await
    }

    async fn communities(
        &self,
        collection: &CollectionId,
        level: Option<u32>,
        start: &PageStart,
        limit: u32,
    ) -> Result<CommunityList> {
        let start = start.clone();
        self.read_collection(collection, move |conn, key| communities::communities(conn, key, level, &start, limit))
            .await
    }

    async fn community(
        &self,
        community: CommunityId,
        members: &PageStart,
        limit: u32,
    ) -> Result<Option<CommunityDetail>> {
        let members = members.clone();
        self.readers.read(move |conn| communities::community(conn, community, &members, limit)).await
    }

    async fn layer_report(&self, collection: &CollectionId) -> Result<LayerReport> {
        self.read_collection(collection, staleness::report).await
    }

    async fn expand(
        &self,
        collection: &CollectionId,
        ids: &[EntityId],
        hops: u32,
        limit: u32,
    ) -> Result<Neighbourhood> {
        let ids = ids.to_vec();
        self.read_collection(collection, move |conn, key| search::expand(conn, key, &ids, hops, limit as usize)).await
    }

    async fn projection(&self, collection: &CollectionId) -> Result<BoxStream<'static, Result<Vec<ProjectionRow>>>> {
        let (conn, collection) = (self.readers.own()?, collection.clone());
        let (pages, listener) = tokio::sync::mpsc::channel(PAGES_AHEAD);
        tokio::task::spawn_blocking(move || {
            let read = in_snapshot(&conn, |conn| match collection_key(conn, &collection)? {
                Some(key) => search::project(conn, key, |page| pages.blocking_send(Ok(page)).is_ok()),
                None => Ok(()),
            });
            if let Err(e) = read {
                // Nobody listens any more when this fails.
                let _ = pages.blocking_send(Err(e));
            }
        });
        Ok(stream::unfold(listener, |mut listener| async move { listener.recv().await.map(|page| (page, listener)) })
            .boxed())
    }

    async fn begin_run(&self, collection: &CollectionId, layer: Layer, full: bool) -> Result<LayerRun> {
        let mut run = LayerRun { collection: collection.clone(), layer, number: 0, full };
        let begun = run.clone();
        run.number = self.writer.write(Safety::Disk, None, move |conn| layers::begin_run(conn, &begun)).await?;
        self.sweep_generations(&run).await?;
        Ok(run)
    }

    async fn run_standing(&self, run: &LayerRun) -> Result<RunStanding> {
        let run = run.clone();
        self.readers.read(move |conn| layers::standing(conn, &run)).await
    }

    async fn give_up_run(&self, run: &LayerRun) -> Result<()> {
        let given_up = run.clone();
        self.writer.write(Safety::Disk, None, move |conn| layers::give_up(conn, &given_up)).await?;
        self.sweep_generations(run).await
    }

    async fn publish_number(&self, collection: &CollectionId) -> Result<u64> {
        self.read_collection(collection, collections::publish_number).await
    }

    async fn similarity_heads(
        &self,
        collection: &CollectionId,
        space: SpaceId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<SimilarityHead>> {
        self.read_collection(collection, move |conn, key| similarity_rows::heads(conn, key, space, from, limit)).await
    }

    async fn similarities(
        &self,
        collection: &CollectionId,
        positions: Range<u64>,
        limit: u32,
    ) -> Result<Vec<(u64, SimilarityRow)>> {
        self.read_collection(collection, move |conn, key| similarity_rows::rows(conn, key, &positions, limit)).await
    }

    async fn put_similarities(&self, run: &LayerRun, rows: Vec<SimilarityRow>) -> Result<u64> {
        let run = run.clone();
        self.writer
            .write(Safety::Process, PUT_SIMILARITIES, move |conn| layers::put_similarities(conn, &run, &rows))
            .await
    }

    async fn put_communities(&self, run: &LayerRun, rows: Vec<CommunityRow>) -> Result<()> {
        let run = run.clone();
        self.writer.write(Safety::Process, None, move |conn| layers::put_communities(conn, &run, &rows)).await
    }

    async fn present_communities(
        &self,
        collection: &CollectionId,
    ) -> Result<BoxStream<'static, Result<Vec<CommunityRow>>>> {
        let (conn, collection) = (self.readers.own()?, collection.clone());
        let (pages, listener) = tokio::sync::mpsc::channel(PAGES_AHEAD);
        tokio::task::spawn_blocking(move || {
            let read = in_snapshot(&conn, |conn| match collection_key(conn, &collection)? {
                Some(key) => present_communities::read(conn, key, |page| pages.blocking_send(Ok(page)).is_ok()),
                None => Ok(()),
            });
            if let Err(e) = read {
                // Nobody listens any more when this fails.
                let _ = pages.blocking_send(Err(e));
            }
        });
        Ok(stream::unfold(listener, |mut listener| async move { listener.recv().await.map(|page| (page, listener)) })
            .boxed())
    }

    async fn finish_run(&self, run: &LayerRun, stands_at: u64, parameters: Map<String, Value>) -> Result<()> {
        let ended = run.clone();
        self.writer
            .write(Safety::Disk, FINISH_RUN, move |conn| layers::finish(conn, &ended, stands_at, &parameters))
            .await?;
        self.sweep_generations(run).await
    }

    async fn layer(&self, collection: &CollectionId, layer: Layer) -> Result<LayerState> {
        self.read_collection(collection, move |conn, key| layers::state(layers::row(conn, key, layer)?)).await
    }

    async fn check(&self, collection: &CollectionId, limit: u32) -> Result<Vec<Discrepancy>> {
        self.read_collection(collection, move |conn, key| check::check(conn, key, limit as usize)).await
    }
}

impl EmbeddedGraph {
    /// Reads a collection; one that does not exist is empty.
    async fn read_collection<T, F>(&self, collection: &CollectionId, read: F) -> Result<T>
    where
        T: Default + Send + 'static,
        F: FnOnce(&rusqlite::Connection, i64) -> Result<T> + Send + 'static,
    {
        let collection = collection.clone();
        let read = move |conn: &rusqlite::Connection| match collection_key(conn, &collection)? {
            Some(key) => read(conn, key),
            None => Ok(T::default()),
        };
        self.readers.read(read).await
    }

    /// Lets searches find nothing to do. What fails here they do themselves.
    async fn bring_index_up(&self, collection: &CollectionId) -> Result<()> {
        let index = Arc::clone(&self.index);
        self.read_collection(collection, move |conn, key| {
            index.bring_up(conn, key);
            Ok(())
        })
        .await
    }

    async fn forget_gone_in_index(&self) -> Result<()> {
        let index = Arc::clone(&self.index);
        let forget = move |conn: &rusqlite::Connection| {
            index.forget_gone(conn);
            Ok(())
        };
        self.readers.read(forget).await
    }

    /// An export without a spool.
    fn export_directly(&self, collection: &CollectionId) -> Result<BoxStream<'static, Result<Bytes>>> {
        let (conn, collection) = (self.readers.own()?, collection.clone());
        let (pieces, listener) = tokio::sync::mpsc::channel(PAGES_AHEAD);
        tokio::task::spawn_blocking(move || {
            let told = pieces.clone();
            let read = in_snapshot(&conn, |conn| {
                export::write_directly(conn, &collection, pieces);
                Ok(())
            });
            if let Err(error) = read {
                let _ = told.blocking_send(Err(error));
            }
        });
        Ok(stream::unfold(listener, |mut listener| async move { listener.recv().await.map(|piece| (piece, listener)) })
            .boxed())
    }

    async fn sweep_generations(&self, run: &LayerRun) -> Result<()> {
        loop {
            let of = run.clone();
            let sweep = move |conn: &rusqlite::Connection| layers::sweep_generations(conn, &of);
            if self.writer.write(Safety::Process, None, sweep).await? {
                return Ok(());
            }
        }
    }
}
