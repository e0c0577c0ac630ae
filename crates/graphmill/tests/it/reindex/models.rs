//! A change of the embedding model: the new space is built beside the old one, then takes its place.

use graphmill_testkit::{AppSettings, FakeConfig, FakeModels, Fault, FaultFor, Mode, TestApp};
use serde_json::json;

use super::{ask, ingest, reindex, small_units, start};
use crate::support::{BINARY, assert_completed, markdown};

async fn fake(mode: Mode) -> FakeModels {
    FakeModels::start(FakeConfig { mode, ..FakeConfig::default() }).await.unwrap()
}

async fn with_model(app: &mut TestApp, models: &FakeModels) {
    let url = models.url();
    app.restart(|s| s.env("GRAPHMILL_EMBEDDING_URL", url).env("GRAPHMILL_EMBEDDING_MODEL", "fake-embedding"))
        .await
        .unwrap();
}

async fn found(app: &TestApp) -> usize {
    let (status, answer) = app.get("/api/search?q=inspection+of+the+pump&mode=text").await.unwrap();
    assert_eq!(status, 200, "{answer}");
    answer["hits"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn another_model_takes_over_when_all_chunks_have_its_vectors() {
    // What a collection that only ever knew the new model looks like.
    let models = fake(Mode { embedding_dim: 24, ..Mode::default() }).await;
    let url = models.url();
    let new = TestApp::start_with(BINARY, |s| {
        small_units(s).env("GRAPHMILL_EMBEDDING_URL", url).env("GRAPHMILL_EMBEDDING_MODEL", "fake-embedding")
    })
    .await
    .unwrap();
    ingest(&new, "a.md", markdown(1, 120)).await;
    ingest(&new, "b.md", markdown(2, 30)).await;
    reindex(&new, json!({"threshold": 0.2})).await;
    let expected = new.export("default").await.unwrap();

    let models = fake(Mode { embedding_dim: 24, latency_ms: 60, ..Mode::default() }).await;
    let mut app = start("").await;
    ingest(&app, "a.md", markdown(1, 120)).await;
    reindex(&app, json!({"threshold": 0.2})).await;
    with_model(&mut app, &models).await;
    // A document that is published while the new space is being built.
    let job = ask(&app, &json!({"rebuild_embeddings": true, "threshold": 0.2})).await;
    let other = app.upload_job("b.md", markdown(2, 30), &[("extract_entities", "false")]).await.unwrap();
    loop {
        assert!(found(&app).await > 0, "search works all the while");
        let (_, page) = app.get(&format!("/api/jobs/{job}")).await.unwrap();
        if page["status"] != "pending" && page["status"] != "running" {
            assert_completed(&page);
            assert!(page["metadata"]["embeddings_created"].as_u64().unwrap() > 0, "{page:#}");
            break;
        }
    }
    assert_completed(&app.wait_ended(&other).await.unwrap());
    let (_, stats) = app.get("/api/graph/stats").await.unwrap();
    assert_eq!(stats["chunks_without_vector"], 0, "{stats}");
    assert!(models.stats().asked_again().is_empty(), "{:?}", models.stats().asked_again());
    reindex(&app, json!({"threshold": 0.2})).await;
    assert_eq!(app.export("default").await.unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_vector_is_paid_twice_after_a_kill() {
    let models = fake(Mode { embedding_dim: 24, ..Mode::default() }).await;
    let mut app = start("").await;
    ingest(&app, "a.md", markdown(1, 200)).await;
    with_model(&mut app, &models).await;
    let one_at_a_time = |s: AppSettings| s.env("GRAPHMILL_MODEL_CONCURRENCY", "1");
    let faults = "put_vectors.before_commit=2*off->return(kill)";
    app.restart(|s| one_at_a_time(s).env("FAILPOINTS", faults)).await.unwrap();
    let job = ask(&app, &json!({"rebuild_embeddings": true})).await;
    app.wait_gone().await.unwrap();
    app.restart_quiet().await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    // What was answered before the kill lies in the content cache; the one request that was under way may have been answered and not written.
    let paid_again: u64 = models.stats().items.iter().map(|item| item.asked_after_answer).sum();
    assert!(paid_again <= 64, "{paid_again}: {:?}", models.stats().asked_again());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_the_new_model_refuses_is_set_aside() {
    let refuses = FaultFor { contains: "Section 7 of".into(), fault: Fault::TooLong };
    let models = fake(Mode { embedding_dim: 24, texts: vec![refuses], ..Mode::default() }).await;
    let mut app = start("").await;
    ingest(&app, "a.md", markdown(1, 20)).await;
    with_model(&mut app, &models).await;
    let job = ask(&app, &json!({"rebuild_embeddings": true})).await;
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    assert!(page["metadata"]["chunks_quarantined"].as_u64().unwrap() >= 1, "{page:#}");
    let error = &page["errors"][0];
    assert_eq!(error["code"], "chunk_quarantined", "{page:#}");
    assert!(error["chunk_id"].as_str().unwrap().starts_with("chk-"), "{page:#}");
    let (_, stats) = app.get("/api/graph/stats").await.unwrap();
    assert!(stats["quarantined_chunks"].as_u64().unwrap() >= 1, "{stats}");
    assert!(found(&app).await > 0);
    // The model takes it now.
    models.set_mode(Mode { embedding_dim: 24, ..Mode::default() });
    reindex(&app, json!({"rebuild_embeddings": true, "mode": "full"})).await;
    let (_, stats) = app.get("/api/graph/stats").await.unwrap();
    assert_eq!(stats["quarantined_chunks"], 0, "{stats}");
}

/// A table of `rows` rows under a head; long enough for chunks that begin in its middle.
fn table(head: &str, rows: usize) -> String {
    let rows: String = (0..rows).map(|n| format!("| P-{n} | {} | {} |\n", n * 7 % 13, n * 31 % 101)).collect();
    format!("# Stock\n\n{head}\n| --- | --- | --- |\n{rows}")
}

/// Vectors of a collection by chunk, as they stand in the graph; the server must not run.
fn vectors(app: &TestApp) -> Vec<(Vec<u8>, Vec<u8>)> {
    let graph = rusqlite::Connection::open(app.settings().data_dir().join("graph.db")).unwrap();
    let sql = "SELECT c.id, v.vector FROM placement p JOIN chunk c ON c.key = p.chunk \
               JOIN vector v ON v.key & ((1 << 40) - 1) = c.key ORDER BY c.id";
    let mut statement = graph.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_in_the_middle_of_a_table_is_embedded_with_its_head_by_both_ways() {
    let mut app = start("").await;
    ingest(&app, "stock.md", table("| Part | Shelf | Stock |", 300)).await;
    let with_context = app.export("default").await.unwrap().matches("\"context\":\"| Part | Shelf | Stock |").count();
    assert!(with_context > 2, "{with_context} chunks begin in the middle of the table");
    app.kill().await.unwrap();
    let ingested = vectors(&app);
    app.restart(|s| s).await.unwrap();
    let all = reindex(&app, json!({"rebuild_embeddings": true, "mode": "full"})).await;
    assert_eq!(all["metadata"]["embeddings_created"], ingested.len(), "{all:#}");
    app.kill().await.unwrap();
    assert!(vectors(&app) == ingested, "a reindex made other vectors than the ingestion");
    // Another head makes other chunks of the same rows.
    app.restart(|s| s).await.unwrap();
    ingest(&app, "stock.md", table("| Item | Room | Price |", 300)).await;
    let mut fresh = start("").await;
    ingest(&fresh, "stock.md", table("| Item | Room | Price |", 300)).await;
    assert_eq!(app.export("default").await.unwrap(), fresh.export("default").await.unwrap());
    app.kill().await.unwrap();
    fresh.kill().await.unwrap();
    assert!(vectors(&app) == vectors(&fresh), "vectors of the old head are kept");
}
