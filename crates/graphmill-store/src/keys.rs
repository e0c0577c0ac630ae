//! Keys of the API: what is kept of them, and the tokens that callers show.
//!
//! A token is `gm_<id>_<secret>`, id and secret in lower-case base 32. The secret has 256 random bits and is shown once; only its BLAKE3 hash is
//! kept. (A slow hash is for passwords that people choose; nobody guesses 256 bits.)

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use async_trait::async_trait;
use data_encoding::{Encoding, Specification};
use graphmill_core::{CollectionId, Timestamp};
use rand::Rng;

use crate::Result;

/// Most keys of a store: a server holds them all in memory (about 300 bytes each).
pub const MOST_KEYS: u64 = 10_000;

/// Longest name of a key.
const MOST_NAME_BYTES: usize = 64;

static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut spec = Specification::new();
    spec.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
    spec.encoding().expect("a constant alphabet of 32 symbols is valid")
});

/// Where keys are kept. Both writes are durable.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// Keeps a new key. Its name must be free. [`crate::Error::CollectionDeleting`]: of one that is being deleted.
    async fn create_key(&self, key: NewKey) -> Result<CreatedKey>;

    /// All keys with the hashes of their secrets, by name.
    async fn keys(&self) -> Result<Vec<KeyRecord>>;

    /// Forgets a key; `None`: none has this name.
    async fn revoke_key(&self, name: &KeyName) -> Result<Option<KeyRecord>>;

    /// Notes that a key was used now. Callers do so now and then, not for each request; not durable.
    async fn note_key_used(&self, id: KeyId) -> Result<()>;
}

/// What became of [`KeyStore::create_key`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreatedKey {
    /// It is kept.
    Created(KeyRecord),
    /// Another key has this name.
    NameTaken,
    /// There are [`MOST_KEYS`] already.
    TooMany,
}

/// A key to be.
#[derive(Debug, Clone)]
pub struct NewKey {
    /// From its token.
    pub id: KeyId,
    /// From its token.
    pub secret_hash: SecretHash,
    /// What people call it.
    pub name: KeyName,
    /// Whether it may only read.
    pub read_only: bool,
    /// The one collection that it sees; `None` = all.
    pub collection: Option<CollectionId>,
}

/// A key as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// Public part of its token.
    pub id: KeyId,
    /// Hash of the secret part.
    pub secret_hash: SecretHash,
    /// What people call it.
    pub name: KeyName,
    /// Whether it may only read.
    pub read_only: bool,
    /// The one collection that it sees; `None` = all.
    pub collection: Option<CollectionId>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last used, to about a minute.
    pub last_used_at: Option<Timestamp>,
}

/// Public part of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// From a stored row.
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// For a row.
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32.encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Hash of a secret. Compared in constant time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretHash(blake3::Hash);

impl SecretHash {
    /// Of a secret.
    pub fn of(secret: &[u8]) -> Self {
        Self(blake3::hash(secret))
    }

    /// From a stored row.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(blake3::Hash::from_bytes(bytes))
    }

    /// For a row.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(…)")
    }
}

/// A token, which only its holder knows. Its secret is never printed but by [`KeyToken::reveal`].
pub struct KeyToken {
    id: KeyId,
    secret: [u8; 32],
}

impl KeyToken {
    /// A new random one.
    pub fn generate() -> Self {
        let mut rng = rand::rng();
        Self { id: KeyId(rng.random()), secret: rng.random() }
    }

    /// What a caller has shown; `None`: it has not the shape of a token.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix("gm_")?.split_once('_')?;
        let id = BASE32.decode(id.as_bytes()).ok()?.try_into().ok()?;
        let secret = BASE32.decode(secret.as_bytes()).ok()?.try_into().ok()?;
        Some(Self { id: KeyId(id), secret })
    }

    /// Its public part.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What a store keeps of it.
    pub fn secret_hash(&self) -> SecretHash {
        SecretHash::of(&self.secret)
    }

    /// The whole token, to be shown to its owner once.
    pub fn reveal(&self) -> String {
        format!("gm_{}_{}", self.id, BASE32.encode(&self.secret))
    }
}

impl fmt::Debug for KeyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyToken").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Name of a key: 1–64 characters of letters, digits, `-`, `_`, `.`, `@`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyName(String);

/// A string that is no name of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a key; use 1 to 64 characters of a-z, A-Z, 0-9, '-', '_', '.' and '@'")]
pub struct InvalidKeyName(pub String);

impl KeyName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = InvalidKeyName;

    fn from_str(s: &str) -> std::result::Result<Self, InvalidKeyName> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.@".contains(&b);
        let ok = (1..=MOST_NAME_BYTES).contains(&s.len()) && s.bytes().all(allowed) && s != "." && s != "..";
        if ok { Ok(Self(s.to_owned())) } else { Err(InvalidKeyName(s.chars().take(80).collect())) }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_nothing_else_is() {
        let token = KeyToken::generate();
        let text = token.reveal();
        assert_eq!(text.len(), 3 + 13 + 1 + 52);
        let back = KeyToken::parse(&text).unwrap();
        assert_eq!((back.id(), back.secret_hash()), (token.id(), token.secret_hash()));
        for cut in 0..text.len() {
            assert!(KeyToken::parse(&text[..cut]).is_none(), "cut at {cut}");
        }
        for other in [format!("{text}a"), format!(" {text}"), text.to_uppercase(), text.replace("gm_", "gx_")] {
            assert!(KeyToken::parse(&other).is_none(), "{other}");
        }
        assert_ne!(KeyToken::generate().reveal(), text);
    }

    #[test]
    fn nothing_prints_a_secret() {
        let token = KeyToken::generate();
        let secret = token.reveal()[17..].to_owned();
        let hash = blake3::hash(&token.secret).to_hex();
        let printed = format!("{token:?} {:?}", token.secret_hash());
        assert!(!printed.contains(&secret) && !printed.contains(hash.as_str()), "{printed}");
    }

    #[test]
    fn names_are_short_words() {
        for good in ["ci", "Anna.Berg@example.org", "a-b_c", &"x".repeat(64)] {
            assert_eq!(good.parse::<KeyName>().unwrap().as_str(), good);
        }
        for bad in ["", " ", "a b", "a/b", "..", "ü", "a\n", &"x".repeat(65)] {
            assert!(bad.parse::<KeyName>().is_err(), "{bad:?}");
        }
    }
}
