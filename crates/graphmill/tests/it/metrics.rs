//! `/metrics` of the whole product: what a job does is seen, and nothing that people name becomes a label.

use futures::StreamExt;
use graphmill_testkit::{Exposition, FakeConfig, FakeModels, Fault, Mode, TestApp};
use serde_json::json;

use crate::support::{BINARY, assert_completed, markdown, start};

async fn scrape(app: &TestApp) -> (Exposition, String) {
    let response = app.http().get(format!("{}/metrics", app.url())).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = response.text().await.unwrap();
    (text.parse().unwrap_or_else(|e| panic!("{e}\n{text}")), text)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingestion_with_a_rate_limit_is_seen_in_every_measure() {
    // The pause is longer than a call waits, so that the job snoozes.
    let mode = Mode { script: vec![Fault::RateLimited], retry_after: "1".into(), ..Mode::default() };
    let models = FakeModels::start(FakeConfig { mode, ..FakeConfig::default() }).await.unwrap();
    let app = TestApp::start_with(BINARY, |s| {
        s.env("GRAPHMILL_EMBEDDING_URL", models.url())
            .env("GRAPHMILL_EMBEDDING_MODEL", "fake-embedding")
            .env("GRAPHMILL_LLM_URL", models.url())
            .env("GRAPHMILL_LLM_MODEL", "fake-chat")
            .env("GRAPHMILL_MODEL_WAIT_SECONDS", "0")
    });
    let app = app.await.unwrap();
    let (before, _) = scrape(&app).await;
    let ingestion = ("job_type", "ingestion");
    assert_eq!(before.value("graphmill_jobs", &[ingestion, ("state", "completed")]), Some(0.0));
    assert_eq!(before.value("graphmill_model_calls_total", &[("kind", "embedding"), ("outcome", "answered")]), None);
    let text = markdown(3, 10);
    let job = app.upload_job("report.md", text.clone(), &[]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    let (told, text_of_it) = scrape(&app).await;
    let value = |name: &str, labels: &[(&str, &str)]| {
        told.value(name, labels).unwrap_or_else(|| panic!("{name} {labels:?} is not in\n{text_of_it}"))
    };
    let calls = |kind, outcome| value("graphmill_model_calls_total", &[("kind", kind), ("outcome", outcome)]);
    assert_eq!(value("graphmill_jobs", &[ingestion, ("state", "completed")]), 1.0);
    assert_eq!(calls("embedding", "rate_limited"), 1.0);
    assert_eq!(value("graphmill_job_snoozes_total", &[ingestion, ("code", "model_rate_limited")]), 1.0);
    assert_eq!(value("graphmill_job_claims_ended_total", &[ingestion, ("outcome", "completed")]), 1.0);
    for stage in ["loading", "chunking", "embedding", "entity_extraction", "persistence"] {
        let labels = [ingestion, ("stage", stage)];
        assert_eq!(value("graphmill_stage_duration_seconds_count", &labels), 1.0, "{stage}");
    }
    let stats = models.stats();
    let asked = calls("embedding", "answered") + calls("embedding", "rate_limited") + calls("extraction", "answered");
    assert_eq!(asked, stats.requests as f64, "every request that the server saw is counted, and none else");
    for labels in [[("kind", "embedding"), ("direction", "input")], [("kind", "extraction"), ("direction", "output")]] {
        assert!(value("graphmill_model_tokens_total", &labels) > 0.0, "{labels:?}");
    }
    let lookups = |told: &Exposition, result| {
        told.value("graphmill_cache_lookups_total", &[("kind", "extraction"), ("result", result)]).unwrap()
    };
    assert_eq!((lookups(&told, "hit"), lookups(&told, "miss")), (0.0, calls("extraction", "answered")));
    // The same text under another name costs nothing and is told as hits.
    let job = app.upload_job("copy.md", text, &[]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    let (again, _) = scrape(&app).await;
    assert_eq!((lookups(&again, "hit"), lookups(&again, "miss")), (lookups(&told, "miss"), lookups(&told, "miss")));
}

#[tokio::test(flavor = "multi_thread")]
async fn labels_stay_few_whatever_people_name_and_ask_for() {
    let app = start().await;
    let first = app.upload_job("report.md", markdown(1, 3), &[("collection", "tenant-0")]).await.unwrap();
    assert_completed(&app.wait_ended(&first).await.unwrap());
    let visit = async |n: u32| {
        assert_eq!(app.post_json("/api/collections", &json!({"name": format!("tenant-{n}")})).await.unwrap().0, 201);
        for k in 0..4 {
            app.get(&format!("/api/unheard-of-{n}-{k}")).await.unwrap();
        }
        app.get(&format!("/api/collections/tenant-{n}")).await.unwrap();
        let page = format!("/api/graph/stats?collection=tenant-{n}");
        assert_eq!(app.get(&page).await.unwrap().0, 200);
    };
    visit(1).await;
    scrape(&app).await; // so that the scrape itself is among the requests
    let (before, _) = scrape(&app).await;
    for n in 2..=50 {
        visit(n).await;
    }
    let (after, text) = scrape(&app).await;
    assert_eq!(after.len(), before.len(), "{text}");
    assert!(!text.contains("tenant-") && !text.contains("unheard") && !text.contains("job-"), "{text}");
    let unknown = [("route", "unknown"), ("method", "GET"), ("status", "4xx")];
    assert_eq!(after.value("graphmill_http_requests_total", &unknown), Some(200.0));
    assert!(after.value("graphmill_collections", &[]).unwrap() >= 50.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_streams_are_counted_while_they_are_there() {
    let app = start().await;
    let readers =
        async |transport| scrape(&app).await.0.value("graphmill_stream_readers", &[("transport", transport)]).unwrap();
    assert_eq!((readers("sse").await, readers("websocket").await), (0.0, 0.0));
    let stream = app.http().get(format!("{}/api/jobs/events", app.url())).send().await.unwrap();
    let mut pieces = stream.bytes_stream();
    pieces.next().await.unwrap().unwrap();
    assert_eq!((readers("sse").await, readers("websocket").await), (1.0, 0.0));
    drop(pieces);
    while readers("sse").await > 0.0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
