//! `POST /api/database/reindex` with `{"collection","rebuild_embeddings","rebuild_similarities","run_clustering","top_k","threshold","mode"}`, all of them
//! optional: the same as `POST /api/jobs` with `job_type` `reindex` and these params, and answered alike
//! (`Idempotency-Key` too). Its tests stand there.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use graphmill_core::{CollectionId, JobType};

use crate::api::jobs::submit::{self, Schedule, Submission};
use crate::api::shape::JobDetailShape;
use crate::body::Fields;
use crate::openapi::{And, BadBody, NoSuchCollection, ReusedKey};
use crate::{AppState, Result, Scope};

#[derive(utoipa::ToSchema)]
#[schema(as = ReindexRequest)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a description: the fields are those of the job's params, and the collection")]
struct Request {
    /// The collection.
    collection: Option<CollectionId>,
    /// Make vectors of the configured model.
    #[schema(default = false)]
    rebuild_embeddings: Option<bool>,
    /// Compute `SIMILAR_TO`.
    #[schema(default = true)]
    rebuild_similarities: Option<bool>,
    /// Find communities.
    #[schema(default = false)]
    run_clustering: Option<bool>,
    /// Neighbours of a chunk.
    #[schema(minimum = 1, maximum = 100, default = 10)]
    top_k: Option<u32>,
    /// Least score of a neighbour.
    #[schema(minimum = -1, maximum = 1, default = 0.7)]
    threshold: Option<f64>,
    /// What is computed.
    #[schema(inline)]
    mode: Option<submit::reindex::Mode>,
}

/// Bring the embeddings and similarities of a collection up to date.
#[utoipa::path(
    post,
    path = "/api/database/reindex",
    tag = "jobs",
    operation_id = "reindex",
    params(("Idempotency-Key" = Option<String>, Header, description = "Carried out once for each key", min_length = 1, max_length = 255, pattern = "^[ -~]*[!-~][ -~]*$")),
    request_body(
        content = Option<Request>,
        description = "What is to be done; what is left out has its default",
        example = json!({"collection": "default", "rebuild_similarities": true})
    ),
    responses(
        (
            status = 202,
            description = "The job, which now waits",
            body = JobDetailShape,
            headers(("Location" = String, description = "The path of the job"))
        ),
        (
            status = 200,
            description = "The job of an identical request, which waits already",
            body = JobDetailShape,
            headers(("Location" = String, description = "The path of the job"))
        ),
        And<And<BadBody, ReusedKey>, NoSuchCollection>,
    )
)]
pub(crate) async fn handle(
    State(state): State<AppState>,
    scope: Scope,
    headers: HeaderMap,
    mut fields: Fields,
) -> Result<Response> {
    let collection = submit::collection(fields.text("collection")?)?;
    let params = Some(fields.into_map());
    let submission = Submission { job_type: JobType::Reindex, params, collection, schedule: Schedule::default() };
    submit::submit(&state, &scope, &headers, submission).await
}
