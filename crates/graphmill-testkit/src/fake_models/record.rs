//! What was asked, when, how often, and what became of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::Fault;

/// One request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// `embeddings` or `chat`.
    pub kind: String,
    /// Numbers of its items in [`Stats::items`].
    pub items: Vec<usize>,
    /// Milliseconds since the Unix epoch at which it came.
    pub started_ms: u64,
    /// When it was answered or given up; absent while it is under way.
    pub ended_ms: Option<u64>,
    /// What happened to it.
    pub fault: Fault,
    /// The client went away before the answer.
    pub aborted: bool,
}

/// One text that was asked about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemStats {
    /// `embeddings` or `chat`.
    pub kind: String,
    /// The text (of a chat, what stands between `<text>` and `</text>`), shortened to 120 characters.
    pub text: String,
    /// Requests with it.
    pub asked: u64,
    /// Of these, the ones with a good answer.
    pub answered: u64,
    /// Requests that came when a good answer had been given already.
    pub asked_after_answer: u64,
}

/// Everything since the start or the last reset.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Number of requests.
    pub requests: u64,
    /// Of these, the ones with a good answer.
    pub answered: u64,
    /// The ones whose client went away.
    pub aborted: u64,
    /// Under way.
    pub in_flight: u64,
    /// Most that were under way at once.
    pub max_in_flight: u64,
    /// How many had each fault.
    pub faults: BTreeMap<Fault, u64>,
    /// Texts in the order in which they first came.
    pub items: Vec<ItemStats>,
    /// Requests in the order in which they came.
    pub log: Vec<RequestRecord>,
}

impl Stats {
    /// Requests that began at or after `millis` (since the Unix epoch).
    pub fn started_since(&self, millis: u64) -> usize {
        self.log.iter().filter(|request| request.started_ms >= millis).count()
    }

    /// Texts that were asked about again although a good answer had been given.
    pub fn asked_again(&self) -> Vec<&ItemStats> {
        self.items.iter().filter(|item| item.asked_after_answer > 0).collect()
    }
}

#[derive(Default)]
struct Inner {
    stats: Stats,
    by_item: BTreeMap<(String, [u8; 32]), usize>,
    /// Rises with each reset, so that a request of before counts for nothing after.
    generation: u64,
}

/// The record of a server.
#[derive(Default)]
pub(super) struct Record(Mutex<Inner>);

/// A request under way; dropped before its answer, it counts as aborted.
pub(super) struct UnderWay {
    record: Arc<Record>,
    number: usize,
    generation: u64,
    ended: bool,
}

/// Milliseconds since the Unix epoch.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
}

impl Record {
    pub(super) fn stats(&self) -> Stats {
        self.0.lock().stats.clone()
    }

    pub(super) fn reset(&self) {
        let mut inner = self.0.lock();
        let generation = inner.generation + 1;
        *inner = Inner { generation, ..Inner::default() };
    }

    pub(super) fn begin(self: &Arc<Self>, kind: &str, items: &[String], fault: Fault) -> UnderWay {
        let mut inner = self.0.lock();
        let numbers: Vec<usize> = items.iter().map(|item| inner.number_of(kind, item)).collect();
        let stats = &mut inner.stats;
        for number in &numbers {
            let item = &mut stats.items[*number];
            item.asked += 1;
            item.asked_after_answer += u64::from(item.answered > 0);
        }
        stats.requests += 1;
        stats.in_flight += 1;
        stats.max_in_flight = stats.max_in_flight.max(stats.in_flight);
        if fault != Fault::None {
            *stats.faults.entry(fault).or_default() += 1;
        }
        stats.log.push(RequestRecord {
            kind: kind.to_owned(),
            items: numbers,
            started_ms: now(),
            ended_ms: None,
            fault,
            aborted: false,
        });
        let number = stats.log.len() - 1;
        UnderWay { record: self.clone(), number, generation: inner.generation, ended: false }
    }
}

impl Inner {
    fn number_of(&mut self, kind: &str, text: &str) -> usize {
        let key = (kind.to_owned(), *blake3::hash(text.as_bytes()).as_bytes());
        let next = self.stats.items.len();
        let number = *self.by_item.entry(key).or_insert(next);
        if number == next {
            let text = text.chars().take(120).collect();
            self.stats.items.push(ItemStats {
                kind: kind.to_owned(),
                text,
                asked: 0,
                answered: 0,
                asked_after_answer: 0,
            });
        }
        number
    }
}

impl UnderWay {
    /// The answer is made; a `good` one counts for its items.
    pub(super) fn end(mut self, good: bool) {
        self.close(good, false);
    }

    fn close(&mut self, good: bool, aborted: bool) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let mut inner = self.record.0.lock();
        if inner.generation != self.generation {
            return;
        }
        let stats = &mut inner.stats;
        stats.in_flight -= 1;
        stats.aborted += u64::from(aborted);
        stats.answered += u64::from(good);
        let request = &mut stats.log[self.number];
        request.ended_ms = Some(now());
        request.aborted = aborted;
        if good {
            for number in &request.items {
                stats.items[*number].answered += 1;
            }
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.close(false, true);
    }
}
