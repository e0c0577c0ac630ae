//! What calls cost, counted for whoever makes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use graphmill_core::CacheUser;

/// What a call is made for. Cheap to clone; one per job is usual.
#[derive(Debug, Clone, Default)]
pub struct CallContext {
    /// Counts what is done under this context.
    pub usage: Arc<Usage>,
    /// The document that the answers are for: what it uses is noted in the cache, so that a purge finds it.
    pub user: Option<CacheUser>,
}

impl CallContext {
    /// A context of a document's job.
    pub fn of(user: CacheUser) -> Self {
        Self { user: Some(user), ..Self::default() }
    }

    /// A context with counters at zero.
    pub fn new() -> Self {
        Self::default()
    }
}

/// Counters that only rise, but for [`Usage::paused`]. Readable at any time.
#[derive(Debug, Default)]
pub struct Usage {
    pub(crate) requests: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) rate_limited: AtomicU64,
    pub(crate) bad_answers: AtomicU64,
    pub(crate) cache_hits: AtomicU64,
    pub(crate) input_tokens: AtomicU64,
    pub(crate) output_tokens: AtomicU64,
    pub(crate) paused: AtomicU64,
}

/// [`Usage`] at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UsageSnapshot {
    /// HTTP requests sent, tries included.
    pub requests: u64,
    /// Of these, the ones that repeat an earlier one.
    pub retries: u64,
    /// Answers 429.
    pub rate_limited: u64,
    /// Answers that could not be used.
    pub bad_answers: u64,
    /// Items that were not asked for, because the content cache had the answer.
    pub cache_hits: u64,
    /// Tokens of prompts and texts, as far as the server tells.
    pub input_tokens: u64,
    /// Tokens of answers, as far as the server tells.
    pub output_tokens: u64,
}

impl Usage {
    /// The counters now.
    pub fn snapshot(&self) -> UsageSnapshot {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        UsageSnapshot {
            requests: read(&self.requests),
            retries: read(&self.retries),
            rate_limited: read(&self.rate_limited),
            bad_answers: read(&self.bad_answers),
            cache_hits: read(&self.cache_hits),
            input_tokens: read(&self.input_tokens),
            output_tokens: read(&self.output_tokens),
        }
    }

    /// Calls that wait at this moment on purpose (a rate limit or the pause between tries): a job in which units wait so is not stalled.
    pub fn paused(&self) -> u64 {
        self.paused.load(Ordering::Relaxed)
    }

    pub(crate) fn add(counter: &AtomicU64, n: u64) {
        counter.fetch_add(n, Ordering::Relaxed);
    }
}

/// A wait on purpose, counted while it is held.
pub(crate) struct Pause(Arc<Usage>);

impl Pause {
    /// Begins to wait.
    pub(crate) fn start(ctx: &CallContext) -> Self {
        ctx.usage.paused.fetch_add(1, Ordering::Relaxed);
        Self(ctx.usage.clone())
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        self.0.paused.fetch_sub(1, Ordering::Relaxed);
    }
}
