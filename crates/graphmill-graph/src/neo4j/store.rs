//! [`GraphStore`] of a Neo4j database: which file does what.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use graphmill_core::{ChunkId, CollectionId, CommunityId, DocumentId, EntityId, Seq};
use serde_json::{Map, Value};

use super::{
    Neo4jGraph, check, collection_removal, collections, communities, community_list, document_entities, document_list,
    documents, entity_detail, entity_list, export, found, fulltext, layers, nearest, neighbourhood, projection,
    publishing, removal, similarities, spaces, staging, staleness, stats, vectors,
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

use crate::{GraphStore, Result};

#[async_trait]
impl GraphStore for Neo4jGraph {
    async fn bind(&self, job_store: [u8; 16]) -> Result<()> {
        collections::bind(&self.neo4j, job_store).await
    }

    async fn highest_seq(&self) -> Result<Seq> {
        collections::highest_seq(&self.neo4j).await
    }

    async fn ensure_collection(&self, collection: &CollectionId) -> Result<()> {
        collections::ensure_collection(&self.neo4j, collection).await
    }

    async fn collections(&self) -> Result<Vec<CollectionId>> {
        collections::names(&self.neo4j).await
    }

    async fn begin_collection_removal(&self, collection: &CollectionId, seq: Seq) -> Result<()> {
        collection_removal::begin(&self.neo4j, collection, seq).await
    }

    async fn collection_removal(&self, collection: &CollectionId) -> Result<Option<CollectionRemoval>> {
        collection_removal::progress(&self.neo4j, collection).await
    }

    async fn blobs_under_removal(
        &self,
        collection: &CollectionId,
        after: u64,
        limit: u32,
    ) -> Result<Option<(u64, Vec<String>)>> {
        collection_removal::blobs(&self.neo4j, collection, after, limit).await
    }

    async fn sweep_collection(&self, collection: &CollectionId) -> Result<bool> {
        collection_removal::sweep(&self.neo4j, collection).await
    }

    async fn ensure_space(&self, collection: &CollectionId, model: &str, dimension: u32) -> Result<Space> {
        spaces::ensure_space(&self.neo4j, collection, model, dimension).await
    }

    async fn spaces(&self, collection: &CollectionId) -> Result<Vec<Space>> {
        spaces::spaces_of(&self.neo4j, collection).await
    }

    async fn space_delta(
        &self,
        collection: &CollectionId,
        space: SpaceId,
        after: Option<ChunkId>,
        limit: u32,
    ) -> Result<Vec<(ChunkId, String)>> {
        vectors::space_delta(&self.neo4j, collection, space, after, limit).await
    }

    async fn chunk_texts(
        &self,
        collection: &CollectionId,
        after: Option<ChunkId>,
        limit: u32,
    ) -> Result<Vec<(ChunkId, String)>> {
        vectors::chunk_texts(&self.neo4j, collection, after, limit).await
    }

    async fn vectors(
        &self,
        collection: &CollectionId,
        space: SpaceId,
        positions: Range<u64>,
        limit: u32,
    ) -> Result<VectorPage> {
        vectors::page(&self.neo4j, collection, space, positions, limit).await
    }

    async fn vectors_at(&self, collection: &CollectionId, space: SpaceId, positions: &[u64]) -> Result<VectorPage> {
        vectors::at(&self.neo4j, collection, space, positions).await
    }

    async fn activate_space(&self, run: &LayerRun, space: SpaceId) -> Result<bool> {
        vectors::activate_space(&self.neo4j, run, space).await
    }

    async fn put_vectors(&self, run: &LayerRun, space: SpaceId, rows: Vec<(ChunkId, Vec<f32>)>) -> Result<()> {
        vectors::put_vectors(&self.neo4j, run, space, rows).await
    }

    async fn set_aside_embeddings(&self, run: &LayerRun, chunks: Vec<ChunkId>) -> Result<()> {
        vectors::set_aside(&self.neo4j, run, chunks).await
    }

    async fn stage(&self, collection: &CollectionId, document: DocumentId, chunks: Vec<StagedChunk>) -> Result<()> {
        staging::stage(&self.neo4j, collection, document, chunks).await
    }

    async fn publish(&self, publication: &Publication) -> Result<PublishOutcome> {
        publishing::publish(&self.neo4j, publication, self.clock.now()).await
    }

    async fn touch(&self, touch: &Touch) -> Result<TouchOutcome> {
        publishing::touch(&self.neo4j, touch, self.clock.now()).await
    }

    async fn remove(&self, collection: &CollectionId, document: DocumentId, seq: Seq) -> Result<RemoveOutcome> {
        removal::remove(&self.neo4j, collection, document, seq, self.clock.now()).await
    }

    async fn sweep_document(&self, document: DocumentId) -> Result<u64> {
        removal::sweep_document(&self.neo4j, document).await
    }

    async fn compact_search(&self, collection: &CollectionId) -> Result<()> {
        fulltext::compact_search(&self.neo4j, collection).await
    }

    async fn sweep_retired_spaces(&self, collection: &CollectionId) -> Result<u64> {
        vectors::sweep_retired(&self.neo4j, collection).await
    }

    async fn unplaced_documents(&self, limit: u32) -> Result<Vec<DocumentId>> {
        removal::unplaced_documents(&self.neo4j, limit).await
    }

    async fn old_tombstones(&self, older_than: Duration, limit: u32) -> Result<Vec<DocumentId>> {
        removal::old_tombstones(&self.neo4j, older_than, limit, self.clock.now()).await
    }

    async fn forget_tombstones(&self, documents: &[DocumentId]) -> Result<()> {
        removal::forget_tombstones(&self.neo4j, documents).await
    }

    async fn document(&self, document: DocumentId) -> Result<Option<DocumentRecord>> {
        documents::document(&self.neo4j, document).await
    }

    async fn published_seq(&self, document: DocumentId) -> Result<Option<PublishedSeq>> {
        documents::published_seq(&self.neo4j, document).await
    }

    async fn documents(&self, query: &DocumentQuery, start: &PageStart, limit: u32) -> Result<DocumentPage> {
        document_list::documents(&self.neo4j, query, start, limit).await
    }

    async fn document_entities(
        &self,
        document: DocumentId,
        start: &PageStart,
        limit: u32,
    ) -> Result<Option<Page<DocumentEntity>>> {
        document_entities::document_entities(&self.neo4j, document, start, limit).await
    }

    async fn chunks(&self, document: DocumentId, from: u32, limit: u32) -> Result<Vec<ChunkRecord>> {
        documents::chunks(&self.neo4j, document, from, limit).await
    }

    async fn document_part(
        &self,
        document: DocumentId,
        seq: Seq,
        from: u32,
        limit: u32,
    ) -> Result<Option<Vec<PlacedChunk>>> {
        documents::document_part(&self.neo4j, document, seq, from, limit).await
    }

    async fn blobs_unnamed_among(&self, keys: &[String]) -> Result<Vec<String>> {
        documents::blobs_unnamed_among(&self.neo4j, keys).await
    }

    async fn stats(&self, collection: Option<&CollectionId>) -> Result<GraphStats> {
        stats::stats(self, collection).await
    }

    async fn export(&self, collection: &CollectionId) -> Result<BoxStream<'static, Result<Bytes>>> {
        export::export(self, collection).await
    }

    async fn fulltext(
        &self,
        collection: &CollectionId,
        query: &str,
        limit: u32,
        filter: &SearchFilter,
    ) -> Result<Vec<SearchHit>> {
        fulltext::fulltext(&self.neo4j, collection, query, limit, filter).await
    }

    async fn nearest(
        &self,
        collection: &CollectionId,
        space: SpaceId,
        query: &[f32],
        limit: u32,
        filter: &SearchFilter,
    ) -> Result<Vec<SearchHit>> {
        nearest::nearest(&self.neo4j, collection, space, query, limit, filter).await
    }

    async fn found_chunks(
        &self,
        collection: &CollectionId,
        chunks: &[ChunkId],
        entities: u32,
    ) -> Result<Vec<FoundChunk>> {
        found::found_chunks(&self.neo4j, collection, chunks, entities).await
    }

    async fn entities(
        &self,
        collection: &CollectionId,
        query: &EntityQuery,
        start: &PageStart,
        limit: u32,
    ) -> Result<Page<EntityRecord>> {
        entity_list::entities(&self.neo4j, collection, query, start, limit).await
    }

    async fn entity(&self, entity: EntityId, mentions: &PageStart, limit: u32) -> Result<Option<EntityDetail>> {
        entity_detail::entity(&self.neo4j, entity, mentions, limit).await
    }

    async fn communities(
        &self,
        collection: &CollectionId,
        level: Option<u32>,
        start: &PageStart,
        limit: u32,
    ) -> Result<CommunityList> {
        community_list::communities(&self.neo4j, collection, level, start, limit).await
    }

    async fn community(
        &self,
        community: CommunityId,
        members: &PageStart,
        limit: u32,
    ) -> Result<Option<CommunityDetail>> {
        community_list::community(&self.neo4j, community, members, limit).await
    }

    async fn layer_report(&self, collection: &CollectionId) -> Result<LayerReport> {
        staleness::layer_report(&self.neo4j, collection).await
    }

    async fn expand(
        &self,
        collection: &CollectionId,
        ids: &[EntityId],
        hops: u32,
        limit: u32,
    ) -> Result<Neighbourhood> {
        neighbourhood::expand(&self.neo4j, collection, ids, hops, limit).await
    }

    async fn projection(&self, collection: &CollectionId) -> Result<BoxStream<'static, Result<Vec<ProjectionRow>>>> {
        projection::projection(&self.neo4j, collection).await
    }

    async fn begin_run(&self, collection: &CollectionId, layer: Layer, full: bool) -> Result<LayerRun> {
        layers::begin_run(&self.neo4j, collection, layer, full).await
    }

    async fn run_standing(&self, run: &LayerRun) -> Result<RunStanding> {
        layers::run_standing(&self.neo4j, run).await
    }

    async fn give_up_run(&self, run: &LayerRun) -> Result<()> {
        layers::give_up_run(&self.neo4j, run).await
    }

    async fn publish_number(&self, collection: &CollectionId) -> Result<u64> {
        collections::publish_number(&self.neo4j, collection).await
    }

    async fn similarity_heads(
        &self,
        collection: &CollectionId,
        space: SpaceId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<SimilarityHead>> {
        similarities::heads(&self.neo4j, collection, space, from, limit).await
    }

    async fn similarities(
        &self,
        collection: &CollectionId,
        positions: Range<u64>,
        limit: u32,
    ) -> Result<Vec<(u64, SimilarityRow)>> {
        similarities::rows(&self.neo4j, collection, positions, limit).await
    }

    async fn put_similarities(&self, run: &LayerRun, rows: Vec<SimilarityRow>) -> Result<u64> {
        similarities::put(&self.neo4j, run, rows).await
    }

    async fn put_communities(&self, run: &LayerRun, rows: Vec<CommunityRow>) -> Result<()> {
        communities::put(&self.neo4j, run, rows).await
    }

    async fn present_communities(
        &self,
        collection: &CollectionId,
    ) -> Result<BoxStream<'static, Result<Vec<CommunityRow>>>> {
        communities::present(&self.neo4j, collection).await
    }

    async fn finish_run(&self, run: &LayerRun, stands_at: u64, parameters: Map<String, Value>) -> Result<()> {
        layers::finish_run(&self.neo4j, run, stands_at, parameters).await
    }

    async fn layer(&self, collection: &CollectionId, layer: Layer) -> Result<LayerState> {
        layers::layer(&self.neo4j, collection, layer).await
    }

    async fn check(&self, collection: &CollectionId, limit: u32) -> Result<Vec<Discrepancy>> {
        check::check(&self.neo4j, collection, limit).await
    }
}
