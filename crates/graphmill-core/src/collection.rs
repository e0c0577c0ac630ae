//! The unit of tenancy, model choice, quota and derived layers.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Name of a collection: 1–63 characters of `a–z`, `0–9`, `-`, `_`, beginning with a letter or digit. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CollectionId(Arc<str>);

/// A string that is no collection name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a collection name; use 1 to 63 characters of a-z, 0-9, '-' and '_', beginning with a letter or digit"
)]
pub struct InvalidCollection(pub String);

impl CollectionId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for CollectionId {
    /// The collection `default`, which exists from the start.
    fn default() -> Self {
        Self(Arc::from("default"))
    }
}

impl FromStr for CollectionId {
    type Err = InvalidCollection;

    fn from_str(s: &str) -> Result<Self, InvalidCollection> {
        let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let ok = (1..=63).contains(&s.len())
            && s.bytes().next().is_some_and(word)
            && s.bytes().all(|b| word(b) || b == b'-' || b == b'_');
        if ok { Ok(Self(Arc::from(s))) } else { Err(InvalidCollection(s.chars().take(80).collect())) }
    }
}

impl fmt::Display for CollectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CollectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for CollectionId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for CollectionId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        assert!("team-a_1".parse::<CollectionId>().is_ok());
        for bad in ["", "-a", "A", "a b", "a/b", &"x".repeat(64)] {
            assert!(bad.parse::<CollectionId>().is_err(), "{bad:?}");
        }
    }
}
