//! The cases that users of such systems met, each as a test of its kind with inputs of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::StreamExt;
use graphmill_testkit::TestApp;
use serde_json::{Value, json};

use crate::support::{BINARY, assert_completed, eventually, markdown, start};

/// c22: a document without text among others, then a restart.
#[tokio::test(flavor = "multi_thread")]
async fn c22_a_blank_document_fails_alone_and_once() {
    let blanks: &[(&str, &str)] = &[
        ("blank.txt", "\u{feff}   \u{a0}\u{2003}\r\n\t\n  \u{200b}"),
        ("blank.md", "\n\n   \n"),
        ("blank.html", "<html><body> <p>&nbsp;</p><script>var x = 'text';</script></body></html>"),
    ];
    let mut app = start().await;
    let mut good = vec![app.upload_job("good-1.txt", "Northgate Pump stands in Basin Four.", &[]).await.unwrap()];
    let mut bad = Vec::new();
    for (name, content) in blanks {
        let (status, answer) = app.upload(name, *content, &[]).await.unwrap();
        match status {
            400 => assert_eq!(answer["code"], "no_text", "{answer}"),
            202 => bad.push(answer["job_id"].as_str().unwrap().to_owned()),
            _ => panic!("{name}: {status} {answer}"),
        }
    }
    good.push(app.upload_job("good-2.txt", "Basin Four is dry.", &[]).await.unwrap());
    for job in &good {
        assert_completed(&app.wait_ended(job).await.unwrap());
    }
    for job in &bad {
        let page = app.wait_ended(job).await.unwrap();
        assert_eq!(
            (page["status"].as_str(), page["errors"][0]["code"].as_str()),
            (Some("failed"), Some("no_text")),
            "{page:#}"
        );
        assert_eq!(page["attempts"].as_array().unwrap().len(), 1, "no attempt is repeated: {page:#}");
        assert!(page["errors"][0]["message"].as_str().unwrap().contains("no text"), "{page:#}");
    }
    app.restart(|s| s).await.unwrap();
    for status in ["pending", "running"] {
        let (_, page) = app.get(&format!("/api/jobs?status={status}")).await.unwrap();
        assert_eq!(page["total"], 0, "{page:#}");
    }
    let job = app.upload_job("good-3.txt", "A new upload is worked on at once.", &[]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    for job in &bad {
        assert_eq!(app.post(&format!("/api/jobs/{job}/retry")).await.unwrap().0, 202);
        let page = app.wait_ended(job).await.unwrap();
        assert_eq!(page["status"], "failed", "{page:#}");
    }
    let (_, stats) = app.get("/api/graph/stats").await.unwrap();
    assert_eq!(stats["documents"], 3, "{stats}");
}

fn write(root: &Path, name: &str, text: &str) {
    let path = root.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

async fn ingest(app: &TestApp, folder: &Path) -> String {
    let output = app.settings().command(&["ingest", folder.to_str().unwrap()]).output().await.unwrap();
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{out}{}", String::from_utf8_lossy(&output.stderr));
    out
}

/// c23: one name, two folders, two contents.
#[tokio::test(flavor = "multi_thread")]
async fn c23_two_files_of_one_name_are_two_documents() {
    let app = start().await;
    let dir = tempfile::tempdir().unwrap();
    let wiki = dir.path().join("wiki");
    write(&wiki, "pumps/readme.md", "# Pumps\n\nNorthgate Pump feeds Basin Four.\n");
    write(&wiki, "valves/readme.md", "# Valves\n\nHalden Valve closes Line Seven.\n");
    let first = ingest(&app, &wiki).await;
    assert_eq!(first.matches("ingested ").count(), 2, "{first}");
    let (_, page) = app.get("/api/documents").await.unwrap();
    assert_eq!(page["total"], 2, "{page:#}");
    let id_of = |page: &Value, source: &str| -> (String, String) {
        let documents = page["documents"].as_array().unwrap();
        let found = documents.iter().find(|d| d["source"] == source).unwrap_or_else(|| panic!("{source}: {page:#}"));
        (found["document_id"].as_str().unwrap().to_owned(), found["content_hash"].as_str().unwrap().to_owned())
    };
    let pumps = id_of(&page, "wiki/pumps/readme.md");
    let valves = id_of(&page, "wiki/valves/readme.md");
    assert_ne!(pumps.0, valves.0);

    let before = app.export("default").await.unwrap();
    let second = ingest(&app, &wiki).await;
    assert_eq!(second.matches("unchanged ").count(), 2, "{second}");
    assert_eq!(app.export("default").await.unwrap(), before);

    write(&wiki, "pumps/readme.md", "# Pumps\n\nNorthgate Pump drains Basin Four.\n");
    let third = ingest(&app, &wiki).await;
    assert_eq!((third.matches("unchanged ").count(), third.matches("ingested ").count()), (1, 1), "{third}");
    let (_, page) = app.get("/api/documents").await.unwrap();
    let replaced = id_of(&page, "wiki/pumps/readme.md");
    assert_eq!(replaced.0, pumps.0);
    assert_ne!(replaced.1, pumps.1);
    assert_eq!(id_of(&page, "wiki/valves/readme.md"), valves);

    let (status, answer) = app.delete(&format!("/api/documents/{}", valves.0)).await.unwrap();
    assert!(matches!(status, 200 | 202), "{answer}");
    eventually(&app, &format!("/api/documents/{}/chunks", valves.0), 404).await;
    let export = app.export("default").await.unwrap();
    assert!(export.contains("Northgate Pump") && !export.contains("Halden Valve"), "{export}");
}

/// c24: a document goes while another comes; they share an entity.
#[tokio::test(flavor = "multi_thread")]
async fn c24_a_deletion_beside_an_ingestion_leaves_what_is_shared() {
    const A: &str = "Northgate Pump is made by Halden Works. Northgate Pump weighs 80 kg.";
    const B: &str = "Northgate Pump stands in Basin Four. Basin Four is dry.";
    let c: String = (0..200)
        .map(|n| format!("Paragraph {n}: Turbine {n} of Lake Station turns at {n}0 rpm near Northgate Pump.\n\n"))
        .collect();
    let app = TestApp::start_with(BINARY, |s| s.env("FAILPOINTS", "stage.entity_extraction.unit=2*off->1*sleep(1500)"))
        .await
        .unwrap();
    let a = app.upload_job("a.txt", A, &[]).await.unwrap();
    let b = app.upload_job("b.txt", B, &[]).await.unwrap();
    let page = app.wait_ended(&a).await.unwrap();
    assert_completed(&page);
    assert_completed(&app.wait_ended(&b).await.unwrap());
    let both = app.export("default").await.unwrap();
    assert!(both.contains("Halden Works"), "{both}");

    let slow = app.upload_job("c.txt", c.clone(), &[]).await.unwrap();
    app.wait_job(&slow, |page| page["stages"][3]["status"] == "running").await.unwrap();
    let asked = Instant::now();
    let document = page["metadata"]["document_id"].as_str().unwrap();
    let (status, answer) = app.delete(&format!("/api/documents/{document}")).await.unwrap();
    assert!(matches!(status, 200 | 202), "{status} {answer}");
    assert!(asked.elapsed() < Duration::from_millis(1_300), "{:?}", asked.elapsed());
    eventually(&app, &format!("/api/documents/{document}/chunks"), 404).await;
    let now = app.export("default").await.unwrap();
    assert!(!now.contains("Halden Works") && now.contains("Northgate Pump"), "{now}");
    assert_completed(&app.wait_ended(&slow).await.unwrap());

    let fresh = start().await;
    for (name, text) in [("b.txt", B), ("c.txt", &c)] {
        let job = fresh.upload_job(name, text, &[]).await.unwrap();
        assert_completed(&fresh.wait_ended(&job).await.unwrap());
    }
    assert_eq!(app.export("default").await.unwrap(), fresh.export("default").await.unwrap());
}

/// Reads a stream to its close: the messages, and the close code.
async fn read_stream(app: &TestApp, path: &str) -> (Vec<Value>, u16) {
    use tokio_tungstenite::tungstenite::Message;
    let (mut stream, _) = tokio_tungstenite::connect_async(app.socket(path)).await.unwrap();
    let mut messages = Vec::new();
    loop {
        let next =
            tokio::time::timeout(Duration::from_secs(20), stream.next()).await.expect("the stream is not closed");
        match next {
            Some(Ok(Message::Text(text))) => messages.push(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Close(frame))) => return (messages, frame.map_or(0, |f| f.code.into())),
            Some(Ok(_)) => {}
            other => panic!("the stream of {path} ended by {other:?} after {messages:#?}"),
        }
    }
}

fn is_last(message: &Value) -> bool {
    let kind = message["type"].as_str().unwrap();
    matches!(kind, "completed" | "cancelled" | "deleted") || (kind == "error" && message["will_retry"] != true)
}

fn assert_one_last(messages: &[Value]) {
    assert_eq!(messages.iter().filter(|m| is_last(m)).count(), 1, "{messages:#?}");
    assert!(is_last(messages.last().unwrap()), "{messages:#?}");
    let seqs: Vec<u64> = messages.iter().map(|m| m["seq"].as_u64().unwrap()).collect();
    assert!(seqs.windows(2).all(|w| w[0] < w[1]), "seq does not rise: {messages:#?}");
    let progress: Vec<f64> = messages.iter().filter_map(|m| m["progress"].as_f64()).collect();
    assert!(progress.windows(2).all(|w| w[0] <= w[1]), "progress falls: {messages:#?}");
}

/// c26: the job ends before, while and after the reader subscribes.
#[tokio::test(flavor = "multi_thread")]
async fn c26_every_stream_gets_exactly_one_last_message() {
    let app = start().await;
    // (a) after it completed
    let job = app.upload_job("tiny.txt", "Northgate Pump is dry.", &[]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    let asked = Instant::now();
    let (messages, code) = read_stream(&app, &format!("/api/jobs/{job}/stream")).await;
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    assert_eq!(code, 1000);
    assert_one_last(&messages);
    let stages = messages.iter().filter(|m| m["type"] == "stage_complete").count();
    assert_eq!(stages, 5, "{messages:#?}");
    // (d) with the last seq nothing is sent twice, and the stream is closed all the same
    let last = messages.last().unwrap()["seq"].as_u64().unwrap();
    let (again, code) = read_stream(&app, &format!("/api/jobs/{job}/stream?since={last}")).await;
    assert_eq!((again.len(), code), (0, 1000), "{again:#?}");
    // (c) failed and cancelled
    let (_, answer) = app.upload("blank.html", "<p> </p>", &[]).await.unwrap();
    if let Some(failed) = answer["job_id"].as_str() {
        let (messages, code) = read_stream(&app, &format!("/api/jobs/{failed}/stream")).await;
        assert_eq!((code, messages.last().unwrap()["type"].as_str()), (1000, Some("error")), "{messages:#?}");
        assert_one_last(&messages);
    }
    // (b) at the same time, with delays of 0 to 20 ms
    for n in 0..500_u64 {
        let job = app.upload_job("tiny.txt", format!("Northgate Pump {n} is dry."), &[]).await.unwrap();
        tokio::time::sleep(Duration::from_micros(n * 40)).await;
        let (messages, code) = read_stream(&app, &format!("/api/jobs/{job}/stream")).await;
        assert_eq!(code, 1000, "{messages:#?}");
        assert_one_last(&messages);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c26_a_cancelled_job_ends_its_streams() {
    let app = TestApp::start_with(BINARY, |s| s.env("FAILPOINTS", "stage.embedding.unit=sleep(300)")).await.unwrap();
    let job = app.upload_job("report.md", markdown(1, 100), &[]).await.unwrap();
    app.wait_job(&job, |page| page["status"] == "running").await.unwrap();
    let path = format!("/api/jobs/{job}/stream");
    let reader = read_stream(&app, &path);
    let cancel = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        app.post(&format!("/api/jobs/{job}/cancel")).await.unwrap()
    };
    let ((messages, code), (status, _)) = tokio::join!(reader, cancel);
    assert_eq!((status, code), (200, 1000));
    assert_one_last(&messages);
    assert_eq!(messages.last().unwrap()["type"], "cancelled", "{messages:#?}");
}

/// Every string under a key that holds a time, anywhere in the answer.
fn assert_times(value: &Value, at: &str) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let time = ["created_at", "started_at", "completed_at", "updated_at", "ended_at", "timestamp"]
                    .contains(&key.as_str());
                if let (true, Some(text)) = (time, value.as_str()) {
                    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
                    assert_eq!(shape, "9999-99-99T99:99:99.999Z", "{at}: {key} = {text}");
                    let at: graphmill_core::Timestamp = text.parse().unwrap();
                    let now = graphmill_core::Clock::now(&graphmill_core::SystemClock);
                    assert!(
                        now.since(at) < Duration::from_secs(600) && at <= now.plus(Duration::from_secs(5)),
                        "{key} = {text} is not now in UTC"
                    );
                }
                assert_times(value, at);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| assert_times(item, at)),
        _ => {}
    }
}

/// c27: times in UTC whatever the zone of the server, and pages that neither repeat nor miss a job.
#[tokio::test(flavor = "multi_thread")]
async fn c27_pages_and_times_hold_under_any_zone() {
    let app = TestApp::start_with(BINARY, |s| s.env("TZ", "America/New_York")).await.unwrap();
    let uploads = (0..30).map(|n| {
        let app = &app;
        async move { app.upload_job(&format!("{n}.txt"), format!("Pump {n} is dry."), &[]).await.unwrap() }
    });
    let mut jobs = futures::future::join_all(uploads).await;
    for job in &jobs {
        let page = app.wait_ended(job).await.unwrap();
        assert_times(&page, "job");
        let (_, logs) = app.get(&format!("/api/jobs/{job}/logs?level=debug")).await.unwrap();
        assert_times(&logs, "logs");
    }
    let mut by_offset = Vec::new();
    for offset in (0..30).step_by(7) {
        let (_, page) = app.get(&format!("/api/jobs?limit=7&offset={offset}")).await.unwrap();
        assert_eq!(page["total"], 30);
        assert_times(&page, "list");
        by_offset.extend(page["jobs"].as_array().unwrap().iter().map(|j| j["job_id"].as_str().unwrap().to_owned()));
    }
    let by_cursor = walk(&app, "limit=7&status=completed", async |_| {}).await;
    assert_eq!(by_offset, by_cursor);
    let mut distinct = by_offset.clone();
    distinct.sort();
    distinct.dedup();
    jobs.sort();
    assert_eq!(distinct, jobs);

    // A walk while jobs come and go.
    let seen = walk(&app, "limit=4", async |page| {
        for n in 0..6 {
            app.upload_job(&format!("new-{page}-{n}.txt"), "A new pump.", &[]).await.unwrap();
        }
        if page == 0 {
            let gone = &by_offset[20];
            assert_eq!(app.delete(&format!("/api/jobs/{gone}")).await.unwrap().0, 200);
        }
    })
    .await;
    for (n, job) in by_offset.iter().enumerate() {
        let times = seen.iter().filter(|s| *s == job).count();
        assert_eq!(times, usize::from(n != 20), "{job} was seen {times} times");
    }
}

/// Job ids in the order of a walk by cursor; `between` is called after each page.
async fn walk(app: &TestApp, query: &str, mut between: impl AsyncFnMut(usize)) -> Vec<String> {
    let mut url = Some(format!("{}/api/jobs?{query}", app.url()));
    let mut ids = Vec::new();
    let mut page = 0;
    while let Some(this) = url.take() {
        let answer = app.http().get(this).send().await.unwrap();
        let link = answer.headers().get("link").map(|l| l.to_str().unwrap().to_owned());
        let body: Value = answer.json().await.unwrap();
        ids.extend(body["jobs"].as_array().unwrap().iter().map(|j| j["job_id"].as_str().unwrap().to_owned()));
        url = link.and_then(|link| {
            let target = link.split(';').next()?.trim().trim_start_matches('<').trim_end_matches('>').to_owned();
            Some(if target.starts_with("http") { target } else { format!("{}{target}", app.url()) })
        });
        assert_eq!(body["has_more"], json!(url.is_some()), "{body:#}");
        between(page).await;
        page += 1;
    }
    ids
}
