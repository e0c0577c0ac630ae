//! `GET /api/graph/export?collection=default`: the canonical export of a collection as JSON Lines, written as it is read. When it cannot be finished,
//! the connection is cut: a whole export ends with the line that counts. 400: a bad collection name.

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use graphmill_core::CollectionId;

use crate::openapi::BadParameter;
use crate::params::Params;
use crate::{AppState, Result, Scope};

/// The canonical export of a collection.
#[utoipa::path(
    get,
    path = "/api/graph/export",
    tag = "graph",
    operation_id = "export_graph",
    params(("collection" = Option<CollectionId>, Query, description = "The collection; `default` without it")),
    responses(
        (
            status = 200,
            description = "JSON Lines, sorted; the last line counts what stands before it. One that cannot be finished is cut off",
            body = String,
            content_type = "application/x-ndjson"
        ),
        BadParameter,
    )
)]
pub(crate) async fn handle(State(state): State<AppState>, scope: Scope, params: Params) -> Result<Response> {
    let collection = scope.reading(params.parsed("collection")?)?.unwrap_or_default();
    let lines = state.graph().export(&collection).await?;
    let lines = lines.inspect(|item| {
        if let Err(error) = item {
            tracing::error!(%error, "an export was cut off");
        }
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

#[cfg(test)]
mod tests {
    use crate::test_server::TestServer;

    #[tokio::test]
    async fn json_lines() {
        let server = TestServer::start().await;
        server.upload("a.txt", "Pumps pump.").await;
        let claimed = server.claim().await;
        server.publish(&claimed.job).await;
        let answer = server.get("/api/graph/export").await;
        assert_eq!(answer.headers["content-type"], "application/x-ndjson");
        let lines: Vec<serde_json::Value> = answer.text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert!(lines.len() >= 3 && answer.text.ends_with('\n'), "{}", answer.text);
        assert_eq!(server.get("/api/graph/export?collection=A").await.error().0, 400);
    }
}
