//! The routes: two of OpenAI's and three of our own.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State as AxumState;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::mode::{Choice, Fault, Mode};
use super::{State, answers};

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/v1/embeddings", post(embeddings))
        .route("/v1/chat/completions", post(chat))
        .route("/_fake/stats", get(stats))
        .route("/_fake/mode", post(set_mode))
        .route("/_fake/reset", post(reset))
        .layer(axum::extract::DefaultBodyLimit::max(64 << 20))
        .with_state(state)
}

async fn stats(AxumState(state): AxumState<Arc<State>>) -> Response {
    Json(state.record.stats()).into_response()
}

/// Fields that are given replace those of the present mode.
async fn set_mode(AxumState(state): AxumState<Arc<State>>, Json(change): Json<Value>) -> Response {
    let mut choice = state.choice.lock();
    let mut mode = json!(choice.mode);
    if let (Some(mode), Some(change)) = (mode.as_object_mut(), change.as_object()) {
        mode.extend(change.clone());
    }
    match serde_json::from_value::<Mode>(mode) {
        Ok(mode) => {
            *choice = Choice::new(mode);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    }
}

async fn reset(AxumState(state): AxumState<Arc<State>>) -> StatusCode {
    state.record.reset();
    StatusCode::NO_CONTENT
}

async fn embeddings(AxumState(state): AxumState<Arc<State>>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let items: Vec<String> = match &body["input"] {
        Value::String(text) => vec![text.clone()],
        Value::Array(texts) => texts.iter().filter_map(|t| t.as_str().map(str::to_owned)).collect(),
        _ => Vec::new(),
    };
    answer(&state, &headers, "embeddings", &body, items, embedding_answer).await
}

async fn chat(AxumState(state): AxumState<Arc<State>>, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let said =
        body["messages"].as_array().and_then(|m| m.last()).and_then(|m| m["content"].as_str()).unwrap_or_default();
    let text = said
        .rfind("<text>\n")
        .map(|at| &said[at + "<text>\n".len()..])
        .map_or(said, |rest| rest.rfind("\n</text>").map_or(rest, |end| &rest[..end]));
    answer(&state, &headers, "chat", &body, vec![text.to_owned()], chat_answer).await
}

async fn answer(
    state: &State,
    headers: &HeaderMap,
    kind: &str,
    body: &Value,
    items: Vec<String>,
    good: fn(&[String], &Mode, Fault) -> Value,
) -> Response {
    let (mut fault, mode) = {
        let mut choice = state.choice.lock();
        (choice.next(&items), choice.mode.clone())
    };
    let token = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if !mode.api_key.is_empty() && token != format!("Bearer {}", mode.api_key) {
        fault = Fault::Unauthorized;
    }
    if fault == Fault::NoJsonMode && body.get("response_format").is_none() {
        fault = Fault::None;
    }
    let under_way = state.record.begin(kind, &items, fault);
    if mode.latency_ms > 0 {
        tokio::time::sleep(Duration::from_millis(mode.latency_ms)).await;
    }
    if fault == Fault::Hang {
        std::future::pending::<()>().await;
    }
    let response = respond(fault, &mode, &good(&items, &mode, fault));
    under_way.end(matches!(fault, Fault::None | Fault::ShuffledEmbeddings));
    response
}

fn respond(fault: Fault, mode: &Mode, good: &Value) -> Response {
    let text = good.to_string();
    match fault {
        Fault::RateLimited => status(429, "rate_limit_exceeded", "Rate limit reached", mode),
        Fault::InternalError => status(500, "server_error", "The server had an error", mode),
        Fault::Unavailable => status(503, "overloaded", "The engine is overloaded", mode),
        Fault::Unauthorized => status(401, "invalid_api_key", "Incorrect API key provided", mode),
        Fault::UnknownModel => status(404, "model_not_found", "The model does not exist", mode),
        Fault::TooLong => {
            status(400, "context_length_exceeded", "This model's maximum context length is 8192 tokens", mode)
        }
        Fault::BadRequest => status(400, "invalid_value", "The request cannot be processed", mode),
        Fault::NoJsonMode => status(400, "unsupported_parameter", "Unknown parameter: response_format", mode),
        Fault::Garbage => Bytes::from_static(b"\xff\xfe\x00\x13 not an answer \x80").into_response(),
        Fault::WrongJson => Json(json!({ "object": "list", "hello": [1, 2, 3] })).into_response(),
        Fault::ErrorWith200 => Json(json!({ "error": { "message": "overloaded", "code": 503 } })).into_response(),
        Fault::TruncatedJson => as_json(text[..text.len() / 2].to_owned()),
        Fault::Cut => {
            let half = Bytes::from(text.into_bytes()).slice(..good.to_string().len() / 2);
            let parts = futures::stream::iter([Ok(half), Err(std::io::Error::other("cut on purpose"))]);
            ([(header::CONTENT_TYPE, "application/json")], Body::from_stream(parts)).into_response()
        }
        _ => as_json(text),
    }
}

fn as_json(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn status(code: u16, name: &str, message: &str, mode: &Mode) -> Response {
    let body = json!({ "error": { "message": message, "type": "invalid_request_error", "param": null, "code": name } });
    let mut response = (StatusCode::from_u16(code).unwrap_or_default(), Json(body)).into_response();
    if matches!(code, 429 | 503)
        && let Ok(value) = mode.retry_after.parse()
        && !mode.retry_after.is_empty()
    {
        response.headers_mut().insert(header::RETRY_AFTER, value);
    }
    response
}

fn embedding_answer(items: &[String], mode: &Mode, fault: Fault) -> Value {
    let mut vectors: Vec<Vec<f32>> = items.iter().map(|text| answers::embedding(text, mode.embedding_dim)).collect();
    match (fault, vectors.last_mut()) {
        (Fault::OtherDimension, Some(last)) => last.push(0.5),
        (Fault::ZeroVector, Some(last)) => last.fill(0.0),
        _ => {}
    }
    let mut data: Vec<Value> = vectors
        .into_iter()
        .enumerate()
        .map(|(index, vector)| json!({ "object": "embedding", "index": index, "embedding": vector }))
        .collect();
    match fault {
        Fault::ShortEmbeddings => drop(data.pop()),
        Fault::ShuffledEmbeddings => data.reverse(),
        _ => {}
    }
    let tokens: usize = items.iter().map(|text| text.split_whitespace().count()).sum();
    json!({ "object": "list", "data": data, "model": "fake", "usage": { "prompt_tokens": tokens, "total_tokens": tokens } })
}

fn chat_answer(items: &[String], mode: &Mode, fault: Fault) -> Value {
    let text = items.first().map(String::as_str).unwrap_or_default();
    let (content, finish) = match fault {
        Fault::Refusal => ("I cannot help with that.".to_owned(), "stop"),
        Fault::ContentFilter => (String::new(), "content_filter"),
        _ if !mode.chat_says.is_empty() => (mode.chat_says.clone(), "stop"),
        _ if text.starts_with("Group of ") => (answers::summary(text).to_string(), "stop"),
        _ => (answers::extraction(text).to_string(), "stop"),
    };
    let (asked, said) = (text.split_whitespace().count(), content.split_whitespace().count());
    json!({
        "id": "chatcmpl-fake", "object": "chat.completion", "created": 0, "model": "fake",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": content }, "finish_reason": finish }],
        "usage": { "prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said },
    })
}
