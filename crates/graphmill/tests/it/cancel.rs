//! Cancel: work stops within a second, nothing of the job is seen, and an answer about publishing is the truth.

use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::support::{assert_completed, export_count, markdown, seed, start, start_with_faults};

async fn nothing_visible(app: &graphmill_testkit::TestApp) {
    let (_, stats) = app.get("/api/graph/stats").await.unwrap();
    for name in ["documents", "chunks", "entities", "relations"] {
        assert_eq!(stats[name], 0, "{stats}");
    }
}

/// Waits until nothing staged is left of cancelled jobs.
async fn swept(app: &graphmill_testkit::TestApp) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (_, stats) = app.get("/api/graph/stats").await.unwrap();
        if stats["unplaced_chunks"].as_u64().unwrap_or(0) == 0 {
            return;
        }
        assert!(Instant::now() < deadline, "staged chunks stay: {stats}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_in_each_stage_leaves_nothing() {
    // Each stage is held at its first unit; the cancel comes while it is there.
    for stage in ["loading", "chunking", "embedding", "entity_extraction", "persistence"] {
        let app = start_with_faults(&format!("stage.{stage}.unit=1*sleep(400)")).await;
        let job = app.upload_job("report.md", markdown(1, 200), &[]).await.unwrap();
        app.wait_job(&job, |page| {
            page["stages"].as_array().unwrap().iter().any(|s| s["name"] == stage && s["status"] == "running")
        })
        .await
        .unwrap_or_else(|e| panic!("{stage}: {e:#}"));
        let (status, answer) = app.post(&format!("/api/jobs/{job}/cancel")).await.unwrap();
        assert_eq!(status, 200, "{stage}: {answer}");
        assert_eq!(answer, json!({"job_id": job, "status": "cancelled", "message": "Job cancelled successfully"}));
        let page = app.wait_ended(&job).await.unwrap();
        assert_eq!(page["status"], "cancelled", "{page:#}");
        nothing_visible(&app).await;
        swept(&app).await;
        // No later write turns it into something else.
        tokio::time::sleep(Duration::from_millis(700)).await;
        let (_, later) = app.get(&format!("/api/jobs/{job}")).await.unwrap();
        assert_eq!(later["status"], "cancelled", "{later:#}");
        nothing_visible(&app).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_at_fifty_random_moments_is_quick_and_true() {
    // One place: the next job starts only when the work of the cancelled one has really stopped.
    let app = graphmill_testkit::TestApp::start_with(crate::support::BINARY, |s| s.env("GRAPHMILL_WORKERS", "1"))
        .await
        .unwrap();
    // How long a job runs here decides between which moments is chosen.
    let mut whole = Vec::new();
    for n in 50..53 {
        let begun = Instant::now();
        let job = app.upload_job(&format!("{n}.md"), markdown(n, 150), &[]).await.unwrap();
        let page = app.wait_ended(&job).await.unwrap();
        assert_completed(&page);
        whole.push(begun.elapsed());
        app.delete(&format!("/api/documents/{}", page["metadata"]["document_id"].as_str().unwrap())).await.unwrap();
    }
    whole.sort();
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed());
    let mut stopped = Vec::new();
    for n in 0..50 {
        let job = app.upload_job(&format!("{n}.md"), markdown(n, 150), &[]).await.unwrap();
        tokio::time::sleep(whole[1].mul_f64(rng.random_range(0.0..1.0))).await;
        let asked = Instant::now();
        let (status, answer) = app.post(&format!("/api/jobs/{job}/cancel")).await.unwrap();
        let (_, page) = app.get(&format!("/api/jobs/{job}")).await.unwrap();
        match status {
            200 => {
                assert_eq!(page["status"], "cancelled", "{page:#}");
                let probe = app.upload_job("probe.md", format!("Probe {n} is here."), &[]).await.unwrap();
                app.wait_job(&probe, |page| page["status"] != "pending").await.unwrap();
                stopped.push(asked.elapsed());
                let document =
                    app.wait_ended(&probe).await.unwrap()["metadata"]["document_id"].as_str().unwrap().to_owned();
                app.delete(&format!("/api/documents/{document}")).await.unwrap();
            }
            400 => {
                let page = app.wait_ended(&job).await.unwrap();
                assert_completed(&page);
                let sentence = answer["error"].as_str().unwrap();
                assert!(sentence == "Cannot cancel completed job" || sentence.contains("publish"), "{answer}");
                let (_, deleted) = app
                    .delete(&format!("/api/documents/{}", page["metadata"]["document_id"].as_str().unwrap()))
                    .await
                    .unwrap();
                assert!(deleted["error"].is_null(), "{deleted}");
            }
            _ => panic!("{status} {answer}"),
        }
    }
    assert!(stopped.len() >= 10, "only {} of 50 were cancelled in time to say anything", stopped.len());
    stopped.sort();
    let p95 = stopped[stopped.len() * 95 / 100];
    assert!(p95 < Duration::from_secs(1), "p95 {p95:?}");
    swept(&app).await;
    let (_, documents) = app.get("/api/documents").await.unwrap();
    assert_eq!(documents["total"], 0, "{documents:#}");
    nothing_visible(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_in_the_middle_of_publishing_tells_the_truth() {
    let app = start_with_faults("publishing.after_intent=1*sleep(3000)").await;
    let job = app.upload_job("report.md", markdown(1, 20), &[]).await.unwrap();
    app.wait_job(&job, |page| stage(page, "persistence")["status"] == "running").await.unwrap();
    // Staging takes milliseconds; then the fault point holds the job between its intent and the publication.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let asked = Instant::now();
    let (status, answer) = app.post(&format!("/api/jobs/{job}/cancel")).await.unwrap();
    assert!(asked.elapsed() < Duration::from_millis(1_500), "{:?}", asked.elapsed());
    assert_eq!(status, 400, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("publish"), "{answer}");
    assert_completed(&app.wait_ended(&job).await.unwrap());
    let export = app.export("default").await.unwrap();
    assert_eq!(export_count(&export, "documents"), 1);
}

/// Case c28: cancel, then retry without paying again.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_after_a_cancel_goes_on_where_it_was() {
    let quiet = start().await;
    let job = quiet.upload_job("report.md", markdown(3, 200), &[]).await.unwrap();
    assert_completed(&quiet.wait_ended(&job).await.unwrap());
    let expected = quiet.export("default").await.unwrap();

    let app = start_with_faults("stage.entity_extraction.unit=1*sleep(1000)").await;
    let job = app.upload_job("report.md", markdown(3, 200), &[]).await.unwrap();
    app.wait_job(&job, |page| stage(page, "entity_extraction")["status"] == "running").await.unwrap();
    assert_eq!(app.post(&format!("/api/jobs/{job}/cancel")).await.unwrap().0, 200);
    let (status, answer) = app.post(&format!("/api/jobs/{job}/retry")).await.unwrap();
    assert_eq!(status, 202, "{answer}");
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    let ran = page["attempts"].as_array().unwrap().last().unwrap()["stages"].as_array().unwrap();
    for done in ["loading", "chunking", "embedding"] {
        assert!(!ran.contains(&json!(done)), "{done} was run again: {page:#}");
    }
    assert_eq!(app.export("default").await.unwrap(), expected);
}

fn stage<'a>(page: &'a Value, name: &str) -> &'a Value {
    page["stages"].as_array().unwrap().iter().find(|s| s["name"] == name).unwrap()
}
