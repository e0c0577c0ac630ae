//! The settings that the stages really use: what decides whether an upload is unchanged.

use graphmill_core::{ContentHash, EntityName, IdHasher};
use serde_json::{Map, Value, json};

use super::Ingestion;

/// Version of what parsers and chunker make of the same bytes; raised when they change, so that an upload after an upgrade is not "unchanged".
const TEXT_VERSION: u32 = 1;

impl Ingestion<'_> {
    /// The fields. The embedding model is not among them: embedding spaces see to that.
    pub(super) fn settings(&self) -> Map<String, Value> {
        let options = &self.params.options;
        let mut fields = Map::from_iter([
            ("text_version".to_owned(), json!(TEXT_VERSION)),
            ("chunk_size".to_owned(), json!(options.chunk_size)),
            ("chunk_overlap".to_owned(), json!(options.chunk_overlap)),
            ("extract_entities".to_owned(), json!(options.extract_entities)),
        ]);
        if options.extract_entities {
            let version = self.models.extractor.version();
            fields.insert("normaliser_version".to_owned(), json!(EntityName::NORMALISER_VERSION));
            fields.insert("extractor".to_owned(), json!(version.model));
            fields.insert("prompt_version".to_owned(), json!(version.prompt_version));
            fields.insert("extractor_parameters".to_owned(), json!(version.parameters));
        }
        fields
    }
}

/// One hash of all fields, in the order of their names.
pub(super) fn settings_hash(fields: &Map<String, Value>) -> ContentHash {
    let mut names: Vec<&String> = fields.keys().collect();
    names.sort();
    let hasher = names.iter().fold(IdHasher::new("settings"), |hasher, name| {
        hasher.field(name.as_bytes()).field(fields[*name].to_string().as_bytes())
    });
    ContentHash::from_bytes(hasher.finish32())
}

/// Names of the fields that differ, for people.
pub(super) fn differing(published: &Map<String, Value>, ours: &Map<String, Value>) -> Vec<String> {
    let mut names: Vec<&String> = published.keys().chain(ours.keys()).collect();
    names.sort();
    names.dedup();
    names.into_iter().filter(|n| published.get(*n) != ours.get(*n)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_does_not_depend_on_the_order_of_fields() {
        let a = Map::from_iter([("a".to_owned(), json!(1)), ("b".to_owned(), json!(true))]);
        let b = Map::from_iter([("b".to_owned(), json!(true)), ("a".to_owned(), json!(1))]);
        let c = Map::from_iter([("a".to_owned(), json!(2)), ("b".to_owned(), json!(true))]);
        assert_eq!(settings_hash(&a), settings_hash(&b));
        assert_ne!(settings_hash(&a), settings_hash(&c));
        assert_eq!(differing(&a, &c), ["a"]);
    }
}
