//! `kill -9` at named points: every job ends by itself after the restart, and the graph is that of an undisturbed run.

use std::time::{Duration, Instant};

use graphmill_testkit::TestApp;
use rand::{Rng, SeedableRng};
use serde_json::json;

use crate::support::{BINARY, assert_completed, markdown, real_document, seed, start, start_with_faults};

/// Where the process is killed while it ingests: (point, passes that are let through).
const POINTS: &[(&str, u32)] = &[
    ("store.enqueue.after_commit", 0),
    ("loading.before_pages_safe", 0),
    // The n-th stage that ends: loading, chunking, embedding, entity_extraction, persistence.
    ("store.stage.before_commit", 0),
    ("store.stage.after_commit", 0),
    ("store.stage.before_commit", 1),
    ("store.stage.after_commit", 1),
    ("store.stage.before_commit", 2),
    ("store.stage.after_commit", 2),
    ("store.stage.before_commit", 3),
    ("store.stage.after_commit", 3),
    ("store.stage.before_commit", 4),
    ("store.stage.after_commit", 4),
    ("stage.embedding.unit", 2),
    ("stage.entity_extraction.unit", 3),
    ("store.units.after_commit", 2),
    ("stage.before_commit", 0),
    ("stage.after_commit", 0),
    ("publishing.before_intent", 0),
    ("store.intent.before_commit", 0),
    ("store.intent.after_commit", 0),
    ("publishing.after_intent", 0),
    ("publish.begin", 0),
    ("publish.after_placements", 0),
    ("publish.after_folds", 0),
    ("publish.before_commit", 0),
    ("publish.after_commit", 0),
    ("publishing.after_publish", 0),
    ("ingestion.before_complete", 0),
    ("store.end.before_commit", 0),
    ("store.end.after_commit", 0),
];

fn document() -> String {
    markdown(1, 300)
}

async fn undisturbed() -> String {
    let app = start().await;
    let job = app.upload_job("report.md", document(), &[]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    app.export("default").await.unwrap()
}

/// The id of the only job: an upload whose answer was lost left it in the store.
async fn only_job(app: &TestApp) -> String {
    let (status, page) = app.get("/api/jobs").await.unwrap();
    assert_eq!((status, &page["total"]), (200, &json!(1)), "{page:#}");
    page["jobs"][0]["job_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_point_changes_nothing_but_the_time() {
    let expected = undisturbed().await;
    assert!(expected.lines().count() > 100);
    for (point, passes) in POINTS {
        let mut app = start_with_faults(&format!("{point}={passes}*off->return(kill)")).await;
        // The answer is lost when the kill comes first.
        let _ = app.upload("report.md", document(), &[]).await;
        app.wait_gone().await.unwrap_or_else(|e| panic!("{point} after {passes}: {e:#}"));
        app.restart_quiet().await.unwrap();
        let ready = Instant::now();
        let job = only_job(&app).await;
        let page = app.wait_job(&job, |page| page["status"] != "pending").await.unwrap();
        assert!(
            ready.elapsed() < Duration::from_secs(1),
            "{point}: running again after {:?}: {page:#}",
            ready.elapsed()
        );
        let page = app.wait_ended(&job).await.unwrap();
        assert_completed(&page);
        assert_eq!(app.export("default").await.unwrap(), expected, "{point} after {passes}");
        let (_, stats) = app.get("/api/graph/stats").await.unwrap();
        assert_eq!(stats["documents"], 1, "{point}: {stats}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_was_not_accepted_leaves_nothing() {
    let mut app = start_with_faults("store.enqueue.before_commit=return(kill)").await;
    assert!(app.upload("report.md", document(), &[]).await.is_err());
    app.wait_gone().await.unwrap();
    app.restart_quiet().await.unwrap();
    let (_, page) = app.get("/api/jobs").await.unwrap();
    assert_eq!(page["total"], 0, "{page:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_kills_in_one_job_do_not_fail_it() {
    let pdf = real_document("gnuplot.pdf");
    let quiet = start().await;
    let job = quiet.upload_job("gnuplot.pdf", pdf.clone(), &[]).await.unwrap();
    let page = quiet.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    assert!(page["metadata"]["page_count"].as_u64().unwrap() >= 50, "{page:#}");
    let expected = quiet.export("default").await.unwrap();

    // Each process lives for a few units of some stage.
    let mut app = start_with_faults("store.units.after_commit=1*off->return(kill)").await;
    let job = app.upload_job("gnuplot.pdf", pdf, &[]).await.unwrap();
    for kill in 1..=10 {
        app.wait_gone().await.unwrap_or_else(|e| panic!("kill {kill}: {e:#}"));
        if kill < 10 {
            // It may reach the point again before it can say that it is ready: then it is gone already.
            let _ = app.restart(|s| s).await;
        }
    }
    app.restart_quiet().await.unwrap();
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    assert!(page["attempts"].as_array().unwrap().len() >= 11, "{page:#}");
    assert_eq!(app.export("default").await.unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_deletion_survives_a_kill_at_each_step() {
    for point in ["remove.before_commit", "remove.after_commit", "document_delete.after_remove"] {
        let mut app = start_with_faults(&format!("{point}=return(kill)")).await;
        let job = app.upload_job("a.md", markdown(1, 5), &[]).await.unwrap();
        let page = app.wait_ended(&job).await.unwrap();
        let document = page["metadata"]["document_id"].as_str().unwrap().to_owned();
        let _ = app.delete(&format!("/api/documents/{document}")).await;
        app.wait_gone().await.unwrap_or_else(|e| panic!("{point}: {e:#}"));
        app.restart_quiet().await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            let (_, stats) = app.get("/api/graph/stats").await.unwrap();
            if stats["documents"] == 0 {
                assert_eq!((&stats["chunks"], &stats["entities"]), (&json!(0), &json!(0)), "{point}: {stats}");
                break;
            }
            assert!(Instant::now() < deadline, "{point}: the deletion was lost: {stats}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_inside_cleanup_loses_no_graph_and_no_other_job() {
    for point in ["cleanup.before_commit", "cleanup.after_commit"] {
        let mut app = start_with_faults(&format!("{point}=return(kill)")).await;
        for n in 0..3 {
            let job = app.upload_job(&format!("{n}.md"), markdown(n, 4), &[]).await.unwrap();
            assert_completed(&app.wait_ended(&job).await.unwrap());
        }
        let before = app.export("default").await.unwrap();
        let _ = app.post_json("/api/jobs/cleanup", &json!({"older_than_days": 0})).await;
        app.wait_gone().await.unwrap_or_else(|e| panic!("{point}: {e:#}"));
        app.restart_quiet().await.unwrap();
        assert_eq!(app.export("default").await.unwrap(), before, "{point}");
        let (status, answer) = app.post_json("/api/jobs/cleanup", &json!({"older_than_days": 0})).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        let (_, page) = app.get("/api/jobs").await.unwrap();
        assert_eq!(page["total"], 0, "{point}: {page:#}");
        assert_eq!(app.export("default").await.unwrap(), before, "{point}");
        // The originals of published documents are still there: the document can be ingested again.
        let (_, documents) = app.get("/api/documents").await.unwrap();
        let document = &documents["documents"][0]["document_id"];
        let body = json!({"job_type": "ingestion", "params": {"document_id": document}});
        let (status, again) = app.post_json("/api/jobs", &body).await.unwrap();
        assert_eq!(status, 202, "{again}");
        assert_completed(&app.wait_ended(again["job_id"].as_str().unwrap()).await.unwrap());
        assert_eq!(app.export("default").await.unwrap(), before, "{point}");
    }
}

/// SIGKILL from outside, at moments that nobody chose.
#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments() {
    let expected = undisturbed().await;
    let mut app = TestApp::start(BINARY).await.unwrap();
    let job = app.upload_job("report.md", document(), &[]).await.unwrap();
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed());
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..120))).await;
        app.restart(|s| s).await.unwrap();
    }
    assert_completed(&app.wait_ended(&job).await.unwrap());
    assert_eq!(app.export("default").await.unwrap(), expected);
}
