//! What is measured of calls of model servers. (Offline models call nobody.)

use std::sync::LazyLock;
use std::time::Instant;

use graphmill_core::metrics::{CALL_SECONDS, Counters, Histograms, counters, histograms};

static CALLS: LazyLock<Counters> = LazyLock::new(|| {
    let help = "Requests to model servers that ended, tries included, by outcome: answered, rate_limited, unavailable, refused, too_long, abandoned.";
    counters("graphmill_model_calls_total", help, &["kind", "outcome"])
});

static DURATIONS: LazyLock<Histograms> = LazyLock::new(|| {
    let help = "Time from sending a request to a model server to the end of its answer, without waiting for a place.";
    histograms("graphmill_model_call_duration_seconds", help, &["kind"], CALL_SECONDS)
});

static BAD_ANSWERS: LazyLock<Counters> = LazyLock::new(|| {
    let help = "Answers of model servers that could not be used.";
    counters("graphmill_model_bad_answers_total", help, &["kind"])
});

static TOKENS: LazyLock<Counters> = LazyLock::new(|| {
    let help = "Tokens that model servers counted, by direction (input, output).";
    counters("graphmill_model_tokens_total", help, &["kind", "direction"])
});

static CACHE: LazyLock<Counters> = LazyLock::new(|| {
    let help = "Items that were looked up in the content cache before a model server was asked, by result (hit, miss).";
    counters("graphmill_cache_lookups_total", help, &["kind", "result"])
});

/// What a server is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Embedding,
    Extraction,
    /// Titles and summaries of communities.
    Summary,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered,
    RateLimited,
    Unavailable,
    Refused,
    TooLong,
    /// Nobody waits for it any more: the job was stopped.
    Abandoned,
}

impl Kind {
    /// Word of the label.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Embedding => "embedding",
            Self::Extraction => "extraction",
            Self::Summary => "summary",
        }
    }

    /// A request begins; it is counted when the guard goes.
    pub(crate) fn call(self) -> Call {
        Call { kind: self, begun: Instant::now(), outcome: Outcome::Abandoned }
    }

    /// An answer could not be used.
    pub(crate) fn bad_answer(self) {
        BAD_ANSWERS.with_label_values(&[self.word()]).inc();
    }

    /// The server counted tokens.
    pub(crate) fn tokens(self, input: u64, output: u64) {
        TOKENS.with_label_values(&[self.word(), "input"]).inc_by(input);
        TOKENS.with_label_values(&[self.word(), "output"]).inc_by(output);
    }

    /// The cache had some items and did not have others.
    pub(crate) fn looked_up(self, hits: usize, misses: usize) {
        CACHE.with_label_values(&[self.word(), "hit"]).inc_by(hits as u64);
        CACHE.with_label_values(&[self.word(), "miss"]).inc_by(misses as u64);
    }
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::RateLimited => "rate_limited",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::TooLong => "too_long",
            Self::Abandoned => "abandoned",
        }
    }
}

/// A request under way.
pub(crate) struct Call {
    kind: Kind,
    begun: Instant,
    outcome: Outcome,
}

impl Call {
    /// It ended so.
    pub(crate) fn ended(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        CALLS.with_label_values(&[self.kind.word(), self.outcome.word()]).inc();
        DURATIONS.with_label_values(&[self.kind.word()]).observe(self.begun.elapsed().as_secs_f64());
    }
}
