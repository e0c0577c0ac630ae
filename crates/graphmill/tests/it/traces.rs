//! Traces to a collector: what is in them, what never is, and that a collector that does not answer costs nothing.

use std::time::{Duration, Instant};

use graphmill_testkit::app::PATIENCE;
use graphmill_testkit::{FakeConfig, FakeModels, TestApp, TraceCollector};

use crate::support::{BINARY, assert_completed, markdown};

async fn start(endpoint: &str, models: &FakeModels) -> TestApp {
    let app = TestApp::start_with(BINARY, |s| {
        s.env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
            .env("OTEL_BSP_SCHEDULE_DELAY", "100")
            .env("GRAPHMILL_LLM_URL", models.url())
            .env("GRAPHMILL_LLM_MODEL", "fake-chat")
            .env("GRAPHMILL_LLM_API_KEY", "sk-very-secret")
    });
    app.await.unwrap()
}

async fn models() -> FakeModels {
    FakeModels::start(FakeConfig::default()).await.unwrap()
}

/// Told to stop, the server is gone soon.
async fn assert_stops(mut app: TestApp) {
    let pid = app.pid().unwrap().to_string();
    let asked = Instant::now();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    app.wait_gone().await.unwrap();
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_and_a_job_are_seen_with_their_stages_and_calls() {
    let (collector, models) = (TraceCollector::start().await.unwrap(), models().await);
    let app = start(collector.url(), &models).await;
    let job = app.upload_job("a secret name.md", markdown(1, 5), &[]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    app.get(&format!("/api/jobs/{job}/events?token=gm_hidden")).await.unwrap();
    let wanted = [
        "graphmill",
        "POST /api/upload",
        "http.route",
        "job.id",
        job.as_str(),
        "stage.name",
        "entity_extraction",
        "stage.unit",
        "model.call",
        "fake-chat",
        "graph.publish",
    ];
    let deadline = Instant::now() + PATIENCE;
    while let Some(missing) = wanted.iter().find(|text| !collector.has(text)) {
        assert!(Instant::now() < deadline, "{missing} was not received");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for export in collector.exports() {
        assert_eq!((export.path.as_str(), export.content_type.as_str()), ("/v1/traces", "application/x-protobuf"));
    }
    for never in ["sk-very-secret", "gm_hidden", "a secret name", "Northgate Pump"] {
        assert!(!collector.has(never), "{never}");
    }
    assert!(!app.log().contains("graphmill::trace"), "spans are not told twice");
    assert_stops(app).await;
}

/// A closed port, and one that takes the connection and never answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_does_not_answer_costs_nothing() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let models = models().await;
    for endpoint in ["http://127.0.0.1:9".to_owned(), format!("http://{}", silent.local_addr().unwrap())] {
        let app = start(&endpoint, &models).await;
        let job = app.upload_job("report.md", markdown(1, 5), &[]).await.unwrap();
        assert_completed(&app.wait_ended(&job).await.unwrap());
        assert_eq!(app.get("/readyz").await.unwrap().0, 200);
        assert_stops(app).await;
    }
}
