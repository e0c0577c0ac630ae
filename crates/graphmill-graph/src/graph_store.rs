//! The one trait behind which the graph is kept.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use graphmill_core::{ChunkId, CollectionId, CommunityId, DocumentId, EntityId, Seq};
use serde_json::{Map, Value};

use crate::Result;
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

/// The graph: facts, folds and layers of DESIGN.md. Every method is atomic but `stage`, whose batches are each. Publishing, removal,
/// sweeping and space switches are one at a time in a collection, under its lock; staging goes on beside them.
#[async_trait]
pub trait GraphStore: Send + Sync + 'static {
    /// Binds the store to its one job store; refuses another ([`crate::Error::WrongJobStore`]). Idempotent.
    async fn bind(&self, job_store: [u8; 16]) -> Result<()>;

    /// The highest ticket that any document or tombstone holds; `Seq(0)` when there is none.
    async fn highest_seq(&self) -> Result<Seq>;

    /// Makes the collection if it is new. Idempotent.
    async fn ensure_collection(&self, collection: &CollectionId) -> Result<()>;

    /// Names of all collections that are not being removed.
    async fn collections(&self) -> Result<Vec<CollectionId>>;

    /// Begins the removal of a collection: from here readers see nothing of it, publications end as overtaken by `seq`, and all other writes are
    /// refused ([`crate::Error::CollectionRemoved`]). Durable, idempotent; one that does not exist is not made.
    async fn begin_collection_removal(&self, collection: &CollectionId, seq: Seq) -> Result<()>;

    /// How far a removal is; `None` when none is under way.
    async fn collection_removal(&self, collection: &CollectionId) -> Result<Option<CollectionRemoval>>;

    /// Blobs that documents of a collection under removal name, with a cursor for the next page (begin with 0); `None` after the last.
    async fn blobs_under_removal(
        &self,
        collection: &CollectionId,
        after: u64,
        limit: u32,
    ) -> Result<Option<(u64, Vec<String>)>>;

    /// Removes some rows of a collection under removal, in one short transaction; answers whether nothing of it is left.
    async fn sweep_collection(&self, collection: &CollectionId) -> Result<bool>;

    // --- embedding spaces ------------------------------------------------------------------------------------------------------

    /// The space of this model and dimension; made if new: `active` when the collection has none, else `building`.
    async fn ensure_space(&self, collection: &CollectionId, model: &str, dimension: u32) -> Result<Space>;

    /// The collection's spaces, by id.
    async fn spaces(&self, collection: &CollectionId) -> Result<Vec<Space>>;

    /// Placed, not quarantined chunks without a vector in the space, by id, with their text in its context ([`graphmill_core::text_in_context`]).
    async fn space_delta(
        &self,
        collection: &CollectionId,
        space: SpaceId,
        after: Option<ChunkId>,
        limit: u32,
    ) -> Result<Vec<(ChunkId, String)>>;

    /// Placed chunks with their text in its context, by id, whether or not they have vectors.
    async fn chunk_texts(
        &self,
        collection: &CollectionId,
        after: Option<ChunkId>,
        limit: u32,
    ) -> Result<Vec<(ChunkId, String)>>;

    /// Vectors of live chunks at these positions, by rising position, at most `limit`.
    async fn vectors(
        &self,
        collection: &CollectionId,
        space: SpaceId,
        positions: Range<u64>,
        limit: u32,
    ) -> Result<VectorPage>;

    /// Vectors of the live chunks among these positions, in the order given.
    async fn vectors_at(&self, collection: &CollectionId, space: SpaceId, positions: &[u64]) -> Result<VectorPage>;

    /// Makes the space the active one if its delta is empty; answers whether it did. The old one is retired.
    async fn activate_space(&self, run: &LayerRun, space: SpaceId) -> Result<bool>;

    /// Writes vectors of placed chunks (a run of [`Layer::Embeddings`]); raises the publish number. Chunks that are gone are skipped.
    async fn put_vectors(&self, run: &LayerRun, space: SpaceId, rows: Vec<(ChunkId, Vec<f32>)>) -> Result<()>;

    /// Marks placed chunks whose vector could not be made (a run of [`Layer::Embeddings`]): they are of no delta until they get one.
    async fn set_aside_embeddings(&self, run: &LayerRun, chunks: Vec<ChunkId>) -> Result<()>;

    // --- documents -------------------------------------------------------------------------------------------------------------

    /// Stages chunks. Staging the same id again changes nothing but adds vectors that it lacked. Durable enough to survive the death of
    /// the process.
    async fn stage(&self, collection: &CollectionId, document: DocumentId, chunks: Vec<StagedChunk>) -> Result<()>;

    /// Publishes (step 3 of DESIGN.md). Durable.
    async fn publish(&self, publication: &Publication) -> Result<PublishOutcome>;

    /// Moves the ticket of an unchanged document. Durable.
    async fn touch(&self, touch: &Touch) -> Result<TouchOutcome>;

    /// Removes a document and leaves its tombstone. Durable.
    async fn remove(&self, collection: &CollectionId, document: DocumentId, seq: Seq) -> Result<RemoveOutcome>;

    /// Removes the document's unplaced chunks; answers how many.
    async fn sweep_document(&self, document: DocumentId) -> Result<u64>;

    /// Removes what searches keep beside the graph of chunks that are gone (their words and vectors in another form), which would go some day by
    /// itself. Reads what is kept of the whole collection.
    async fn compact_search(&self, collection: &CollectionId) -> Result<()>;

    /// After this no file of the store on this machine holds anything of what was removed before. `false`: somebody still reads an earlier state; to be asked
    /// again.
    async fn settle_deletions(&self) -> Result<bool> {
        Ok(true)
    }

    /// Removes some vectors of retired spaces of the collection, in one short transaction; answers how many, 0 when none is left.
    async fn sweep_retired_spaces(&self, collection: &CollectionId) -> Result<u64>;

    /// Documents that have unplaced chunks, at most `limit`.
    async fn unplaced_documents(&self, limit: u32) -> Result<Vec<DocumentId>>;

    /// Tombstones of at least this age, at most `limit`.
    async fn old_tombstones(&self, older_than: Duration, limit: u32) -> Result<Vec<DocumentId>>;

    /// Forgets tombstones (the caller has made sure that no older job of the documents is unended).
    async fn forget_tombstones(&self, documents: &[DocumentId]) -> Result<()>;

    // --- reading ---------------------------------------------------------------------------------------------------------------

    /// A published document.
    async fn document(&self, document: DocumentId) -> Result<Option<DocumentRecord>>;

    /// The ticket that stands for a document, a tombstone's too.
    async fn published_seq(&self, document: DocumentId) -> Result<Option<PublishedSeq>>;

    /// A page of published documents.
    async fn documents(&self, query: &DocumentQuery, start: &PageStart, limit: u32) -> Result<DocumentPage>;

    /// A page of the entities of a published document, those that it mentions most first, then by id; `None` when there is no such document.
    async fn document_entities(
        &self,
        document: DocumentId,
        start: &PageStart,
        limit: u32,
    ) -> Result<Option<Page<DocumentEntity>>>;

    /// Placed chunks of a document with index ≥ `from`, in order.
    async fn chunks(&self, document: DocumentId, from: u32, limit: u32) -> Result<Vec<ChunkRecord>>;

    /// Placed chunks of a document with index ≥ `from`, in order, whole enough to be staged and published elsewhere; `None` when the document is not
    /// published under `seq` (any more).
    async fn document_part(
        &self,
        document: DocumentId,
        seq: Seq,
        from: u32,
        limit: u32,
    ) -> Result<Option<Vec<PlacedChunk>>>;

    /// Those of `keys` that no published document names as its original or page text.
    async fn blobs_unnamed_among(&self, keys: &[String]) -> Result<Vec<String>>;

    /// Counts of live data of a collection (of all when `None`).
    async fn stats(&self, collection: Option<&CollectionId>) -> Result<GraphStats>;

    /// The canonical export: JSON Lines (each item whole lines). See `export/`.
    async fn export(&self, collection: &CollectionId) -> Result<BoxStream<'static, Result<Bytes>>>;

    /// Live chunks by BM25.
    async fn fulltext(
        &self,
        collection: &CollectionId,
        query: &str,
        limit: u32,
        filter: &SearchFilter,
    ) -> Result<Vec<SearchHit>>;

    /// Live chunks by cosine, exact.
    async fn nearest(
        &self,
        collection: &CollectionId,
        space: SpaceId,
        query: &[f32],
        limit: u32,
        filter: &SearchFilter,
    ) -> Result<Vec<SearchHit>>;

    /// Those of `chunks` that are live in the collection, in the order asked, all of one moment, each with at most `entities` of the entities that
    /// it mentions. What a search found and is gone meanwhile is left out.
    async fn found_chunks(
        &self,
        collection: &CollectionId,
        chunks: &[ChunkId],
        entities: u32,
    ) -> Result<Vec<FoundChunk>>;

    /// A page of the entities of a collection.
    async fn entities(
        &self,
        collection: &CollectionId,
        query: &EntityQuery,
        start: &PageStart,
        limit: u32,
    ) -> Result<Page<EntityRecord>>;

    /// An entity of any collection with its evidence and a page of its mentions, all of one moment.
    async fn entity(&self, entity: EntityId, mentions: &PageStart, limit: u32) -> Result<Option<EntityDetail>>;

    /// A page of the communities that readers see (of one level when it is given).
    async fn communities(
        &self,
        collection: &CollectionId,
        level: Option<u32>,
        start: &PageStart,
        limit: u32,
    ) -> Result<CommunityList>;

    /// A community of any collection that readers see, with a page of its members, all of one generation. `None` when no member of it lives.
    async fn community(
        &self,
        community: CommunityId,
        members: &PageStart,
        limit: u32,
    ) -> Result<Option<CommunityDetail>>;

    /// How far the layers of a collection are behind.
    async fn layer_report(&self, collection: &CollectionId) -> Result<LayerReport>;

    /// Entities within `hops` relations of `ids`, at most `limit`: nearest first, at equal distance those that the strongest relations lead to.
    async fn expand(&self, collection: &CollectionId, ids: &[EntityId], hops: u32, limit: u32)
    -> Result<Neighbourhood>;

    /// All live entities, then all live relations, each in id order, in pages.
    async fn projection(&self, collection: &CollectionId) -> Result<BoxStream<'static, Result<Vec<ProjectionRow>>>>;

    // --- layers ----------------------------------------------------------------------------------------------------------------

    /// Begins a run: raises the layer's run number, so that earlier runs can write nothing more, and drops what they left unfinished.
    async fn begin_run(&self, collection: &CollectionId, layer: Layer, full: bool) -> Result<LayerRun>;

    /// How a run stands.
    async fn run_standing(&self, run: &LayerRun) -> Result<RunStanding>;

    /// Gives a run up, if it is the present one: it can write nothing more, and what it wrote is swept. Idempotent.
    async fn give_up_run(&self, run: &LayerRun) -> Result<()>;

    /// The collection's publish number; 0 when there is no such collection.
    async fn publish_number(&self, collection: &CollectionId) -> Result<u64>;

    /// Live chunks with a vector in the space and how their rows of similarities stand, by position from `from` on, at most `limit`.
    async fn similarity_heads(
        &self,
        collection: &CollectionId,
        space: SpaceId,
        from: u64,
        limit: u32,
    ) -> Result<Vec<SimilarityHead>>;

    /// Rows of similarities that readers see, of live chunks at these positions, by position, with their live neighbours alone (more than readers are
    /// shown), at most `limit`.
    async fn similarities(
        &self,
        collection: &CollectionId,
        positions: Range<u64>,
        limit: u32,
    ) -> Result<Vec<(u64, SimilarityRow)>>;

    /// Replaces rows of `SIMILAR_TO` (in the run's own generation when it is full); answers how many were written: those of chunks that are gone are
    /// left out.
    async fn put_similarities(&self, run: &LayerRun, rows: Vec<SimilarityRow>) -> Result<u64>;

    /// Adds communities to the run's generation.
    async fn put_communities(&self, run: &LayerRun, rows: Vec<CommunityRow>) -> Result<()>;

    /// All communities of the generation that readers see, with their live members by id, finest level first, in pages, of one moment.
    async fn present_communities(
        &self,
        collection: &CollectionId,
    ) -> Result<BoxStream<'static, Result<Vec<CommunityRow>>>>;

    /// Ends a run: readers see its generation (or its rows) from now on; what it replaced is swept.
    async fn finish_run(&self, run: &LayerRun, stands_at: u64, parameters: Map<String, Value>) -> Result<()>;

    /// Where a layer stands.
    async fn layer(&self, collection: &CollectionId, layer: Layer) -> Result<LayerState>;

    // --- upkeep ----------------------------------------------------------------------------------------------------------------

    /// Counts all folds anew from the facts of live chunks and compares; empty = whole. At most `limit` findings.
    async fn check(&self, collection: &CollectionId, limit: u32) -> Result<Vec<Discrepancy>>;
}
