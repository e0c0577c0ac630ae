//! `POST /api/job-types/{job_type}/pause` and `/resume`: from here no job of the type is begun, or they are again; running ones go on. It holds over
//! restarts; doing it twice changes nothing. 200 with the type as `GET /api/job-types` shows it. 404: there is no such type. 403 `forbidden`: the caller's
//! key is bound to a collection, and types are those of all collections.

use axum::Json;
use axum::extract::State;
use graphmill_core::{ErrorCode, JobType};

use super::list::TypeShape;
use crate::openapi::refusals;
use crate::path::JobTypePath;
use crate::{AppState, Error, Result, Scope};

refusals! {
    /// There is no such type, or the key is bound to a collection.
    NoSuchType {
        NotFound => "there is no type of jobs \"ingest\"",
        Forbidden => "the key is bound to the collection team-a; a type of jobs is paused for all collections",
    }
}

/// Begin no job of a type.
#[utoipa::path(
    post,
    path = "/api/job-types/{job_type}/pause",
    tag = "jobs",
    operation_id = "pause_job_type",
    params(("job_type" = JobType, Path, description = "The type")),
    responses(
        (
            status = 200,
            description = "The type as it is now",
            body = TypeShape,
            example = json!({
                "job_type": "ingestion",
                "paused": true,
                "counts": {"pending": 3, "running": 2, "completed": 120, "failed": 1, "cancelled": 1},
                "workers": 2
            })
        ),
        NoSuchType,
    )
)]
pub(crate) async fn pause(
    State(state): State<AppState>,
    scope: Scope,
    JobTypePath(job_type): JobTypePath,
) -> Result<Json<TypeShape>> {
    set(&state, &scope, job_type, true).await
}

/// Begin jobs of a type again.
#[utoipa::path(
    post,
    path = "/api/job-types/{job_type}/resume",
    tag = "jobs",
    operation_id = "resume_job_type",
    params(("job_type" = JobType, Path, description = "The type")),
    responses(
        (
            status = 200,
            description = "The type as it is now",
            body = TypeShape,
            example = json!({
                "job_type": "ingestion",
                "paused": false,
                "counts": {"pending": 3, "running": 2, "completed": 120, "failed": 1, "cancelled": 1},
                "workers": 2
            })
        ),
        NoSuchType,
    )
)]
pub(crate) async fn resume(
    State(state): State<AppState>,
    scope: Scope,
    JobTypePath(job_type): JobTypePath,
) -> Result<Json<TypeShape>> {
    set(&state, &scope, job_type, false).await
}

async fn set(state: &AppState, scope: &Scope, job_type: JobType, paused: bool) -> Result<Json<TypeShape>> {
    if let Some(bound) = scope.bound() {
        let message =
            format!("the key is bound to the collection {bound}; a type of jobs is paused for all collections");
        return Err(Error::new(ErrorCode::Forbidden, message).hint("use a key that is not bound to a collection"));
    }
    state.jobs().set_paused(job_type, paused).await?;
    let types = state.jobs().job_types(None).await?;
    let record = types.iter().find(|record| record.job_type == job_type);
    let record =
        record.ok_or_else(|| Error::new(ErrorCode::Internal, format!("the store knows no type {job_type}")))?;
    Ok(Json(TypeShape::new(state, record)))
}

#[cfg(test)]
mod tests {
    use graphmill_core::CollectionId;
    use serde_json::{Value, json};

    use super::*;
    use crate::ServerConfig;
    use crate::test_server::TestServer;

    #[tokio::test]
    async fn a_paused_type_is_shown_and_not_claimed() {
        let workers = [(JobType::Ingestion, 3)].into();
        let config = ServerConfig { workers, ..ServerConfig::default() };
        let server = TestServer::with(config, std::sync::Arc::new(graphmill_core::SystemClock)).await;
        server.upload("a.txt", "Pumps pump.").await;
        let expected = |paused| {
            json!({
                "job_type": "ingestion", "paused": paused,
                "counts": {"pending": 1, "running": 0, "completed": 0, "failed": 0, "cancelled": 0}, "workers": 3,
            })
        };
        for _ in 0..2 {
            let answer = server.post("/api/job-types/ingestion/pause", Value::Null).await;
            assert_eq!((answer.status.as_u16(), answer.json()), (200, expected(true)));
        }
        let types = server.get("/api/job-types").await.json();
        assert_eq!(types["job_types"][0], expected(true));
        let names: Vec<_> = types["job_types"].as_array().unwrap().iter().map(|t| t["job_type"].clone()).collect();
        assert_eq!(names, ["ingestion", "reindex", "clustering"]);
        assert!(server.try_claim().await.is_none());
        for _ in 0..2 {
            let answer = server.post("/api/job-types/ingestion/resume", Value::Null).await;
            assert_eq!(answer.json(), expected(false));
        }
        assert!(server.try_claim().await.is_some());
        let (status, code, error) = server.post("/api/job-types/baking/pause", Value::Null).await.error();
        assert_eq!((status, code.as_str()), (404, "not_found"));
        assert!(error.contains("baking"), "{error}");
    }

    #[tokio::test]
    async fn a_bound_key_pauses_nothing() {
        let server = TestServer::start().await;
        let scope = Scope::only(CollectionId::default());
        let error = set(&server.state, &scope, JobType::Ingestion, true).await.err().unwrap();
        assert_eq!(error.code(), ErrorCode::Forbidden);
        assert!(!server.state.jobs().job_types(None).await.unwrap()[0].paused);
    }
}
