//! Backup while jobs run, restore elsewhere, and both killed in the middle.

use std::path::{Path, PathBuf};
use std::time::Duration;

use graphmill_testkit::{AppSettings, TestApp};
use serde_json::{Value, json};

use crate::contract::assert_error;
use crate::events::Events;
use crate::support::{BINARY, assert_completed, export_count, markdown, start, start_with_faults};

/// Runs a command to its end: exit code and standard error.
async fn run(settings: &AppSettings, args: &[&str]) -> (i32, String) {
    let ended = tokio::time::timeout(Duration::from_secs(60), settings.command(args).output()).await;
    let output = ended.unwrap_or_else(|_| panic!("{args:?} does not end")).unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn other(dir: &Path) -> AppSettings {
    AppSettings::new(BINARY, dir.join("restored"))
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Ids of all jobs.
async fn jobs(app: &TestApp) -> Vec<String> {
    let (_, page) = app.get("/api/jobs?limit=1000").await.unwrap();
    page["jobs"].as_array().unwrap().iter().map(|job| job["job_id"].as_str().unwrap().to_owned()).collect()
}

async fn finished(app: &TestApp) -> String {
    for job in jobs(app).await {
        assert_completed(&app.wait_ended(&job).await.unwrap());
    }
    app.export("default").await.unwrap()
}

async fn restored(settings: &AppSettings, file: &Path) -> TestApp {
    let (code, err) = run(settings, &["restore", text(file)]).await;
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("graphmill serve --data-dir"), "it says what to do next: {err}");
    TestApp::launch(settings.clone()).await.unwrap()
}

/// Some documents are published, one is in the middle of a stage, one waits, one is deleted: the restored folder goes on with all of it and ends the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_is_restored_elsewhere_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let app = TestApp::start_with(BINARY, |s| {
        s.env("FAILPOINTS", "stage.embedding.unit=sleep(150)").env("GRAPHMILL_WORKERS", "1")
    })
    .await
    .unwrap();
    for n in 0..3 {
        let job = app.upload_job(&format!("done-{n}.md"), markdown(n, 5), &[]).await.unwrap();
        assert_completed(&app.wait_ended(&job).await.unwrap());
    }
    let (_, page) = app.get("/api/documents").await.unwrap();
    let gone = page["documents"][0]["document_id"].as_str().unwrap();
    app.delete(&format!("/api/documents/{gone}")).await.unwrap();
    let running = app.upload_job("running.md", markdown(7, 200), &[]).await.unwrap();
    let waiting = app.upload_job("waiting.md", markdown(8, 20), &[]).await.unwrap();
    app.wait_job(&running, |job| job["stages"][2]["status"] == "running").await.unwrap();
    let file = dir.path().join("all.tar");
    let (code, err) = run(app.settings(), &["backup", text(&file)]).await;
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("checked"), "{err}");
    let (_, job) = app.get(&format!("/api/jobs/{waiting}")).await.unwrap();
    assert_eq!(job["status"], "pending", "jobs wait for nothing but each other: {job}");
    let expected = finished(&app).await;
    assert_eq!(export_count(&expected, "documents"), 4);
    let copy = restored(&other(dir.path()), &file).await;
    assert_eq!(jobs(&copy).await, jobs(&app).await);
    assert_eq!(finished(&copy).await, expected);
    // The originals are there, and nothing that was not named.
    let count = |app: &TestApp| files(&app.settings().data_dir().join("blobs")).len();
    assert_eq!(count(&copy), count(&app));
    assert!(!app.settings().data_dir().join("unfinished-backup").exists());
    // The new folder has a life of its own.
    let job = copy.upload_job("new.md", markdown(9, 3), &[]).await.unwrap();
    assert_completed(&copy.wait_ended(&job).await.unwrap());
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

async fn hits(app: &TestApp) -> Vec<Value> {
    let mut found = Vec::new();
    for query in ["q=valve+inspection&mode=text", "q=pressure+and+flow&mode=vector", "q=pump&mode=hybrid&limit=50"] {
        let (status, answer) = app.get(&format!("/api/search?{query}")).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        assert!(!answer["hits"].as_array().unwrap().is_empty(), "{answer}");
        found.push(answer["hits"].clone());
    }
    found
}

/// What searches are answered from is not in the archive; the first one of a restored folder finds what the last one of the old found.
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_folder_searches_at_once_and_right() {
    let dir = tempfile::tempdir().unwrap();
    let app = start().await;
    let mut documents = Vec::new();
    for n in 0..4 {
        let job = app.upload_job(&format!("{n}.md"), markdown(n, 60), &[]).await.unwrap();
        let page = app.wait_ended(&job).await.unwrap();
        assert_completed(&page);
        documents.push(page["metadata"]["document_id"].as_str().unwrap().to_owned());
    }
    // With a purge: without one the words of what is deleted weigh in the statistics of the index until it is compacted.
    assert_eq!(app.delete(&format!("/api/documents/{}?purge=true", documents[1])).await.unwrap().0, 200);
    let expected = hits(&app).await;
    assert!(app.settings().data_dir().join("graph.search.db").exists());
    let file = dir.path().join("all.tar");
    assert_eq!(run(app.settings(), &["backup", text(&file)]).await.0, 0);
    let settings = other(dir.path());
    let (code, err) = run(&settings, &["restore", text(&file)]).await;
    assert_eq!(code, 0, "{err}");
    assert!(!settings.data_dir().join("graph.search.db").exists());
    let copy = TestApp::launch(settings).await.unwrap();
    assert_eq!(hits(&copy).await, expected);
}

/// Positions that were given after the backup are given once more by the restored folder, for other events: whoever comes with one is told.
#[tokio::test(flavor = "multi_thread")]
async fn cursors_of_before_a_restore_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let app = start().await;
    let job = app.upload_job("a.md", markdown(1, 5), &[]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    let cursor = async |app: &TestApp| {
        let mut stream = Events::open(app.http(), format!("{}/api/jobs/events", app.url()), None).await;
        let (_, hello) = stream.next().await.unwrap();
        hello["cursor"].as_str().unwrap().to_owned()
    };
    let follow = async |app: &TestApp, cursor: &str| {
        let url = format!("{}/api/jobs/events?cursor={cursor}", app.url());
        app.http().get(url).send().await.unwrap().status().as_u16()
    };
    let before = cursor(&app).await;
    let file = dir.path().join("all.tar");
    assert_eq!(run(app.settings(), &["backup", text(&file)]).await.0, 0);
    let job = app.upload_job("b.md", markdown(2, 5), &[]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    let after = cursor(&app).await;
    let mut copy = restored(&other(dir.path()), &file).await;
    // The restored folder comes by as many events of its own.
    for name in ["c.md", "d.md"] {
        let job = copy.upload_job(name, markdown(3, 5), &[]).await.unwrap();
        assert_completed(&copy.wait_ended(&job).await.unwrap());
    }
    for old in [&before, &after] {
        let refused = copy.get(&format!("/api/jobs/events?cursor={old}")).await.unwrap();
        assert_error(&refused, 410, "cursor_expired");
        assert_eq!(follow(&app, old).await, 200, "the folder that the backup came from goes on as it was");
    }
    let own = cursor(&copy).await;
    copy.kill().await.unwrap();
    copy.restart_quiet().await.unwrap();
    assert_eq!(follow(&copy, &own).await, 200, "the new order outlives restarts");
    let twice = AppSettings::new(BINARY, dir.path().join("again"));
    let twice = restored(&twice, &file).await;
    assert_error(&twice.get(&format!("/api/jobs/events?cursor={own}")).await.unwrap(), 410, "cursor_expired");
}

/// Whoever dies, under the name that was asked for there is nothing, and what lies beside it cannot be restored.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_was_killed_leaves_nothing_that_restores() {
    for point in ["backup.moment", "backup.copied", "backup.databases_written", "backup.piece"] {
        let dir = tempfile::tempdir().unwrap();
        let mut app = start_with_faults(&format!("{point}=return(kill)")).await;
        let job = app.upload_job("a.md", markdown(1, 40), &[]).await.unwrap();
        assert_completed(&app.wait_ended(&job).await.unwrap());
        let file = dir.path().join("all.tar");
        let (code, err) = run(app.settings(), &["backup", text(&file)]).await;
        assert_eq!(code, 1, "{point}: {err}");
        app.wait_gone().await.unwrap();
        assert_eq!(files(dir.path()), Vec::<PathBuf>::new(), "{point}");
        app.restart_quiet().await.unwrap();
        assert!(!app.settings().data_dir().join("unfinished-backup").exists(), "{point}");
        let (code, err) = run(app.settings(), &["backup", text(&file)]).await;
        assert_eq!(code, 0, "{point}: {err}");
        // A file that was cut, as a killed `graphmill backup` leaves it.
        let whole = std::fs::read(&file).unwrap();
        let cut = dir.path().join("cut.tar");
        std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
        let (code, err) = run(&other(dir.path()), &["restore", text(&cut)]).await;
        assert_eq!(code, 1, "{err}");
        assert!(err.contains("not whole"), "{err}");
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 1;
        std::fs::write(&cut, &changed).unwrap();
        let (code, err) = run(&other(dir.path()), &["restore", text(&cut)]).await;
        assert_eq!(code, 1, "{err}");
        let copy = restored(&other(dir.path()), &file).await;
        assert_eq!(copy.export("default").await.unwrap(), app.export("default").await.unwrap(), "{point}");
    }
}

/// A folder with an unfinished restore serves nobody; the restore begins anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_was_killed_is_done_again() {
    let dir = tempfile::tempdir().unwrap();
    let app = start().await;
    let job = app.upload_job("a.md", markdown(1, 10), &[]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    let file = dir.path().join("all.tar");
    assert_eq!(run(app.settings(), &["backup", text(&file)]).await.0, 0);
    let settings = other(dir.path());
    for point in ["restore.unpacked=return(kill)", "restore.moved=return(kill)", "restore.moved=3*off->return(kill)"] {
        let killed = run(&settings.clone().env("FAILPOINTS", point), &["restore", text(&file)]).await;
        assert_ne!(killed.0, 0, "{point}");
        let (code, err) = run(&settings, &["serve", "--listen", "127.0.0.1:0"]).await;
        assert_eq!(code, 1, "{point}: {err}");
        assert!(err.contains("restore") && err.contains("again"), "{point}: {err}");
    }
    let copy = restored(&settings, &file).await;
    assert_eq!(copy.export("default").await.unwrap(), app.export("default").await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_overwritten_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let app = start().await;
    let file = dir.path().join("all.tar");
    assert_eq!(run(app.settings(), &["backup", text(&file)]).await.0, 0);
    let (code, err) = run(app.settings(), &["backup", text(&file)]).await;
    assert_eq!(code, 1);
    assert!(err.contains("--force"), "{err}");
    assert_eq!(run(app.settings(), &["backup", "--force", text(&file)]).await.0, 0);
    let (code, err) = run(app.settings(), &["restore", text(&file)]).await;
    assert_eq!(code, 1);
    assert!(err.contains("not empty"), "{err}");
    let (code, err) = run(app.settings(), &["backup", text(&dir.path().join("nowhere/all.tar"))]).await;
    assert_eq!(code, 1);
    assert!(err.contains("nowhere"), "{err}");
    std::fs::write(dir.path().join("notes.txt"), "no archive").unwrap();
    let (code, err) = run(&other(dir.path()), &["restore", text(&dir.path().join("notes.txt"))]).await;
    assert_eq!(code, 1);
    assert!(err.contains("no backup of graphmill"), "{err}");
    assert_eq!(
        run(&other(dir.path()), &["restore", text(&file)]).await.0,
        0,
        "a refused restore leaves the folder empty"
    );
}

/// Deletions and cleanups beside a backup wait with the files, not with their answers, and a second backup is told to wait.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_meanwhile_is_in_the_backup_and_gone_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let app = start_with_faults("backup.databases_written=sleep(3000)").await;
    let job = app.upload_job("a.md", markdown(1, 10), &[]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    let before = app.export("default").await.unwrap();
    let (_, page) = app.get("/api/documents").await.unwrap();
    let document = page["documents"][0]["document_id"].as_str().unwrap().to_owned();
    let file = dir.path().join("all.tar");
    let settings = app.settings().clone();
    let path = text(&file).to_owned();
    let backup = tokio::spawn(async move { run(&settings, &["backup", &path]).await });
    while !app.settings().data_dir().join("unfinished-backup/cache.db").exists() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // The copies are made or just being made: the moment has passed.
    assert_eq!(app.delete(&format!("/api/documents/{document}")).await.unwrap().0, 200);
    let all = json!({"older_than_days": 0, "status": ["completed", "failed", "cancelled"]});
    assert_eq!(app.post_json("/api/jobs/cleanup", &all).await.unwrap().1["jobs_deleted"], 1);
    assert_eq!(app.get("/api/backup").await.unwrap().1["code"], "backup_running");
    assert!(!files(&app.settings().data_dir().join("blobs")).is_empty(), "they stay until the backup has them");
    let (code, err) = backup.await.unwrap();
    assert_eq!(code, 0, "{err}");
    crate::faults::assert_no_blobs(&app).await;
    let copy = restored(&other(dir.path()), &file).await;
    assert_eq!(copy.export("default").await.unwrap(), before);
    let (status, answer) = copy.get(&format!("/api/documents/{document}")).await.unwrap();
    assert_eq!(status, 200, "{answer}");
}
