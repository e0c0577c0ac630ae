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

/// See [`crate::GraphStore::document`].
pub(super) async fn document(neo4j: &Neo4jConnection, document: DocumentId) -> Result<Option<DocumentRecord>> {
    todo!()
}

/// See [`crate::GraphStore::published_seq`].
pub(super) async fn published_seq(neo4j: &Neo4jConnection, document: DocumentId) -> Result<Option<PublishedSeq>> {
    todo!()
}

/// See [`crate::GraphStore::chunks`].
pub(super) async fn chunks(
    neo4j: &Neo4jConnection,
    document: DocumentId,
    from: u32,
    limit: u32,
) -> Result<Vec<ChunkRecord>> {
    todo!()
}

/// See [`crate::GraphStore::document_part`].
pub(super) async fn document_part(
    neo4j: &Neo4jConnection,
    document: DocumentId,
    seq: Seq,
    from: u32,
    limit: u32,
) -> Result<Option<Vec<PlacedChunk>>> {
    todo!()
}

/// See [`crate::GraphStore::blobs_unnamed_among`].
pub(super) async fn blobs_unnamed_among(neo4j: &Neo4jConnection, keys: &[String]) -> Result<Vec<String>> {
    todo!()
}
