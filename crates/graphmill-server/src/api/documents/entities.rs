//! `GET /api/documents/{document_id}/entities?limit=50&offset=0&cursor=`: entities that a published document mentions, those first that it mentions most.
//! 400: a bad number, a cursor that is none, `cursor` together with `offset`. 404: there is no such document, or it is not published.

use axum::extract::State;
use axum::response::Response;
use graphmill_core::DocumentId;
use serde::Serialize;
use utoipa::IntoParams;

use crate::api::entities::EntityShape;
use crate::api::paging::{Paging, with_next};
use crate::error::no_such_document;
use crate::openapi::{And, BadParameter, NoSuchDocument};
use crate::params::Params;
use crate::path::DocumentPath;
use crate::{AppState, Result, Scope};

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "a description: the handler reads the parameters")]
struct Query {
    /// Most entities in the answer.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// How many to leave out at the beginning.
    #[param(minimum = 0, maximum = 9_007_199_254_740_991_i64, default = 0)]
    offset: Option<u64>,
    /// Where the page begins: from the header `Link` of the page before. Not together with `offset`.
    cursor: Option<String>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = DocumentEntityPage)]
struct Answer {
    document_id: DocumentId,
    entities: Vec<DocumentEntityShape>,
    total: u64,
    limit: u32,
    offset: u64,
    has_more: bool,
}

/// The entity as the collection sees it, and what of it is in this document.
#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = DocumentEntity)]
struct DocumentEntityShape {
    #[serde(flatten)]
    entity: EntityShape,
    mentions_here: u64,
    chunks_here: u64,
}

/// Entities that a document mentions.
#[utoipa::path(
    get,
    path = "/api/documents/{document_id}/entities",
    tag = "documents",
    operation_id = "list_document_entities",
    params(("document_id" = DocumentId, Path, description = "The document"), Query),
    responses(
        (status = 200, description = "A page of entities that it mentions", body = Answer,
 headers(("Link" = Option<String>, description = "The next page, with rel=\"next\"; absent on the last"))),
        And<BadParameter, NoSuchDocument>,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    DocumentPath(id): DocumentPath,
    params: Params,
) -> Result<Response> {
    let paging = Paging::of(&params, 50)?;
    let not_found = || no_such_document(&id.to_string());
    state.graph().document(id).await?.filter(|d| scope.admits(&d.collection)).ok_or_else(not_found)?;
    let page = state.graph().document_entities(id, &paging.start, paging.limit).await?.ok_or_else(not_found)?;
    let entities = page.items.into_iter().map(|item| DocumentEntityShape {
        entity: item.entity.into(),
        mentions_here: item.mentions_here,
        chunks_here: item.chunks_here,
    });
    let answer = Answer {
        document_id: id,
        entities: entities.collect(),
        total: page.total,
        limit: paging.limit,
        offset: paging.offset,
        has_more: page.next_cursor.is_some(),
    };
    Ok(with_next(answer, &format!("/api/documents/{id}/entities"), &params, page.next_cursor.as_deref()))
}
