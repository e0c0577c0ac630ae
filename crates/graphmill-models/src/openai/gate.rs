//! How many requests a client has under way, and whether any may start: one gate a client, shared by all calls.
//!
//! After a 429 the whole client pauses and its concurrency is halved; each round of successes adds one again (additive increase, multiplicative
//! decrease).

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::CallContext;
use crate::usage::Pause;

/// Longest pause after a 429 that does not say how long.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug)]
struct State {
    under_way: usize,
    limit: usize,
    /// Successes since the limit was last raised.
    successes: usize,
    /// Answers 429 in a row.
    refusals: u32,
    paused_until: Option<Instant>,
}

/// The gate. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    state: Arc<Mutex<State>>,
    /// One permit is passed on whenever a place gets free or the limit rises.
    free: Arc<Notify>,
    most: usize,
    first_pause: Duration,
}

impl Gate {
    /// At most `most` (at least 1) requests at once.
    pub(super) fn new(most: usize, first_pause: Duration) -> Self {
        let most = most.max(1);
        let state = State { under_way: 0, limit: most, successes: 0, refusals: 0, paused_until: None };
        Self { state: Arc::new(Mutex::new(state)), free: Arc::new(Notify::new()), most, first_pause }
    }

    /// Waits for a place. Gives up at once when the client is paused for longer than `longest_wait`, with the time that is left.
    pub(super) async fn enter(&self, longest_wait: Duration, ctx: &CallContext) -> Result<Place, Duration> {
        loop {
            // Made before the state is read, so that a place that gets free in between is not missed.
            let freed = self.free.notified();
            let pause = {
                let mut state = self.state.lock();
                let left = state.paused_until.map(|until| until.saturating_duration_since(Instant::now()));
                match left {
                    Some(left) if left > longest_wait => return Err(left),
                    Some(left) if !left.is_zero() => Some(left),
                    _ => {
                        state.paused_until = None;
                        if state.under_way < state.limit {
                            state.under_way += 1;
                            return Ok(Place { gate: self.clone() });
                        }
                        None
                    }
                }
            };
            match pause {
                Some(left) => {
                    let _waiting = Pause::start(ctx);
                    tokio::time::sleep(left).await;
                }
                None => freed.await,
            }
        }
    }
}

/// A place for one request; dropped, it is free again.
#[derive(Debug)]
pub(super) struct Place {
    gate: Gate,
}

impl Place {
    /// The request was answered.
    pub(super) fn succeeded(&self) {
        let mut state = self.gate.state.lock();
        state.refusals = 0;
        state.successes += 1;
        if state.successes >= state.limit && state.limit < self.gate.most {
            state.successes = 0;
            state.limit += 1;
            self.gate.free.notify_one();
        }
    }

    /// The server said 429: everybody waits for `after`, or for a time that doubles from one 429 to the next, stretched by `jitter` (0 to 1).
    /// Returns the time.
    pub(super) fn rate_limited(&self, after: Option<Duration>, jitter: f64) -> Duration {
        let mut state = self.gate.state.lock();
        let now = Instant::now();
        let paused = state.paused_until.is_some_and(|until| until > now);
        if !paused {
            // Requests that were under way together are refused together: that is one refusal.
            state.limit = (state.limit / 2).max(1);
            state.successes = 0;
            state.refusals += 1;
        }
        let doubled = self.gate.first_pause.saturating_mul(1 << state.refusals.clamp(1, 16)).min(LONGEST_PAUSE);
        let pause = after.unwrap_or_else(|| doubled.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0));
        let until = now + pause;
        state.paused_until = Some(state.paused_until.map_or(until, |earlier| earlier.max(until)));
        pause
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.gate.state.lock().under_way -= 1;
        self.gate.free.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(100);

    fn gate(most: usize) -> Gate {
        Gate::new(most, Duration::from_millis(500))
    }

    #[tokio::test]
    async fn no_more_places_than_the_limit_and_a_dropped_one_is_free() {
        let (gate, ctx) = (gate(2), CallContext::new());
        let first = gate.enter(LONG, &ctx).await.unwrap();
        let _second = gate.enter(LONG, &ctx).await.unwrap();
        let mut third = Box::pin(gate.enter(LONG, &ctx));
        assert!(futures::poll!(&mut third).is_pending());
        drop(first);
        assert!(third.await.is_ok());
    }

    #[tokio::test]
    async fn a_waiter_that_is_dropped_passes_its_turn_on() {
        let (gate, ctx) = (gate(1), CallContext::new());
        let first = gate.enter(LONG, &ctx).await.unwrap();
        let mut second = Box::pin(gate.enter(LONG, &ctx));
        let mut third = Box::pin(gate.enter(LONG, &ctx));
        assert!(futures::poll!(&mut second).is_pending() && futures::poll!(&mut third).is_pending());
        drop(first); // wakes the second, which is never polled again
        drop(second);
        assert!(third.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_waits_after_a_refusal() {
        let (gate, ctx) = (gate(8), CallContext::new());
        let place = gate.enter(LONG, &ctx).await.unwrap();
        assert_eq!(place.rate_limited(Some(Duration::from_secs(7)), 0.0), Duration::from_secs(7));
        assert_eq!(gate.enter(Duration::from_secs(1), &ctx).await.unwrap_err(), Duration::from_secs(7));
        let start = Instant::now();
        let mut waiting = Box::pin(gate.enter(LONG, &ctx));
        assert!(futures::poll!(&mut waiting).is_pending());
        assert_eq!(ctx.usage.paused(), 1);
        assert!(waiting.await.is_ok());
        assert_eq!((start.elapsed(), ctx.usage.paused()), (Duration::from_secs(7), 0));
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_is_halved_once_and_grows_again() {
        let (gate, ctx) = (gate(8), CallContext::new());
        let places = [gate.enter(LONG, &ctx).await.unwrap(), gate.enter(LONG, &ctx).await.unwrap()];
        places.iter().for_each(|p| {
            p.rate_limited(None, 1.0);
        });
        assert_eq!(gate.state.lock().limit, 4);
        (0..4).for_each(|_| places[0].succeeded());
        assert_eq!(gate.state.lock().limit, 5);
        (0..100).for_each(|_| places[0].succeeded());
        assert_eq!(gate.state.lock().limit, 8);
    }
}
