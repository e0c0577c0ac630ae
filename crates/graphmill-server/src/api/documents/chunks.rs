//! `GET /api/documents/{document_id}/chunks?limit=100&offset=0`: chunks of a published document in document order. 400: a bad number. 404: there is no
//! such document, or it is not published.

use axum::Json;
use axum::extract::State;
use graphmill_core::{ChunkId, DocumentId};
use graphmill_graph::records::ChunkRecord;
use serde::Serialize;
use utoipa::IntoParams;

use crate::error::no_such_document;
use crate::openapi::{And, BadParameter, NoSuchDocument};
use crate::params::Params;
use crate::path::DocumentPath;
use crate::{AppState, Result, Scope};

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a description: the handler reads the parameters")]
struct Query {
    /// Most chunks in the answer.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u32>,
    /// How many to leave out at the beginning.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_i64, default = 0)]
    offset: Option<u64>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ChunkPage)]
pub(crate) struct Answer {
    document_id: DocumentId,
    chunks: Vec<ChunkShape>,
    total: u64,
    limit: u32,
    offset: u64,
    has_more: bool,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Chunk)]
struct ChunkShape {
    chunk_id: ChunkId,
    chunk_index: u32,
    text: String,
    /// What stands before the text where it is embedded: the header of a table that it begins in the middle of.
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    token_count: u32,
    start_char: u64,
    end_char: u64,
    page_start: u32,
    page_end: u32,
    heading_path: Vec<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    facts_quarantined: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    embedding_quarantined: bool,
}

impl From<ChunkRecord> for ChunkShape {
    fn from(chunk: ChunkRecord) -> Self {
        let at = chunk.placement;
        Self {
            chunk_id: at.chunk,
            chunk_index: chunk.chunk_index,
            text: chunk.text,
            context: chunk.context,
            token_count: chunk.token_count,
            start_char: at.start_char,
            end_char: at.end_char,
            page_start: at.page_start,
            page_end: at.page_end,
            heading_path: at.heading_path,
            facts_quarantined: chunk.facts_quarantined,
            embedding_quarantined: chunk.embedding_quarantined,
        }
    }
}

/// Chunks of a published document.
#[utoipa::path(
    get,
    path = "/api/documents/{document_id}/chunks",
    tag = "documents",
    operation_id = "list_document_chunks",
    params(("document_id" = DocumentId, Path, description = "The document"), Query),
    responses(
        (
            status = 200,
            description = "A page of chunks in document order",
            body = Answer,
            example = json!({
                "document_id": "doc-aaaaaaaaaaaaaaaaaaaaaaaaaa",
                "chunks": [{
                    "chunk_id": "chk-aaaaaaaaaaaaaaaaaaaaaaaaaa",
                    "chunk_index": 0,
                    "text": "Pumps pump.",
                    "token_count": 2,
                    "start_char": 0,
                    "end_char": 11,
                    "page_start": 1,
                    "page_end": 1,
                    "heading_path": ["Pumps"]
                }],
                "total": 1,
                "limit": 100,
                "offset": 0,
                "has_more": false
            })
        ),
        And<BadParameter, NoSuchDocument>,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    DocumentPath(id): DocumentPath,
    params: Params,
) -> Result<Json<Answer>> {
    let (limit, offset) = (params.limit(100)?, params.offset()?);
    let document = state.graph().document(id).await?.filter(|document| scope.admits(&document.collection));
    let document = document.ok_or_else(|| no_such_document(&id.to_string()))?;
    let chunks = match u32::try_from(offset) {
        Ok(from) => state.graph().chunks(id, from, limit).await?,
        Err(_) => Vec::new(), // no document has so many
    };
    let total = document.chunk_count;
    let has_more = offset.saturating_add(chunks.len() as u64) < total && !chunks.is_empty();
    let chunks = chunks.into_iter().map(ChunkShape::from).collect();
    Ok(Json(Answer { document_id: id, chunks, total, limit, offset, has_more }))
}

#[cfg(test)]
mod tests {
    use crate::test_server::{TestServer, no_document};

    #[tokio::test]
    async fn chunks_with_their_place() {
        let server = TestServer::start().await;
        server.upload("a.txt", "Pumps pump.").await;
        let uri = {
            let claimed = server.claim().await;
            format!("/api/documents/{}/chunks", server.publish(&claimed.job).await)
        };
        let json = server.get(&uri).await.json();
        assert_eq!((&json["total"], &json["has_more"]), (&1.into(), &false.into()));
        let keys: Vec<_> = json["chunks"][0].as_object().unwrap().keys().map(String::as_str).collect();
        let expected = "chunk_id chunk_index text token_count start_char end_char page_start page_end heading_path";
        assert_eq!(keys.join(" "), expected);
        assert_eq!(json["chunks"][0]["text"], "Pumps pump.");
        let json = server.get(&format!("{uri}?offset=99999999999")).await.json();
        assert_eq!((json["chunks"].as_array().unwrap().len(), &json["has_more"]), (0, &false.into()));
        assert_eq!(server.get(&format!("/api/documents/{}/chunks", no_document())).await.error().0, 404);
    }
}
