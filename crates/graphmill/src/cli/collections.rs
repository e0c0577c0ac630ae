//! `collections …`: its arguments, and what they say as a body of the API.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

/// `collections …`
#[derive(Debug, Subcommand)]
pub(crate) enum CollectionsCommand {
    /// All collections, by name
    List {
        /// At most so many
        #[arg(long, default_value_t = 1000)]
        limit: u32,
    },
    /// Make a collection
    Create {
        /// Its name
        name: String,
        #[command(flatten)]
        settings: SettingArgs,
    },
    /// One collection with its settings and counts
    Show {
        /// Its name
        name: String,
    },
    /// Change settings of a collection
    Set {
        /// Its name
        name: String,
        #[command(flatten)]
        settings: SettingArgs,
        /// Go back to the server's own setting; may be repeated
        #[arg(long, value_name = "SETTING", value_parser = SETTINGS)]
        unset: Vec<String>,
    },
    /// Delete a collection with everything in it (`default` is emptied)
    Delete {
        /// Its name
        name: String,
        /// Do not wait until it is done (only with a running server)
        #[arg(long)]
        detach: bool,
    },
}

/// What can be set, as the API spells it.
const SETTINGS: [&str; 8] = [
    "embedding_model",
    "extraction_model",
    "chunk_size",
    "chunk_overlap",
    "extract_entities",
    "entity_types",
    "quota.documents",
    "quota.bytes",
];

/// Settings of a collection.
#[derive(Debug, Args)]
pub(crate) struct SettingArgs {
    /// Embedding model at the configured server, or "offline"
    #[arg(long, value_name = "MODEL")]
    embedding_model: Option<String>,
    /// Extraction model at the configured server, or "offline"
    #[arg(long, value_name = "MODEL")]
    extraction_model: Option<String>,
    /// Characters of a chunk
    #[arg(long)]
    chunk_size: Option<u64>,
    /// Characters that a chunk shares with the one before
    #[arg(long)]
    chunk_overlap: Option<u64>,
    /// Whether entities are extracted
    #[arg(long, value_name = "true|false")]
    extract_entities: Option<bool>,
    /// The only types that entities may have, separated by commas
    #[arg(long, value_name = "TYPES", value_delimiter = ',')]
    entity_types: Option<Vec<String>>,
    /// Most documents
    #[arg(long, value_name = "COUNT")]
    max_documents: Option<u64>,
    /// Most bytes of originals
    #[arg(long, value_name = "BYTES")]
    max_bytes: Option<u64>,
}

impl SettingArgs {
    /// The given ones, and `null` for those that go back.
    pub(crate) fn body(self, unset: &[String]) -> Value {
        let mut settings = Map::new();
        let mut quota = Map::new();
        for (name, value) in [
            ("embedding_model", self.embedding_model.map(Value::from)),
            ("extraction_model", self.extraction_model.map(Value::from)),
            ("chunk_size", self.chunk_size.map(Value::from)),
            ("chunk_overlap", self.chunk_overlap.map(Value::from)),
            ("extract_entities", self.extract_entities.map(Value::from)),
            ("entity_types", self.entity_types.map(Value::from)),
        ] {
            settings.extend(value.map(|value| (name.to_owned(), value)));
        }
        for (name, value) in [("documents", self.max_documents), ("bytes", self.max_bytes)] {
            quota.extend(value.map(|value| (name.to_owned(), json!(value))));
        }
        for name in unset {
            match name.strip_prefix("quota.") {
                Some(name) => quota.insert(name.to_owned(), Value::Null),
                None => settings.insert(name.clone(), Value::Null),
            };
        }
        if !quota.is_empty() {
            settings.insert("quota".to_owned(), Value::Object(quota));
        }
        Value::Object(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_not_sent() {
        let none = SettingArgs {
            embedding_model: None,
            extraction_model: None,
            chunk_size: Some(500),
            chunk_overlap: None,
            extract_entities: None,
            entity_types: Some(vec!["valve".into()]),
            max_documents: None,
            max_bytes: Some(7),
        };
        let body = none.body(&["quota.documents".into(), "chunk_overlap".into()]);
        let expected = json!({"chunk_size": 500, "entity_types": ["valve"], "chunk_overlap": null,
            "quota": {"bytes": 7, "documents": null}});
        assert_eq!(body, expected);
    }
}
