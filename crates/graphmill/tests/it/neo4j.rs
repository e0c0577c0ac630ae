//! The graph on a real Neo4j server: the same export as the embedded one's, and what happens when the server dies, hangs or is not there.

use std::time::{Duration, Instant};

use graphmill_testkit::neo4j::shared;
use graphmill_testkit::{Neo4jServer, TestApp};
use serde_json::{Value, json};

use crate::support::{BINARY, assert_completed, markdown, real_document, start};

/// A server of this test alone.
async fn server() -> Neo4jServer {
    tokio::task::spawn_blocking(|| Neo4jServer::start().unwrap()).await.unwrap()
}

async fn on(server: &Neo4jServer) -> TestApp {
    let url = server.url();
    TestApp::start_with(BINARY, |s| s.env("GRAPHMILL_GRAPH_URL", url)).await.unwrap()
}

/// Twenty files that somebody wrote: manuals of Debian, and the Markdown of this repository.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = ["debian-faq.pdf", "maint-guide.pdf", "debian-faq.txt"]
        .map(|name| (name.to_owned(), real_document(name)))
        .into();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut folders = vec![root.clone(), root.join("docs"), root.join("benches")];
    folders.extend(std::fs::read_dir(root.join("crates")).unwrap().map(|entry| entry.unwrap().path()));
    for folder in folders {
        let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        for path in names.into_iter().filter(|path| path.extension().is_some_and(|end| end == "md")) {
            let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('/', "-");
            files.push((name, std::fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files.truncate(20);
    assert_eq!(files.len(), 20);
    files
}

async fn ingest(app: &TestApp, name: &str, text: Vec<u8>) -> String {
    let job = app.upload_job(name, text, &[]).await.unwrap();
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    page["metadata"]["document_id"].as_str().unwrap().to_owned()
}

async fn run(app: &TestApp, job_type: &str, params: Value) {
    let (status, job) = app.post_json("/api/jobs", &json!({"job_type": job_type, "params": params})).await.unwrap();
    assert_eq!(status, 202, "{job}");
    assert_completed(&app.wait_ended(job["job_id"].as_str().unwrap()).await.unwrap());
}

/// The exports after each step of a collection's life.
async fn life(app: &TestApp) -> Vec<String> {
    let mut exports = Vec::new();
    let mut documents = Vec::new();
    for (name, text) in files() {
        documents.push(ingest(app, &name, text).await);
    }
    exports.push(app.export("default").await.unwrap());
    for (name, mut text) in files().into_iter().filter(|(name, _)| name.ends_with(".md")).take(4) {
        text.truncate(text.len() / 2);
        ingest(app, &name, String::from_utf8_lossy(&text).into_owned().into_bytes()).await;
    }
    exports.push(app.export("default").await.unwrap());
    for document in &documents[5..8] {
        let (status, answer) = app.delete(&format!("/api/documents/{document}")).await.unwrap();
        assert!(matches!(status, 200 | 202), "{answer}");
    }
    crate::support::eventually(app, &format!("/api/documents/{}", documents[7]), 404).await;
    exports.push(app.export("default").await.unwrap());
    run(app, "reindex", json!({"mode": "full", "threshold": 0.3})).await;
    run(app, "clustering", json!({"seed": 7})).await;
    exports.push(app.export("default").await.unwrap());
    let (_, check) = app.get("/api/graph/check").await.unwrap();
    assert_eq!(check["findings"], json!([]), "{check:#}");
    exports
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_real_files_have_the_export_of_the_embedded_graph() {
    let database = tokio::task::spawn_blocking(|| shared::database().unwrap()).await.unwrap();
    let url = database.url();
    let neo4j = TestApp::start_with(BINARY, |s| s.env("GRAPHMILL_GRAPH_URL", url)).await.unwrap();
    let embedded = start().await;
    let steps = ["ingestion", "replacement", "deletion", "reindex and clustering"];
    for ((ours, theirs), step) in life(&neo4j).await.into_iter().zip(life(&embedded).await).zip(steps) {
        let differ = ours.lines().zip(theirs.lines()).find(|(a, b)| a != b);
        assert!(ours == theirs, "after {step} the exports differ: {differ:?}");
    }
}

/// Whether a job waits for the graph.
fn waits(page: &Value) -> bool {
    page["status"] == "pending" && page["message"].as_str().is_some_and(|message| message.contains("graph"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_is_waited_for() {
    let expected = {
        let quiet = start().await;
        for n in 0..3 {
            ingest(&quiet, &format!("{n}.md"), markdown(n, 150).into_bytes()).await;
        }
        quiet.export("default").await.unwrap()
    };
    let mut server = server().await;
    let app = on(&server).await;
    ingest(&app, "0.md", markdown(0, 150).into_bytes()).await;
    let mut jobs = Vec::new();
    for n in 1..3 {
        jobs.push(app.upload_job(&format!("{n}.md"), markdown(n, 150), &[]).await.unwrap());
    }
    app.wait_job(&jobs[0], |page| {
        page["stages"].as_array().unwrap().iter().any(|s| s["name"] == "persistence" && s["status"] != "pending")
    })
    .await
    .unwrap();
    server = tokio::task::spawn_blocking(move || {
        server.kill();
        server
    })
    .await
    .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let mut pages = Vec::new();
        for job in &jobs {
            pages.push(app.get(&format!("/api/jobs/{job}")).await.unwrap().1);
        }
        if pages.iter().all(|page| waits(page) || page["status"] == "completed") {
            break;
        }
        assert!(pages.iter().all(|page| page["status"] != "failed"), "{pages:#?}");
        assert!(Instant::now() < deadline, "{pages:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Readers are told, not kept waiting.
    let (status, answer) = app.get("/api/graph/stats").await.unwrap();
    assert_eq!(status, 503, "{answer}");
    assert_eq!(app.get("/api/jobs").await.unwrap().0, 200);
    let server = tokio::task::spawn_blocking(move || {
        server.restart().unwrap();
        server
    })
    .await
    .unwrap();
    for job in &jobs {
        assert_completed(&app.wait_ended(job).await.unwrap());
    }
    assert_eq!(app.export("default").await.unwrap(), expected);
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_graph_is_copied_there_and_back() {
    let database = tokio::task::spawn_blocking(|| shared::database().unwrap()).await.unwrap();
    let mut app = start().await;
    for n in 0..4 {
        ingest(&app, &format!("{n}.md"), markdown(n, 40).into_bytes()).await;
    }
    run(&app, "reindex", json!({"mode": "full", "threshold": 0.3})).await;
    run(&app, "clustering", json!({"seed": 7})).await;
    let expected = app.export("default").await.unwrap();
    app.kill().await.unwrap();
    let folder = app.settings().data_dir().to_str().unwrap().to_owned();
    let copy = async |from: &str, to: &str| {
        let ended =
            app.settings().command(&["graph", "copy", "--from", from, "--to", to, "--json"]).output().await.unwrap();
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(ended.status.success(), "{said}");
        serde_json::from_slice::<Value>(&ended.stdout).unwrap()["collections"][0].clone()
    };
    let there = copy(&folder, &database.url()).await;
    assert_eq!((&there["documents"], &there["equal"]), (&json!(4), &json!(true)), "{there:#}");
    let again = copy(&folder, &database.url()).await;
    assert_eq!((&again["documents"], &again["passed_over"]), (&json!(0), &json!(4)), "{again:#}");
    let back = tempfile::tempdir().unwrap();
    let back = back.path().join("copy").to_str().unwrap().to_owned();
    let copied = copy(&database.url(), &back).await;
    assert_eq!((&copied["documents"], &copied["equal"]), (&json!(4), &json!(true)), "{copied:#}");
    // The jobs of the folder go on with the graph where it is now.
    let url = database.url();
    app.restart(|s| s.env("GRAPHMILL_GRAPH_URL", url)).await.unwrap();
    assert_eq!(app.export("default").await.unwrap(), expected);
    ingest(&app, "later.md", markdown(9, 5).into_bytes()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_be_used_is_named_at_the_start() {
    let start = async |url: &str| {
        let folder = tempfile::tempdir().unwrap();
        let settings = graphmill_testkit::AppSettings::new(BINARY, folder.path()).env("GRAPHMILL_GRAPH_URL", url);
        let ended = settings.command(&["serve", "--listen", "127.0.0.1:0"]).output();
        let ended = tokio::time::timeout(Duration::from_secs(60), ended).await.expect("it ends").unwrap();
        assert!(!ended.status.success());
        String::from_utf8_lossy(&ended.stderr).into_owned()
    };
    let said = start("neo4j://127.0.0.1:1").await;
    assert!(said.contains("127.0.0.1:1"), "{said}");
    let said = start("http://127.0.0.1:7474").await;
    assert!(said.contains("GRAPHMILL_GRAPH_URL") && said.contains("bolt+s"), "{said}");
    let database = tokio::task::spawn_blocking(|| shared::database().unwrap()).await.unwrap();
    let said = start(&format!("{}?database=nowhere", database.url())).await;
    assert!(said.contains("nowhere"), "{said}");
}
