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
