//! Which spellings are one entity: Unicode NFKC, case folded, white space folded, the simple plural removed.

use std::fmt;
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization;

/// A normalised name: the key of an entity within its collection. Never empty. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct EntityName(Arc<str>);

/// Why a spelling cannot name an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing but white space or punctuation.
    #[error("the name has no letter, digit or symbol")]
    Empty,
    /// Longer than [`EntityName::MAX_BYTES`].
    #[error("the name is longer than {} bytes", EntityName::MAX_BYTES)]
    TooLong,
    /// It has a control character that no text should have.
    #[error("the name has a NUL or another control character")]
    Control,
}

impl EntityName {
    /// Version of the rule; a collection keeps the one it was created with.
    pub const NORMALISER_VERSION: u32 = 1;

    /// Longest spelling and longest normalised form, in bytes. The longest key of a Neo4j range index is 8,164.
    pub const MAX_BYTES: usize = 2_000;

    /// Normalises a spelling. White space includes line breaks; other control characters are refused.
    pub fn new(spelling: &str) -> Result<Self, InvalidName> {
        if spelling.len() > Self::MAX_BYTES {
            return Err(InvalidName::TooLong);
        }
        if spelling.chars().any(|c| c.is_control() && !c.is_whitespace()) {
            return Err(InvalidName::Control);
        }
        let folded = if spelling.is_ascii() { spelling.to_ascii_lowercase() } else { fold(spelling) };
        let mut out = String::with_capacity(folded.len());
        for word in folded.split_whitespace() {
            if !out.is_empty() {
                out.push(' ');
            }
            out.push_str(word);
        }
        if !out.chars().any(|c| c.is_alphanumeric() || !(c.is_ascii_punctuation() || c.is_whitespace())) {
            return Err(InvalidName::Empty);
        }
        singular(&mut out);
        if out.len() > Self::MAX_BYTES {
            return Err(InvalidName::TooLong);
        }
        Ok(Self(Arc::from(out)))
    }

    /// What a search for part of a name looks for in normalised names: the part as it stands and with its simple plural removed, when that is
    /// something else. Empty when nothing is left of it.
    pub fn search_forms(part: &str) -> Vec<String> {
        let cleaned: String = part.chars().filter(|c| !c.is_control() || c.is_whitespace()).collect();
        let words: Vec<String> = fold(&cleaned).split_whitespace().map(str::to_owned).collect();
        let whole = words.join(" ");
        if whole.is_empty() {
            return Vec::new();
        }
        let mut one = whole.clone();
        singular(&mut one);
        // Where the one is the beginning of the other, whatever holds the longer holds the shorter too.
        if whole.starts_with(&one) { vec![one] } else { vec![whole, one] }
    }

    /// A name that a store kept; it was normalised when it was written.
    pub fn from_stored(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The normalised name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Compatibility caseless matching (Unicode standard, D146) up to its last normalisation.
fn fold(spelling: &str) -> String {
    caseless::default_case_fold_str(&spelling.nfkc().collect::<String>()).nfkc().collect()
}

/// Removes an English plural from the last word where nothing but a plural ends so: `pumps` → `pump`, `batteries` → `battery`,
/// `boxes` → `box`. Short words, and `ss`, `us`, `is`, `as`, `os` at the end, stay (`class`, `status`, `analysis`, `atlas`, `kubernetes` is a name
/// that nobody writes without its `s`: the same rule maps all its spellings to one key, which is all that a key needs).
fn singular(name: &mut String) {
    let start = name.rfind(' ').map_or(0, |i| i + 1);
    let word = &name[start..];
    if word.len() < 4 || !word.bytes().all(|b| b.is_ascii_lowercase()) {
        return;
    }
    let end = name.len();
    if word.ends_with("ies") && word.len() > 4 {
        name.replace_range(end - 3.., "y");
    } else if ["xes", "ches", "shes", "sses", "zzes"].iter().any(|s| word.ends_with(s)) {
        name.truncate(end - 2);
    } else if word.ends_with('s') && !["ss", "us", "is", "as", "os"].iter().any(|s| word.ends_with(s)) {
        name.truncate(end - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(s: &str) -> String {
        EntityName::new(s).unwrap().to_string()
    }

    #[test]
    fn spellings_of_one_thing_are_one_key() {
        assert_eq!(key("Northgate  Pumps"), key("NORTHGATE\nPUMP"));
        assert_eq!(key("Ｎｏｒｔｈｇａｔｅ"), key("northgate"));
        assert_eq!(key("Straße"), key("STRASSE"));
        assert_eq!(key("batteries"), key("Battery"));
        assert_eq!(key("boxes"), key("box"));
    }

    #[test]
    fn words_that_only_look_plural_stay() {
        for word in ["class", "status", "analysis", "atlas", "gas", "bus", "chaos", "aws"] {
            assert_eq!(key(word), word);
        }
    }

    #[test]
    fn a_search_looks_for_what_names_are_kept_as() {
        assert_eq!(EntityName::search_forms("  NORTH\tGate "), ["north gate"]);
        assert_eq!(EntityName::search_forms("Pumps"), ["pump"]);
        assert_eq!(EntityName::search_forms("batteries"), ["batteries", "battery"]);
        assert_eq!(EntityName::search_forms("Ｓtraße"), ["strasse"]);
        assert_eq!(EntityName::search_forms("(\u{0}"), ["("]);
        assert!(EntityName::search_forms(" \u{7}\n").is_empty());
    }

    #[test]
    fn what_cannot_name_anything_is_refused() {
        assert_eq!(EntityName::new(" \n"), Err(InvalidName::Empty));
        assert_eq!(EntityName::new("--"), Err(InvalidName::Empty));
        assert_eq!(EntityName::new("a\0b"), Err(InvalidName::Control));
        assert_eq!(EntityName::new(&"x".repeat(9_008)), Err(InvalidName::TooLong));
        assert!(EntityName::new("C++").is_ok() && EntityName::new("∑").is_ok());
    }

    proptest::proptest! {
        #[test]
        fn normalising_twice_changes_nothing_but_a_further_plural(s in "\\PC{0,40}") {
            if let Ok(name) = EntityName::new(&s) {
                proptest::prop_assert!(!name.as_str().is_empty());
                proptest::prop_assert!(!name.as_str().contains("  "));
                let upper = EntityName::new(&s.to_ascii_uppercase()).unwrap();
                proptest::prop_assert_eq!(&name, &upper);
            }
        }
    }
}
