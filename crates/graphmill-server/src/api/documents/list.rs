//! `GET /api/documents?collection=&limit=50&offset=0`: published documents, newest first. 400: a bad number or collection name.

use axum::Json;
use axum::extract::State;
use graphmill_core::CollectionId;
use serde::Serialize;

use crate::api::shape::DocumentShape;
use crate::params::Params;
use crate::{AppState, Result};

#[derive(Serialize)]
pub(crate) struct Answer {
    documents: Vec<DocumentShape>,
    total: u64,
    limit: u32,
    offset: u64,
    has_more: bool,
}

pub(crate) async fn handle(State(state): State<AppState>, params: Params) -> Result<Json<Answer>> {
    let collection: Option<CollectionId> = params.parsed("collection")?;
    let (limit, offset) = (params.limit(50)?, params.offset()?);
    let (documents, total) = state.graph().documents(collection.as_ref(), offset, limit).await?;
    let has_more = offset.saturating_add(documents.len() as u64) < total;
    let documents = documents.into_iter().map(DocumentShape::from).collect();
    Ok(Json(Answer { documents, total, limit, offset, has_more }))
}
