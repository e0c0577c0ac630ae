//! Clients of servers that speak OpenAI's wire format: `/v1/embeddings` and `/v1/chat/completions`.

mod answer;
mod chat;
mod conversation;
mod embeddings;
mod gate;
mod in_flight;
mod prompt;
mod refusal;
mod retry_after;
mod summaries;
mod transport;
mod vectors;

use std::sync::Arc;

use graphmill_core::{Clock, SystemClock};

pub use chat::OpenAiExtractor;
pub use embeddings::OpenAiEmbedder;
pub use prompt::PROMPT_VERSION;
pub use summaries::OpenAiSummariser;

/// Where a client has its time and its chance from; tests replace both.
#[derive(Clone)]
pub struct Surroundings {
    /// The calendar against which a `Retry-After` date is read.
    pub clock: Arc<dyn Clock>,
    /// A number from 0 to 1 by which each pause is stretched between half of it and the whole, so that clients do not come back all at once.
    pub jitter: Arc<dyn Fn() -> f64 + Send + Sync>,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self { clock: Arc::new(SystemClock), jitter: Arc::new(rand::random::<f64>) }
    }
}

/// How often one item is asked for before its answers are given up.
const TRIES: u32 = 3;
