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

/// See [`crate::GraphStore::begin_run`].
pub(super) async fn begin_run(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    layer: Layer,
    full: bool,
) -> Result<LayerRun> {
    todo!()
}

/// See [`crate::GraphStore::run_standing`].
pub(super) async fn run_standing(neo4j: &Neo4jConnection, run: &LayerRun) -> Result<RunStanding> {
    todo!()
}

/// See [`crate::GraphStore::give_up_run`].
pub(super) async fn give_up_run(neo4j: &Neo4jConnection, run: &LayerRun) -> Result<()> {
    todo!()
}

/// See [`crate::GraphStore::finish_run`].
pub(super) async fn finish_run(
    neo4j: &Neo4jConnection,
    run: &LayerRun,
    stands_at: u64,
    parameters: Map<String, Value>,
) -> Result<()> {
    todo!()
}

/// See [`crate::GraphStore::layer`].
pub(super) async fn layer(neo4j: &Neo4jConnection, collection: &CollectionId, layer: Layer) -> Result<LayerState> {
    todo!()
}
