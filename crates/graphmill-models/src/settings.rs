//! Which models are used, as configured.

use std::fmt;
use std::time::Duration;

/// A value that is never shown: its `Debug` is `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps the value; white space around it (the line end of a `…_FILE`) is removed.
    pub fn new(value: &str) -> Self {
        Self(value.trim().to_owned())
    }

    /// The secret itself; for the header of a request and nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// One OpenAI-compatible server and the model to use there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Base address, which ends in `/v1`.
    pub url: String,
    /// The model's name as the server spells it.
    pub model: String,
    /// Sent as a bearer token.
    pub api_key: Option<Secret>,
}

/// Which models the product uses; what is not set is offline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelSettings {
    /// Embedding server; the offline embedder if absent.
    pub embedding: Option<Endpoint>,
    /// Chat server for extraction; the offline extractor if absent.
    pub llm: Option<Endpoint>,
    /// Requests at once, for each client.
    pub concurrency: usize,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest silence in an answer, and before its first byte.
    pub read_timeout: Duration,
    /// Longest time of one request as a whole.
    pub request_timeout: Duration,
    /// First pause between the tries of one call; it doubles from try to try.
    pub retry_pause: Duration,
    /// A rate limit that ends within this time is waited out inside the call; a longer one is reported, so that the job sleeps.
    pub longest_wait: Duration,
}

impl Default for ModelSettings {
    /// Offline models; figures that suit hosted providers.
    fn default() -> Self {
        Self {
            embedding: None,
            llm: None,
            concurrency: 8,
            connect_timeout: Duration::from_secs(5),
            read_timeout: Duration::from_secs(60),
            request_timeout: Duration::from_secs(300),
            retry_pause: Duration::from_millis(500),
            longest_wait: Duration::from_secs(20),
        }
    }
}
