//! Clustering under `kill -9`, beside readers, and beside ingestions and deletions.

use std::time::Duration;

use graphmill_testkit::TestApp;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::clustering::{begin, cluster, ingest};
use crate::support::{BINARY, assert_completed, markdown, seed, start};

/// Where the process is killed while it clusters: (point, passes that are let through).
const POINTS: &[(&str, u32)] = &[
    ("stage.build_projection.unit", 0),
    ("clustering.projection.page", 0),
    ("store.units.after_commit", 0),
    ("store.stage.before_commit", 0),
    ("store.stage.after_commit", 0),
    ("stage.run_leiden.unit", 0),
    ("clustering.leiden.graph", 0),
    ("store.stage.before_commit", 1),
    ("store.stage.after_commit", 1),
    ("stage.assign_communities.unit", 0),
    ("clustering.title", 2),
    ("store.stage.after_commit", 2),
    ("stage.generate_summaries.unit", 0),
    ("clustering.before_run", 0),
    ("clustering.before_intent", 0),
    ("store.intent.before_commit", 0),
    ("store.intent.after_commit", 0),
    ("clustering.after_intent", 0),
    ("clustering.after_switch", 0),
    ("store.stage.before_commit", 3),
    ("store.stage.after_commit", 3),
    ("clustering.before_complete", 0),
    ("store.end.before_commit", 0),
    ("store.end.after_commit", 0),
];

/// Two clusterings that differ.
fn params(n: usize) -> Value {
    let resolution = [1, 20][n % 2];
    json!({"resolution": resolution, "max_levels": 2, "generate_summaries": true})
}

/// Exports after each of the two, of a folder that nobody disturbed.
async fn undisturbed() -> [String; 2] {
    let app = start().await;
    ingest(&app, 2).await;
    let mut exports = [String::new(), String::new()];
    for (n, export) in exports.iter_mut().enumerate() {
        cluster(&app, params(n)).await;
        *export = app.export("default").await.unwrap();
    }
    assert_ne!(exports[0], exports[1]);
    exports
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_point_changes_nothing_but_the_time() {
    let expected = undisturbed().await;
    let mut app = start().await;
    ingest(&app, 2).await;
    cluster(&app, params(1)).await;
    for (n, (point, passes)) in POINTS.iter().enumerate() {
        app.restart(|s| s.env("FAILPOINTS", format!("{point}={passes}*off->return(kill)"))).await.unwrap();
        let body = json!({"job_type": "clustering", "params": params(n)});
        // The kill may come before the answer does.
        let _ = app.post_json("/api/jobs", &body).await;
        app.wait_gone().await.unwrap_or_else(|e| panic!("{point} after {passes}: {e:#}"));
        app.restart_quiet().await.unwrap();
        let (_, page) = app.get("/api/jobs?job_type=clustering&limit=1").await.unwrap();
        let page = app.wait_ended(page["jobs"][0]["job_id"].as_str().unwrap()).await.unwrap();
        assert_completed(&page);
        assert_eq!(app.export("default").await.unwrap(), expected[n % 2], "{point} after {passes}");
        if *passes > 1 || point.starts_with("clustering.after") {
            let attempt = page["attempts"].as_array().unwrap().last().unwrap();
            let ran = attempt["stages"].to_string();
            assert!(!ran.contains("build_projection"), "a finished stage ran again: {page:#}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_at_random_moments() {
    let expected = undisturbed().await;
    let mut app = TestApp::start(BINARY).await.unwrap();
    ingest(&app, 2).await;
    let mut rng = rand::rngs::StdRng::seed_from_u64(seed());
    for n in 0..4 {
        let job = begin(&app, params(n)).await;
        for _ in 0..2 {
            tokio::time::sleep(Duration::from_millis(rng.random_range(0..60))).await;
            app.restart(|s| s).await.unwrap();
        }
        assert_completed(&app.wait_ended(&job).await.unwrap());
        assert_eq!(app.export("default").await.unwrap(), expected[n % 2]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_sees_one_generation_or_the_other() {
    let expected = undisturbed().await;
    let app = start().await;
    ingest(&app, 2).await;
    cluster(&app, params(0)).await;
    let (read, written) = tokio::join!(
        async {
            let (mut seen, mut reads) = ([false; 2], 0);
            while reads < 20 || seen != [true; 2] {
                let export = app.export("default").await.unwrap();
                let which = expected.iter().position(|e| *e == export);
                seen[which.unwrap_or_else(|| panic!("half a generation was seen: {export}"))] = true;
                reads += 1;
                assert!(reads < 5_000, "one of the generations was never seen");
            }
            reads
        },
        async {
            for n in 1..7 {
                cluster(&app, params(n)).await;
            }
        }
    );
    let ((), reads) = (written, read);
    assert!(reads >= 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn ingestions_and_deletions_beside_it_end_as_without_them() {
    let mut app = start().await;
    ingest(&app, 2).await;
    app.restart(|s| s.env("FAILPOINTS", "stage.assign_communities.unit=1*sleep(1200)")).await.unwrap();
    let job = begin(&app, params(0)).await;
    app.wait_job(&job, |page| page["status"] == "running").await.unwrap();
    let upload = app.upload_job("2.md", markdown(2, 8), &[]).await.unwrap();
    let (_, documents) = app.get("/api/documents").await.unwrap();
    let documents = documents["documents"].as_array().unwrap().clone();
    let gone = documents.iter().find(|d| d["filename"] == "0.md").unwrap()["document_id"].as_str().unwrap();
    let (status, answer) = app.delete(&format!("/api/documents/{gone}")).await.unwrap();
    assert!(status < 300, "{answer}");
    assert_completed(&app.wait_ended(&upload).await.unwrap());
    assert_completed(&app.wait_ended(&job).await.unwrap());
    cluster(&app, params(0)).await;
    let mixed = app.export("default").await.unwrap();

    let quiet = start().await;
    for n in [1, 2] {
        let job = quiet.upload_job(&format!("{n}.md"), markdown(n, 8), &[]).await.unwrap();
        assert_completed(&quiet.wait_ended(&job).await.unwrap());
    }
    cluster(&quiet, params(0)).await;
    assert_eq!(quiet.export("default").await.unwrap(), mixed);
}
