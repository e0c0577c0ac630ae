//! `GET /version`: what is running.

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use crate::AppState;

pub(crate) async fn handle(State(state): State<AppState>) -> Json<Value> {
    let build = &state.config.build;
    let mut answer = Map::new();
    answer.insert("name".into(), json!("graphmill"));
    answer.insert("version".into(), json!(build.version));
    if let Some(git) = &build.git {
        answer.insert("git".into(), json!(git));
    }
    let schema: Map<String, Value> = build.schema.iter().map(|(name, number)| (name.clone(), json!(number))).collect();
    answer.insert("schema".into(), Value::Object(schema));
    Json(Value::Object(answer))
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
