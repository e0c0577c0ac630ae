//! `GET /version`: what is running.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::AppState;

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Version)]
pub(crate) struct Answer {
    name: &'static str,
    version: String,
    /// The commit that it was built from, if the build knew it.
    #[serde(skip_serializing_if = "Option::is_none")]
    git: Option<String>,
    /// The schema of each store.
    #[schema(value_type = std::collections::HashMap<String, u64>)]
    schema: Map<String, Value>,
}

/// What is running.
#[utoipa::path(
    get,
    path = "/version",
    tag = "server",
    operation_id = "version",
    responses(
        (
            status = 200,
            description = "Name, version, schemas of the stores",
            body = Answer,
            example = json!({"name": "graphmill", "version": "0.1.0", "schema": {"jobs": 1, "graph": 1}})
        )
    )
)]
pub(crate) async fn handle(State(state): State<AppState>) -> Json<Answer> {
    let build = &state.config.build;
    let schema = build.schema.iter().map(|(name, number)| (name.clone(), json!(number))).collect();
    Json(Answer { name: "graphmill", version: build.version.clone(), git: build.git.clone(), schema })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use graphmill_core::SystemClock;

    use crate::test_server::TestServer;
    use crate::{BuildInfo, ServerConfig};

    #[tokio::test]
    async fn name_version_commit_schema() {
        let build = BuildInfo { version: "1.2.3".into(), git: Some("abc".into()), schema: vec![("jobs".into(), 1)] };
        let config = ServerConfig { build, ..ServerConfig::default() };
        let answer = TestServer::with(config, Arc::new(SystemClock)).await.get("/version").await;
        assert_eq!(answer.text, r#"{"name":"graphmill","version":"1.2.3","git":"abc","schema":{"jobs":1}}"#);
    }
}
