//! Collections over real HTTP: settings that the stages use, quota, and a deletion after which nothing is left, whatever happens on the way.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::StreamExt;
use graphmill_testkit::TestApp;
use serde_json::{Value, json};

use crate::contract::{assert_says, start_held};
use crate::support::{BINARY, assert_completed, eventually, markdown, start, start_with_faults};

const TEAM: (&str, &str) = ("collection", "team");

async fn ingest(app: &TestApp, name: &str, text: String, fields: &[(&str, &str)]) -> Value {
    let job = app.upload_job(name, text, fields).await.unwrap();
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    page
}

/// Rows of every table of a data folder that holds anything, and its files; the server must not run.
pub(crate) fn contents(folder: &Path) -> BTreeMap<String, i64> {
    let mut found = BTreeMap::new();
    for file in ["jobs.db", "graph.db", "graph.search.db", "cache.db"] {
        if !folder.join(file).exists() {
            continue;
        }
        let conn = rusqlite::Connection::open(folder.join(file)).unwrap();
        let mut tables = conn
            .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'")
            .unwrap();
        let names: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        for name in names {
            let rows = conn.query_row(&format!("SELECT count(*) FROM \"{name}\""), [], |row| row.get(0)).unwrap();
            if rows > 0 {
                found.insert(format!("{file}:{name}"), rows);
            }
        }
    }
    let mut folders = vec![folder.join("blobs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                *found.entry("blobs".to_owned()).or_default() += 1;
            }
        }
    }
    found
}

/// What stays of any deleted job for ten minutes (its events, for those who follow all jobs), and what belongs to no collection.
const OF_NO_COLLECTION: &[&str] = &[
    "jobs.db:store",
    "jobs.db:sqlite_sequence",
    "jobs.db:event",
    "jobs.db:event_floor",
    "jobs.db:deleted_job",
    "graph.db:meta",
    "graph.db:sqlite_sequence",
    "graph.search.db:meta",
    "graph.search.db:sqlite_sequence",
    "cache.db:sqlite_sequence",
];

/// Stops the server and compares its folder with one in which the collection never was.
pub(crate) async fn assert_nothing_left(app: &mut TestApp, what: &str) {
    app.kill().await.unwrap();
    let mut left = contents(app.settings().data_dir());
    let fresh = tempfile::tempdir().unwrap();
    let mut empty = TestApp::launch(graphmill_testkit::AppSettings::new(BINARY, fresh.path())).await.unwrap();
    empty.kill().await.unwrap();
    let mut expected = contents(fresh.path());
    for table in OF_NO_COLLECTION {
        left.remove(*table);
        expected.remove(*table);
    }
    // Shadow tables of full-text indexes keep a few rows of their own; an index is empty when it counts no document.
    let is_index = |name: &str| ["_data", "_config", "_idx"].iter().any(|end| name.ends_with(end));
    left.retain(|name, _| !is_index(name));
    expected.retain(|name, _| !is_index(name));
    assert_eq!(left, expected, "{what}");
}

async fn fill(app: &TestApp) {
    for n in 0..3 {
        ingest(app, &format!("{n}.md"), markdown(n, 100), &[TEAM]).await;
    }
}

/// Waits until the deletion is through; its progress never falls.
async fn gone(app: &TestApp) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut last = 0.0;
    loop {
        let (status, page) = app.get("/api/collections/team").await.unwrap();
        if status == 404 {
            return;
        }
        assert_eq!((status, &page["state"]), (200, &json!("deleting")), "{page:#}");
        let progress = page["deletion"]["progress"].as_f64().unwrap();
        assert!(progress >= last, "{progress} after {last}");
        last = progress;
        assert!(Instant::now() < deadline, "{page:#}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn made_shown_changed_listed_and_deleted() {
    let app = start().await;
    let body =
        json!({"name": "team", "settings": {"chunk_size": 400, "chunk_overlap": 50, "entity_types": ["person"]}});
    let (status, made) = app.post_json("/api/collections", &body).await.unwrap();
    assert_eq!((status, &made["state"], &made["settings"]), (201, &json!("active"), &body["settings"]), "{made:#}");
    let first = ingest(&app, "a.md", markdown(1, 20), &[TEAM]).await;
    let (_, usual) = app.upload("a.md", markdown(1, 20), &[]).await.unwrap();
    let usual = app.wait_ended(usual["job_id"].as_str().unwrap()).await.unwrap();
    let count = |page: &Value, name: &str| page["metadata"][name].as_u64().unwrap();
    assert!(count(&first, "chunks_created") > count(&usual, "chunks_created"), "smaller chunks: {first:#}");
    let export = app.export("team").await.unwrap();
    let types: Vec<Value> = export
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["kind"] == "entity" || line["type"] == "entity")
        .collect();
    assert!(count(&first, "entities_extracted") > 0 && !types.is_empty(), "{}", &export[..500.min(export.len())]);
    assert!(count(&first, "entities_extracted") < count(&usual, "entities_extracted"), "{first:#}");
    // The same file once more: unchanged; with other settings it is not.
    let again = ingest(&app, "a.md", markdown(1, 20), &[TEAM]).await;
    assert_eq!(again["metadata"]["unchanged"], true, "{again:#}");
    let patch = json!({"settings": {"entity_types": null, "quota": {"documents": 1}}});
    let (status, changed) = app.patch_json("/api/collections/team", &patch).await.unwrap();
    assert_eq!((status, &changed["settings"]["quota"]), (200, &json!({"documents": 1})), "{changed:#}");
    let again = ingest(&app, "a.md", markdown(1, 20), &[TEAM]).await;
    assert_eq!(again["metadata"]["unchanged"], Value::Null, "{again:#}");
    assert!(count(&again, "entities_extracted") > count(&first, "entities_extracted"), "{again:#}");
    let refused = app.upload("b.md", "B.", &[TEAM]).await.unwrap();
    assert_says(&refused, 409, "quota_exceeded", &["team", "2 documents", "quota is 1"]);
    let (_, page) = app.get("/api/collections").await.unwrap();
    assert_eq!((&page["total"], &page["collections"][1]["name"]), (&json!(2), &json!("team")), "{page:#}");
    let (status, answer) = app.delete("/api/collections/team").await.unwrap();
    assert!(matches!(status, 200 | 202), "{answer}");
    gone(&app).await;
    assert_says(&app.get("/api/collections/team").await.unwrap(), 404, "not_found", &["there is no collection team"]);
    let (_, jobs) = app.get("/api/jobs?collection=team").await.unwrap();
    assert_eq!(jobs["total"], 0, "{jobs:#}");
    let (_, jobs) = app.get("/api/jobs").await.unwrap();
    assert_eq!(jobs["total"], 1, "{jobs:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_holds_for_uploads_at_once() {
    let app = start().await;
    let body = json!({"name": "team", "settings": {"quota": {"documents": 3}}});
    app.post_json("/api/collections", &body).await.unwrap();
    let uploads = (0..12).map(|n| {
        let app = &app;
        async move { app.upload(&format!("{n}.md"), markdown(n, 2), &[TEAM]).await.unwrap() }
    });
    let answers = futures::future::join_all(uploads).await;
    let accepted = answers.iter().filter(|(status, _)| *status == 202).count();
    assert_eq!(accepted, 3, "{answers:?}");
    for refused in answers.iter().filter(|(status, _)| *status != 202) {
        assert_says(refused, 409, "quota_exceeded", &["quota is 3"]);
    }
    // A deleted document gives its place back.
    let done = answers.iter().find(|(status, _)| *status == 202).unwrap();
    app.wait_ended(done.1["job_id"].as_str().unwrap()).await.unwrap();
    let (status, _) = app.delete(&format!("/api/documents/{}", done.1["document_id"].as_str().unwrap())).await.unwrap();
    assert_eq!(status, 200);
    let deadline = Instant::now() + Duration::from_secs(10);
    while app.upload("new.md", "A pump.", &[TEAM]).await.unwrap().0 != 202 {
        assert!(Instant::now() < deadline, "the place is not given back");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Where the process is killed while it deletes a collection: (point, passes that are let through).
const POINTS: &[(&str, u32)] = &[
    ("collection_delete.accept.after_commit", 0),
    ("collection_delete.before_mark", 0),
    ("collection_removal.before_commit", 0),
    ("collection_removal.after_commit", 0),
    ("collection_delete.cancel.before_commit", 0),
    ("collection_delete.cancel.after_commit", 0),
    ("collection_delete.after_cancel", 0),
    ("collection_delete.after_files", 0),
    ("collection_sweep.before_commit", 0),
    ("collection_sweep.after_commit", 1),
    ("cache.delete.before_commit", 0),
    ("cache.delete.after_commit", 0),
    ("collection_delete.after_cache", 0),
    ("collection_delete.jobs.before_commit", 0),
    ("collection_delete.jobs.after_commit", 0),
    ("collection_delete.finish.before_commit", 0),
    ("collection_delete.finish.after_commit", 0),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_step_leaves_nothing_in_the_end() {
    for (point, passes) in POINTS {
        let mut app = start_with_faults(&format!("{point}={passes}*off->return(kill)")).await;
        fill(&app).await;
        // The answer is lost when the kill comes first.
        let _ = app.delete("/api/collections/team").await;
        app.wait_gone().await.unwrap_or_else(|e| panic!("{point}: {e:#}"));
        app.restart_quiet().await.unwrap();
        gone(&app).await;
        assert_nothing_left(&mut app, &format!("{point} after {passes}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_was_not_accepted_changes_nothing() {
    let mut app = start_with_faults("collection_delete.accept.before_commit=return(kill)").await;
    fill(&app).await;
    let before = app.export("team").await.unwrap();
    assert!(app.delete("/api/collections/team").await.is_err());
    app.wait_gone().await.unwrap();
    app.restart_quiet().await.unwrap();
    assert_eq!(app.export("team").await.unwrap(), before);
    let (_, page) = app.get("/api/collections/team").await.unwrap();
    assert_eq!((&page["state"], &page["documents"]), (&json!("active"), &json!(3)), "{page:#}");
}

/// The last messages of a job's stream, to its close.
async fn to_the_end(
    mut socket: impl StreamExt<
        Item = Result<tokio_tungstenite::tungstenite::Message, tokio_tungstenite::tungstenite::Error>,
    > + Unpin,
) -> Vec<String> {
    let mut kinds = Vec::new();
    while let Ok(Some(Ok(message))) = tokio::time::timeout(Duration::from_secs(30), socket.next()).await {
        if let tokio_tungstenite::tungstenite::Message::Text(text) = message {
            let message: Value = serde_json::from_str(&text).unwrap();
            kinds.push(message["type"].as_str().unwrap().to_owned());
        }
    }
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn running_waiting_and_publishing_jobs_and_their_followers_hear_the_truth() {
    // In each stage one job runs and others wait; publishing cannot be cancelled and is waited for.
    for (points, what) in [
        ("stage.loading.unit=1*off->1*sleep(500)", "loading"),
        ("stage.embedding.unit=1*off->1*sleep(500)", "embedding"),
        ("stage.persistence.unit=1*off->1*sleep(500)", "persistence"),
        ("publishing.after_intent=1*off->1*sleep(1500)", "persistence"),
        ("publishing.after_publish=1*off->1*sleep(1500)", "persistence"),
    ] {
        let mut app = start_held(points, 1).await;
        let kept = ingest_default(&app).await;
        let job = app.upload_job("0.md", markdown(0, 200), &[TEAM]).await.unwrap();
        let waiting = app.upload_job("1.md", markdown(1, 20), &[TEAM]).await.unwrap();
        app.wait_job(&job, |page| {
            page["stages"].as_array().unwrap().iter().any(|s| s["name"] == what && s["status"] == "running")
        })
        .await
        .unwrap_or_else(|e| panic!("{points}: {e:#}"));
        if points.starts_with("publishing") {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let mut followers = Vec::new();
        for id in [&job, &waiting] {
            let (socket, _) =
                tokio_tungstenite::connect_async(app.socket(&format!("/api/jobs/{id}/stream"))).await.unwrap();
            followers.push(tokio::spawn(to_the_end(socket)));
        }
        let (status, answer) = app.delete("/api/collections/team").await.unwrap();
        assert!(matches!(status, 200 | 202), "{points}: {answer}");
        if status == 202 {
            assert_says(
                &app.upload("2.md", "A pump.", &[TEAM]).await.unwrap(),
                409,
                "collection_deleting",
                &["team is being deleted"],
            );
        }
        gone(&app).await;
        for follower in followers {
            let kinds = follower.await.unwrap();
            let last = kinds.last().map(String::as_str);
            assert!(matches!(last, Some("cancelled" | "deleted" | "completed")), "{points}: {kinds:?}");
        }
        assert_eq!(app.get(&format!("/api/jobs/{job}")).await.unwrap().0, 404, "{points}");
        assert_eq!(app.export("default").await.unwrap(), kept, "{points}");
        // Made again under the name, it has nothing of the old one.
        let page = ingest(&app, "0.md", markdown(0, 5), &[TEAM]).await;
        assert_eq!(page["metadata"]["unchanged"], Value::Null, "{page:#}");
        let (_, team) = app.get("/api/collections/team").await.unwrap();
        assert_eq!((&team["documents"], &team["jobs"]), (&json!(1), &json!(1)), "{team:#}");
        for name in ["team", "default"] {
            app.delete(&format!("/api/collections/{name}")).await.unwrap();
            let deadline = Instant::now() + Duration::from_secs(30);
            while app.get(&format!("/api/collections/{name}")).await.unwrap().1["state"] == "deleting" {
                assert!(Instant::now() < deadline, "{name} is not deleted");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        assert_nothing_left(&mut app, points).await;
    }
}

/// A reindex and a clustering, the one in the middle of each of its stages and the other waiting for it: both end cancelled, and their layers go too.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_make_layers_end_cancelled_and_leave_none() {
    let mut cancelled = 0;
    for (stage, first, second) in [
        ("rebuild_embeddings", "reindex", "clustering"),
        ("rebuild_similarities", "reindex", "clustering"),
        ("build_projection", "clustering", "reindex"),
        ("run_leiden", "clustering", "reindex"),
        ("assign_communities", "clustering", "reindex"),
    ] {
        let points = format!("stage.{stage}.unit=sleep(400)");
        let mut app = TestApp::start_with(BINARY, |s| {
            s.env("GRAPHMILL_REINDEX_BLOCK_ROWS", "40")
                .env("GRAPHMILL_AUTO_REINDEX", "off")
                .env("TOKIO_WORKER_THREADS", "8")
        })
        .await
        .unwrap();
        fill(&app).await;
        let job = async |app: &TestApp, job_type: &str| {
            let params = match job_type {
                "reindex" => json!({"rebuild_embeddings": true, "mode": "full"}),
                _ => json!({}),
            };
            let body = json!({"job_type": job_type, "collection": "team", "params": params});
            let (status, answer) = app.post_json("/api/jobs", &body).await.unwrap();
            assert_eq!(status, 202, "{answer}");
            answer["job_id"].as_str().unwrap().to_owned()
        };
        // A first generation of both layers stands.
        for job_type in ["reindex", "clustering"] {
            let id = job(&app, job_type).await;
            assert_completed(&app.wait_ended(&id).await.unwrap());
        }
        app.restart(|s| s.env("FAILPOINTS", points)).await.unwrap();
        let running = job(&app, first).await;
        // Two of different types that are claimed at the same moment have no order.
        app.wait_job(&running, |page| page["status"] == "running").await.unwrap_or_else(|e| panic!("{stage}: {e:#}"));
        let waiting = job(&app, second).await;
        app.wait_job(&running, |page| {
            page["stages"].as_array().unwrap().iter().any(|s| s["name"] == stage && s["status"] != "pending")
        })
        .await
        .unwrap_or_else(|e| panic!("{stage}: {e:#}"));
        let mut followers = Vec::new();
        for id in [&running, &waiting] {
            let socket = tokio_tungstenite::connect_async(app.socket(&format!("/api/jobs/{id}/stream"))).await;
            followers.push(tokio::spawn(to_the_end(socket.unwrap().0)));
        }
        let (status, answer) = app.delete("/api/collections/team").await.unwrap();
        assert!(matches!(status, 200 | 202), "{stage}: {answer}");
        gone(&app).await;
        let mut ends = Vec::new();
        for follower in followers {
            ends.push(follower.await.unwrap());
        }
        // The sleeping thread may be the one that hears the network: then the job ends before the deletion is heard of, and that is the truth.
        let says = |kinds: &[String], word: &str| kinds.iter().any(|kind| kind == word);
        assert!(says(&ends[0], "cancelled") || says(&ends[0], "completed"), "{stage}: {ends:?}");
        assert!(says(&ends[1], "cancelled") || says(&ends[0], "completed"), "{stage}: {ends:?}");
        cancelled += usize::from(says(&ends[0], "cancelled"));
        for id in [&running, &waiting] {
            assert_eq!(app.get(&format!("/api/jobs/{id}")).await.unwrap().0, 404, "{stage}");
        }
        assert_nothing_left(&mut app, stage).await;
    }
    assert!(cancelled >= 3, "only {cancelled} of 5 were stopped where they were");
}

async fn ingest_default(app: &TestApp) -> String {
    // It passes the held point first, which lets one pass.
    ingest(app, "kept.md", markdown(9, 10), &[]).await;
    app.export("default").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_and_searches_beside_a_deletion_are_whole_or_empty() {
    let app = start().await;
    for n in 0..4 {
        ingest(&app, &format!("{n}.md"), markdown(n, 120), &[TEAM]).await;
    }
    let whole = app.export("team").await.unwrap();
    let empty = app.export("never").await.unwrap();
    let reader = async {
        let (mut wholes, mut empties) = (0, 0);
        while empties < 3 {
            let export = app.export("team").await.unwrap();
            let (status, found) = app.get("/api/search?q=pump&mode=text&collection=team").await.unwrap();
            assert_eq!(status, 200, "{found}");
            match export {
                export if export == whole => wholes += 1,
                export if export.lines().count() == empty.lines().count() => empties += 1,
                export => panic!("neither whole nor empty: {} lines", export.lines().count()),
            }
        }
        wholes
    };
    let deletion = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let (status, answer) = app.delete("/api/collections/team").await.unwrap();
        assert!(matches!(status, 200 | 202), "{answer}");
        gone(&app).await;
    };
    let (wholes, ()) = tokio::join!(reader, deletion);
    assert!(wholes > 0, "the reader was there before");
    eventually(&app, "/api/collections/team", 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_with_and_without_a_server() {
    let mut app = start().await;
    let settings = app.settings().clone();
    let run = async |args: &[&str]| {
        let output = settings.command(args).output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
    };
    for running in [true, false] {
        if !running {
            app.kill().await.unwrap();
        }
        let args =
            ["collections", "create", "team", "--chunk-size", "300", "--chunk-overlap", "30", "--max-documents", "2"];
        let (code, out, err) = run(&args).await;
        assert!(code == 0 && out.contains("chunk_size: 300") && out.contains("quota.documents: 2"), "{out}{err}");
        let (code, out, err) =
            run(&["collections", "set", "team", "--unset", "quota.documents", "--entity-types", "valve,pump"]).await;
        assert!(code == 0 && out.contains("valve") && !out.contains("quota"), "{out}{err}");
        let (code, out, err) = run(&["collections", "list"]).await;
        assert!(code == 0 && out.contains("team") && err.contains("2 of 2 collections"), "{out}{err}");
        let (code, _, err) = run(&["collections", "set", "team", "--chunk-overlap", "300"]).await;
        assert!(code == 1 && err.contains("overlap"), "{err}");
        let (code, _, err) = run(&["collections", "set", "team", "--unset", "colour"]).await;
        assert!(code == 2 && err.contains("colour") && err.contains("chunk_size"), "{err}");
        let (code, out, err) = run(&["collections", "delete", "team"]).await;
        assert!(code == 0 && out.contains("team  deleted"), "{out}{err}");
        let (code, _, err) = run(&["collections", "show", "team"]).await;
        assert!(code == 1 && err.contains("there is no collection team"), "{err}");
    }
}
