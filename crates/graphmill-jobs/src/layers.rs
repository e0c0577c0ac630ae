//! What the jobs over a collection's layers (reindex, clustering) have in common: how they exclude each other, and which requests are the same.

use graphmill_core::id::IdHasher;
use graphmill_core::{CollectionId, JobType};
use serde_json::{Map, Value};

/// The exclusive key of every reindex and clustering of a collection: one of them runs at a time, the others wait.
pub fn exclusive_key(collection: &CollectionId) -> String {
    format!("layers:{collection}")
}

/// The dedupe key of a request: two with the same type, collection and effective parameters (every default filled in) are one while the first of them
/// is pending. The order of keys does not matter.
pub fn dedupe_key(job_type: JobType, collection: &CollectionId, params: &Map<String, Value>) -> String {
    let mut names: Vec<&String> = params.keys().collect();
    names.sort_unstable();
    let mut hash = IdHasher::new("job request");
    for name in names {
        hash = hash.field(name.as_bytes()).field(params[name].to_string().as_bytes());
    }
    let digest: String = hash.finish16().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{job_type}:{collection}:{digest}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_requests_have_equal_keys_and_others_have_not() {
        let own = CollectionId::default();
        let other: CollectionId = "other".parse().unwrap();
        let map = |value: Value| value.as_object().unwrap().clone();
        let key = |params: Value| dedupe_key(JobType::Reindex, &own, &map(params));
        assert_eq!(key(json!({"top_k": 10, "mode": "full"})), key(json!({"mode": "full", "top_k": 10})));
        assert_ne!(key(json!({"top_k": 10})), key(json!({"top_k": 11})));
        let params = map(json!({"seed": 1}));
        let keys = [
            dedupe_key(JobType::Reindex, &own, &params),
            dedupe_key(JobType::Clustering, &own, &params),
            dedupe_key(JobType::Reindex, &other, &params),
        ];
        assert!(keys[0] != keys[1] && keys[0] != keys[2] && keys[1] != keys[2], "{keys:?}");
        assert_ne!(exclusive_key(&own), exclusive_key(&other));
    }
}
