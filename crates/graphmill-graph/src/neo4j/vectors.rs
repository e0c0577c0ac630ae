//! TODO
#![allow(unused)]
use std::ops::Range;
use std::time::Duration;

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

use super::{Neo4jConnection, Neo4jGraph, Params, Row, Transaction, ids, lock};

/// See [`crate::GraphStore::space_delta`].
pub(super) async fn space_delta(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    space: SpaceId,
    after: Option<ChunkId>,
    limit: u32,
) -> Result<Vec<(ChunkId, String)>> {
    todo!()
}

/// See [`crate::GraphStore::chunk_texts`].
pub(super) async fn chunk_texts(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    after: Option<ChunkId>,
    limit: u32,
) -> Result<Vec<(ChunkId, String)>> {
    todo!()
}

/// See [`crate::GraphStore::vectors`].
pub(super) async fn page(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    space: SpaceId,
    positions: Range<u64>,
    limit: u32,
) -> Result<VectorPage> {
    todo!()
}

/// See [`crate::GraphStore::vectors_at`].
pub(super) async fn at(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    space: SpaceId,
    positions: &[u64],
) -> Result<VectorPage> {
    todo!()
}

/// See [`crate::GraphStore::activate_space`].
pub(super) async fn activate_space(neo4j: &Neo4jConnection, run: &LayerRun, space: SpaceId) -> Result<bool> {
    todo!()
}

/// See [`crate::GraphStore::put_vectors`].
pub(super) async fn put_vectors(
    neo4j: &Neo4jConnection,
    run: &LayerRun,
    space: SpaceId,
    rows: Vec<(ChunkId, Vec<f32>)>,
) -> Result<()> {
    todo!()
}

/// See [`crate::GraphStore::set_aside_embeddings`].
pub(super) async fn set_aside(neo4j: &Neo4jConnection, run: &LayerRun, chunks: Vec<ChunkId>) -> Result<()> {
    todo!()
}

/// See [`crate::GraphStore::sweep_retired_spaces`].
pub(super) async fn sweep_retired(neo4j: &Neo4jConnection, collection: &CollectionId) -> Result<u64> {
    todo!()
}
