//! Bringing the embeddings, similarities and communities of a collection up to date. Params: `rebuild_embeddings` (false), `rebuild_similarities` (true),
//! `run_clustering` (false), `top_k` (10), `threshold` (0.7), `mode` (`delta`). 404: no such collection.

use graphmill_core::CollectionId;
use graphmill_jobs::reindex::ReindexOptions;
use graphmill_store::requests::NewJob;
use serde_json::{Map, Value};

use crate::scope::no_such_collection;
use crate::{AppState, Error, Result, Scope};

/// What a reindex is to do; at least one of the three must be true.
#[derive(utoipa::ToSchema)]
#[schema(as = ReindexParams)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a description: `ReindexOptions` reads the fields")]
pub(super) struct Params {
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
    mode: Option<Mode>,
}

/// `delta` when it is left out.
#[derive(utoipa::ToSchema)]
#[schema(as = ReindexMode, rename_all = "lowercase")]
#[expect(dead_code, reason = "a description: `ReindexOptions` reads the word")]
pub(in crate::api) enum Mode {
    /// What was published since the last run.
    Delta,
    /// Everything.
    Full,
}

/// The job of a request; `collection` is the one that the request named.
pub(super) async fn new_job(
    state: &AppState,
    scope: &Scope,
    collection: Option<CollectionId>,
    params: Option<Map<String, Value>>,
) -> Result<NewJob> {
    let collection = scope.writing(collection)?;
    let options =
        ReindexOptions::from_params(&params.unwrap_or_default()).map_err(|e| Error::invalid(e.to_string()))?;
    if state.jobs().collection(&collection).await?.is_none() {
        return Err(no_such_collection(collection.as_str()));
    }
    Ok(options.into_job(collection))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_server::TestServer;

    #[tokio::test]
    async fn a_reindex_is_accepted_and_an_identical_one_is_the_same_job() {
        let server = TestServer::start().await;
        let body = json!({"job_type": "reindex", "params": {"top_k": 5}});
        let answer = server.post("/api/jobs", body.clone()).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let job = answer.json();
        assert_eq!((&job["job_type"], &job["status"]), (&json!("reindex"), &json!("pending")));
        assert_eq!(job["metadata"]["rebuild_similarities"], true);
        assert_eq!(job["metadata"]["collection"], "default");
        assert_eq!(job["stages"].as_array().unwrap().len(), 1);
        let again = server.post("/api/jobs", body).await;
        assert_eq!((again.status.as_u16(), &again.json()["job_id"]), (200, &job["job_id"]));
        let alias = server.post("/api/database/reindex", json!({"top_k": 5, "collection": "default"})).await;
        assert_eq!((alias.status.as_u16(), &alias.json()["job_id"]), (200, &job["job_id"]));
        let other = server.post("/api/database/reindex", json!({})).await;
        assert_eq!(other.status, 202, "{}", other.text);
        assert_ne!(other.json()["job_id"], job["job_id"]);
    }

    #[tokio::test]
    async fn a_bad_request_is_named() {
        let server = TestServer::start().await;
        for (params, status, part) in [
            (json!({"rebuild_similarities": false}), 400, "nothing to do"),
            (json!({"top_k": 0}), 400, "from 1 to 100"),
            (json!({"top": 1}), 400, "\"top\" is not known"),
            (json!({"mode": "all"}), 400, "\"delta\" or \"full\""),
        ] {
            let body = json!({"job_type": "reindex", "params": params});
            let (found, _, error) = server.post("/api/jobs", body).await.error();
            assert_eq!(found, status, "{error}");
            assert!(error.contains(part), "{error}");
            let (found, _, of_alias) = server.post("/api/database/reindex", params).await.error();
            assert_eq!((found, of_alias), (status, error));
        }
        for body in [json!({"collection": "nowhere"}), json!({"collection": "A b"})] {
            let (status, _, error) = server.post("/api/database/reindex", body.clone()).await.error();
            assert!(matches!(status, 400 | 404), "{error}");
            let collection = &body["collection"];
            let same = server.post("/api/jobs", json!({"job_type": "reindex", "collection": collection})).await.error();
            assert_eq!((status, error), (same.0, same.2));
        }
    }
}
