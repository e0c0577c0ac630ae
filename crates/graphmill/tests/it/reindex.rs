//! The job type `reindex`: a delta ends as a full rebuild, whatever disturbs it; readers never see half of it.

mod disturbed;
mod histories;
mod models;

use graphmill_testkit::{AppSettings, TestApp};
use serde_json::{Value, json};

use crate::support::{BINARY, assert_completed, markdown};

/// Units of a few rows each, so that there are many of them.
fn small_units(settings: AppSettings) -> AppSettings {
    settings.env("GRAPHMILL_REINDEX_BLOCK_ROWS", "40").env("GRAPHMILL_CPU_THREADS", "2")
}

/// A server whose reindexes have many units.
async fn start(points: &str) -> TestApp {
    TestApp::start_with(BINARY, |s| small_units(s).env("FAILPOINTS", points)).await.unwrap()
}

/// Uploads a document and waits for it.
async fn ingest(app: &TestApp, name: &str, text: impl Into<Vec<u8>>) -> String {
    let job = app.upload_job(name, text, &[("extract_entities", "false")]).await.unwrap();
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    page["metadata"]["document_id"].as_str().unwrap().to_owned()
}

/// Asks for a reindex; answers its job id.
async fn ask(app: &TestApp, body: &Value) -> String {
    let (status, job) = app.post_json("/api/database/reindex", body).await.unwrap();
    assert!(matches!(status, 200 | 202), "{status} {job}");
    job["job_id"].as_str().unwrap().to_owned()
}

/// A reindex from request to end.
async fn reindex(app: &TestApp, body: Value) -> Value {
    let job = ask(app, &body).await;
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    assert_eq!(page["message"], "Reindexing complete", "{page:#}");
    page
}

/// The export after a reindex over everything.
async fn after_a_full_one(app: &TestApp, mut body: Value) -> String {
    body["mode"] = json!("full");
    reindex(app, body).await;
    app.export("default").await.unwrap()
}

fn similarity_lines(export: &str) -> usize {
    export.matches("\"kind\":\"similarity\"").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reindex_of_an_empty_collection_completes() {
    let app = start("").await;
    for body in [json!({}), json!({"mode": "full"}), json!({"rebuild_embeddings": true})] {
        let page = reindex(&app, body).await;
        assert_eq!(page["metadata"]["similarities"], 0, "{page:#}");
    }
    ingest(&app, "a.md", markdown(1, 3)).await;
    let page = reindex(&app, json!({"threshold": 0.0})).await;
    assert!(page["metadata"]["similarities"].as_u64().unwrap() > 0, "{page:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_a_reindex_says_what_was_asked_and_done() {
    let app = start("").await;
    ingest(&app, "a.md", markdown(1, 60)).await;
    let page = reindex(&app, json!({"rebuild_embeddings": true, "top_k": 3, "threshold": 0.5})).await;
    let names: Vec<_> = page["stages"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["rebuild_embeddings", "rebuild_similarities"]);
    let metadata = &page["metadata"];
    assert_eq!(metadata["rebuild_similarities"], true, "{page:#}");
    assert_eq!(metadata["run_clustering"], false, "{page:#}");
    assert_eq!((&metadata["top_k"], &metadata["threshold"]), (&json!(3), &json!(0.5)));
    assert_eq!(metadata["embeddings_created"], 0, "every chunk has its vector: {page:#}");
    let (_, stats) = app.get("/api/graph/stats").await.unwrap();
    assert_eq!(metadata["chunks_compared"], stats["chunks"], "{page:#}");
    assert_eq!(metadata["similarities"], stats["similarities"], "{page:#}");
    assert!(similarity_lines(&app.export("default").await.unwrap()) > 0);
    // Nothing was published since: nothing is compared again.
    let again = reindex(&app, json!({"top_k": 3, "threshold": 0.5})).await;
    assert_eq!(again["metadata"]["chunks_compared"], 0, "{again:#}");
    assert_eq!(again["metadata"]["similarities"], metadata["similarities"]);
    // Other parameters are another layer.
    let other = reindex(&app, json!({"top_k": 4, "threshold": 0.5})).await;
    assert_eq!(other["metadata"]["chunks_compared"], stats["chunks"], "{other:#}");
    // All vectors anew.
    let all = reindex(&app, json!({"rebuild_embeddings": true, "mode": "full"})).await;
    assert_eq!(all["metadata"]["embeddings_created"], stats["chunks"], "{all:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_reindexes_of_a_collection_run_one_after_the_other() {
    let app = TestApp::start_with(BINARY, |s| {
        small_units(s)
            .env("GRAPHMILL_REINDEX_WORKERS", "4")
            .env("FAILPOINTS", "stage.rebuild_similarities.unit=1*sleep(700)")
    })
    .await
    .unwrap();
    ingest(&app, "a.md", markdown(1, 60)).await;
    let first = ask(&app, &json!({"top_k": 3})).await;
    app.wait_job(&first, |page| page["status"] == "running").await.unwrap();
    let second = ask(&app, &json!({"top_k": 4})).await;
    assert_ne!(first, second);
    assert_eq!(ask(&app, &json!({"top_k": 4})).await, second, "an identical request that waits is the same job");
    let (_, waiting) = app.get(&format!("/api/jobs/{second}")).await.unwrap();
    assert_eq!(waiting["status"], "pending", "{waiting:#}");
    let first = app.wait_ended(&first).await.unwrap();
    assert_completed(&first);
    let second = app.wait_ended(&second).await.unwrap();
    assert_completed(&second);
    assert!(first["completed_at"].as_str() <= second["started_at"].as_str(), "{first:#} {second:#}");
}
