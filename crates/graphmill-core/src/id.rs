//! Public ids: what stands at the edge of the product. Inside a store, rows have integer keys.

use std::fmt;
use std::str::FromStr;

use data_encoding::{Encoding, Specification};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::CollectionId;

/// RFC 4648 base 32 in lower case without padding: 16 bytes are 26 characters.
static BASE32: std::sync::LazyLock<Encoding> = std::sync::LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    spec.encoding().expect("a constant alphabet of 32 symbols is valid")
});

/// A string that is not an id of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not {kind}; it looks like {example}")]
pub struct InvalidId {
    /// What was given (shortened to 80 characters).
    pub value: String,
    /// What was wanted, with its article.
    pub kind: &'static str,
    /// A well-formed id of that kind.
    pub example: &'static str,
}

/// Hash over fields: each is preceded by its length (u64, little-endian), so that no two lists of fields collide by concatenation.
#[derive(Debug, Clone)]
pub struct IdHasher(blake3::Hasher);

impl IdHasher {
    /// `domain` keeps the hashes of different kinds of thing apart.
    pub fn new(domain: &str) -> Self {
        Self(blake3::Hasher::new()).field(domain.as_bytes())
    }

    /// Adds one field.
    #[must_use]
    pub fn field(mut self, bytes: &[u8]) -> Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    /// The first 16 bytes of the hash.
    pub fn finish16(&self) -> [u8; 16] {
        let mut out = [0; 16];
        out.copy_from_slice(&self.0.finalize().as_bytes()[..16]);
        out
    }

    /// The whole hash.
    pub fn finish32(&self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

macro_rules! hash_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal, $example:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The bytes of the hash, as a store keeps them.
            pub fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// From the bytes that a store kept.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "-{}"), BASE32.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(s: &str) -> Result<Self, InvalidId> {
                let bytes = s
                    .strip_prefix(concat!($prefix, "-"))
                    .and_then(|rest| BASE32.decode(rest.as_bytes()).ok())
                    .and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
                bytes.map(Self).ok_or_else(|| InvalidId {
                    value: s.chars().take(80).collect(),
                    kind: $kind,
                    example: $example,
                })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hash_id!(
    /// A document: collection + source.
    DocumentId, "doc", "a document id", "doc-aaaaaaaaaaaaaaaaaaaaaaaaaa"
);
hash_id!(
    /// A chunk: document + content hash + facts hash + occurrence among equals in document order. Immutable.
    ChunkId, "chk", "a chunk id", "chk-aaaaaaaaaaaaaaaaaaaaaaaaaa"
);
hash_id!(
    /// An entity: collection + normalised name.
    EntityId, "ent", "an entity id", "ent-aaaaaaaaaaaaaaaaaaaaaaaaaa"
);
hash_id!(
    /// A community of one generation.
    CommunityId, "com", "a community id", "com-aaaaaaaaaaaaaaaaaaaaaaaaaa"
);

impl DocumentId {
    /// The document that `source` (a file name or a relative path) is in `collection`.
    pub fn new(collection: &CollectionId, source: &str) -> Self {
        Self(IdHasher::new("document").field(collection.as_str().as_bytes()).field(source.as_bytes()).finish16())
    }
}

impl ChunkId {
    /// The `occurrence`-th chunk (from 0) of its document with this text and these facts. `content`: hash of the text in its context.
    pub fn new(document: &DocumentId, content: &ContentHash, facts: &ContentHash, occurrence: u32) -> Self {
        // The document's id already holds the collection.
        Self(
            IdHasher::new("chunk")
                .field(document.as_bytes())
                .field(content.as_bytes())
                .field(facts.as_bytes())
                .field(&occurrence.to_le_bytes())
                .finish16(),
        )
    }
}

impl EntityId {
    /// The entity of this normalised name.
    pub fn new(collection: &CollectionId, name: &crate::EntityName) -> Self {
        Self(IdHasher::new("entity").field(collection.as_str().as_bytes()).field(name.as_str().as_bytes()).finish16())
    }
}

impl CommunityId {
    /// The community at `level` that is named by `key` (its generation's choice, stable while its members stay).
    pub fn new(collection: &CollectionId, level: u32, key: &[u8]) -> Self {
        Self(
            IdHasher::new("community")
                .field(collection.as_str().as_bytes())
                .field(&level.to_le_bytes())
                .field(key)
                .finish16(),
        )
    }
}

/// BLAKE3-256 of some content; shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Hash of `content`.
    pub fn of(content: &[u8]) -> Self {
        Self(*blake3::hash(content).as_bytes())
    }

    /// From the bytes that a store kept or a hasher made.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for ContentHash {
    type Err = InvalidId;

    fn from_str(s: &str) -> Result<Self, InvalidId> {
        let bytes = data_encoding::HEXLOWER.decode(s.as_bytes()).ok().and_then(|b| <[u8; 32]>::try_from(b).ok());
        bytes.map(Self).ok_or_else(|| InvalidId {
            value: s.chars().take(80).collect(),
            kind: "a content hash",
            example: "64 hexadecimal digits in lower case",
        })
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A job: `job-` and a UUIDv7 (RFC 9562), so that ids sort by the time at which they were made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(uuid::Uuid);

impl JobId {
    /// From the 16 bytes that a store kept.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }

    /// A new id for a job made at `at`; `random` fills the bits that are not time.
    pub fn new_v7(at: crate::Timestamp, random: &[u8; 10]) -> Self {
        let millis = u64::try_from(at.as_millis()).unwrap_or(0);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, random).into_uuid())
    }

    /// The 16 bytes, in sort order.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "job-{}", self.0)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for JobId {
    type Err = InvalidId;

    fn from_str(s: &str) -> Result<Self, InvalidId> {
        let parsed = s.strip_prefix("job-").and_then(|rest| uuid::Uuid::try_parse(rest).ok()).map(Self);
        // One spelling only: `try_parse` also takes braces, upper case and no hyphens.
        parsed.filter(|id| id.to_string() == s).ok_or_else(|| InvalidId {
            value: s.chars().take(80).collect(),
            kind: "a job id",
            example: "job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10",
        })
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_their_text_form() {
        let doc = DocumentId::new(&CollectionId::default(), "a/README.md");
        assert_eq!(doc.to_string().len(), 30);
        assert_eq!(doc.to_string().parse::<DocumentId>().unwrap(), doc);
        let job = JobId::new_v7(crate::Timestamp::from_millis(1_700_000_000_000), &[7; 10]);
        assert_eq!(job.to_string().parse::<JobId>().unwrap(), job);
        assert!(job.to_string().to_uppercase().parse::<JobId>().is_err());
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let a = IdHasher::new("t").field(b"ab").field(b"c").finish16();
        let b = IdHasher::new("t").field(b"a").field(b"bc").finish16();
        assert_ne!(a, b);
    }

    #[test]
    fn two_folders_are_two_documents() {
        let c = CollectionId::default();
        assert_ne!(DocumentId::new(&c, "a/README.md"), DocumentId::new(&c, "b/README.md"));
    }

    #[test]
    fn a_wrong_id_says_what_was_wanted() {
        let err = "doc-UPPER".parse::<DocumentId>().unwrap_err().to_string();
        assert!(err.contains("doc-UPPER") && err.contains("document id"), "{err}");
    }
}
