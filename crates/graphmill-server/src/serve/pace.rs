//! Bodies below HTTP: a client that sends too slowly is cut, and how long a connection is idle.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use parking_lot::Mutex;
use tokio::time::Instant;

/// Least bytes a second of a body, over each [`WINDOW`] in which the server waits for it.
const LEAST_RATE: u64 = 1024;

/// Shorter pauses are nobody's fault. (One without any byte is noticed earlier where the body is read.)
const WINDOW: Duration = Duration::from_secs(60);

/// The body of a request.
pub(super) struct Paced {
    body: Incoming,
    waiting_since: Option<Instant>,
    waited: Duration,
    bytes: u64,
}

impl Paced {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, waiting_since: None, waited: Duration::ZERO, bytes: 0 }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            self.waiting_since.get_or_insert_with(Instant::now);
            return Poll::Pending;
        };
        // Only the time that the server waited counts, not the time that it took over what came.
        if let Some(since) = self.waiting_since.take() {
            self.waited += since.elapsed();
        }
        if let Some(Ok(frame)) = &frame {
            self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        if self.waited >= WINDOW {
            if self.bytes < LEAST_RATE * self.waited.as_secs() {
                let message = format!("the body came at less than {LEAST_RATE} bytes a second");
                return Poll::Ready(Some(Err(axum::Error::new(std::io::Error::other(message)))));
            }
            (self.waited, self.bytes) = (Duration::ZERO, 0);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(axum::Error::new)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The requests of a connection that are being answered.
#[derive(Clone)]
pub(super) struct Activity(Arc<Mutex<State>>);

struct State {
    answering: usize,
    idle_since: Instant,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State { answering: 0, idle_since: Instant::now() })))
    }

    /// A request that is being answered until this is dropped.
    pub(super) fn begin(&self) -> Answering {
        self.0.lock().answering += 1;
        Answering(self.clone())
    }

    /// Returns when no request was being answered for so long.
    pub(super) async fn idle_for(&self, limit: Duration) {
        loop {
            let (answering, since) = {
                let state = self.0.lock();
                (state.answering, state.idle_since)
            };
            let until = if answering == 0 { since + limit } else { Instant::now() + limit };
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

/// See [`Activity::begin`].
pub(super) struct Answering(Activity);

impl Drop for Answering {
    fn drop(&mut self) {
        let mut state = self.0.0.lock();
        state.answering -= 1;
        state.idle_since = Instant::now();
    }
}

/// The body of an answer; its request is being answered until it is gone.
pub(super) struct Answer {
    body: Body,
    _answering: Answering,
}

impl Answer {
    pub(super) fn new(body: Body, answering: Answering) -> Self {
        Self { body, _answering: answering }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Poll::Ready(ready!(Pin::new(&mut self.body).poll_frame(cx)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_only_when_nothing_is_being_answered() {
        let activity = Activity::new();
        let begun = Instant::now();
        let answering = activity.begin();
        let limit = Duration::from_secs(10);
        tokio::join!(activity.idle_for(limit), async move {
            tokio::time::sleep(Duration::from_secs(35)).await;
            drop(answering);
        });
        assert!(begun.elapsed() >= Duration::from_secs(45), "{:?}", begun.elapsed());
    }
}
