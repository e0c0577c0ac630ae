//! `GET /api/search?q=&mode=hybrid|text|vector&collection=&limit=10&document=&entity=&updated_after=&updated_before=`: live chunks of one collection,
//! best first. Without `collection` the one that the caller is bound to, else `default`: scores and vectors of two collections cannot be compared.
//! 400: a missing or too long `q`, an unknown mode, a bad number, id or time. 409: `mode=vector` and the collection's vectors are of another model.
//! 502, 503: `mode=vector` and the embedding model gives no vector of `q`; a hybrid search then goes by text and says so in `warnings`.

mod fuse;
mod highlight;
mod query_vector;
mod request;

use std::time::Instant;

use axum::Json;
use axum::extract::State;
use graphmill_core::{ChunkId, CollectionId, DocumentId, EntityId, Timestamp};
use graphmill_graph::records::{ChunkEntity, FoundChunk, SearchHit};
use serde::Serialize;
use utoipa::IntoParams;

use self::fuse::{Fused, fuse};
use self::highlight::{Highlight, Highlighter};
pub use self::query_vector::QueryEmbedder;
use self::request::{Mode, SearchRequest};
use crate::openapi::{And, BadParameter, NoSuchCollection, refusals};
use crate::params::Params;
use crate::{AppState, Result, Scope};

/// Hits of each search that a hybrid one fuses.
const DEPTH: u32 = 100;

/// Most entities of a hit.
const ENTITIES: u32 = 10;

refusals! {
    /// A search by vectors that cannot be made.
    CannotSearch {
        SpaceMismatch => "the vectors of this collection are of another model",
        ModelUnavailable => "the embedding model does not answer",
        ModelRefused => "the embedding model refuses the request",
        ModelBadAnswer => "the embedding model gave no vector",
    }
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a description: request.rs reads the parameters")]
struct Query {
    /// What is looked for.
    #[param(min_length = 1, max_length = 4000)]
    q: String,
    /// How it is searched.
    #[param(default = "hybrid")]
    mode: Option<Mode>,
    /// The collection; without it the caller's own, else `default`.
    collection: Option<CollectionId>,
    /// Most hits.
    #[param(minimum = 1, maximum = 100, default = 10)]
    limit: Option<u32>,
    /// Only chunks of these documents: ids with commas between.
    #[param(pattern = "^doc-[a-z2-7]{25}[aeimquy4](,doc-[a-z2-7]{25}[aeimquy4]){0,99}$")]
    document: Option<String>,
    /// Only chunks that mention one of these entities: ids with commas between, or one name.
    entity: Option<String>,
    /// Only chunks of documents that were published at or after this instant.
    updated_after: Option<Timestamp>,
    /// Only chunks of documents that were published before this instant.
    updated_before: Option<Timestamp>,
}

/// The answer.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SearchAnswer)]
pub(crate) struct Answer {
    query: String,
    mode: Mode,
    collection: CollectionId,
    hits: Vec<HitShape>,
    took_ms: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// A chunk that was found.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = SearchHit)]
struct HitShape {
    chunk_id: ChunkId,
    document_id: DocumentId,
    filename: String,
    source: String,
    collection: CollectionId,
    /// Higher is better; comparable within one answer alone.
    score: f64,
    scores: Scores,
    chunk_index: u32,
    page_start: u32,
    page_end: u32,
    heading_path: Vec<String>,
    text: String,
    highlights: Vec<Highlight>,
    entities: Vec<EntityShape>,
}

/// What each search gave the chunk.
#[derive(Serialize, Clone, Copy, Default, utoipa::ToSchema)]
#[schema(as = SearchScores)]
struct Scores {
    /// BM25.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<f64>,
    /// Cosine.
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<f64>,
}

/// An entity that a hit mentions.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = MentionedEntity)]
struct EntityShape {
    id: EntityId,
    name: String,
    #[serde(rename = "type")]
    entity_type: String,
}

/// Search the chunks of a collection.
#[utoipa::path(
    get,
    path = "/api/search",
    tag = "search",
    operation_id = "search",
    params(Query),
    responses(
        (
            status = 200,
            description = "Live chunks, best first",
            body = Answer,
            example = json!({
                "query": "pumps",
                "mode": "hybrid",
                "collection": "default",
                "hits": [{
                    "chunk_id": "chk-aaaaaaaaaaaaaaaaaaaaaaaaaa",
                    "document_id": "doc-aaaaaaaaaaaaaaaaaaaaaaaaaa",
                    "filename": "pumps.txt",
                    "source": "guides/pumps.txt",
                    "collection": "default",
                    "score": 0.0328,
                    "scores": {"text": 2.4, "vector": 0.81},
                    "chunk_index": 0,
                    "page_start": 1,
                    "page_end": 1,
                    "heading_path": ["Pumps"],
                    "text": "Pumps pump.",
                    "highlights": [{"start": 0, "end": 5}],
                    "entities": [{"id": "ent-aaaaaaaaaaaaaaaaaaaaaaaaaa", "name": "Pump", "type": "Product"}]
                }],
                "took_ms": 12
            })
        ),
        And<And<BadParameter, NoSuchCollection>, CannotSearch>,
    )
)]
pub(crate) async fn handle(State(state): State<AppState>, scope: Scope, params: Params) -> Result<Json<Answer>> {
    let begun = Instant::now();
    let collection = scope.writing(params.parsed("collection")?)?;
    let request = SearchRequest::read(&params, &collection)?;
    let (fused, warnings) = find(&state, &collection, &request).await?;
    let ids: Vec<ChunkId> = fused.iter().map(|found| found.chunk).collect();
    let chunks = state.graph().found_chunks(&collection, &ids, ENTITIES).await?;
    let highlighter = Highlighter::new(&request.query);
    let mut hits = Vec::with_capacity(chunks.len());
    // What was deleted since it was found is in `fused` alone.
    let mut scored = fused.into_iter();
    for chunk in chunks {
        if let Some(found) = scored.find(|found| found.chunk == chunk.chunk.placement.chunk) {
            hits.push(hit(&collection, found, chunk, &highlighter));
        }
    }
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(Json(Answer { query: request.query, mode: request.mode, collection, hits, took_ms, warnings }))
}

/// The best chunks of the mode, and what could not be done.
async fn find(
    state: &AppState,
    collection: &CollectionId,
    request: &SearchRequest,
) -> Result<(Vec<Fused>, Vec<String>)> {
    let mut warnings = Vec::new();
    let fused = match request.mode {
        Mode::Text => fuse::only_text(by_text(state, collection, request, request.limit).await?),
        Mode::Vector => {
            let hits = by_vector(state, collection, request, request.limit).await?;
            if hits.is_none() {
                warnings.push(NO_VECTORS.to_owned());
            }
            fuse::only_vector(hits.unwrap_or_default())
        }
        Mode::Hybrid => {
            let depth = DEPTH.max(request.limit);
            let (text, vector) =
                tokio::join!(by_text(state, collection, request, depth), by_vector(state, collection, request, depth));
            let vector = match vector {
                Ok(hits) => hits.unwrap_or_default(),
                Err(error) if query_vector::is_of_the_model(&error) => {
                    warnings.push(format!("searched by text alone: {error}"));
                    Vec::new()
                }
                Err(error) => return Err(error),
            };
            fuse(text?, vector, request.limit as usize)
        }
    };
    Ok((fused, warnings))
}

const NO_VECTORS: &str = "no chunk of this collection has a vector yet";

async fn by_text(
    state: &AppState,
    collection: &CollectionId,
    request: &SearchRequest,
    limit: u32,
) -> Result<Vec<SearchHit>> {
    Ok(state.graph().fulltext(collection, &request.query, limit, &request.filter).await?)
}

/// `None` when the collection has no vectors at all.
async fn by_vector(
    state: &AppState,
    collection: &CollectionId,
    request: &SearchRequest,
    limit: u32,
) -> Result<Option<Vec<SearchHit>>> {
    let Some(query) = query_vector::of(state, collection, &request.query).await? else { return Ok(None) };
    Ok(Some(state.graph().nearest(collection, query.space, &query.vector, limit, &request.filter).await?))
}

fn hit(collection: &CollectionId, found: Fused, chunk: FoundChunk, highlighter: &Highlighter) -> HitShape {
    let at = chunk.chunk.placement;
    HitShape {
        chunk_id: at.chunk,
        document_id: chunk.chunk.document,
        filename: chunk.filename,
        source: chunk.source,
        collection: collection.clone(),
        score: found.score,
        scores: Scores { text: found.text, vector: found.vector },
        chunk_index: chunk.chunk.chunk_index,
        page_start: at.page_start,
        page_end: at.page_end,
        heading_path: at.heading_path,
        highlights: highlighter.highlights(&chunk.chunk.text),
        text: chunk.chunk.text,
        entities: chunk.entities.into_iter().map(EntityShape::from).collect(),
    }
}

impl From<ChunkEntity> for EntityShape {
    fn from(entity: ChunkEntity) -> Self {
        Self { id: entity.id, name: entity.name, entity_type: entity.entity_type }
    }
}

#[cfg(test)]
mod tests;
