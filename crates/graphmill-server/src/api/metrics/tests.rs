use axum::body::Body;
use axum::http::Request;

use crate::test_server::{TestServer, completed};
use crate::{Error, Scope};

async fn scrape(server: &TestServer) -> graphmill_testkit::Exposition {
    let answer = server.get("/metrics").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(answer.headers["cache-control"], "no-store");
    answer.text.parse().unwrap_or_else(|e| panic!("{e}\n{}", answer.text))
}

#[tokio::test]
async fn jobs_and_the_queue_as_they_stand() {
    let server = TestServer::start().await;
    let before = scrape(&server).await;
    assert_eq!(before.value("graphmill_jobs", &[("job_type", "ingestion"), ("state", "pending")]), Some(0.0));
    assert_eq!(before.value("graphmill_queue_age_seconds", &[("job_type", "ingestion")]), Some(0.0));
    server.upload("a.txt", "Pumps pump.").await;
    let claimed = server.claim().await;
    server.upload("b.txt", "Valves close.").await;
    server.publish(&claimed.job).await;
    server.end(claimed.fence, completed()).await;
    let after = scrape(&server).await;
    for (state, n) in [("pending", 1.0), ("running", 0.0), ("completed", 1.0), ("failed", 0.0), ("cancelled", 0.0)] {
        let labels = [("job_type", "ingestion"), ("state", state)];
        assert_eq!(after.value("graphmill_jobs", &labels), Some(n), "{state}");
    }
    assert_eq!(after.value("graphmill_layer_stale_collections", &[("layer", "similarities")]), Some(1.0));
    assert_eq!(after.value("graphmill_store_up", &[("store", "graph")]), Some(1.0));
    for name in ["graphmill_disk_free_bytes", "graphmill_process_start_time_seconds"] {
        assert!(after.value(name, &[]).unwrap() > 0.0, "{name}");
    }
    assert!(after.value("graphmill_database_size_bytes", &[("database", "jobs")]).unwrap() > 0.0);
}

#[tokio::test]
async fn every_measure_has_a_right_name_help_and_type() {
    let server = TestServer::start().await;
    for (name, family) in &scrape(&server).await.families {
        assert!(name.starts_with("graphmill_") && !family.help.is_empty(), "{name}");
        assert_eq!(name.ends_with("_total"), family.kind == "counter", "{name} is a {}", family.kind);
    }
}

#[tokio::test]
async fn requests_are_counted_by_route_and_never_by_path() {
    let server = TestServer::start().await;
    for n in 0..200 {
        server.get(&format!("/api/strange-{n}")).await;
        server.get(&format!("/api/jobs/strange-{n}")).await;
        server.send(Request::builder().method(&*format!("BREW{n}")).uri("/livez").body(Body::empty()).unwrap()).await;
    }
    let text = server.get("/metrics").await.text;
    let told: graphmill_testkit::Exposition = text.parse().unwrap();
    assert!(!text.contains("strange") && !text.contains("BREW"), "{text}");
    let requests = |route, method, status| {
        told.value("graphmill_http_requests_total", &[("route", route), ("method", method), ("status", status)])
    };
    assert!(requests("unknown", "GET", "4xx").unwrap() >= 200.0);
    assert!(requests("/api/jobs/{job_id}", "GET", "4xx").unwrap() >= 200.0);
    assert!(requests("/livez", "other", "4xx").unwrap() >= 200.0);
    let labels = [("route", "unknown"), ("method", "GET")];
    assert!(told.value("graphmill_http_request_duration_seconds_count", &labels).unwrap() >= 200.0);
}

#[tokio::test]
async fn a_bound_key_is_told_that_there_is_no_such_path() {
    let server = TestServer::start().await;
    let scope = Scope::only("own".parse().unwrap());
    let refused: Error = super::handle(axum::extract::State(server.state.clone()), scope).await.unwrap_err();
    assert_eq!(refused.to_string(), "there is no path /metrics");
    // As any other path that there is not.
    assert_eq!(server.get("/metric").await.error().2, "there is no path /metric");
}
