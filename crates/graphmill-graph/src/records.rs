//! What goes into and comes out of a [`crate::GraphStore`].

use std::sync::Arc;

use graphmill_core::{
    ChunkFacts, ChunkId, CollectionId, CommunityId, ContentHash, DocumentId, EntityId, Seq, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Number of an embedding space within a store. Never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SpaceId(pub u32);

/// State of an embedding space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum SpaceState {
    /// Vectors are being made; nobody searches it.
    Building,
    /// Searches use it. At most one of a collection.
    Active,
    /// Another one took its place; its vectors may be removed.
    Retired,
}

/// An embedding space of a collection: vectors of one model and dimension. Models are never mixed in a space.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// Its number.
    pub id: SpaceId,
    /// Name and version of the model.
    pub model: String,
    /// Number of components of each vector.
    pub dimension: u32,
    /// Its state.
    pub state: SpaceState,
}

/// A chunk as it is staged: unplaced, without edges to entities, seen by no reader. Same id, same content.
#[derive(Debug, Clone, PartialEq)]
pub struct StagedChunk {
    /// See [`ChunkId::new`].
    pub id: ChunkId,
    /// Its text.
    pub text: String,
    /// What stands before the text where it is embedded (the header of a table that it begins in the middle of).
    pub context: Option<String>,
    /// Hash of the text.
    pub content_hash: ContentHash,
    /// Number of tokens, by the chunker's count.
    pub token_count: u32,
    /// What it says.
    pub facts: ChunkFacts,
    /// One vector a space whose model is configured; none when its embedding was set aside.
    pub vectors: Vec<(SpaceId, Arc<[f32]>)>,
    /// The embedding could not be made and the chunk is found by text alone until it is retried.
    pub embedding_quarantined: bool,
}

/// Where a chunk stands in its document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The chunk.
    pub chunk: ChunkId,
    /// First character in the document's text.
    pub start_char: u64,
    /// One past its last character.
    pub end_char: u64,
    /// Page of the first character, from 1.
    pub page_start: u32,
    /// Page of the last character.
    pub page_end: u32,
    /// Headings above it, outermost first.
    pub heading_path: Vec<String>,
}

/// What a document is, apart from its chunks.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentProperties {
    /// File name or relative path, as given.
    pub source: String,
    /// Name to show.
    pub filename: String,
    /// Hash of the original.
    pub content_hash: ContentHash,
    /// Hash over `settings`.
    pub settings_hash: ContentHash,
    /// The settings that the stages really used, with versions of extractor and prompt; so that a later upload can say what differs.
    pub settings: Map<String, Value>,
    /// Bytes of the original.
    pub file_size: u64,
    /// Pages.
    pub page_count: u32,
    /// Media type by content.
    pub mime_type: String,
    /// Title, if the document has one.
    pub title: Option<String>,
    /// Language tag, if known.
    pub language: Option<String>,
    /// Blob key of the original.
    pub original: String,
    /// Blob key of the page text.
    pub page_text: String,
    /// Chunks whose extraction or embedding was set aside; such a document is never "unchanged".
    pub quarantined_chunks: u32,
}

/// A document to be published: everything that readers see changes at once.
#[derive(Debug, Clone)]
pub struct Publication {
    /// Its collection.
    pub collection: CollectionId,
    /// The document.
    pub document: DocumentId,
    /// Its ticket.
    pub seq: Seq,
    /// Its chunks in order. The same chunk id never twice.
    pub placements: Vec<Placement>,
    /// The rest.
    pub properties: DocumentProperties,
    /// Spaces in which this job staged vectors: a chunk without one there (and not `embedding_quarantined`) is not whole.
    pub spaces: Vec<SpaceId>,
    /// The times of the document that this one is a copy of; `None`: it is published now.
    pub times: Option<PublishedTimes>,
}

/// A placed chunk as it can be staged and placed elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct PlacedChunk {
    /// Where it stands.
    pub placement: Placement,
    /// What it is, with its vectors in all spaces of the store that it was read from.
    pub chunk: StagedChunk,
}

/// When a document was published, as its copy keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedTimes {
    /// First.
    pub created_at: Timestamp,
    /// Last.
    pub updated_at: Timestamp,
}

/// Answer to [`crate::GraphStore::publish`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishOutcome {
    /// Readers see it.
    Published(PublishedCounts),
    /// This ticket was published before: nothing changed.
    AlreadyDone(PublishedCounts),
    /// A higher ticket was published: nothing changed.
    Overtaken {
        /// The higher ticket.
        by: Seq,
        /// Whether it is a deletion.
        deleted: bool,
    },
    /// These chunks are not staged whole (swept meanwhile): stage them again. Nothing changed.
    Incomplete(Vec<ChunkId>),
}

/// What a published document has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PublishedCounts {
    /// Placed chunks.
    pub chunks: u64,
    /// Distinct entities that they mention.
    pub entities: u64,
    /// Distinct (source, target) pairs that they state.
    pub relations: u64,
    /// The collection's publish number after it.
    pub publish_number: u64,
}

/// An upload that changes nothing: moves the ticket and the document's own properties.
#[derive(Debug, Clone)]
pub struct Touch {
    /// Its collection.
    pub collection: CollectionId,
    /// The document.
    pub document: DocumentId,
    /// The new ticket.
    pub seq: Seq,
    /// Must still be the published one.
    pub content_hash: ContentHash,
    /// Must still be the published one.
    pub settings_hash: ContentHash,
    /// New name to show.
    pub filename: String,
    /// New media type.
    pub mime_type: String,
}

/// Answer to [`crate::GraphStore::touch`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TouchOutcome {
    /// Done (or done before).
    Touched(PublishedCounts),
    /// What is published is something else (or nothing, or has quarantined chunks): all stages must run.
    Differs,
    /// A higher ticket was published.
    Overtaken {
        /// The higher ticket.
        by: Seq,
        /// Whether it is a deletion.
        deleted: bool,
    },
}

/// Answer to [`crate::GraphStore::remove`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RemoveOutcome {
    /// The document is gone; its ticket stays as a tombstone. `existed` says whether something was published.
    Removed {
        /// Whether there was something.
        existed: bool,
    },
    /// A higher ticket was published after this deletion was accepted: nothing changed.
    Overtaken {
        /// The higher ticket.
        by: Seq,
    },
}

/// How far the removal of a collection is, in documents, chunks and entities.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CollectionRemoval {
    /// What it had when the removal began.
    pub total: u64,
    /// What is left of it.
    pub left: u64,
}

/// The ticket that stands for a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedSeq {
    /// The ticket.
    pub seq: Seq,
    /// Whether it is the tombstone of a deletion.
    pub deleted: bool,
}

/// A published document.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentRecord {
    /// Its id.
    pub id: DocumentId,
    /// Its collection.
    pub collection: CollectionId,
    /// Its ticket.
    pub seq: Seq,
    /// What it is.
    pub properties: DocumentProperties,
    /// Placed chunks.
    pub chunk_count: u64,
    /// First published.
    pub created_at: Timestamp,
    /// Last published or touched.
    pub updated_at: Timestamp,
}

/// A placed chunk.
#[derive(Debug, Clone, PartialEq)]
pub struct ChunkRecord {
    /// Its document.
    pub document: DocumentId,
    /// Its index in the document, from 0.
    pub chunk_index: u32,
    /// Where it stands.
    pub placement: Placement,
    /// Its text.
    pub text: String,
    /// See [`StagedChunk::context`].
    pub context: Option<String>,
    /// Number of tokens.
    pub token_count: u32,
    /// Its facts could not be made.
    pub facts_quarantined: bool,
    /// Its vector could not be made.
    pub embedding_quarantined: bool,
}

/// Counts of live data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct GraphStats {
    /// Published documents.
    pub documents: u64,
    /// Placed chunks.
    pub chunks: u64,
    /// Entities with at least one mention.
    pub entities: u64,
    /// Distinct (source, target) pairs.
    pub relations: u64,
    /// `SIMILAR_TO` edges between live chunks.
    pub similarities: u64,
    /// Communities of the generation pointed to that have a live member.
    pub communities: u64,
    /// Chunks that are staged and not placed.
    pub unplaced_chunks: u64,
    /// Placed, not quarantined chunks without a vector in the active space.
    pub chunks_without_vector: u64,
    /// Placed chunks whose facts or embedding were set aside.
    pub quarantined_chunks: u64,
    /// The collection's publish number (the highest, over all collections).
    pub publish_number: u64,
}

/// An entity as readers see it (a fold).
#[derive(Debug, Clone, PartialEq)]
pub struct EntityRecord {
    /// Its id.
    pub id: EntityId,
    /// The most voted spelling (ties: bytes).
    pub name: String,
    /// The most voted type (ties: schema order, then bytes).
    pub entity_type: String,
    /// The best few distinct descriptions, joined.
    pub description: String,
    /// From the counts, 0 to 1.
    pub importance: f64,
    /// Mentions.
    pub mention_count: u64,
    /// Documents.
    pub document_count: u64,
}

/// A relation as readers see it (a fold), keyed (source, target).
#[derive(Debug, Clone, PartialEq)]
pub struct RelationRecord {
    /// From.
    pub source: EntityId,
    /// To.
    pub target: EntityId,
    /// The most voted type.
    pub relation_type: String,
    /// The best few distinct descriptions, joined.
    pub description: String,
    /// Sum of the statements' strengths.
    pub strength: f64,
    /// Number of statements.
    pub support: u64,
}

/// A live chunk that a search found.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchHit {
    /// The chunk.
    pub chunk: ChunkId,
    /// Its document.
    pub document: DocumentId,
    /// Higher is better: BM25 for `fulltext`, cosine for `nearest`.
    pub score: f64,
}

/// What a search looks at: chunks that pass each of its parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchFilter {
    /// Only these documents; empty = all.
    pub documents: Vec<DocumentId>,
    /// Only documents that were last published or touched at this time or later.
    pub updated_after: Option<Timestamp>,
    /// Only documents that were last published or touched before this time.
    pub updated_before: Option<Timestamp>,
    /// Only chunks that mention one of these; empty = all.
    pub entities: Vec<EntityId>,
}

/// A live chunk with what an answer shows of it.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundChunk {
    /// The chunk and its place.
    pub chunk: ChunkRecord,
    /// Its document's name to show.
    pub filename: String,
    /// Its document's source.
    pub source: String,
    /// Entities that it mentions: most mentions in it first, then by id.
    pub entities: Vec<ChunkEntity>,
}

/// An entity as a chunk that mentions it shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkEntity {
    /// Its id.
    pub id: EntityId,
    /// The most voted spelling.
    pub name: String,
    /// The most voted type.
    pub entity_type: String,
}

/// The graph around some entities.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Neighbourhood {
    /// Entities, by id.
    pub entities: Vec<EntityRecord>,
    /// Relations among them, by (source, target).
    pub relations: Vec<RelationRecord>,
    /// The limit cut something off.
    pub truncated: bool,
}

/// A page of the projection for clustering: undirected weighted edges between live entities (and each entity once, so that islands
/// are not lost).
#[derive(Debug, Clone, PartialEq)]
pub enum ProjectionRow {
    /// A node.
    Entity(EntityId),
    /// An edge; `weight` in millionths.
    Relation {
        /// From.
        source: EntityId,
        /// To.
        target: EntityId,
        /// Sum of strengths.
        weight_millionths: u64,
    },
}

/// What is derived from the live graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Vectors of a space that is being built or caught up.
    Embeddings,
    /// `SIMILAR_TO`.
    Similarities,
    /// Communities.
    Communities,
}

/// A run of a layer: carried by each of its writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerRun {
    /// The collection.
    pub collection: CollectionId,
    /// The layer.
    pub layer: Layer,
    /// Raised at each start; a write with a lower one than the present changes nothing.
    pub number: u64,
    /// A full run writes a new generation; a delta replaces rows of the present one.
    pub full: bool,
}

/// Where a layer stands.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LayerState {
    /// Number of the latest run (finished or not).
    pub run: u64,
    /// Generation that readers see; 0 = none.
    pub generation: u64,
    /// Publish number that it was made from.
    pub stands_at: u64,
    /// Parameters of the run that made it (space, `top_k`, `threshold`, resolution, seed …).
    pub parameters: Map<String, Value>,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStanding {
    /// It is the present run and may write.
    Present {
        /// Rows of its own generation that are written so far.
        rows: u64,
    },
    /// It is the latest run and has ended.
    Finished,
    /// It was given up, or a later run has begun: it can write nothing more.
    Stale,
}

/// A live chunk with a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VectorHead {
    /// Its place in the store's own order: the same as long as the chunk is staged, and nobody else's ever.
    pub position: u64,
    /// The chunk.
    pub chunk: ChunkId,
}

/// Vectors of a space, by rising position.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct VectorPage {
    /// Whose they are.
    pub heads: Vec<VectorHead>,
    /// Their components, one vector after another.
    pub components: Vec<f32>,
}

/// A live chunk with a vector, and how its row of similarities stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SimilarityHead {
    /// See [`VectorHead`].
    pub position: u64,
    /// Publish number that placed it or last gave it a vector.
    pub published_at: u64,
    /// Live chunks among the neighbours of the row that readers see; `None` when there is no row.
    pub live_neighbours: Option<u32>,
    /// The row was cut: there are more neighbours than it holds.
    pub is_cut: bool,
}

/// A chunk's row of similarities, replaced whole.
#[derive(Debug, Clone, PartialEq)]
pub struct SimilarityRow {
    /// The chunk.
    pub chunk: ChunkId,
    /// Neighbours by falling score, ties by id; a few more than asked.
    pub neighbours: Vec<(ChunkId, f32)>,
    /// Score of the best neighbour that was cut off; `None` when nothing was.
    pub cut_at: Option<f32>,
}

/// A community of a generation.
#[derive(Debug, Clone, PartialEq)]
pub struct CommunityRow {
    /// Its id.
    pub id: CommunityId,
    /// 0 = finest.
    pub level: u32,
    /// The coarser community that holds it.
    pub parent: Option<CommunityId>,
    /// Title; may be empty.
    pub title: String,
    /// Summary; may be empty.
    pub summary: String,
    /// Its part of the modularity, in millionths.
    pub modularity_share_millionths: i64,
    /// Members (finest level: entities of it alone; coarser levels: of all below).
    pub members: Vec<EntityId>,
}

/// Something that `check` found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Discrepancy {
    /// Which kind (`entity_fold`, `relation_fold`, `orphan_chunk`, `missing_entity`, `counter`, …).
    pub kind: &'static str,
    /// What it is about.
    pub subject: String,
    /// What is stored and what it should be.
    pub detail: String,
}
