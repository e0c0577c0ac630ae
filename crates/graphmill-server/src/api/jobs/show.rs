//! `GET /api/jobs/{job_id}`: the job with stages, errors and attempts. 404: there is no such job.

use axum::Json;
use axum::extract::State;

use crate::api::shape::JobDetailShape;
use crate::path::JobPath;
use crate::{AppState, Result, Scope};

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
