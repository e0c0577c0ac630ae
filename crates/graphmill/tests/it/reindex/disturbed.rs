//! Kills, cancels, and writers and readers beside a reindex.

use std::time::{Duration, Instant};

use graphmill_testkit::TestApp;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use super::{after_a_full_one, ask, ingest, reindex, similarity_lines, small_units, start};
use crate::support::{BINARY, assert_completed, eventually, markdown, seed};

const POINTS: &[(&str, u32)] = &[
    ("store.enqueue.after_commit", 3),
    // The third and fourth stages that end are those of the reindex: four belong to each ingestion.
    ("stage.rebuild_embeddings.unit", 0),
    ("stage.rebuild_embeddings.unit", 2),
    ("put_vectors.before_commit", 1),
    ("put_vectors.after_commit", 1),
    ("activate_space.before_commit", 0),
    ("activate_space.after_commit", 0),
    ("stage.rebuild_similarities.unit", 0),
    ("stage.rebuild_similarities.unit", 3),
    ("put_similarities.before_commit", 0),
    ("put_similarities.after_commit", 0),
    ("put_similarities.after_commit", 3),
    ("finish_run.before_commit", 0),
    ("finish_run.after_commit", 0),
    ("finish_run.before_commit", 1),
    ("finish_run.after_commit", 1),
    ("reindex.before_complete", 0),
];

fn body() -> Value {
    json!({"rebuild_embeddings": true, "mode": "full", "top_k": 5, "threshold": 0.4})
}

async fn fill(app: &TestApp) {
    ingest(app, "a.md", markdown(1, 150)).await;
    ingest(app, "b.md", markdown(2, 80)).await;
}

async fn undisturbed() -> String {
    let app = start("").await;
    fill(&app).await;
    reindex(&app, body()).await;
    let export = app.export("default").await.unwrap();
    assert!(similarity_lines(&export) > 100, "{}", similarity_lines(&export));
    export
}

/// Starts the process again with points armed: what was done before does not count.
async fn arm(app: &mut TestApp, points: &str) {
    app.restart(|s| s.env("FAILPOINTS", points)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_point_changes_nothing_but_the_time() {
    let expected = undisturbed().await;
    for (point, passes) in &POINTS[1..] {
        let mut app = start("").await;
        fill(&app).await;
        arm(&mut app, &format!("{point}={passes}*off->return(kill)")).await;
        let job = ask(&app, &body()).await;
        app.wait_gone().await.unwrap_or_else(|e| panic!("{point} after {passes}: {e:#}"));
        app.restart_quiet().await.unwrap();
        let page = app.wait_ended(&job).await.unwrap();
        assert_completed(&page);
        assert_eq!(page["message"], "Reindexing complete");
        assert_eq!(app.export("default").await.unwrap(), expected, "{point} after {passes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn finished_units_are_not_done_again() {
    // One unit after the other, each recorded by itself.
    let mut app = TestApp::start_with(BINARY, |s| small_units(s).env("GRAPHMILL_CPU_THREADS", "1")).await.unwrap();
    fill(&app).await;
    let (_, stats) = app.get("/api/graph/stats").await.unwrap();
    let units = 1 + stats["chunks"].as_u64().unwrap().div_ceil(40);
    assert!(units > 6, "{stats}");
    arm(&mut app, "store.units.after_commit=4*off->return(kill)").await;
    let job = ask(&app, &json!({"top_k": 5, "threshold": 0.4})).await;
    app.wait_gone().await.unwrap();
    // One unit more than those that are missing ends the process.
    arm(&mut app, &format!("stage.rebuild_similarities.unit={}*off->return(kill)", units - 5)).await;
    assert_completed(&app.wait_ended(&job).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments() {
    let expected = undisturbed().await;
    let mut app = start("").await;
    fill(&app).await;
    let job = ask(&app, &body()).await;
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed());
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(rng.random_range(0..150))).await;
        app.restart(|s| s).await.unwrap();
    }
    assert_completed(&app.wait_ended(&job).await.unwrap());
    assert_eq!(app.export("default").await.unwrap(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_in_each_stage_leaves_what_readers_had() {
    for stage in ["rebuild_embeddings", "rebuild_similarities"] {
        let mut app = start("").await;
        fill(&app).await;
        reindex(&app, json!({"top_k": 2, "threshold": 0.4})).await;
        let before = app.export("default").await.unwrap();
        // Some units are done, the next are held.
        arm(&mut app, &format!("stage.{stage}.unit=2*off->sleep(600)")).await;
        let job = ask(&app, &body()).await;
        app.wait_job(&job, |page| {
            page["stages"].as_array().unwrap().iter().any(|s| s["name"] == stage && s["progress"].as_f64() > Some(0.0))
        })
        .await
        .unwrap_or_else(|e| panic!("{stage}: {e:#}"));
        let asked = Instant::now();
        let (status, answer) = app.post(&format!("/api/jobs/{job}/cancel")).await.unwrap();
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        assert_eq!((status, &answer["status"]), (200, &json!("cancelled")), "{answer}");
        assert_eq!(app.export("default").await.unwrap(), before, "{stage}");
        tokio::time::sleep(Duration::from_millis(900)).await;
        assert_eq!(app.export("default").await.unwrap(), before, "{stage}: a later write was seen");
        // The next one, and then the cancelled one again, end as ever.
        app.restart_quiet().await.unwrap();
        let expected = after_a_full_one(&app, body()).await;
        reindex(&app, json!({"top_k": 2, "threshold": 0.4})).await;
        assert_eq!(app.post(&format!("/api/jobs/{job}/retry")).await.unwrap().0, 202);
        assert_completed(&app.wait_ended(&job).await.unwrap());
        assert_eq!(app.export("default").await.unwrap(), expected, "{stage}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_given_up_for_another_job_is_done_anew() {
    // A kill in the middle, then the job waits for its next try while another reindex of the collection runs.
    let mut app = start("").await;
    fill(&app).await;
    arm(&mut app, "stage.rebuild_similarities.unit=3*off->sleep(400)").await;
    let job = ask(&app, &json!({"top_k": 5, "threshold": 0.4})).await;
    app.wait_job(&job, |page| page["progress"].as_f64() > Some(0.0)).await.unwrap();
    assert_eq!(app.post(&format!("/api/jobs/{job}/cancel")).await.unwrap().0, 200);
    app.restart_quiet().await.unwrap();
    reindex(&app, json!({"top_k": 2, "threshold": 0.9})).await;
    ingest(&app, "c.md", markdown(3, 30)).await;
    assert_eq!(app.post(&format!("/api/jobs/{job}/retry")).await.unwrap().0, 202);
    assert_completed(&app.wait_ended(&job).await.unwrap());
    let found = app.export("default").await.unwrap();
    assert_eq!(found, after_a_full_one(&app, json!({"top_k": 5, "threshold": 0.4})).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_and_deletions_beside_a_reindex_are_in_the_next_one() {
    let app = start("stage.rebuild_similarities.unit=sleep(60)").await;
    fill(&app).await;
    let delta = json!({"top_k": 5, "threshold": 0.4});
    reindex(&app, delta.clone()).await;
    for round in 0..4u32 {
        let doomed = ingest(&app, "doomed.md", markdown(10 + round, 60)).await;
        let job = ask(&app, &delta).await;
        app.wait_job(&job, |page| page["status"] != "pending").await.unwrap();
        let other = app.upload_job("c.md", markdown(20 + round, 50), &[]).await.unwrap();
        let path = format!("/api/documents/{doomed}");
        assert!(matches!(app.delete(&path).await.unwrap().0, 200 | 202));
        assert_completed(&app.wait_ended(&other).await.unwrap());
        assert_completed(&app.wait_ended(&job).await.unwrap());
        eventually(&app, &path, 404).await;
        reindex(&app, delta.clone()).await;
        let after_delta = app.export("default").await.unwrap();
        assert_eq!(after_a_full_one(&app, delta.clone()).await, after_delta, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_one_generation_or_the_other() {
    let app =
        TestApp::start_with(BINARY, |s| small_units(s).env("FAILPOINTS", "stage.rebuild_similarities.unit=sleep(20)"))
            .await
            .unwrap();
    fill(&app).await;
    let of = |top_k: u32| json!({"top_k": top_k, "threshold": 0.4, "mode": "full"});
    let mut allowed = Vec::new();
    for top_k in [2, 5] {
        allowed.push(after_a_full_one(&app, of(top_k)).await);
    }
    for top_k in [2, 5, 2] {
        let job = ask(&app, &of(top_k)).await;
        let mut polls = 0;
        loop {
            let export = app.export("default").await.unwrap();
            assert!(allowed.contains(&export), "a reader saw neither the old layer nor the new one");
            polls += 1;
            let (_, page) = app.get(&format!("/api/jobs/{job}")).await.unwrap();
            if page["status"] == "completed" {
                break;
            }
        }
        assert!(polls > 1);
        assert_eq!(app.export("default").await.unwrap(), allowed[usize::from(top_k == 5)]);
    }
}
