//! `GET /readyz`: 200 `ready`; 200 `degraded` when the disk is full (uploads and jobs wait, all else works: somebody has to be able to delete); 503
//! `unavailable` when a store does not answer or the server is stopping. The reasons are listed.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use graphmill_core::ErrorCode;
use serde::Serialize;

use crate::AppState;
use crate::error::FULL_HINT;

/// Longest time that a store may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// How ready.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "a description: the handler chooses the word")]
enum ReadyWord {
    Ready,
    Degraded,
    Unavailable,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = Ready)]
pub(crate) struct Answer {
    #[schema(value_type = ReadyWord)]
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasons: Vec<Reason>,
    /// As in every error.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<ErrorCode>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = ReadyReason)]
struct Reason {
    code: ErrorCode,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
}

/// Whether requests are served, and what is in the way.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "server",
    operation_id = "ready",
    responses(
        (
            status = 200,
            description = "It is `ready`, or `degraded`: the disk is full",
            body = Answer,
            example = json!({"status": "ready"})
        ),
        (
            status = 503,
            description = "A store does not answer, or the server is stopping",
            body = Answer,
            example = json!({
                "status": "unavailable",
                "reasons": [{"code": "unavailable", "message": "the server is stopping"}],
                "error": "the server is stopping",
                "code": "unavailable"
            })
        ),
    )
)]
pub(crate) async fn handle(State(state): State<AppState>) -> (StatusCode, Json<Answer>) {
    let mut reasons = Vec::new();
    let mut note = |code, message: String, hint| reasons.push(Reason { code, message, hint });
    if state.stopping.is_cancelled() {
        note(ErrorCode::Unavailable, "the server is stopping".to_owned(), None);
    }
    if !state.services.disk.accepts_uploads() {
        note(
            ErrorCode::StorageFull,
            "the disk of the data folder is full: uploads and jobs wait".to_owned(),
            Some(FULL_HINT),
        );
    }
    let (jobs, graph) = tokio::join!(asked(state.jobs().counts()), asked(state.graph().highest_seq()));
    if let Some(message) = jobs {
        note(ErrorCode::StorageFailed, message, None);
    }
    if let Some(message) = graph {
        note(ErrorCode::GraphUnavailable, message, None);
    }
    let (status, word) = match &reasons[..] {
        [] => (StatusCode::OK, "ready"),
        reasons if reasons.iter().all(|r| r.code == ErrorCode::StorageFull) => (StatusCode::OK, "degraded"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    };
    let worst = reasons.iter().find(|r| status != StatusCode::OK && r.code != ErrorCode::StorageFull);
    let (error, code) = worst.map(|r| (r.message.clone(), r.code)).unzip();
    (status, Json(Answer { status: word, reasons, error, code }))
}

/// What is wrong with a store, if anything.
async fn asked<T, E: Display>(question: impl Future<Output = Result<T, E>>) -> Option<String> {
    match tokio::time::timeout(PATIENCE, question).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("a store did not answer for {} s", PATIENCE.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use crate::test_server::TestServer;

    #[tokio::test]
    async fn ready_degraded_unavailable() {
        let server = TestServer::start().await;
        let answer = server.get("/readyz").await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, r#"{"status":"ready"}"#));
        server.state.services.disk.note_full();
        let answer = server.get("/readyz").await;
        assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (200, &"degraded".into()));
        assert_eq!(answer.json()["reasons"][0]["code"], "storage_full");
        server.state.stopping.cancel();
        let answer = server.get("/readyz").await;
        assert_eq!((answer.error().0, answer.error().1.as_str()), (503, "unavailable"));
        assert_eq!(server.get("/livez").await.text, r#"{"status":"ok"}"#);
    }
}
