//! A model server for tests: OpenAI's wire format, answers that follow from the text alone, faults on demand, and a count of everything.
//!
//! In a test: [`FakeModels::start`]. For tests of the real binary there is the program `fake-models`, steered over `GET /_fake/stats`,
//! `POST /_fake/mode` (a [`Mode`] with only the fields that change) and `POST /_fake/reset`.

mod answers;
mod http;
mod mode;
mod record;

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;

pub use answers::{embedding, extraction, terms};
pub use mode::{Fault, FaultFor, Mode};
pub use record::{ItemStats, RequestRecord, Stats};

use mode::Choice;
use record::Record;

/// How the server starts.
#[derive(Debug, Clone, Default)]
pub struct FakeConfig {
    /// Where it listens; a free port of 127.0.0.1 if absent.
    pub listen: Option<SocketAddr>,
    /// How it behaves at first.
    pub mode: Mode,
}

/// A running server; dropped, it is gone at once, with all its connections.
pub struct FakeModels {
    address: SocketAddr,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

struct State {
    choice: Mutex<Choice>,
    record: Arc<Record>,
}

impl FakeModels {
    /// Starts a server. Fails when the address is taken.
    pub async fn start(config: FakeConfig) -> std::io::Result<Self> {
        let listen = config.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = tokio::net::TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State { choice: Mutex::new(Choice::new(config.mode)), record: Arc::default() });
        let router = http::router(state.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                eprintln!("fake-models: {error}");
            }
        });
        Ok(Self { address, state, task })
    }

    /// The base address, which ends in `/v1`.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What was asked so far.
    pub fn stats(&self) -> Stats {
        self.state.record.stats()
    }

    /// Behaves like this from now on; a script starts anew.
    pub fn set_mode(&self, mode: Mode) {
        *self.state.choice.lock() = Choice::new(mode);
    }

    /// Forgets what was asked.
    pub fn reset(&self) {
        self.state.record.reset();
    }

    /// Waits until the server ends, which it does not by itself.
    pub async fn wait(mut self) {
        let _ = (&mut self.task).await;
    }
}

impl Drop for FakeModels {
    fn drop(&mut self) {
        self.task.abort();
    }
}
