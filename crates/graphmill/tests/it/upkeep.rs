//! Layers that are behind are brought up by themselves after a quiet time.

use std::time::{Duration, Instant};

use graphmill_testkit::TestApp;
use serde_json::{Value, json};

use crate::clustering::ingest;
use crate::support::{BINARY, assert_completed, export_count};

async fn auto_jobs(app: &TestApp) -> Vec<Value> {
    let (_, page) = app.get("/api/jobs").await.unwrap();
    let jobs = page["jobs"].as_array().unwrap();
    jobs.iter().filter(|job| job["metadata"]["trigger"] == "auto").cloned().collect()
}

async fn wait_for_jobs(app: &TestApp, wanted: usize) -> Vec<Value> {
    let deadline = Instant::now() + graphmill_testkit::app::PATIENCE;
    loop {
        let jobs = auto_jobs(app).await;
        if jobs.len() >= wanted {
            return jobs;
        }
        assert!(Instant::now() < deadline, "upkeep began {} of {wanted} jobs", jobs.len());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_collection_is_brought_up_once() {
    let mut app = TestApp::start_with(BINARY, |s| s.arg("--auto-reindex").arg("1s")).await.unwrap();
    ingest(&app, 1).await;
    let jobs = wait_for_jobs(&app, 1).await;
    assert_completed(&app.wait_ended(jobs[0]["job_id"].as_str().unwrap()).await.unwrap());
    assert!(export_count(&app.export("default").await.unwrap(), "communities") > 0);
    // Nothing was published since: nothing begins, not after a restart either.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    app.restart(|s| s).await.unwrap();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert_eq!(auto_jobs(&app).await.len(), jobs.len());
    // A deletion is news.
    let (_, documents) = app.get("/api/documents").await.unwrap();
    let id = documents["documents"][0]["document_id"].as_str().unwrap();
    let (status, _) = app.delete(&format!("/api/documents/{id}")).await.unwrap();
    assert!(status < 300);
    let jobs = wait_for_jobs(&app, jobs.len() + 1).await;
    assert_completed(&app.wait_ended(jobs[0]["job_id"].as_str().unwrap()).await.unwrap());
}

/// A job for next year, or one whose type is paused, says nothing about the layers of today.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_are_not_due_do_not_keep_upkeep_off() {
    let app = TestApp::start_with(BINARY, |s| s.arg("--auto-reindex").arg("1s")).await.unwrap();
    app.post("/api/job-types/clustering/pause").await.unwrap();
    let next_year = graphmill_core::Clock::now(&graphmill_core::SystemClock).plus(Duration::from_secs(365 * 24 * 3600));
    for body in [json!({"job_type": "clustering"}), json!({"job_type": "reindex", "run_at": next_year})] {
        let (status, answer) = app.post_json("/api/jobs", &body).await.unwrap();
        assert_eq!(status, 202, "{answer}");
    }
    ingest(&app, 1).await;
    let jobs = wait_for_jobs(&app, 1).await;
    assert_completed(&app.wait_ended(jobs[0]["job_id"].as_str().unwrap()).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_the_quiet_time_and_can_be_switched_off() {
    let app = TestApp::start_with(BINARY, |s| s.env("GRAPHMILL_AUTO_REINDEX", "off")).await.unwrap();
    ingest(&app, 1).await;
    let long = TestApp::start_with(BINARY, |s| s.env("GRAPHMILL_AUTO_REINDEX", "1h")).await.unwrap();
    ingest(&long, 1).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!((auto_jobs(&app).await, auto_jobs(&long).await), (vec![], vec![]));
    let (_, page) = app.get("/api/jobs").await.unwrap();
    assert_eq!(page["total"], json!(1), "{page:#}");
}
