//! What goes wrong, and when.

use std::collections::VecDeque;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One way to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// As it should be.
    None,
    /// 429 with `Retry-After`.
    RateLimited,
    /// 500.
    InternalError,
    /// 503.
    Unavailable,
    /// 401.
    Unauthorized,
    /// 404, as for a model that does not exist.
    UnknownModel,
    /// 400, the text is too long.
    TooLong,
    /// 400 without a reason.
    BadRequest,
    /// 400 to every request that has `response_format`, else as it should be.
    NoJsonMode,
    /// 200, and the connection breaks in the middle of the body.
    Cut,
    /// No answer ever.
    Hang,
    /// 200 and bytes that are no text.
    Garbage,
    /// 200 and JSON of another kind.
    WrongJson,
    /// 200 and JSON that ends early, with a right `Content-Length`.
    TruncatedJson,
    /// 200 and an error in the body.
    ErrorWith200,
    /// The last vector is missing.
    ShortEmbeddings,
    /// The vectors stand in another order than their indices.
    ShuffledEmbeddings,
    /// The last vector has a component too many.
    OtherDimension,
    /// The last vector is all zero.
    ZeroVector,
    /// The model says that it will not.
    Refusal,
    /// `finish_reason` is `content_filter`.
    ContentFilter,
}

impl FromStr for Fault {
    type Err = String;

    /// The word in snake case; `429`, `500`, `503`, `401`, `404`, `400` are also known.
    fn from_str(word: &str) -> Result<Self, String> {
        Ok(match word {
            "429" => Self::RateLimited,
            "500" => Self::InternalError,
            "503" => Self::Unavailable,
            "401" => Self::Unauthorized,
            "404" => Self::UnknownModel,
            "400" => Self::BadRequest,
            _ => serde_json::from_value(serde_json::Value::String(word.to_owned()))
                .map_err(|error| format!("{word:?} is no fault: {error}"))?,
        })
    }
}

/// A fault for requests about a certain text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FaultFor {
    /// The request's texts contain this.
    pub contains: String,
    /// What happens to it.
    pub fault: Fault,
}

/// How the server behaves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mode {
    /// Time before each answer, in milliseconds.
    pub latency_ms: u64,
    /// Components of a vector.
    pub embedding_dim: usize,
    /// Share of requests (0 to 1) that get one of `faults`.
    pub fail_rate: f64,
    /// Faults for `fail_rate`, chosen by `seed`.
    pub faults: Vec<Fault>,
    /// Decides which request fails.
    pub seed: u64,
    /// What happens to the next requests, one after the other, before all else.
    pub script: Vec<Fault>,
    /// What happens to requests about certain texts, before `fail_rate`.
    pub texts: Vec<FaultFor>,
    /// `Retry-After` of 429 and 503, as it is sent; none if empty.
    pub retry_after: String,
    /// What the model says to every chat request instead of what follows from the text; not used if empty.
    pub chat_says: String,
    /// Refuses requests without this bearer token; takes all if empty.
    pub api_key: String,
}

impl Default for Mode {
    /// Answers at once and always well; 32 components.
    fn default() -> Self {
        Self {
            latency_ms: 0,
            embedding_dim: 32,
            fail_rate: 0.0,
            faults: vec![Fault::RateLimited, Fault::InternalError, Fault::Cut, Fault::Garbage, Fault::TruncatedJson],
            seed: 1,
            script: Vec::new(),
            texts: Vec::new(),
            retry_after: "0.05".into(),
            chat_says: String::new(),
            api_key: String::new(),
        }
    }
}

/// The mode and how far its script and its chance have come.
pub(super) struct Choice {
    pub(super) mode: Mode,
    script: VecDeque<Fault>,
    drawn: u64,
}

impl Choice {
    pub(super) fn new(mode: Mode) -> Self {
        let script = mode.script.iter().copied().collect();
        Self { mode, script, drawn: 0 }
    }

    /// What happens to the next request, whose texts are `items`.
    pub(super) fn next(&mut self, items: &[String]) -> Fault {
        if let Some(fault) = self.script.pop_front() {
            return fault;
        }
        let about = self.mode.texts.iter().find(|rule| items.iter().any(|item| item.contains(&rule.contains)));
        if let Some(rule) = about {
            return rule.fault;
        }
        self.drawn += 1;
        let hash = blake3::hash(format!("{} {}", self.mode.seed, self.drawn).as_bytes());
        let bytes = hash.as_bytes();
        let chance = f64::from(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])) / f64::from(u32::MAX);
        if chance >= self.mode.fail_rate || self.mode.faults.is_empty() {
            return Fault::None;
        }
        self.mode.faults[usize::from(bytes[4]) % self.mode.faults.len()]
    }
}
