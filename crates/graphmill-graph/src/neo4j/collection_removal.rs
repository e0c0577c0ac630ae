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

/// See [`crate::GraphStore::begin_collection_removal`].
pub(super) async fn begin(neo4j: &Neo4jConnection, collection: &CollectionId, seq: Seq) -> Result<()> {
    todo!()
}

/// See [`crate::GraphStore::collection_removal`].
pub(super) async fn progress(neo4j: &Neo4jConnection, collection: &CollectionId) -> Result<Option<CollectionRemoval>> {
    todo!()
}

/// See [`crate::GraphStore::blobs_under_removal`].
pub(super) async fn blobs(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    after: u64,
    limit: u32,
) -> Result<Option<(u64, Vec<String>)>> {
    todo!()
}

/// See [`crate::GraphStore::sweep_collection`].
pub(super) async fn sweep(neo4j: &Neo4jConnection, collection: &CollectionId) -> Result<bool> {
    todo!()
}
