//! Summaries of communities by a model server: what was answered is never asked again, what cannot be described is named.

use graphmill_testkit::{FakeConfig, FakeModels, Fault, FaultFor, Mode, TestApp};
use serde_json::{Value, json};

use crate::clustering::{begin, cluster, ingest};
use crate::support::{BINARY, assert_completed};

async fn fake(mode: Mode) -> FakeModels {
    FakeModels::start(FakeConfig { mode, ..FakeConfig::default() }).await.unwrap()
}

/// A server whose documents were ingested without the model, so that the model is asked for summaries alone.
async fn start(models: &FakeModels, points: &str) -> TestApp {
    let mut app = TestApp::start(BINARY).await.unwrap();
    ingest(&app, 2).await;
    app.restart(|s| {
        s.env("GRAPHMILL_LLM_URL", models.url())
            .env("GRAPHMILL_LLM_MODEL", "fake-chat")
            .env("GRAPHMILL_MODEL_CONCURRENCY", "2")
            .env("FAILPOINTS", points)
    })
    .await
    .unwrap();
    app
}

fn asked() -> Value {
    json!({"generate_summaries": true})
}

fn summaries(export: &str) -> Vec<String> {
    let lines = export.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter(|line| line["kind"] == "community")
        .map(|line| line["summary"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_model_describes_each_community_once() {
    let models = fake(Mode::default()).await;
    let app = start(&models, "").await;
    let page = cluster(&app, asked()).await;
    let stats = models.stats();
    assert!(stats.requests > 0 && stats.max_in_flight <= 2, "{stats:?}");
    assert_eq!(page["metadata"]["summaries_generated"], page["metadata"]["communities"], "{page:#}");
    let export = app.export("default").await.unwrap();
    assert!(summaries(&export).iter().all(|s| !s.is_empty()), "{export}");
    assert!(summaries(&export).iter().any(|s| s.starts_with("The model saw")), "{export}");
    cluster(&app, asked()).await;
    assert_eq!(models.stats().requests, stats.requests, "an answer was asked for again");
    assert_eq!(app.export("default").await.unwrap(), export);
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_calls_cost_time_and_nothing_else() {
    let quiet = fake(Mode::default()).await;
    let expected_app = start(&quiet, "").await;
    cluster(&expected_app, asked()).await;
    let expected = expected_app.export("default").await.unwrap();
    let models = fake(Mode {
        fail_rate: 0.4,
        faults: vec![Fault::RateLimited, Fault::InternalError, Fault::Cut],
        ..Mode::default()
    })
    .await;
    let app = start(&models, "").await;
    cluster(&app, asked()).await;
    assert_eq!(app.export("default").await.unwrap(), expected);
    assert!(models.stats().asked_again().is_empty(), "{:?}", models.stats().asked_again());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_snoozes_the_job_and_a_hang_can_be_cancelled() {
    let models =
        fake(Mode { script: vec![Fault::RateLimited; 200], retry_after: "30".into(), ..Mode::default() }).await;
    let app = start(&models, "").await;
    let job = begin(&app, asked()).await;
    let page = app
        .wait_job(&job, |page| {
            page["status"] == "pending" && page["message"].as_str().unwrap().starts_with("Waiting until")
        })
        .await
        .unwrap();
    assert_eq!(page["errors"][0]["code"], "model_rate_limited", "{page:#}");

    let models = fake(Mode { script: vec![Fault::Hang; 200], ..Mode::default() }).await;
    let app = start(&models, "").await;
    let job = begin(&app, asked()).await;
    app.wait_job(&job, |page| page["message"].as_str().unwrap().starts_with("Describing")).await.unwrap();
    let begun = std::time::Instant::now();
    let (status, answer) = app.post(&format!("/api/jobs/{job}/cancel")).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    assert!(begun.elapsed() < std::time::Duration::from_secs(1));
    let (_, stats) = app.get("/api/graph/stats").await.unwrap();
    assert_eq!(stats["communities"], 0, "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_model_cannot_describe_is_named_and_asked_again_alone() {
    let bad = FaultFor { contains: "Group of ".into(), fault: Fault::Garbage };
    let models = fake(Mode { texts: vec![bad], ..Mode::default() }).await;
    let app = start(&models, "").await;
    let page = cluster(&app, asked()).await;
    let errors = page["errors"].as_array().unwrap();
    let (communities, generated) =
        (page["metadata"]["communities"].as_u64().unwrap(), page["metadata"]["summaries_generated"].as_u64().unwrap());
    assert_eq!(errors.len() as u64, communities - generated, "{page:#}");
    assert!(!errors.is_empty(), "{page:#}");
    for error in errors {
        assert_eq!((&error["code"], &error["stage"]), (&json!("model_bad_answer"), &json!("generate_summaries")));
        assert!(error["message"].as_str().unwrap().contains("com-"), "{error}");
    }
    let export = app.export("default").await.unwrap();
    assert!(summaries(&export).iter().all(|s| s.contains("entit")), "described without the model: {export}");
    models.set_mode(Mode::default());
    let page = cluster(&app, asked()).await;
    assert_eq!(page["metadata"]["summaries_generated"], page["metadata"]["communities"], "{page:#}");
    assert!(page["errors"].as_array().unwrap().is_empty(), "{page:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_recorded_answer_is_paid_again_after_a_kill() {
    for (point, passes, again) in
        [("models.summary.recorded", 1, 0), ("models.summary.answered", 1, 2), ("store.units.after_commit", 4, 0)]
    {
        let models = fake(Mode::default()).await;
        let mut app = start(&models, &format!("{point}={passes}*off->return(kill)")).await;
        let job = begin(&app, asked()).await;
        app.wait_gone().await.unwrap_or_else(|e| panic!("{point}: {e:#}"));
        app.restart_quiet().await.unwrap();
        assert_completed(&app.wait_ended(&job).await.unwrap());
        let paid_again: u64 = models.stats().items.iter().map(|item| item.asked_after_answer).sum();
        // Two calls are under way at once: what was answered and not yet written is lost with the process.
        assert!(paid_again <= again + 1, "{point}: {:?}", models.stats().asked_again());
    }
}
