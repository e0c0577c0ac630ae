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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    async fn post(url: &str, body: &Value) -> reqwest::Response {
        crate::install_tls();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client.post(url).json(body).send().await.unwrap()
    }

    #[tokio::test]
    async fn another_process_can_steer_it() {
        let server = FakeModels::start(FakeConfig::default()).await.unwrap();
        let base = server.url().trim_end_matches("/v1").to_owned();
        let ask = json!({ "model": "m", "input": ["one", "two"] });
        let url = format!("{base}/v1/embeddings");
        assert_eq!(post(&url, &ask).await.status(), 200);
        let change = json!({ "script": ["rate_limited"], "retry_after": "3" });
        assert_eq!(post(&format!("{base}/_fake/mode"), &change).await.status(), 204);
        let refused = post(&url, &ask).await;
        assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (429, "3"));
        let stats: Stats = reqwest::get(format!("{base}/_fake/stats")).await.unwrap().json().await.unwrap();
        assert_eq!((stats.requests, stats.answered, stats.items.len(), stats.asked_again().len()), (2, 1, 2, 2));
        assert_eq!(stats.faults[&Fault::RateLimited], 1);
        assert_eq!(post(&format!("{base}/_fake/mode"), &json!({ "lateness": 1 })).await.status(), 400);
        assert_eq!(post(&format!("{base}/_fake/reset"), &json!({})).await.status(), 204);
        assert_eq!(server.stats(), Stats::default());
    }

    #[tokio::test]
    async fn the_same_seed_fails_the_same_requests() {
        let mode = Mode { fail_rate: 0.5, faults: vec![Fault::InternalError], seed: 3, ..Mode::default() };
        let mut runs = Vec::new();
        for _ in 0..2 {
            let server = FakeModels::start(FakeConfig { listen: None, mode: mode.clone() }).await.unwrap();
            let url = format!("{}/chat/completions", server.url());
            let mut statuses = Vec::new();
            for n in 0..20 {
                let body = json!({ "messages": [{ "role": "user", "content": format!("<text>\nMill {n}\n</text>") }] });
                statuses.push(post(&url, &body).await.status().as_u16());
            }
            assert_eq!(server.stats().items[0].text, "Mill 0");
            runs.push(statuses);
        }
        assert_eq!(runs[0], runs[1]);
        assert!(runs[0].contains(&200) && runs[0].contains(&500));
    }
}
