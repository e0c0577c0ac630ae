//! How a request becomes a reindex job.

use std::time::Duration;

use graphmill_core::{CollectionId, JobType};
use graphmill_store::requests::{NewJob, StagePlan};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::layers::{dedupe_key, exclusive_key};
use crate::{Error, Result};

/// Most neighbours of a chunk.
const MOST_NEIGHBOURS: u64 = 100;

/// How much is made anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReindexMode {
    /// What was published since the last run, and what that touches.
    #[default]
    Delta,
    /// Everything.
    Full,
}

/// What a person can choose for a reindex.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReindexOptions {
    /// Whether the stage `rebuild_embeddings` runs.
    pub rebuild_embeddings: bool,
    /// Whether the stage `rebuild_similarities` runs.
    pub rebuild_similarities: bool,
    /// Whether the stage `clustering` runs.
    pub run_clustering: bool,
    /// Most neighbours of a chunk.
    pub top_k: u32,
    /// Least cosine of a neighbour.
    pub threshold: f64,
    /// How much is made anew.
    pub mode: ReindexMode,
}

impl Default for ReindexOptions {
    fn default() -> Self {
        Self {
            rebuild_embeddings: false,
            rebuild_similarities: true,
            run_clustering: false,
            top_k: 10,
            threshold: 0.7,
            mode: ReindexMode::Delta,
        }
    }
}

impl ReindexOptions {
    /// Names of the parameters.
    pub const PARAMS: &'static [&'static str] =
        &["rebuild_embeddings", "rebuild_similarities", "run_clustering", "top_k", "threshold", "mode"];

    /// From the parameters of a request; what is missing has its default.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self> {
        if let Some(unknown) = params.keys().find(|name| !Self::PARAMS.contains(&name.as_str())) {
            let known = Self::PARAMS.join(", ");
            return Err(Error::Invalid(format!("the field {unknown:?} is not known; known are {known}")));
        }
        let default = Self::default();
        let options = Self {
            rebuild_embeddings: flag(params, "rebuild_embeddings", default.rebuild_embeddings)?,
            rebuild_similarities: flag(params, "rebuild_similarities", default.rebuild_similarities)?,
            run_clustering: flag(params, "run_clustering", default.run_clustering)?,
            top_k: top_k(params)?.unwrap_or(default.top_k),
            threshold: threshold(params)?.unwrap_or(default.threshold),
            mode: mode(params)?.unwrap_or(default.mode),
        };
        if !(options.rebuild_embeddings || options.rebuild_similarities || options.run_clustering) {
            let nothing =
                "nothing to do: one of rebuild_embeddings, rebuild_similarities and run_clustering must be true";
            return Err(Error::Invalid(nothing.into()));
        }
        Ok(options)
    }

    /// The job that does it.
    pub fn into_job(self, collection: CollectionId) -> NewJob {
        let params = match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(), // a struct of plain fields is always an object
        };
        let mut metadata = params.clone();
        metadata.insert("collection".to_owned(), Value::from(collection.as_str()));
        let stages = [
            (self.rebuild_embeddings, super::rebuild_embeddings::NAME, 40),
            (self.rebuild_similarities, super::rebuild_similarities::NAME, 30),
            (self.run_clustering, super::CLUSTERING, 30),
        ];
        let asked_for = stages.iter().filter(|(wanted, ..)| *wanted);
        NewJob {
            job_type: JobType::Reindex,
            exclusive_key: Some(exclusive_key(&collection)),
            dedupe_key: Some(dedupe_key(JobType::Reindex, &collection, &params)),
            collection,
            params,
            metadata,
            message: "Waiting for a worker".to_owned(),
            stages: asked_for.map(|&(_, name, weight)| StagePlan { name: name.to_owned(), weight }).collect(),
            priority: 0,
            delay: Duration::ZERO,
            max_attempts: crate::USUAL_ATTEMPTS,
            document: None,
            blobs: Vec::new(),
        }
    }
}

fn flag(params: &Map<String, Value>, name: &str, default: bool) -> Result<bool> {
    match params.get(name) {
        None | Some(Value::Null) => Ok(default),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(other) => Err(Error::Invalid(format!("the field {name} is {other}; it is true or false"))),
    }
}

fn top_k(params: &Map<String, Value>) -> Result<Option<u32>> {
    let Some(value) = params.get("top_k").filter(|value| !value.is_null()) else { return Ok(None) };
    match value.as_u64().filter(|k| (1..=MOST_NEIGHBOURS).contains(k)) {
        Some(k) => Ok(u32::try_from(k).ok()),
        None => {
            Err(Error::Invalid(format!("the field top_k is {value}; it is a whole number from 1 to {MOST_NEIGHBOURS}")))
        }
    }
}

fn threshold(params: &Map<String, Value>) -> Result<Option<f64>> {
    let Some(value) = params.get("threshold").filter(|value| !value.is_null()) else { return Ok(None) };
    match value.as_f64().filter(|cosine| (-1.0..=1.0).contains(cosine)) {
        Some(cosine) => Ok(Some(cosine)),
        None => Err(Error::Invalid(format!("the field threshold is {value}; it is a number from -1 to 1"))),
    }
}

fn mode(params: &Map<String, Value>) -> Result<Option<ReindexMode>> {
    match params.get("mode") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(word)) if word == "delta" => Ok(Some(ReindexMode::Delta)),
        Some(Value::String(word)) if word == "full" => Ok(Some(ReindexMode::Full)),
        Some(other) => Err(Error::Invalid(format!("the field mode is {other}; it is \"delta\" or \"full\""))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn options(params: Value) -> Result<ReindexOptions> {
        ReindexOptions::from_params(params.as_object().unwrap())
    }

    #[test]
    fn stages_are_those_that_were_asked_for() {
        let names = |params| {
            let job = options(params).unwrap().into_job(CollectionId::default());
            job.stages.into_iter().map(|s| s.name).collect::<Vec<_>>()
        };
        assert_eq!(names(json!({})), ["rebuild_similarities"]);
        assert_eq!(
            names(json!({"rebuild_embeddings": true, "run_clustering": true})),
            ["rebuild_embeddings", "rebuild_similarities", "clustering"]
        );
        assert_eq!(names(json!({"rebuild_similarities": false, "run_clustering": true})), ["clustering"]);
    }

    #[test]
    fn a_bad_request_is_named() {
        for (params, part) in [
            (json!({"rebuild_similarities": false}), "nothing to do: one of"),
            (json!({"top_n": 3}), "\"top_n\" is not known; known are rebuild_embeddings"),
            (json!({"top_k": 0}), "top_k is 0; it is a whole number from 1 to 100"),
            (json!({"top_k": 101}), "top_k is 101"),
            (json!({"top_k": 2.5}), "top_k is 2.5"),
            (json!({"threshold": 1.5}), "threshold is 1.5; it is a number from -1 to 1"),
            (json!({"threshold": "high"}), "threshold is \"high\""),
            (json!({"mode": "quick"}), "mode is \"quick\"; it is \"delta\" or \"full\""),
            (json!({"run_clustering": 1}), "run_clustering is 1; it is true or false"),
        ] {
            let error = options(params).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn parameters_survive_the_store_and_equal_requests_are_one() {
        let all = options(json!({"top_k": 100, "threshold": -1, "mode": "full", "run_clustering": null})).unwrap();
        let job = all.into_job(CollectionId::default());
        assert_eq!(options(Value::Object(job.params.clone())).unwrap(), all);
        assert_eq!(
            (&job.metadata["rebuild_similarities"], &job.metadata["run_clustering"]),
            (&json!(true), &json!(false))
        );
        let again = options(json!({"mode": "full", "threshold": -1.0, "top_k": 100})).unwrap();
        assert_eq!(again.into_job(CollectionId::default()).dedupe_key, job.dedupe_key);
        let other = ReindexOptions::default().into_job(CollectionId::default());
        assert_ne!(other.dedupe_key, job.dedupe_key);
        assert_eq!(other.exclusive_key, job.exclusive_key);
    }
}
