//! `GET /api/graph/stats?collection=`: counts of live data of a collection, of all without the parameter, and how far the layers of the collection (without
//! the parameter: the key's, else `default`) are behind; while collections are being deleted, `deletions` says how far that is. 400: a bad collection name. 404: a collection that the key does not reach.

use axum::Json;
use axum::extract::State;
use graphmill_core::CollectionId;
use graphmill_graph::listing::LayerReport;
use graphmill_graph::records::GraphStats;
use serde::Serialize;

use crate::api::collections::{UnderWay, under_way};
use crate::openapi::{And, BadParameter, NoSuchCollection};
use crate::params::Params;
use crate::{AppState, Result, Scope};

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = GraphStatsAnswer)]
pub(crate) struct Answer {
    #[serde(flatten)]
    counts: GraphStats,
    layers: Layers,
    /// Collections that are being deleted, and how far that is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deletions: Vec<UnderWay>,
}

/// How far the layers of a collection are behind; generations and numbers are a collection's, so that those of several cannot be added up.
#[derive(Serialize, utoipa::ToSchema)]
struct Layers {
    collection: CollectionId,
    #[serde(flatten)]
    report: LayerReport,
}

/// Counts of live data.
#[utoipa::path(
    get,
    path = "/api/graph/stats",
    tag = "graph",
    operation_id = "get_graph_stats",
    params(("collection" = Option<CollectionId>, Query, description = "The collection; without it the counts are of all, the layers of the caller's own or `default`")),
    responses(
        (
            status = 200,
            description = "Counts of live data",
            body = Answer,
            example = json!({
                "documents": 1,
                "chunks": 147,
                "entities": 83,
                "relations": 120,
                "similarities": 0,
                "communities": 0,
                "unplaced_chunks": 0,
                "chunks_without_vector": 0,
                "quarantined_chunks": 0,
                "publish_number": 1,
                "layers": {
                    "collection": "default",
                    "embeddings": {"chunks_without_vector": 0, "stale": false, "spaces": []},
                    "similarities": {"generation": 0, "stands_at": 0, "behind": 1, "stale": true, "parameters": {}},
                    "communities": {"generation": 0, "stands_at": 0, "behind": 1, "stale": true, "parameters": {}}
                }
            })
        ),
        And<BadParameter, NoSuchCollection>,
    )
)]
pub(crate) async fn handle(State(state): State<AppState>, scope: Scope, params: Params) -> Result<Json<Answer>> {
    let collection = scope.reading(params.parsed("collection")?)?;
    let counts = state.graph().stats(collection.as_ref()).await?;
    let deletions = under_way(&state, collection.as_ref()).await?;
    let collection = collection.unwrap_or_default();
    let report = state.graph().layer_report(&collection).await?;
    Ok(Json(Answer { counts, layers: Layers { collection, report }, deletions }))
}

#[cfg(test)]
mod tests {
    use crate::test_server::TestServer;

    #[tokio::test]
    async fn whole_numbers() {
        let server = TestServer::start().await;
        server.upload("a.txt", "Pumps pump.").await;
        let claimed = server.claim().await;
        server.publish(&claimed.job).await;
        let json = server.get("/api/graph/stats?collection=default").await.json();
        let keys: Vec<_> = json.as_object().unwrap().keys().take(6).map(String::as_str).collect();
        assert_eq!(keys, ["documents", "chunks", "entities", "relations", "similarities", "communities"]);
        let counts = json.as_object().unwrap().iter().filter(|(key, _)| *key != "layers");
        assert!(counts.map(|(_, value)| value).all(serde_json::Value::is_u64));
        let layers = &json["layers"];
        let keys: Vec<_> = layers.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["collection", "embeddings", "similarities", "communities"]);
        assert_eq!((&layers["similarities"]["stale"], &layers["similarities"]["behind"]), (&true.into(), &1.into()));
        assert_eq!((&json["documents"], &json["chunks"]), (&1.into(), &1.into()));
        assert_eq!(server.get("/api/graph/stats?collection=other").await.json()["chunks"], 0);
        assert_eq!(server.get("/api/graph/stats?collection=A").await.error().0, 400);
    }
}
