//! `POST /api/jobs/cleanup` with `{"older_than_days": 7, "status": ["completed","failed"]}` (both optional, as is the body; `collection` too): removes
//! records of jobs that ended at least so long ago, of all collections that the caller sees or of one. Documents and graph stay. 400: a field that is unknown or has a bad value, a state in which a job has not ended.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use graphmill_core::{CollectionId, JobStatus};
use serde::Serialize;

use crate::body::Fields;
use crate::openapi::BadBody;
use crate::{AppState, Error, Result, Scope};

/// Jobs deleted in one transaction: others get their turn between two.
const BATCH: u32 = 500;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A state in which a job has ended.
#[derive(utoipa::ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "a description: `statuses` reads the words")]
enum EndedStatus {
    Completed,
    Failed,
    Cancelled,
}

#[derive(utoipa::ToSchema)]
#[schema(as = CleanupRequest)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a description: the handler reads the fields")]
struct Request {
    /// Only jobs that ended at least so many days ago.
    #[schema(minimum = 0, maximum = 36_500, default = 7)]
    older_than_days: Option<u32>,
    /// Only jobs in these states.
    #[schema(min_items = 1, default = json!(["completed", "failed"]))]
    status: Option<Vec<EndedStatus>>,
    /// Only jobs of this collection.
    collection: Option<CollectionId>,
}

#[derive(Serialize, utoipa::ToSchema)]
#[schema(as = CleanedUp)]
pub(crate) struct Answer {
    message: &'static str,
    jobs_deleted: u64,
    /// Millions of bytes, rounded up to one decimal.
    space_freed_mb: f64,
}

/// Clean up old jobs that have ended.
#[utoipa::path(
    post,
    path = "/api/jobs/cleanup",
    tag = "jobs",
    operation_id = "clean_up_jobs",
    request_body(content = Option<Request>, description = "Which jobs", example = json!({"older_than_days": 7, "status": ["completed", "failed"]})),
    responses(
        (
            status = 200,
            description = "They are gone",
            body = Answer,
            example = json!({"message": "Cleanup complete", "jobs_deleted": 23, "space_freed_mb": 145.7})
        ),
        BadBody,
    )
)]
pub(crate) async fn handle(State(state): State<AppState>, scope: Scope, mut fields: Fields) -> Result<Json<Answer>> {
    let days = fields.number("older_than_days", 0, 36_500)?.unwrap_or(7);
    let words = fields.texts("status")?;
    let asked = fields.text("collection")?;
    fields.finish(&["older_than_days", "status", "collection"])?;
    let parse = |text: String| text.parse().map_err(|e| Error::invalid(format!("the field collection: {e}")));
    let collection = scope.reading(asked.map(parse).transpose()?)?;
    let statuses = match words {
        None => vec![JobStatus::Completed, JobStatus::Failed],
        Some(words) => statuses(&words)?,
    };
    let older_than = DAY * u32::try_from(days).unwrap_or(u32::MAX);
    let (mut jobs, mut bytes) = (0, 0);
    loop {
        let deleted = state.jobs().cleanup(older_than, &statuses, collection.as_ref(), BATCH).await?;
        if deleted.jobs == 0 {
            break;
        }
        jobs += deleted.jobs;
        bytes += deleted.bytes;
        graphmill_core::fault_point!("cleanup.between_batches");
        bytes += state.services.maintenance.delete_blobs(deleted.unnamed_blobs).await;
    }
    Ok(Json(Answer { message: "Cleanup complete", jobs_deleted: jobs, space_freed_mb: megabytes(bytes) }))
}

fn statuses(words: &[String]) -> Result<Vec<JobStatus>> {
    if words.is_empty() {
        return Err(Error::invalid("the field status is an empty list; it must name completed, failed or cancelled"));
    }
    let parse = |word: &String| match word.parse::<JobStatus>() {
        Ok(status) if status.is_ended() => Ok(status),
        Ok(status) => Err(Error::invalid(format!(
            "the field status: {status} jobs cannot be cleaned up; it must name completed, failed or cancelled"
        ))
        .hint("cancel such a job first")),
        Err(e) => Err(Error::invalid(format!("the field status: {e}"))),
    };
    words.iter().map(parse).collect()
}

/// Millions of bytes to one decimal; what is freed is never shown as nothing.
#[allow(clippy::cast_precision_loss)] // exact up to 2^53 bytes
fn megabytes(bytes: u64) -> f64 {
    let tenths = (bytes as f64 / 100_000.0).ceil();
    tenths / 10.0
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::Request;
    use graphmill_core::{ManualClock, Timestamp};
    use serde_json::{Value, json};

    use crate::ServerConfig;
    use crate::test_server::{TestServer, completed, failed};

    #[tokio::test]
    async fn old_ended_jobs_go_and_documents_stay() {
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let server = TestServer::with(ServerConfig::default(), clock.clone()).await;
        let job = server.upload("kept.txt", "Pumps pump.").await;
        let claimed = server.claim().await;
        let document = server.publish(&claimed.job).await;
        server.end(claimed.fence, completed()).await;
        server.upload("b.txt", "Pumps pump.").await;
        server.end(server.claim().await.fence, failed()).await;
        let cancelled = server.upload("c.txt", "Pumps pump.").await;
        server.post(&format!("/api/jobs/{cancelled}/cancel"), Value::Null).await;
        let answer = server.post("/api/jobs/cleanup", Value::Null).await;
        assert_eq!(answer.text, r#"{"message":"Cleanup complete","jobs_deleted":0,"space_freed_mb":0.0}"#);
        clock.advance(Duration::from_secs(8 * 24 * 3600));
        let answer = server.post("/api/jobs/cleanup", Value::Null).await.json();
        assert_eq!(answer["jobs_deleted"], 2);
        assert!(answer["space_freed_mb"].as_f64().unwrap() > 0.0);
        assert_eq!(server.get(&format!("/api/jobs/{job}")).await.status, 404);
        assert_eq!(server.get(&format!("/api/documents/{document}")).await.json()["status"], "published");
        let answer = server.post("/api/jobs/cleanup", json!({"older_than_days": 0, "status": ["cancelled"]})).await;
        assert_eq!(answer.json()["jobs_deleted"], 1);
    }

    #[tokio::test]
    async fn a_bad_field_is_named() {
        let server = TestServer::start().await;
        for (body, code, part) in [
            (json!({"status": ["running"]}), "invalid_parameter", "running jobs cannot be cleaned up"),
            (json!({"status": ["pending"]}), "invalid_parameter", "pending jobs cannot be cleaned up"),
            (json!({"status": ["done"]}), "invalid_parameter", "\"done\" is none of"),
            (json!({"status": []}), "invalid_parameter", "empty list"),
            (json!({"status": "failed"}), "invalid_parameter", "a list of strings"),
            (json!({"older_than_days": -1}), "invalid_parameter", "from 0 to 36500"),
            (json!({"older_than_days": 1.5}), "invalid_parameter", "1.5"),
            (json!({"older_than": 1}), "invalid_parameter", "older_than_days, status, collection"),
            (json!([1]), "invalid_json", "a list"),
        ] {
            let (status, found, error) = server.post("/api/jobs/cleanup", body).await.error();
            assert_eq!((status, found.as_str()), (400, code), "{error}");
            assert!(error.contains(part), "{error}");
        }
        let request = Request::post("/api/jobs/cleanup").body(Body::from("{}")).unwrap();
        assert_eq!(server.send(request).await.error().0, 415);
    }
}
