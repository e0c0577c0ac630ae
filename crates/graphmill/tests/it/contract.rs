//! The contract of the job API, line by line, over real HTTP and WebSocket: the page `jobs-endpoints.md` and section 1 of issue 14. Keys and their order,
//! sentences, statuses, headers and times are compared as they go over the wire.

mod access;
mod jobs;
mod list;
mod logs;
mod stream;
mod upload;

use graphmill_testkit::TestApp;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::BINARY;

/// Keys of an object in the order in which they were sent.
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}")).keys().map(String::as_str).collect()
}

/// `YYYY-MM-DDTHH:MM:SS.mmmZ`; answers it, since such texts sort as the times do.
pub(crate) fn time(value: &Value) -> &str {
    let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    assert_eq!(shape, "9999-99-99T99:99:99.999Z", "{text}");
    text
}

/// An error as every error is: `error` a sentence, `code` a word, `hint` a sentence or absent, nothing else.
#[track_caller]
pub(crate) fn assert_error(answer: &(u16, Value), status: u16, code: &str) {
    let (given, body) = answer;
    assert_eq!((*given, body["code"].as_str()), (status, Some(code)), "{body}");
    let expected: &[&str] = if body.get("hint").is_some() { &["error", "code", "hint"] } else { &["error", "code"] };
    assert_eq!(keys(body), expected, "{body}");
    assert!(body["error"].as_str().is_some_and(|sentence| sentence.len() > 5), "{body}");
}

/// The same, and the sentence says each of these.
#[track_caller]
pub(crate) fn assert_says(answer: &(u16, Value), status: u16, code: &str, words: &[&str]) {
    assert_error(answer, status, code);
    let sentence = answer.1["error"].as_str().unwrap();
    for word in words {
        assert!(sentence.contains(word), "{word:?} is not said: {}", answer.1);
    }
}

/// A server whose jobs are held at fault points that sleep; it has threads to spare for those that are asleep.
pub(crate) async fn start_held(points: &str, workers: u32) -> TestApp {
    TestApp::start_with(BINARY, |s| {
        s.env("FAILPOINTS", points).env("GRAPHMILL_WORKERS", workers.to_string()).env("TOKIO_WORKER_THREADS", "8")
    })
    .await
    .unwrap()
}

/// Holds every job at the first unit of this stage for longer than any test lasts.
pub(crate) fn hold(stage: &str) -> String {
    format!("stage.{stage}.unit=sleep(300000)")
}

/// An answer as it went over the wire.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl RawAnswer {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Self { status, body: body.to_owned() })
    }

    /// Status and JSON.
    pub(crate) fn json(&self) -> (u16, Value) {
        let body = serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        (self.status, body)
    }
}

/// A connection to the server, for requests that no client library makes.
pub(crate) async fn connect(app: &TestApp) -> tokio::net::TcpStream {
    tokio::net::TcpStream::connect(app.url().rsplit("://").next().unwrap()).await.unwrap()
}

/// Sends these bytes and reads until the server closes; `None` when it closes without an answer.
pub(crate) async fn raw(app: &TestApp, request: impl AsRef<[u8]>) -> Option<RawAnswer> {
    let mut stream = connect(app).await;
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request.as_ref()).await;
    let mut bytes = Vec::new();
    let read = tokio::time::timeout(std::time::Duration::from_secs(30), stream.read_to_end(&mut bytes)).await;
    read.expect("the server neither answers nor closes").ok();
    RawAnswer::parse(&bytes)
}

/// A request without a body that asks for the connection to be closed.
pub(crate) fn request(method: &str, path: &str, host: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n")
}
