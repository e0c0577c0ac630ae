//! `GET /api/graph/stats?collection=`: counts of live data of a collection, of all without the parameter. 400: a bad collection name.

use axum::Json;
use axum::extract::State;
use graphmill_graph::records::GraphStats;

use crate::params::Params;
use crate::{AppState, Result, Scope};

pub(crate) async fn handle(State(state): State<AppState>, scope: Scope, params: Params) -> Result<Json<GraphStats>> {
    let collection = scope.reading(params.parsed("collection")?)?;
    Ok(Json(state.graph().stats(collection.as_ref()).await?))
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
        assert!(json.as_object().unwrap().values().all(serde_json::Value::is_u64));
        assert_eq!((&json["documents"], &json["chunks"]), (&1.into(), &1.into()));
        assert_eq!(server.get("/api/graph/stats?collection=other").await.json()["chunks"], 0);
        assert_eq!(server.get("/api/graph/stats?collection=A").await.error().0, 400);
    }
}
