//! Server-Sent Events over real HTTP: of one job (c26 as a kind), and of all jobs under load, over restarts and for readers that are slow.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::StreamExt;
use graphmill_testkit::TestApp;
use serde_json::{Value, json};

use crate::contract::assert_error;
use crate::support::{BINARY, assert_completed, markdown, start};

/// An open stream of events.
pub(crate) struct Events {
    body: std::pin::Pin<Box<dyn futures::Stream<Item = reqwest::Result<Vec<u8>>> + Send>>,
    text: Vec<u8>,
    /// Newest id.
    pub(crate) id: Option<String>,
}

impl Events {
    pub(crate) async fn open(http: &reqwest::Client, url: String, last: Option<&str>) -> Self {
        let mut request = http.get(url);
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{:?}", answer.text().await);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let body = Box::pin(answer.bytes_stream().map(|piece| piece.map(|piece| piece.to_vec())));
        Self { body, text: Vec::new(), id: None }
    }

    /// The next message and its id; `None`: the stream ended, in order or by a cut.
    pub(crate) async fn next(&mut self) -> Option<(Option<String>, Value)> {
        loop {
            if let Some(end) = self.text.windows(2).position(|w| w == b"\n\n") {
                let block = String::from_utf8(self.text.drain(..end + 2).collect()).unwrap();
                let line = |prefix: &str| block.lines().find_map(|l| l.strip_prefix(prefix)).map(str::to_owned);
                let id = line("id: ");
                self.id = id.clone().or(self.id.take());
                if let Some(data) = line("data: ") {
                    return Some((id, serde_json::from_str(&data).unwrap()));
                }
                continue;
            }
            let piece = tokio::time::timeout(Duration::from_secs(60), self.body.next()).await;
            self.text.extend(piece.expect("the stream says nothing")?.ok()?);
        }
    }

    pub(crate) async fn read_all(&mut self) -> Vec<(Option<String>, Value)> {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await {
            messages.push(message);
        }
        messages
    }
}

fn is_last(message: &Value) -> bool {
    let kind = message["type"].as_str().unwrap();
    matches!(kind, "completed" | "cancelled" | "deleted") || (kind == "error" && message["will_retry"] != true)
}

/// c26: the job ends before, while and after the reader comes; each gets exactly one last message, and the stream ends.
#[tokio::test(flavor = "multi_thread")]
async fn c26_every_event_stream_gets_exactly_one_last_message() {
    let app = start().await;
    for n in 0..120_u64 {
        let job = app.upload_job("tiny.txt", format!("Northgate Pump {n} is dry."), &[]).await.unwrap();
        tokio::time::sleep(Duration::from_micros(n * 170)).await;
        let url = format!("{}/api/jobs/{job}/events", app.url());
        let messages = Events::open(app.http(), url.clone(), None).await.read_all().await;
        assert_eq!(messages.iter().filter(|(_, m)| is_last(m)).count(), 1, "{messages:#?}");
        assert!(is_last(&messages.last().unwrap().1), "{messages:#?}");
        let seqs: Vec<u64> = messages.iter().map(|(_, m)| m["seq"].as_u64().unwrap()).collect();
        assert!(seqs.windows(2).all(|w| w[0] < w[1]), "{messages:#?}");
        assert!(messages.iter().all(|(id, m)| *id == m["seq"].as_u64().map(|seq| seq.to_string())), "{messages:#?}");
        if n % 20 == 0 {
            let last = seqs.last().unwrap().to_string();
            let again = app.http().get(&url).header("Last-Event-ID", &last).send().await.unwrap();
            assert_eq!(again.status().as_u16(), 204, "a client that has everything stays away");
            let mut resumed = Events::open(app.http(), url, Some(&seqs[0].to_string())).await;
            let rest = resumed.read_all().await;
            assert!(rest.iter().all(|(_, m)| m["seq"].as_u64().unwrap() > seqs[0]), "{rest:#?}");
            assert_eq!(rest.last().unwrap(), messages.last().unwrap());
        }
    }
}

/// The messages of a WebSocket and of events are the same; log lines come when asked for.
#[tokio::test(flavor = "multi_thread")]
async fn events_say_what_the_socket_says() {
    let app = start().await;
    let job = app.upload_job("report.md", markdown(1, 30), &[]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    let url = format!("{}/api/jobs/{job}/events?since=0", app.url());
    let events = Events::open(app.http(), url.clone(), None).await.read_all().await;
    let events: Vec<Value> = events.into_iter().map(|(_, message)| message).collect();
    let (mut socket, _) =
        tokio_tungstenite::connect_async(app.socket(&format!("/api/jobs/{job}/stream?since=0"))).await.unwrap();
    let mut told: Vec<Value> = Vec::new();
    while let Some(Ok(message)) = socket.next().await {
        if let tokio_tungstenite::tungstenite::Message::Text(text) = message {
            told.push(serde_json::from_str(&text).unwrap());
        }
    }
    assert_eq!(events, told);
    let with_logs = Events::open(app.http(), format!("{url}&logs=true"), None).await.read_all().await;
    let logs = with_logs.iter().filter(|(id, m)| m["type"] == "log" && id.is_none()).count();
    let (_, page) = app.get(&format!("/api/jobs/{job}/logs?limit=1000")).await.unwrap();
    assert_eq!(json!(logs), page["total"]);
    for path in ["/api/jobs/job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10/events", "/api/jobs/nothing/events"] {
        assert_error(&app.get(path).await.unwrap(), 404, "not_found");
    }
}

/// Reads all jobs until `done` and everything was read, cutting its connection every few messages and going on with its last id.
async fn check(app: Arc<TestApp>, cursor: String, done: Arc<AtomicBool>, cut_after: usize) -> Vec<Value> {
    let (mut seen, mut last) = (Vec::new(), cursor);
    loop {
        let ended = done.load(Ordering::SeqCst);
        let url = format!("{}/api/jobs/events", app.url());
        let mut stream = Events::open(app.http(), url, Some(&last)).await;
        let mut taken = 0;
        while taken < cut_after {
            let wait = if ended { Duration::from_secs(2) } else { Duration::from_millis(200) };
            let Ok(Some((id, message))) = tokio::time::timeout(wait, stream.next()).await else { break };
            if id.is_some() {
                seen.push(message);
                taken += 1;
            }
        }
        last = stream.id.unwrap_or(last);
        if ended && taken == 0 {
            return seen;
        }
    }
}

/// Four workers, cancels, retries and deletions: readers that come back all the time miss nothing and see nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_checker_of_all_events_misses_none_and_sees_none_twice() {
    let app = TestApp::start_with(BINARY, |s| s.env("GRAPHMILL_WORKERS", "4")).await.unwrap();
    let mut begin = Events::open(app.http(), format!("{}/api/jobs/events", app.url()), None).await;
    let (_, hello) = begin.next().await.unwrap();
    assert_eq!(hello["type"], "hello");
    let cursor = hello["cursor"].as_str().unwrap().to_owned();
    let (app, done) = (Arc::new(app), Arc::new(AtomicBool::new(false)));
    let checkers: Vec<_> =
        [3, 17, 400].map(|cut| tokio::spawn(check(app.clone(), cursor.clone(), done.clone(), cut))).into();
    let mut jobs = Vec::new();
    for n in 0..120_u32 {
        jobs.push(app.upload_job(&format!("{n}.md"), markdown(n, 3), &[]).await.unwrap());
        let of = |back: usize| jobs[jobs.len().saturating_sub(back).min(jobs.len() - 1)].clone();
        match n % 5 {
            0 => drop(app.post(&format!("/api/jobs/{}/cancel", of(1))).await.unwrap()),
            1 => drop(app.post(&format!("/api/jobs/{}/retry", of(2))).await.unwrap()),
            2 if n > 9 => {
                // Only what has ended is deleted, and on a slow machine that takes a moment.
                app.wait_ended(&of(9)).await.unwrap();
                assert_eq!(app.delete(&format!("/api/jobs/{}", of(9))).await.unwrap().0, 200);
            }
            _ => {}
        }
    }
    let mut deleted = 0;
    for job in &jobs {
        // One that is gone has ended.
        if app.get(&format!("/api/jobs/{job}")).await.unwrap().0 == 404 {
            deleted += 1;
        } else {
            app.wait_ended(job).await.unwrap();
        }
    }
    assert!(deleted > 3, "{deleted}");
    done.store(true, Ordering::SeqCst);
    let mut all: Vec<Vec<Value>> = Vec::new();
    for checker in checkers {
        all.push(checker.await.unwrap());
    }
    assert!(all.iter().all(|seen| *seen == all[0]), "readers saw different things");
    let mut by_job: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for message in &all[0] {
        by_job.entry(message["job_id"].as_str().unwrap()).or_default().push(message);
    }
    assert_eq!(by_job.len(), jobs.len());
    for (job, messages) in by_job {
        let seqs: Vec<u64> = messages.iter().map(|m| m["seq"].as_u64().unwrap()).collect();
        assert!(seqs.windows(2).all(|w| w[0] < w[1]), "{messages:#?}");
        assert_eq!((seqs[0], &messages[0]["status"]), (1, &json!("pending")), "{messages:#?}");
        assert!(is_last(messages.last().unwrap()), "{messages:#?}");
        let (status, _) = app.get(&format!("/api/jobs/{job}")).await.unwrap();
        assert_eq!(messages.iter().any(|m| m["type"] == "deleted"), status == 404, "{messages:#?}");
        if status == 200 {
            // The job's own stream has the same rows.
            let url = format!("{}/api/jobs/{job}/events", app.url());
            let own = Events::open(app.http(), url, None).await.read_all().await;
            let kinds = |m: &Value| m["type"] == "stage_complete";
            let stages = own.iter().filter(|(_, m)| kinds(m)).count();
            let told = messages.iter().filter(|m| kinds(m)).count();
            assert_eq!(stages, told, "{messages:#?}");
        }
    }
}

/// `kill -9` under a reader: it goes on with its id on the restarted server; another data folder refuses it.
#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_survives_a_kill_and_belongs_to_its_folder() {
    let mut app = TestApp::start_with(BINARY, |s| s.env("FAILPOINTS", "stage.embedding.unit=sleep(50)")).await.unwrap();
    let mut stream = Events::open(app.http(), format!("{}/api/jobs/events", app.url()), None).await;
    stream.next().await.unwrap();
    let job = app.upload_job("report.md", markdown(1, 200), &[]).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        if let Some((Some(_), message)) = stream.next().await {
            seen.push(message);
        }
    }
    let last = stream.id.clone().unwrap();
    app.kill().await.unwrap();
    assert!(stream.read_all().await.iter().all(|(_, m)| m["job_id"] == json!(job)), "the cut stream has ended");
    app.restart_quiet().await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    let mut stream = Events::open(app.http(), format!("{}/api/jobs/events?cursor={last}", app.url()), None).await;
    while !seen.last().is_some_and(is_last) {
        if let Some((Some(_), message)) = stream.next().await {
            seen.push(message);
        }
    }
    let seqs: Vec<u64> = seen.iter().map(|m| m["seq"].as_u64().unwrap()).collect();
    assert!(seqs.windows(2).all(|w| w[0] < w[1]), "{seen:#?}");
    let stages = seen.iter().filter(|m| m["type"] == "stage_complete").count();
    assert_eq!(stages, 5, "{seen:#?}");
    let other = start().await;
    let refused = other.get(&format!("/api/jobs/events?cursor={last}")).await.unwrap();
    assert_error(&refused, 410, "cursor_expired");
}
