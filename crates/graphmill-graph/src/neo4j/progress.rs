//! What a thread that works with the server shares with the task that waits for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::{Error, Result};

/// Shared state of one piece of work.
#[derive(Debug, Default)]
pub(super) struct Progress(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Since when the thread waits for the server; none while it works itself.
    waits_since: Option<Instant>,
    /// Nobody waits for the result any more: nothing may be sent from now on.
    abandoned: bool,
}

impl Progress {
    /// Runs a call to the server; refused once the work was abandoned.
    pub(super) fn ask<T>(&self, call: impl FnOnce() -> T) -> Result<T> {
        self.begin()?;
        let answer = call();
        self.0.lock().waits_since = None;
        Ok(answer)
    }

    /// The server is asked from now on.
    pub(super) fn begin(&self) -> Result<()> {
        let mut state = self.0.lock();
        if state.abandoned {
            return Err(Error::Unavailable { message: "the work was given up".to_owned(), retry_after: None });
        }
        state.waits_since = Some(Instant::now());
        Ok(())
    }

    /// The server answered.
    pub(super) fn answered(&self) {
        self.0.lock().waits_since = None;
    }

    pub(super) fn abandon(&self) {
        self.0.lock().abandoned = true;
    }

    /// Returns when the server has left one question unanswered for this long.
    pub(super) async fn hangs(&self, patience: Duration) {
        loop {
            let waited = self.0.lock().waits_since.map(|since| since.elapsed());
            match waited {
                Some(waited) if waited >= patience => return,
                Some(waited) => tokio::time::sleep(patience - waited).await,
                // A question asked meanwhile is seen at its half at the latest.
                None => tokio::time::sleep(patience / 2).await,
            }
        }
    }
}

/// Abandons the work when the task that waits for it is dropped: a cancelled job must write nothing more.
pub(super) struct AbandonOnDrop(pub(super) Arc<Progress>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
