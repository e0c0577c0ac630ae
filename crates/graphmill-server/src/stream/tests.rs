//! Streams over real connections.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use graphmill_core::{Fence, JobId, SystemClock};
use graphmill_store::records::LogLevel;
use graphmill_store::requests::{Ending, NewLog};
use serde_json::{Map, Value};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;

use super::StreamConfig;
use crate::ServerConfig;
use crate::test_server::{NO_JOB, TestServer, completed, failed, job_error, progress};

struct Served {
    server: TestServer,
    address: String,
    stop: CancellationToken,
    ended: JoinHandle<crate::Result<()>>,
}

type Client = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn serve(ping_every: Duration) -> Served {
    let stream = StreamConfig { ping_every, ..StreamConfig::default() };
    let config = ServerConfig { stream, shutdown_grace: Duration::from_secs(5), ..ServerConfig::default() };
    let server = TestServer::with(config, Arc::new(SystemClock)).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let stop = CancellationToken::new();
    let ended = tokio::spawn(crate::serve(listener, server.state.clone(), stop.clone()));
    Served { server, address, stop, ended }
}

impl Served {
    async fn connect(&self, job: impl std::fmt::Display, query: &str) -> Client {
        self.try_connect(job, query).await.unwrap_or_else(|e| panic!("{e}"))
    }

    async fn try_connect(&self, job: impl std::fmt::Display, query: &str) -> Result<Client, WsError> {
        connect_async(format!("ws://{}/api/jobs/{job}/stream{query}", self.address)).await.map(|(client, _)| client)
    }

    /// A running job.
    async fn running(&self, name: &str) -> (JobId, Fence) {
        let job = self.server.upload(name, "Pumps pump.").await;
        (job, self.server.claim().await.fence)
    }
}

/// Everything until the close, which must be a clean 1000 within 5 s of silence.
async fn read_all(client: &mut Client) -> Vec<Value> {
    let (messages, code) = read_to_close(client).await;
    assert_eq!(code, Some(1000), "{messages:?}");
    messages
}

async fn read_to_close(client: &mut Client) -> (Vec<Value>, Option<u16>) {
    let mut messages = Vec::new();
    loop {
        match tokio::time::timeout(Duration::from_secs(5), client.next()).await.expect("a message or a close") {
            Some(Ok(Message::Text(text))) => messages.push(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Close(frame))) => return (messages, frame.map(|f| f.code.into())),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return (messages, None),
        }
    }
}

async fn next(client: &mut Client) -> Value {
    loop {
        match tokio::time::timeout(Duration::from_secs(5), client.next()).await.expect("a message") {
            Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
            Some(Ok(Message::Ping(_))) => {}
            other => panic!("{other:?}"),
        }
    }
}

fn types(messages: &[Value]) -> Vec<&str> {
    messages.iter().map(|m| m["type"].as_str().unwrap()).collect()
}

fn seqs(messages: &[Value]) -> Vec<u64> {
    messages.iter().map(|m| m["seq"].as_u64().unwrap()).collect()
}

/// Each seq once, rising.
fn assert_rising(messages: &[Value]) {
    assert!(seqs(messages).is_sorted_by(|a, b| a < b), "{messages:?}");
}

fn ends(messages: &[Value]) -> usize {
    let last = |m: &&Value| match m["type"].as_str().unwrap() {
        "completed" | "cancelled" | "deleted" => true,
        "error" => m["will_retry"] == false,
        _ => false,
    };
    messages.iter().filter(last).count()
}

const DAY: Duration = Duration::from_secs(24 * 3600);

#[tokio::test]
async fn a_snapshot_then_live_to_the_end() {
    let served = serve(DAY).await;
    let (job, fence) = served.running("a.txt").await;
    served.server.stage(fence, "loading", 0.1).await;
    let mut early = served.connect(job, "").await;
    let first = [next(&mut early).await, next(&mut early).await];
    assert_eq!(BTreeSet::from_iter(types(&first)), BTreeSet::from(["progress", "stage_complete"]));
    for message in &first {
        assert_eq!(message["job_id"], job.to_string());
        assert!(message["timestamp"].as_str().unwrap().ends_with('Z'));
    }
    served.server.stage(fence, "chunking", 0.3).await;
    let seen = next(&mut early).await;
    served.server.end(fence, completed()).await;
    let mut messages = Vec::from(first);
    messages.push(seen);
    messages.extend(read_all(&mut early).await);
    assert_rising(&messages);
    assert_eq!((ends(&messages), *types(&messages).last().unwrap()), (1, "completed"));
    let stages: Vec<_> = messages.iter().filter_map(|m| m["stage"].as_str()).collect();
    assert_eq!(stages, ["loading", "chunking"]);
    assert_eq!(messages.last().unwrap()["metadata"]["chunks_created"], 7);
}

#[tokio::test]
async fn an_ended_job_says_how_it_ended_and_closes() {
    let served = serve(DAY).await;
    for (ending, last) in [(Some(completed()), "completed"), (Some(failed()), "error"), (None, "cancelled")] {
        let (job, fence) = served.running("a.txt").await;
        served.server.stage(fence, "loading", 0.1).await;
        match ending {
            Some(ending) => served.server.end(fence, ending).await,
            None => drop(served.server.post(&format!("/api/jobs/{job}/cancel"), Value::Null).await),
        }
        let messages = read_all(&mut served.connect(job, "").await).await;
        assert_rising(&messages);
        assert_eq!(BTreeSet::from_iter(types(&messages)), BTreeSet::from(["stage_complete", "progress", last]));
        assert_eq!((types(&messages)[2], messages.len()), (last, 3));
        let since = messages[2]["seq"].as_u64().unwrap();
        assert_eq!(read_all(&mut served.connect(job, &format!("?since={since}")).await).await, [] as [Value; 0]);
        let replayed = read_all(&mut served.connect(job, &format!("?since={}", since - 1)).await).await;
        assert_eq!(replayed, messages[2..]);
        assert_eq!(read_all(&mut served.connect(job, "?since=999999").await).await, [] as [Value; 0]);
        let all = read_all(&mut served.connect(job, "?since=0").await).await;
        assert_rising(&all);
        assert_eq!((ends(&all), *types(&all).last().unwrap()), (1, last));
    }
    assert_eq!(served.server.state.streams.followed(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_late_subscriber_gets_exactly_one_end() {
    let served = Arc::new(serve(DAY).await);
    for round in 0..500_u64 {
        let (job, fence) = served.running("tiny.txt").await;
        let reader = {
            let served = served.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_micros(round * 7_919 % 20_000)).await;
                read_all(&mut served.connect(job, "").await).await
            })
        };
        tokio::time::sleep(Duration::from_micros(round * 104_729 % 20_000)).await;
        served.server.stage(fence, "loading", 0.5).await;
        served.server.end(fence, completed()).await;
        let messages = tokio::time::timeout(Duration::from_secs(5), reader).await.expect("closed").unwrap();
        assert_rising(&messages);
        assert_eq!((ends(&messages), *types(&messages).last().unwrap()), (1, "completed"), "{messages:?}");
        assert_eq!(types(&messages).iter().filter(|t| **t == "stage_complete").count(), 1, "{messages:?}");
    }
}

#[tokio::test]
async fn unknown_jobs_and_bad_parameters_are_refused_before_the_upgrade() {
    let served = serve(DAY).await;
    let (job, _) = served.running("a.txt").await;
    for (id, query, status) in [
        (NO_JOB, "", 404),
        ("job-x", "", 404),
        (&*job.to_string(), "?since=abc", 400),
        (&*job.to_string(), "?logs=2", 400),
    ] {
        match served.try_connect(id, query).await {
            Err(WsError::Http(response)) => {
                assert_eq!(response.status().as_u16(), status, "{id}{query}");
                let body: Value = serde_json::from_slice(response.body().as_ref().unwrap()).unwrap();
                assert!(body["error"].is_string() && body["code"].is_string(), "{body}");
            }
            other => panic!("{id}{query}: {other:?}"),
        }
    }
    let answer = served.server.get(&format!("/api/jobs/{job}/stream")).await;
    assert_eq!(answer.error().0, 400, "{}", answer.text);
}

#[tokio::test]
async fn an_error_that_is_tried_again_is_no_end_and_a_retry_goes_on() {
    let served = serve(DAY).await;
    let (job, fence) = served.running("a.txt").await;
    let mut client = served.connect(job, "").await;
    let mut messages = vec![next(&mut client).await];
    served.server.end(fence, Ending::Retry { after: Duration::ZERO, error: job_error() }).await;
    while messages.last().unwrap()["type"] != "error" {
        messages.push(next(&mut client).await);
    }
    assert_eq!(messages.last().unwrap()["will_retry"], true);
    let fence = served.server.claim().await.fence;
    served.server.end(fence, failed()).await;
    messages.extend(read_all(&mut client).await);
    assert_rising(&messages);
    assert_eq!((ends(&messages), messages.last().unwrap()["code"].as_str()), (1, Some("encrypted")));
    // A person's retry: the old end is history, not an end.
    assert_eq!(served.server.post(&format!("/api/jobs/{job}/retry"), Value::Null).await.status, 202);
    let mut client = served.connect(job, "?since=0").await;
    let fence = served.server.claim().await.fence;
    served.server.end(fence, completed()).await;
    let messages = read_all(&mut client).await;
    assert_rising(&messages);
    assert_eq!((ends(&messages), *types(&messages).last().unwrap()), (1, "completed"));
}

#[tokio::test]
async fn progress_is_coalesced_and_rows_are_not() {
    let served = serve(DAY).await;
    let (job, fence) = served.running("a.txt").await;
    let mut client = served.connect(job, "").await;
    let jobs = served.server.state.jobs();
    jobs.start_stage(fence, "loading", bytes::Bytes::new(), 1).await.unwrap();
    for n in 0..400_u32 {
        let share = f64::from(n) / 1_000.0;
        jobs.report(fence, "loading", progress(share, share)).await.unwrap();
    }
    for stage in ["loading", "chunking", "embedding", "entity_extraction", "persistence"] {
        served.server.stage(fence, stage, 0.5).await;
    }
    served.server.end(fence, completed()).await;
    let messages = read_all(&mut client).await;
    assert_rising(&messages);
    assert_eq!(types(&messages).iter().filter(|t| **t == "stage_complete").count(), 5);
    assert!(messages.len() < 200, "{}", messages.len());
    let shares: Vec<f64> = messages.iter().filter_map(|m| m["progress"].as_f64()).collect();
    assert!(shares.is_sorted(), "{shares:?}");
}

#[tokio::test]
async fn a_reader_behind_what_the_feed_keeps_loses_nothing() {
    let served = serve(DAY).await;
    let (job, mut fence) = served.running("a.txt").await;
    let snooze = || Ending::Snooze {
        after: Duration::ZERO,
        code: graphmill_core::ErrorCode::ModelRateLimited,
        reason: "429".into(),
    };
    for _ in 0..700 {
        served.server.end(fence, snooze()).await;
        fence = served.server.claim().await.fence;
    }
    served.server.end(fence, completed()).await;
    let rows = {
        let (mut rows, mut after) = (Vec::new(), 0);
        loop {
            let page = served.server.state.jobs().events(job, after, 500).await.unwrap();
            let Some(last) = page.last() else { break rows };
            after = last.seq;
            rows.extend(page.into_iter().map(|e| e.seq));
        }
    };
    assert!(rows.len() > 1_200, "{}", rows.len());
    let messages = read_all(&mut served.connect(job, "?since=0").await).await;
    assert_eq!(seqs(&messages), rows);
}

#[tokio::test]
async fn a_deleted_job_is_said() {
    let served = serve(DAY).await;
    let (job, fence) = served.running("a.txt").await;
    let feed = served.server.state.streams.follow(job, Duration::from_millis(1)).feed;
    served.server.end(fence, failed()).await;
    assert_eq!(served.server.delete(&format!("/api/jobs/{job}")).await.status, 200);
    let state = &served.server.state;
    feed.refresh(state.jobs(), &SystemClock).await.unwrap();
    let super::feed::Next::Messages { messages, end } = feed.after(0, 100) else { panic!() };
    assert!(end);
    assert!(messages.last().unwrap().text.contains(r#""type":"deleted""#), "{messages:?}");
}

#[tokio::test]
async fn log_lines_when_asked_for() {
    let served = serve(DAY).await;
    let (job, fence) = served.running("a.txt").await;
    let jobs = served.server.state.jobs();
    let line = |n: u32| NewLog { level: LogLevel::Info, message: format!("line {n}"), context: Map::new() };
    jobs.append_logs(fence, (0..700).map(line).collect()).await.unwrap();
    let mut client = served.connect(job, "?logs=true").await;
    let mut silent = served.connect(job, "").await;
    while next(&mut client).await["message"] != "line 699" {}
    for n in 700..720 {
        jobs.append_logs(fence, vec![line(n)]).await.unwrap();
    }
    served.server.end(fence, completed()).await;
    let messages = read_all(&mut client).await;
    let lines: Vec<_> =
        messages.iter().filter(|m| m["type"] == "log").map(|m| m["message"].as_str().unwrap().to_owned()).collect();
    assert_eq!(lines, (700..720).map(|n| format!("line {n}")).collect::<Vec<_>>());
    assert_eq!(*types(&messages).last().unwrap(), "completed");
    let log = messages.iter().find(|m| m["type"] == "log").unwrap();
    let keys: Vec<_> = log.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["type", "job_id", "level", "message", "context", "timestamp", "seq"]);
    assert!(!types(&read_all(&mut silent).await).contains(&"log"));
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_let_go() {
    let served = serve(Duration::from_millis(100)).await;
    let (job, _) = served.running("a.txt").await;
    // The client's library answers pings only while it is read.
    let silent = served.connect(job, "").await;
    let mut lively = served.connect(job, "").await;
    assert_eq!(next(&mut lively).await["type"], "progress");
    let state = served.server.state.clone();
    let answering = tokio::spawn(async move { while let Some(Ok(_)) = lively.next().await {} });
    let begun = std::time::Instant::now();
    while state.sockets.len() > 1 {
        assert!(begun.elapsed() < Duration::from_secs(5), "{} open", state.sockets.len());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(state.sockets.len(), 1, "who answers stays");
    answering.abort();
    drop(silent);
    while state.streams.followed() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "a job that nobody follows is not read");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_stopping_server_says_goodbye_to_streams() {
    let served = serve(DAY).await;
    let (job, _) = served.running("a.txt").await;
    let mut client = served.connect(job, "").await;
    assert_eq!(next(&mut client).await["type"], "progress");
    let begun = std::time::Instant::now();
    served.stop.cancel();
    assert_eq!(read_to_close(&mut client).await.1, Some(1001));
    tokio::time::timeout(Duration::from_secs(5), served.ended).await.expect("ended").unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_readers_get_the_same() {
    const READERS: usize = 1_000;
    let served = Arc::new(serve(DAY).await);
    let (job, fence) = served.running("a.txt").await;
    served.server.stage(fence, "loading", 0.1).await;
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut client = served.connect(job, "").await;
        readers.push(tokio::spawn(async move { read_all(&mut client).await }));
    }
    served.server.state.jobs().start_stage(fence, "chunking", bytes::Bytes::new(), 1).await.unwrap();
    for n in 0..200_u32 {
        let share = 0.1 + f64::from(n) / 1_000.0;
        served.server.state.jobs().report(fence, "chunking", progress(share, share)).await.unwrap();
    }
    for stage in ["chunking", "embedding", "persistence"] {
        served.server.stage(fence, stage, 0.5).await;
    }
    served.server.end(fence, completed()).await;
    for reader in readers {
        let messages = reader.await.unwrap();
        assert_rising(&messages);
        assert_eq!(ends(&messages), 1);
        let stages: Vec<_> = messages.iter().filter_map(|m| m["stage"].as_str()).collect();
        assert_eq!(stages, ["loading", "chunking", "embedding", "persistence"]);
    }
}
