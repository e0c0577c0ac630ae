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

/// See [`crate::GraphStore::entity`].
pub(super) async fn entity(
    neo4j: &Neo4jConnection,
    entity: EntityId,
    mentions: &PageStart,
    limit: u32,
) -> Result<Option<EntityDetail>> {
    todo!()
}
