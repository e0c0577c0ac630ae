//! `GET /api/graph/stats?collection=`: counts of live data of a collection, of all without the parameter. 400: a bad collection name.

use axum::Json;
use axum::extract::State;
use graphmill_core::CollectionId;
use graphmill_graph::records::GraphStats;

use crate::params::Params;
use crate::{AppState, Result};

pub(crate) async fn handle(State(state): State<AppState>, params: Params) -> Result<Json<GraphStats>> {
    let collection: Option<CollectionId> = params.parsed("collection")?;
    Ok(Json(state.graph().stats(collection.as_ref()).await?))
}
