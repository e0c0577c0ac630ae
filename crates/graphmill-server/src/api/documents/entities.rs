//! `GET /api/documents/{document_id}/entities?limit=50&offset=0&cursor=`: entities that a published document mentions, those first that it mentions most.
//! 400: a bad number, a cursor that is none, `cursor` together with `offset`. 404: there is no such document, or it is not published.

use axum::extract::State;
use axum::response::Response;
use graphmill_core::DocumentId;
use serde::Serialize;

use crate::api::entities::EntityShape;
use crate::api::paging::{Paging, with_next};
use crate::error::no_such_document;
use crate::params::Params;
use crate::path::DocumentPath;
use crate::{AppState, Result, Scope};

#[derive(Serialize)]
struct Answer {
    document_id: DocumentId,
    entities: Vec<DocumentEntityShape>,
    total: u64,
    limit: u32,
    offset: u64,
    has_more: bool,
}

/// The entity as the collection sees it, and what of it is in this document.
#[derive(Serialize)]
struct DocumentEntityShape {
    #[serde(flatten)]
    entity: EntityShape,
    mentions_here: u64,
    chunks_here: u64,
}

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
