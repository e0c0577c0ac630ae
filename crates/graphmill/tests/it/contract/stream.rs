//! `GET /api/jobs/{job_id}/stream`: messages, their order, replay, logs, refusals before the upgrade, the end. What every reader gets when a job ends
//! around its arrival is in `cases.rs` (c26).

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use graphmill_testkit::TestApp;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{assert_error, assert_says, hold, keys, raw, request, start_held, time};
use crate::support::{BINARY, assert_completed, markdown, real_document, start};

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

async fn open(app: &TestApp, job: &str, query: &str) -> Socket {
    let (socket, answer) =
        tokio_tungstenite::connect_async(app.socket(&format!("/api/jobs/{job}/stream{query}"))).await.unwrap();
    assert_eq!(answer.status().as_u16(), 101);
    socket
}

/// The next JSON message; `None` when the server closed, which it does with 1000.
async fn next(socket: &mut Socket) -> Option<Value> {
    loop {
        let message =
            tokio::time::timeout(Duration::from_secs(30), socket.next()).await.expect("the stream says nothing");
        match message.expect("cut without a close").unwrap() {
            Message::Text(text) => return Some(serde_json::from_str(&text).unwrap()),
            Message::Close(frame) => {
                assert_eq!(frame.map(|f| u16::from(f.code)), Some(1000));
                return None;
            }
            _ => {}
        }
    }
}

async fn to_the_end(socket: &mut Socket) -> Vec<Value> {
    let mut messages = Vec::new();
    while let Some(message) = next(socket).await {
        messages.push(message);
    }
    messages
}

fn of_type<'a>(messages: &'a [Value], kind: &str) -> Vec<&'a Value> {
    messages.iter().filter(|m| m["type"] == kind).collect()
}

/// Every message has type, `job_id`, timestamp and a rising seq; answers them by seq.
fn assert_order(messages: &[Value], job: &str) {
    let mut before = 0;
    for message in messages {
        let names = keys(message);
        assert_eq!((names[0], names[1]), ("type", "job_id"), "{message}");
        assert_eq!(message["job_id"], job);
        time(&message["timestamp"]);
        let seq = message["seq"].as_u64().unwrap_or_else(|| panic!("no seq: {message}"));
        assert!(seq > before || (message["type"] == "log" && seq >= before), "seq {seq} after {before}: {messages:#?}");
        before = seq;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_a_real_pdf_from_its_beginning_to_its_end() {
    let app = start_held("stage.loading.unit=1*sleep(500)", 2).await;
    let job = app.upload_job("gnuplot.pdf", real_document("gnuplot.pdf"), &[]).await.unwrap();
    let mut socket = open(&app, &job, "").await;
    let first = next(&mut socket).await.unwrap();
    assert_eq!(first["type"], "progress", "the present progress comes at once: {first}");
    let mut messages = vec![first];
    messages.extend(to_the_end(&mut socket).await);
    assert_order(&messages, &job);

    let progress = of_type(&messages, "progress");
    for message in &progress {
        for key in ["type", "job_id", "progress", "message", "timestamp", "seq"] {
            assert!(message.get(key).is_some(), "no {key}: {message}");
        }
    }
    let values: Vec<f64> = progress.iter().map(|m| m["progress"].as_f64().unwrap()).collect();
    assert!(values.is_sorted(), "progress falls: {values:?}");
    assert!(values.len() >= 5, "only {values:?}");
    assert!(
        progress.iter().any(|m| m["message"].as_str().unwrap().starts_with("Processing chunks (")),
        "{progress:#?}"
    );
    let stages: Vec<&str> = of_type(&messages, "stage_complete").iter().map(|m| m["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["loading", "chunking", "embedding", "entity_extraction", "persistence"]);
    for message in of_type(&messages, "stage_complete") {
        assert_eq!(keys(message), ["type", "job_id", "stage", "duration_seconds", "timestamp", "seq"]);
        assert!(message["duration_seconds"].is_number());
    }
    let last = messages.last().unwrap();
    assert_eq!(keys(last), ["type", "job_id", "message", "metadata", "timestamp", "seq"], "{last}");
    assert_eq!((&last["type"], &last["message"]), (&json!("completed"), &json!("Document ingestion complete")));
    assert!(last["metadata"]["chunks_created"].is_u64() && last["metadata"]["entities_extracted"].is_u64(), "{last}");
    assert_eq!(of_type(&messages, "log").len(), 0, "logs come only when asked for");

    // A stream on the ended job: the stages, the progress, the last message, the close.
    let again = to_the_end(&mut open(&app, &job, "").await).await;
    assert_order(&again, &job);
    assert_eq!(of_type(&again, "stage_complete").len(), 5, "{again:#?}");
    assert_eq!(of_type(&again, "progress").len(), 1, "{again:#?}");
    assert_eq!(of_type(&again, "progress")[0]["progress"], 1.0);
    assert_eq!(again.last().unwrap(), last);

    // since=SEQ replays what came later.
    let third = of_type(&messages, "stage_complete")[2];
    let rest = to_the_end(&mut open(&app, &job, &format!("?since={}", third["seq"])).await).await;
    assert_order(&rest, &job);
    assert!(rest.iter().all(|m| m["seq"].as_u64() > third["seq"].as_u64()), "{rest:#?}");
    let stages: Vec<&str> = of_type(&rest, "stage_complete").iter().map(|m| m["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["entity_extraction", "persistence"]);
    assert_eq!(rest.last().unwrap(), last);
    let none = to_the_end(&mut open(&app, &job, &format!("?since={}", last["seq"])).await).await;
    assert_eq!(none, Vec::<Value>::new());

    // Logs only with logs=true: the lines of the log, in order, before the last message.
    let with_logs = to_the_end(&mut open(&app, &job, "?logs=true").await).await;
    assert_eq!(with_logs.last().unwrap()["type"], "completed");
    let (_, page) = app.get(&format!("/api/jobs/{job}/logs?level=debug&limit=1000")).await.unwrap();
    let lines: Vec<(&Value, &Value)> =
        page["logs"].as_array().unwrap().iter().map(|l| (&l["timestamp"], &l["message"])).collect();
    let streamed: Vec<(&Value, &Value)> =
        of_type(&with_logs, "log").iter().map(|m| (&m["timestamp"], &m["message"])).collect();
    assert_eq!(streamed, lines);
    for message in of_type(&with_logs, "log") {
        assert_eq!(keys(message), ["type", "job_id", "level", "message", "context", "timestamp", "seq"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_reader_gets_the_finished_stages_and_then_what_happens() {
    let app = start_held("stage.entity_extraction.unit=1*sleep(1500)", 1).await;
    let job = app.upload_job("report.md", markdown(1, 100), &[]).await.unwrap();
    app.wait_job(&job, |page| page["stages"][3]["status"] == "running").await.unwrap();
    let mut socket = open(&app, &job, "").await;
    let mut snapshot = Vec::new();
    for _ in 0..4 {
        snapshot.push(next(&mut socket).await.unwrap());
    }
    assert_eq!(of_type(&snapshot, "stage_complete").len(), 3, "{snapshot:#?}");
    assert_eq!(of_type(&snapshot, "progress").len(), 1, "{snapshot:#?}");
    assert!(of_type(&snapshot, "progress")[0]["progress"].as_f64().unwrap() > 0.2, "{snapshot:#?}");
    let mut messages = snapshot;
    messages.extend(to_the_end(&mut socket).await);
    assert_order(&messages, &job);
    assert_eq!(of_type(&messages, "stage_complete").len(), 5, "{messages:#?}");
    assert_eq!(messages.last().unwrap()["type"], "completed");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_cancelled_and_deleted_jobs_end_their_streams() {
    let app = start_held(&hold("embedding"), 1).await;
    let failed = app.upload_job("blank.html", "<p> </p><script>1</script>", &[]).await.unwrap();
    let messages = to_the_end(&mut open(&app, &failed, "").await).await;
    assert_order(&messages, &failed);
    let last = messages.last().unwrap();
    assert_eq!(keys(last), ["type", "job_id", "error", "code", "will_retry", "timestamp", "seq"], "{last}");
    assert_eq!(
        (&last["type"], &last["code"], &last["will_retry"]),
        (&json!("error"), &json!("no_text"), &json!(false))
    );

    let held = app.upload_job("held.md", markdown(1, 20), &[]).await.unwrap();
    app.wait_job(&held, |page| page["stages"][2]["status"] == "running").await.unwrap();
    let mut socket = open(&app, &held, "").await;
    next(&mut socket).await.unwrap();
    assert_eq!(app.post(&format!("/api/jobs/{held}/cancel")).await.unwrap().0, 200);
    let last = to_the_end(&mut socket).await.pop().unwrap();
    assert_eq!(keys(&last), ["type", "job_id", "message", "timestamp", "seq"], "{last}");
    assert_eq!(last["type"], "cancelled");
    assert!(last["message"].is_string(), "{last}");
    // The record may go while somebody reads: the last message was the cancel, a later reader finds no job.
    assert_eq!(app.delete(&format!("/api/jobs/{held}")).await.unwrap().0, 200);
    assert!(matches!(refused(&app, &format!("/api/jobs/{held}/stream")).await, (404, _)));
}

/// The answer to a WebSocket request that is refused before the upgrade.
async fn refused(app: &TestApp, path: &str) -> (u16, Value) {
    match tokio_tungstenite::connect_async(app.socket(path)).await {
        Err(Error::Http(answer)) => {
            let body = serde_json::from_slice(answer.body().as_deref().unwrap_or_default());
            (answer.status().as_u16(), body.unwrap_or(Value::Null))
        }
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_streamed_is_refused_before_the_upgrade() {
    let app = start().await;
    let job = app.upload_job("tiny.txt", "A pump.", &[]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    for id in ["job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10", "job-123-abc"] {
        let (status, _) = refused(&app, &format!("/api/jobs/{id}/stream")).await;
        assert_eq!(status, 404);
        assert_error(&app.get(&format!("/api/jobs/{id}/stream")).await.unwrap(), 404, "not_found");
    }
    for (query, words) in [
        ("since=-1", vec!["since", "-1"]),
        ("since=new", vec!["since", "new"]),
        ("logs=maybe", vec!["logs", "maybe", "true", "false"]),
    ] {
        assert_eq!(refused(&app, &format!("/api/jobs/{job}/stream?{query}")).await.0, 400, "{query}");
        assert_says(
            &app.get(&format!("/api/jobs/{job}/stream?{query}")).await.unwrap(),
            400,
            "invalid_parameter",
            &words,
        );
    }
    // A plain GET is told what the path is.
    assert_says(&app.get(&format!("/api/jobs/{job}/stream")).await.unwrap(), 400, "invalid_parameter", &["WebSocket"]);
    assert_error(&app.post(&format!("/api/jobs/{job}/stream")).await.unwrap(), 405, "method_not_allowed");
    // A page of a foreign site cannot follow a job.
    let host = app.url().trim_start_matches("http://");
    let upgrade = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://evil.example\r\n";
    let answer = raw(&app, request("GET", &format!("/api/jobs/{job}/stream"), host, upgrade)).await.unwrap();
    assert_error(&answer.json(), 403, "origin_not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_is_pinged_and_what_a_client_says_harms_nothing() {
    let app = start_held(&hold("embedding"), 1).await;
    let job = app.upload_job("held.md", markdown(1, 20), &[]).await.unwrap();
    app.wait_job(&job, |page| page["stages"][2]["status"] == "running").await.unwrap();
    let mut socket = open(&app, &job, "").await;
    socket.send(Message::Text("hello".into())).await.unwrap();
    socket.send(Message::Binary(vec![0, 1, 2].into())).await.unwrap();
    let begun = std::time::Instant::now();
    loop {
        let message = tokio::time::timeout(Duration::from_secs(25), socket.next()).await.expect("no ping within 25 s");
        match message.unwrap().unwrap() {
            Message::Ping(_) => break,
            Message::Close(frame) => panic!("closed: {frame:?}"),
            _ => {}
        }
    }
    assert!(begun.elapsed() > Duration::from_secs(15), "pinged after {:?}", begun.elapsed());
}

/// What may pass is told and is not the end: the stream goes on to the completion.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_will_be_retried_is_not_the_end() {
    let app = TestApp::start_with(BINARY, |s| {
        s.env("FAILPOINTS", "stage.embedding.unit=1*sleep(5000)")
            .env("GRAPHMILL_STALL_SECONDS", "1")
            .env("TOKIO_WORKER_THREADS", "8")
    })
    .await
    .unwrap();
    let job = app.upload_job("report.md", markdown(1, 20), &[]).await.unwrap();
    let messages = to_the_end(&mut open(&app, &job, "").await).await;
    assert_order(&messages, &job);
    let errors = of_type(&messages, "error");
    assert_eq!(errors.len(), 1, "{messages:#?}");
    assert_eq!(keys(errors[0]), ["type", "job_id", "error", "code", "will_retry", "timestamp", "seq"]);
    assert_eq!((&errors[0]["code"], &errors[0]["will_retry"]), (&json!("stage_stalled"), &json!(true)));
    assert_eq!(messages.last().unwrap()["type"], "completed", "{messages:#?}");
    // A late reader is told of the stages and the end, and of an error only when it asks for what was before.
    let (_, page) = app.get(&format!("/api/jobs/{job}")).await.unwrap();
    let attempts = page["attempts"].as_array().unwrap();
    let outcomes: Vec<_> = attempts.iter().map(|a| (a["number"].as_u64(), a["outcome"].as_str().unwrap())).collect();
    assert_eq!(outcomes, [(Some(1), "retried"), (Some(2), "completed")], "{page:#}");
    assert_eq!(page["errors"][0]["attempt"], 1, "{page:#}");
    let (_, logs) = app.get(&format!("/api/jobs/{job}/logs?level=warning")).await.unwrap();
    assert_eq!(logs["logs"][0]["context"]["code"], "stage_stalled", "{logs:#}");
}

/// A server that is told to stop says so to its readers, gives its jobs back, and goes on with them at its next start.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_closes_its_streams_and_goes_on_later() {
    let mut app = start_held("stage.embedding.unit=sleep(400)", 1).await;
    let job = app.upload_job("report.md", markdown(1, 400), &[]).await.unwrap();
    app.wait_job(&job, |page| page["stages"][2]["status"] == "running").await.unwrap();
    let mut socket = open(&app, &job, "").await;
    let mut last_seq = next(&mut socket).await.unwrap()["seq"].as_u64().unwrap();
    let pid = app.pid().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    let code = loop {
        match tokio::time::timeout(Duration::from_secs(30), socket.next()).await.expect("no close").unwrap().unwrap() {
            Message::Close(frame) => break frame.map(|f| u16::from(f.code)),
            Message::Text(text) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                last_seq = message["seq"].as_u64().unwrap();
            }
            _ => {}
        }
    };
    assert_eq!(code, Some(1001));
    app.wait_gone().await.unwrap();
    for name in ["jobs.db", "graph.db", "cache.db"] {
        let log = app.settings().data_dir().join(format!("{name}-wal"));
        assert!(!log.exists(), "a server that stopped in order leaves whole files, but there is {}", log.display());
    }
    app.restart_quiet().await.unwrap();
    // The reader comes back where it was.
    let rest = to_the_end(&mut open(&app, &job, &format!("?since={last_seq}")).await).await;
    assert_order(&rest, &job);
    assert!(rest.iter().all(|m| m["seq"].as_u64().unwrap() > last_seq), "{rest:#?}");
    assert_eq!(rest.last().unwrap()["type"], "completed");
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    assert_eq!(page["attempts"][0]["outcome"], "released", "{page:#}");
    assert_eq!(page["errors"], json!([]), "{page:#}");
}
