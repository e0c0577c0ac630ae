//! How a request becomes a clustering job.

use std::time::Duration;

use graphmill_core::{CollectionId, JobType};
use graphmill_store::requests::{NewJob, StagePlan};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::layers::{dedupe_key, exclusive_key};

/// Largest resolution.
const MOST_RESOLUTION: f64 = 100.0;
/// Smallest step of a resolution.
const LEAST_RESOLUTION: f64 = 0.000_001;
/// Most levels that can be asked for.
const MOST_LEVELS: u64 = 100;

/// What a person can choose for a clustering.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClusteringOptions {
    /// Above 1: smaller communities; below: larger ones.
    pub resolution: f64,
    /// The same seed over the same graph gives the same communities.
    pub seed: u64,
    /// At most so many levels are kept, the coarsest.
    pub max_levels: u32,
    /// Whether the stage `generate_summaries` runs.
    pub generate_summaries: bool,
}

impl Default for ClusteringOptions {
    fn default() -> Self {
        Self { resolution: 1.0, seed: 42, max_levels: 10, generate_summaries: false }
    }
}

impl ClusteringOptions {
    /// Names of the parameters.
    pub const PARAMS: &'static [&'static str] = &["resolution", "seed", "max_levels", "generate_summaries"];

    /// From the parameters of a request; what is missing has its default. The error is a sentence with the bad value and what is allowed.
    pub fn from_params(params: &Map<String, Value>) -> Result<Self, String> {
        if let Some(unknown) = params.keys().find(|name| !Self::PARAMS.contains(&name.as_str())) {
            return Err(format!("the field {unknown:?} is not known; known are {}", Self::PARAMS.join(", ")));
        }
        let given = |name: &str| params.get(name).filter(|value| !value.is_null());
        let default = Self::default();
        let resolution = match given("resolution") {
            None => default.resolution,
            Some(value) => value
                .as_f64()
                .filter(|r| (LEAST_RESOLUTION..=MOST_RESOLUTION).contains(r))
                .ok_or_else(|| format!("the field resolution is {value}; it is a number above 0, at most 100"))?,
        };
        let seed = match given("seed") {
            None => default.seed,
            Some(value) => {
                let range = || format!("the field seed is {value}; it is a whole number from 0 to {}", u64::MAX);
                value.as_u64().ok_or_else(range)?
            }
        };
        let max_levels = match given("max_levels") {
            None => default.max_levels,
            Some(value) => value
                .as_u64()
                .filter(|n| (1..=MOST_LEVELS).contains(n))
                .and_then(|n| u32::try_from(n).ok())
                .ok_or_else(|| {
                    format!("the field max_levels is {value}; it is a whole number from 1 to {MOST_LEVELS}")
                })?,
        };
        let generate_summaries = match given("generate_summaries") {
            None => default.generate_summaries,
            Some(Value::Bool(flag)) => *flag,
            Some(value) => return Err(format!("the field generate_summaries is {value}; it is true or false")),
        };
        Ok(Self { resolution, seed, max_levels, generate_summaries })
    }

    /// The resolution in the algorithm's steps.
    pub(super) fn resolution_millionths(&self) -> u64 {
        // Within bounds by `from_params`, so the product is a small whole number.
        (self.resolution * 1e6).round().clamp(1.0, MOST_RESOLUTION * 1e6) as u64
    }

    /// The job that does it.
    pub fn into_job(self, collection: CollectionId) -> NewJob {
        let params = match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(), // a struct of plain fields is always an object
        };
        let mut metadata = params.clone();
        metadata.insert("collection".to_owned(), Value::from(collection.as_str()));
        // Summaries of a model server take most of the time of a job that has them.
        let stages = [
            (true, super::build_projection::BuildProjection::NAME, 15),
            (true, super::run_leiden::RunLeiden::NAME, 45),
            (true, super::assign_communities::AssignCommunities::NAME, 40),
            (self.generate_summaries, super::generate_summaries::GenerateSummaries::NAME, 100),
        ];
        let asked_for = stages.iter().filter(|(wanted, ..)| *wanted);
        NewJob {
            job_type: JobType::Clustering,
            exclusive_key: Some(exclusive_key(&collection)),
            dedupe_key: Some(dedupe_key(JobType::Clustering, &collection, &params)),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn options(params: Value) -> Result<ClusteringOptions, String> {
        ClusteringOptions::from_params(params.as_object().unwrap())
    }

    #[test]
    fn what_is_missing_has_its_default_and_summaries_are_listed_when_asked_for() {
        assert_eq!(options(json!({})), Ok(ClusteringOptions::default()));
        let names = |params: Value| {
            let job = options(params).unwrap().into_job(CollectionId::default());
            job.stages.into_iter().map(|s| s.name).collect::<Vec<_>>()
        };
        assert_eq!(names(json!({"seed": null})), ["build_projection", "run_leiden", "assign_communities"]);
        assert_eq!(
            names(json!({"generate_summaries": true})),
            ["build_projection", "run_leiden", "assign_communities", "generate_summaries"]
        );
    }

    #[test]
    fn a_bad_value_is_named_with_what_is_allowed() {
        for (params, part) in [
            (json!({"resolutoin": 1}), "known are resolution, seed, max_levels, generate_summaries"),
            (json!({"resolution": 0}), "resolution is 0; it is a number above 0"),
            (json!({"resolution": -1}), "resolution is -1"),
            (json!({"resolution": 100.5}), "resolution is 100.5"),
            (json!({"resolution": "1"}), "resolution is \"1\""),
            (json!({"seed": -1}), "seed is -1"),
            (json!({"seed": 1.5}), "seed is 1.5"),
            (json!({"seed": 1e20}), "from 0 to 18446744073709551615"),
            (json!({"max_levels": 0}), "from 1 to 100"),
            (json!({"generate_summaries": "yes"}), "true or false"),
        ] {
            let error = options(params).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        assert_eq!(options(json!({"resolution": 100})).unwrap().resolution_millionths(), 100_000_000);
    }

    #[test]
    fn parameters_survive_the_store() {
        let asked = options(json!({"resolution": 0.25, "seed": u64::MAX, "max_levels": 3})).unwrap();
        let job = asked.into_job(CollectionId::default());
        assert_eq!(serde_json::from_value::<ClusteringOptions>(Value::Object(job.params)).unwrap(), asked);
        assert_eq!(job.metadata["collection"], "default");
    }
}
