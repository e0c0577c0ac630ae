//! Commands that follow jobs while the server of their data folder is killed, stopped, started again, or gone for good.

use std::path::Path;
use std::process::Output;

use graphmill_testkit::{AppSettings, TestApp};
use serde_json::Value;

use crate::contract::hold;
use crate::support::{BINARY, markdown};

fn files(dir: &Path, n: u32) -> Vec<String> {
    let path = |n: u32| dir.join(format!("report-{n}.md"));
    (0..n).for_each(|n| std::fs::write(path(n), markdown(n, 6)).unwrap());
    (0..n).map(|n| path(n).to_str().unwrap().to_owned()).collect()
}

/// A command that goes on while the test goes on.
fn begin(settings: &AppSettings, args: &[&str]) -> tokio::task::JoinHandle<Output> {
    let child = settings.command(args).spawn().unwrap();
    tokio::spawn(async move {
        let ended = tokio::time::timeout(graphmill_testkit::app::PATIENCE, child.wait_with_output()).await;
        ended.expect("the command ends").unwrap()
    })
}

fn said(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

async fn wait_for_jobs(app: &TestApp, n: u64) -> Vec<String> {
    let deadline = std::time::Instant::now() + graphmill_testkit::app::PATIENCE;
    loop {
        let (_, page) = app.get("/api/jobs").await.unwrap();
        if page["total"].as_u64() >= Some(n) {
            let jobs = page["jobs"].as_array().unwrap().iter();
            return jobs.map(|job| job["job_id"].as_str().unwrap().to_owned()).collect();
        }
        assert!(std::time::Instant::now() < deadline, "{page}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Until so many WebSockets follow jobs.
async fn wait_for_followers(app: &TestApp, n: u32) {
    let wanted = format!("graphmill_stream_readers{{transport=\"websocket\"}} {n}");
    let deadline = std::time::Instant::now() + graphmill_testkit::app::PATIENCE;
    loop {
        let metrics = app.http().get(format!("{}/metrics", app.url())).send().await.unwrap().text().await.unwrap();
        if metrics.contains(&wanted) {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{wanted} is not in {metrics}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// Documents are ingested although the server was killed, or stopped in order, meanwhile: the next one has another address and another secret.
#[tokio::test(flavor = "multi_thread")]
async fn ingest_and_watch_go_on_with_the_next_server() {
    for signal in ["-KILL", "-TERM"] {
        // Long enough to be stopped in, and no longer than a server takes to stop in order.
        let slow = "stage.embedding.unit=sleep(2000)";
        let mut app =
            TestApp::start_with(BINARY, |s| s.env("FAILPOINTS", slow).env("TOKIO_WORKER_THREADS", "8")).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let paths = files(dir.path(), 3);
        let args: Vec<&str> = ["ingest"].into_iter().chain(paths.iter().map(String::as_str)).collect();
        let ingest = begin(app.settings(), &args);
        let jobs = wait_for_jobs(&app, 3).await;
        let watch = begin(app.settings(), &["jobs", "watch", &jobs[0]]);
        wait_for_followers(&app, 4).await;
        let pid = app.pid().unwrap().to_string();
        assert!(std::process::Command::new("kill").args([signal, &pid]).status().unwrap().success());
        app.wait_gone().await.unwrap();
        app.restart_quiet().await.unwrap();
        let (code, out, err) = said(&ingest.await.unwrap());
        assert_eq!(code, 0, "{signal}: {out}{err}");
        assert_eq!(out.lines().filter(|line| line.starts_with("ingested ")).count(), 3, "{signal}: {out}{err}");
        assert!(
            err.contains("3 of 3 files ingested") && !format!("{out}{err}").contains("failed"),
            "{signal}: {out}{err}"
        );
        let (code, out, err) = said(&watch.await.unwrap());
        assert!(code == 0 && out.contains("completed"), "{signal}: {code} {out}{err}");
    }
}

/// The server dies before and after it has taken a file: it is sent again, and is one job.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_was_cut_is_taken_once() {
    for point in ["store.enqueue.before_commit", "store.enqueue.after_commit"] {
        let mut app =
            TestApp::start_with(BINARY, |s| s.env("FAILPOINTS", format!("{point}=return(kill)"))).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let paths = files(dir.path(), 1);
        // The command must not die of the point itself.
        let ingest = begin(&app.settings().clone().env("FAILPOINTS", ""), &["ingest", &paths[0]]);
        app.wait_gone().await.unwrap();
        app.restart_quiet().await.unwrap();
        let (code, out, err) = said(&ingest.await.unwrap());
        assert!(code == 0 && out.starts_with("ingested "), "{point}: {code} {out}{err}");
        assert_eq!(app.get("/api/jobs").await.unwrap().1["total"], 1, "{point}");
    }
}

/// What is not known to have failed is not called failed.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stays_away_leaves_an_unknown_end() {
    let mut app = TestApp::start_with(BINARY, |s| {
        s.env("FAILPOINTS", hold("embedding"))
            .env("GRAPHMILL_SERVER_WAIT_SECONDS", "1")
            .env("TOKIO_WORKER_THREADS", "8")
    })
    .await
    .unwrap();
    let dir = tempfile::tempdir().unwrap();
    let paths = files(dir.path(), 2);
    let ingest = begin(app.settings(), &["ingest", &paths[0]]);
    let job = wait_for_jobs(&app, 1).await.remove(0);
    let as_json = begin(app.settings(), &["--json", "ingest", &paths[1]]);
    wait_for_jobs(&app, 2).await;
    let watch = begin(app.settings(), &["jobs", "watch", &job]);
    app.wait_job(&job, |job| job["status"] == "running").await.unwrap();
    wait_for_followers(&app, 3).await;
    app.kill().await.unwrap();
    let (code, out, err) = said(&ingest.await.unwrap());
    assert!(code == 3 && out.starts_with("unknown ") && err.contains("1 unknown"), "{code} {out}{err}");
    assert!(
        err.contains(&format!("graphmill jobs show {job}")) && !format!("{out}{err}").contains("failed"),
        "{out}{err}"
    );
    let (code, out, err) = said(&as_json.await.unwrap());
    let line: Value = serde_json::from_str(&out).unwrap();
    assert!(code == 3 && line["status"] == "unknown" && line["job_id"].is_string(), "{code} {out}{err}");
    let (code, out, err) = said(&watch.await.unwrap());
    assert!(
        code == 3 && err.contains("unknown how") && err.contains(&format!("graphmill jobs show {job}")),
        "{code} {out}{err}"
    );
}
