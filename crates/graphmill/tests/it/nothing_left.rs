//! Everything is deleted through the API while jobs run, streams are open, and a backup and an export are under way: every answer tells the truth, and the
//! folder ends as one that never held anything, but for a short list.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use graphmill_testkit::app::PATIENCE;
use graphmill_testkit::{AppSettings, FakeConfig, FakeModels, Mode, TestApp};
use serde_json::{Value, json};

use crate::collections::contents;
use crate::contract::assert_error;
use crate::events::Events;
use crate::support::{BINARY, assert_completed, markdown};

/// What stays, as docs/ARCHITECTURE.md ("What a deletion leaves") says: tables with rows that a fresh folder has not.
const STAYS: &[&str] = &[
    // Numbers that are never given twice.
    "jobs.db:sqlite_sequence",
    "graph.db:sqlite_sequence",
    "graph.search.db:sqlite_sequence",
    "cache.db:sqlite_sequence",
    // Ten minutes, for those who follow all jobs.
    "jobs.db:event",
    "jobs.db:event_floor",
    "jobs.db:deleted_job",
    // A day: answers under an Idempotency-Key; what refuses older uploads of a deleted document.
    "jobs.db:answer",
    // Trigrams of the names of deleted jobs, until SQLite merges the index.
    "jobs.db:job_trigrams_data",
    "jobs.db:job_trigrams_idx",
    "graph.db:document",
    // The collection `default` itself, its model and how its layers stand: nothing of any document.
    "graph.db:collection",
    "graph.db:space",
    "graph.db:layer",
    "graph.search.db:meta",
    "graph.search.db:vector_space",
];

async fn cli(settings: &AppSettings, args: &[&str]) -> (i32, String, String) {
    let ended = tokio::time::timeout(Duration::from_secs(60), settings.command(args).output()).await;
    let output = ended.unwrap_or_else(|_| panic!("{args:?} does not end")).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

async fn key(settings: &AppSettings, args: &[&str]) -> String {
    let all: Vec<&str> = ["key", "create"].iter().chain(args).copied().collect();
    let (code, token, err) = cli(settings, &all).await;
    assert_eq!(code, 0, "{err}");
    token
}

/// Uploads, waits; answers job and document.
async fn ingest(app: &TestApp, name: &str, text: String, collection: &str) -> (String, String) {
    let job = app.upload_job(name, text, &[("collection", collection)]).await.unwrap();
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    (job, page["metadata"]["document_id"].as_str().unwrap().to_owned())
}

/// A job with an Idempotency-Key, whose answer is kept.
async fn layer_job(app: &TestApp, job_type: &str, collection: &str) -> String {
    let request = app
        .http()
        .post(format!("{}/api/jobs", app.url()))
        .header("Idempotency-Key", format!("{job_type}-{collection}"));
    let answer = request.json(&json!({"job_type": job_type, "collection": collection})).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 202);
    answer.json::<Value>().await.unwrap()["job_id"].as_str().unwrap().to_owned()
}

async fn ids(app: &TestApp, path: &str, list: &str, id: &str) -> Vec<String> {
    let (status, page) = app.get(path).await.unwrap();
    assert_eq!(status, 200, "{page}");
    page[list].as_array().unwrap().iter().map(|item| item[id].as_str().unwrap().to_owned()).collect()
}

/// Names of all files below a folder, without those that SQLite makes and takes away by itself.
fn files(folder: &Path) -> BTreeSet<String> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![folder.to_owned()]);
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at).into_iter().flatten().flatten() {
            let name = entry.path().strip_prefix(folder).unwrap().to_string_lossy().into_owned();
            if entry.path().is_dir() {
                folders.push(entry.path());
            } else if !name.ends_with("-wal") && !name.ends_with("-shm") {
                found.insert(name);
            }
        }
    }
    found
}

fn without_what_stays(folder: &Path) -> BTreeMap<String, i64> {
    let mut rows = contents(folder);
    rows.retain(|table, _| !STAYS.contains(&table.as_str()));
    rows
}

async fn fresh() -> (BTreeMap<String, i64>, BTreeSet<String>) {
    let dir = tempfile::tempdir().unwrap();
    let mut app = TestApp::launch(AppSettings::new(BINARY, dir.path())).await.unwrap();
    app.kill().await.unwrap();
    (without_what_stays(dir.path()), files(dir.path()))
}

/// What `GET` streams to the end, as lines.
async fn lines(http: reqwest::Client, url: String) -> Vec<Value> {
    let answer = http.get(url).send().await.unwrap().error_for_status().unwrap();
    answer.text().await.unwrap().lines().map(|line| serde_json::from_str(line).expect("a whole line")).collect()
}

struct Filled {
    ended: Vec<String>,
    documents: Vec<String>,
    team_documents: Vec<String>,
}

/// Documents, ended jobs of all types, failed and cancelled ones in both collections.
async fn fill(app: &TestApp) -> Filled {
    let mut filled = Filled { ended: Vec::new(), documents: Vec::new(), team_documents: Vec::new() };
    for n in 0..4 {
        let (job, document) = ingest(app, &format!("{n}.md"), markdown(n, 30), "default").await;
        filled.ended.push(job);
        filled.documents.push(document);
        filled.team_documents.push(ingest(app, &format!("t{n}.md"), markdown(n + 2, 30), "team").await.1);
    }
    for collection in ["default", "team"] {
        for job_type in ["reindex", "clustering"] {
            let job = layer_job(app, job_type, collection).await;
            assert_completed(&app.wait_ended(&job).await.unwrap());
            if collection == "default" {
                filled.ended.push(job);
            }
        }
    }
    let broken = app.upload_job("broken.pdf", b"%PDF-1.4\nthis is none".to_vec(), &[]).await.unwrap();
    assert_eq!(app.wait_ended(&broken).await.unwrap()["status"], "failed");
    filled.ended.push(broken);
    filled
}

/// Deletes a document of `default`; the answer must be true by the time it is given, also of one that was never published.
async fn purge(app: &TestApp, document: &str) {
    let path = format!("/api/documents/{document}");
    let (status, answer) = app.delete(&format!("{path}?purge=true")).await.unwrap();
    match status {
        200 => {
            assert_eq!(answer["status"], "deleted", "{answer}");
            assert!(answer["purged"]["log_lines"].as_u64() > Some(0), "{answer}");
        }
        202 => assert_eq!(answer["status"], "deleting", "{answer}"),
        other => panic!("{other} {answer}"),
    }
    assert_eq!(app.get(&path).await.unwrap().0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_deleted_beside_everything_leaves_a_fresh_folder() {
    let models = FakeModels::start(FakeConfig { mode: Mode::default(), ..FakeConfig::default() }).await.unwrap();
    let mut app = TestApp::start_with(BINARY, |s| {
        s.env("GRAPHMILL_EMBEDDING_URL", models.url())
            .env("GRAPHMILL_EMBEDDING_MODEL", "fake-embedding")
            .env("GRAPHMILL_LLM_URL", models.url())
            .env("GRAPHMILL_LLM_MODEL", "fake-chat")
            .env("FAILPOINTS", "backup.databases_written=sleep(2500)")
    })
    .await
    .unwrap();
    let settings = app.settings().clone();
    let folder = settings.data_dir().to_owned();
    let admin = key(&settings, &["admin"]).await;
    app.use_token(&admin);
    let bound = key(&settings, &["team-key", "--collection", "team"]).await;
    key(&settings, &["reader", "--read-only"]).await;
    let filled = fill(&app).await;
    let whole = lines(app.http().clone(), format!("{}/api/graph/export", app.url())).await.len();

    // Under way: uploads into both collections, their followers, a backup, an export.
    let mut running = Vec::new();
    for (name, collection) in [("r0.md", "default"), ("r1.md", "team"), ("r2.md", "default"), ("r3.md", "team")] {
        running.push(app.upload_job(name, markdown(40, 600), &[("collection", collection)]).await.unwrap());
    }
    let anyone = app.url().to_owned();
    let open = async |path: &str| Events::open(app.http(), format!("{anyone}{path}"), None).await;
    let mut all_jobs = open("/api/jobs/events").await;
    let mut of_one = open(&format!("/api/jobs/{}/events", running[0])).await;
    let plain = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut of_bound = Events::open(&plain, format!("{anyone}/api/jobs/events?token={bound}"), None).await;
    let file = folder.parent().unwrap().join(format!("{}.tar", folder.file_name().unwrap().to_string_lossy()));
    let backup = tokio::spawn({
        let (settings, file) = (settings.clone(), file.to_str().unwrap().to_owned());
        async move { cli(&settings, &["backup", &file]).await }
    });
    while !folder.join("unfinished-backup").exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let export = tokio::spawn(lines(app.http().clone(), format!("{anyone}/api/graph/export")));

    // Everything is deleted.
    for document in &filled.documents {
        purge(&app, document).await;
    }
    let (status, answer) = app.delete("/api/collections/team").await.unwrap();
    assert!(matches!(status, 200 | 202), "{answer}");
    assert_eq!(answer["revoked_keys"], json!(["team-key"]), "{answer}");
    let told = of_bound.read_all().await;
    assert_eq!(told.last().map(|(_, m)| m["code"].clone()), Some(json!("unauthorized")), "{told:#?}");
    let refused = plain.get(format!("{anyone}/api/jobs?token={bound}")).send().await.unwrap();
    assert_eq!(refused.status().as_u16(), 401);
    for document in &filled.team_documents {
        assert_eq!(app.get(&format!("/api/documents/{document}")).await.unwrap().0, 404);
    }
    crate::support::eventually(&app, "/api/collections/team", 404).await;
    // Jobs that still run are cancelled and go; what they published meanwhile too.
    for job in ids(&app, "/api/jobs?limit=1000", "jobs", "job_id").await {
        let (_, page) = app.get(&format!("/api/jobs/{job}")).await.unwrap();
        if matches!(page["status"].as_str(), Some("pending" | "running")) {
            let (status, answer) = app.post(&format!("/api/jobs/{job}/cancel")).await.unwrap();
            assert!(matches!(status, 200 | 400 | 409), "{status} {answer}");
        }
        let ended = app.wait_ended(&job).await.unwrap();
        assert!(["completed", "failed", "cancelled"].contains(&ended["status"].as_str().unwrap()), "{ended}");
    }
    // What a cancelled first upload was answered goes with its document.
    for job in [&running[0], &running[2]] {
        let (_, page) = app.get(&format!("/api/jobs/{job}")).await.unwrap();
        purge(&app, page["metadata"]["document_id"].as_str().unwrap()).await;
    }
    let last = of_one.read_all().await;
    assert!(
        matches!(last.last().unwrap().1["type"].as_str(), Some("cancelled" | "completed" | "deleted")),
        "{last:#?}"
    );
    for document in ids(&app, "/api/documents?limit=100", "documents", "document_id").await {
        purge(&app, &document).await;
    }
    let jobs = ids(&app, "/api/jobs?limit=1000", "jobs", "job_id").await;
    assert!(filled.ended.iter().all(|job| jobs.contains(job)), "the records of jobs outlive a purge");
    for job in &jobs {
        let (status, answer) = app.delete(&format!("/api/jobs/{job}")).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        assert_error(&app.get(&format!("/api/jobs/{job}")).await.unwrap(), 404, "not_found");
    }
    let mut deleted = BTreeSet::new();
    while deleted.len() < jobs.len() {
        let (_, message) = all_jobs.next().await.expect("the stream goes on");
        if message["type"] == "deleted" && jobs.iter().any(|job| message["job_id"] == json!(job)) {
            deleted.insert(message["job_id"].to_string());
        }
    }
    let exported = export.await.unwrap();
    assert!(exported.len() >= 2 && exported.len() <= whole + 5_000, "{} of {whole}", exported.len());
    let (code, _, err) = backup.await.unwrap();
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = cli(&settings, &["key", "revoke", "reader"]).await;
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = cli(&settings, &["key", "revoke", "admin"]).await;
    assert_eq!(code, 0, "{err}");
    assert!(all_jobs.read_all().await.last().is_some_and(|(_, m)| m["code"] == "unauthorized"));

    // The maintenance takes a moment for files that the backup held.
    let (rows, names) = fresh().await;
    let deadline = Instant::now() + PATIENCE;
    let allowed = |name: &String| name.starts_with("graph.search.db");
    loop {
        let left = without_what_stays(&folder);
        let more: Vec<String> = files(&folder).difference(&names).filter(|name| !allowed(name)).cloned().collect();
        if left == rows && more.is_empty() {
            break;
        }
        let differ: Vec<_> = left.iter().filter(|(table, n)| rows.get(*table) != Some(n)).collect();
        assert!(Instant::now() < deadline, "left: {differ:#?}\nfresh: {rows:#?}\nfiles: {more:#?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    app.kill().await.unwrap();
    assert_eq!(without_what_stays(&folder), rows);
    // What stays of the graph is what its documents were called by: tombstones, none of which holds a name or text.
    let graph = rusqlite::Connection::open(folder.join("graph.db")).unwrap();
    let named: i64 = graph
        .query_row(
            "SELECT count(*) FROM document WHERE deleted = 0 OR filename IS NOT NULL OR title IS NOT NULL",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(named, 0);
    std::fs::remove_file(file).unwrap();
}
