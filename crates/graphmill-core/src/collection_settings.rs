//! What a collection can be told: which models it uses, how it is cut into chunks, what is extracted, how much it may hold.

use serde::{Deserialize, Serialize};

/// Most entity types of a collection.
pub const MOST_ENTITY_TYPES: usize = 50;
/// Longest name of a model or an entity type, in characters.
const LONGEST_NAME: usize = 200;
/// The word for the models that need no server.
pub const OFFLINE: &str = "offline";

/// Settings of a collection. What is absent follows the server's own settings. Models, chunking and extraction are read when a job is accepted,
/// the quota in the transaction that accepts it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CollectionSettings {
    /// Embedding model at the configured server, or `offline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding_model: Option<String>,
    /// Extraction model at the configured server, or `offline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extraction_model: Option<String>,
    /// Characters of a chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk_size: Option<u64>,
    /// Characters that a chunk shares with the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chunk_overlap: Option<u64>,
    /// Whether entities are extracted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extract_entities: Option<bool>,
    /// The only types that an entity may have; entities of another type are left out. In the order of the list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_types: Option<Vec<String>>,
    /// How much it may hold.
    #[serde(default, skip_serializing_if = "Quota::is_unlimited")]
    pub quota: Quota,
}

/// How much a collection may hold; what is absent is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Quota {
    /// Documents, published and accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<u64>,
    /// Bytes of their originals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

impl Quota {
    /// Nothing is limited.
    pub fn is_unlimited(&self) -> bool {
        self.documents.is_none() && self.bytes.is_none()
    }
}

impl CollectionSettings {
    /// Settings as they are kept: names trimmed, types in lower case; or a sentence about the first field that cannot be taken.
    pub fn checked(mut self) -> Result<Self, String> {
        for (field, name) in
            [("embedding_model", &mut self.embedding_model), ("extraction_model", &mut self.extraction_model)]
        {
            if let Some(model) = name {
                *model = model.trim().to_owned();
                if model.is_empty() || model.chars().count() > LONGEST_NAME || model.chars().any(char::is_control) {
                    return Err(format!(
                        "the setting {field} is no name of a model; give 1 to {LONGEST_NAME} printable characters, or \"offline\""
                    ));
                }
            }
        }
        for (field, value) in [("quota.documents", self.quota.documents), ("quota.bytes", self.quota.bytes)] {
            if value.is_some_and(|n| i64::try_from(n).is_err()) {
                return Err(format!("the setting {field} is larger than {}", i64::MAX));
            }
        }
        if let Some(types) = self.entity_types.take() {
            self.entity_types = Some(checked_types(types)?);
        }
        Ok(self)
    }
}

fn checked_types(types: Vec<String>) -> Result<Vec<String>, String> {
    if types.is_empty() || types.len() > MOST_ENTITY_TYPES {
        return Err(format!(
            "the setting entity_types has {} types; give 1 to {MOST_ENTITY_TYPES}, or null for the usual ones",
            types.len()
        ));
    }
    let mut checked: Vec<String> = Vec::with_capacity(types.len());
    for given in types {
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ');
        // Spelt as the readers of answers spell types.
        let word = given.trim().to_lowercase().replace(['-', ' '], "_");
        if word.trim_matches('_').is_empty() || word.chars().count() > 40 || !given.chars().all(allowed) {
            let shown: String = given.chars().take(80).flat_map(char::escape_debug).collect();
            return Err(format!(
                "the setting entity_types holds \"{shown}\"; a type is 1 to 40 letters, digits, '_', '-' and spaces"
            ));
        }
        if !checked.contains(&word) {
            checked.push(word);
        }
    }
    Ok(checked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_their_text_and_absent_ones_are_not_written() {
        assert_eq!(serde_json::to_string(&CollectionSettings::default()).unwrap(), "{}");
        let settings = CollectionSettings {
            embedding_model: Some("offline".into()),
            entity_types: Some(vec!["valve".into()]),
            quota: Quota { documents: Some(3), bytes: None },
            ..CollectionSettings::default()
        };
        let text = serde_json::to_string(&settings).unwrap();
        assert_eq!(text, r#"{"embedding_model":"offline","entity_types":["valve"],"quota":{"documents":3}}"#);
        assert_eq!(serde_json::from_str::<CollectionSettings>(&text).unwrap(), settings);
        assert!(serde_json::from_str::<CollectionSettings>(r#"{"chunksize":1}"#).is_err());
    }

    #[test]
    fn a_bad_setting_is_named() {
        let types = |types: &[&str]| {
            let types = Some(types.iter().map(|t| (*t).to_owned()).collect());
            CollectionSettings { entity_types: types, ..CollectionSettings::default() }.checked()
        };
        assert_eq!(types(&[" Valve", "valve", "Seal Ring"]).unwrap().entity_types.unwrap(), ["valve", "seal_ring"]);
        assert!(types(&[]).unwrap_err().contains("0 types"));
        assert!(types(&["a\nb"]).unwrap_err().contains("a\\nb"));
        let model = CollectionSettings { embedding_model: Some(" ".into()), ..CollectionSettings::default() };
        assert!(model.checked().unwrap_err().contains("embedding_model"));
    }
}
