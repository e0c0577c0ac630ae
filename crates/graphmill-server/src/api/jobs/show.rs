//! `GET /api/jobs/{job_id}`: the job with stages, errors and attempts. 404: there is no such job.

use axum::Json;
use axum::extract::State;
use graphmill_core::JobId;

use crate::api::shape::JobDetailShape;
use crate::openapi::NoSuchJob;
use crate::path::JobPath;
use crate::{AppState, Result, Scope};

/// Get detailed status for a specific job.
#[utoipa::path(
    get,
    path = "/api/jobs/{job_id}",
    tag = "jobs",
    operation_id = "get_job",
    params(("job_id" = JobId, Path, description = "The job")),
    responses(
        (
            status = 200,
            description = "The job with stages, errors and attempts",
            body = JobDetailShape,
            example = json!({
            "job_id": "job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10",
            "job_type": "ingestion",
            "status": "running",
            "progress": 0.65,
            "message": "Processing chunks (95/147)",
            "created_at": "2024-01-15T16:30:00.000Z",
            "started_at": "2024-01-15T16:30:05.000Z",
            "metadata": {"filename": "VxRail_Admin_Guide.pdf", "document_id": "doc-aaaaaaaaaaaaaaaaaaaaaaaaaa"},
            "stages": [
                {"name": "loading", "status": "completed", "progress": 1.0, "duration_seconds": 3.2},
                {"name": "chunking", "status": "running", "progress": 0.65, "duration_seconds": 1.8},
                {"name": "embedding", "status": "pending", "progress": 0.0}
            ],
            "errors": [],
            "attempts": [{"number": 1, "started_at": "2024-01-15T16:30:05.000Z", "outcome": "running", "stages": ["loading", "chunking"]}]
            })
        ),
        NoSuchJob,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    JobPath(job): JobPath,
) -> Result<Json<JobDetailShape>> {
    Ok(Json(state.visible_job(&scope, job).await?.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_server::{NO_JOB, TestServer, failed};

    #[tokio::test]
    async fn stages_errors_and_attempts() {
        let server = TestServer::start().await;
        let job = server.upload("a.txt", "Pumps pump.").await;
        let fence = server.claim().await.fence;
        server.stage(fence, "loading", 0.1).await;
        server.end(fence, failed()).await;
        let json = server.get(&format!("/api/jobs/{job}")).await.json();
        let keys: Vec<_> = json.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = [
            "job_id",
            "job_type",
            "status",
            "progress",
            "message",
            "created_at",
            "started_at",
            "completed_at",
            "metadata",
        ];
        assert_eq!(keys[..9], expected);
        assert_eq!(keys[9..], ["stages", "errors", "attempts"]);
        let stage: Vec<_> = json["stages"][0].as_object().unwrap().keys().collect();
        assert_eq!(stage, ["name", "status", "progress", "duration_seconds"]);
        assert_eq!(json["stages"][0]["progress"].to_string(), "1.0");
        assert_eq!(json["stages"][1], json!({"name": "chunking", "status": "pending", "progress": 0.0}));
        let error = &json["errors"][0];
        assert_eq!(error["code"], "encrypted");
        assert_eq!(error["hint"], "remove the password");
        assert_eq!(error["attempt"], 1);
        let attempt = &json["attempts"][0];
        assert_eq!(
            (&attempt["number"], &attempt["outcome"], &attempt["stages"]),
            (&json!(1), &json!("failed"), &json!(["loading"]))
        );
    }

    #[tokio::test]
    async fn an_unknown_or_malformed_id_names_nothing() {
        let server = TestServer::start().await;
        for id in [NO_JOB, "job-123-abc", "%F0%9F%99%82"] {
            let (status, code, error) = server.get(&format!("/api/jobs/{id}")).await.error();
            assert_eq!((status, code.as_str()), (404, "not_found"));
            assert!(error.starts_with("there is no job "), "{error}");
        }
    }
}
