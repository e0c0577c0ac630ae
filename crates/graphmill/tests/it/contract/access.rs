//! What holds for every path: errors in JSON, `Host`, `Origin`, CORS, health, the address.

use graphmill_testkit::TestApp;
use serde_json::{Value, json};

use super::{assert_error, assert_says, raw, request};
use crate::support::{BINARY, start};

async fn answer(request: reqwest::RequestBuilder) -> (u16, reqwest::header::HeaderMap, Value) {
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    let text = answer.text().await.unwrap();
    (status, headers, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_is_json() {
    let app = start().await;
    let url = |path: &str| format!("{}{path}", app.url());
    for path in [
        "/",
        "/api",
        "/api/",
        "/api/nothing",
        "/api/jobs/",
        "/favicon.ico",
        "/api/jobs/a/b/c",
        "/%ff%fe",
        "/api/jobs/%2e%2e",
    ] {
        assert_error(&app.get(path).await.unwrap(), 404, "not_found");
    }
    assert_says(&app.get("/api/nothing").await.unwrap(), 404, "not_found", &["/api/nothing"]);
    for (method, path, allowed) in [
        ("PUT", "/api/jobs", "GET"),
        ("DELETE", "/api/jobs", "POST"),
        ("PATCH", "/api/jobs/job-1", "DELETE"),
        ("GET", "/api/upload", "POST"),
        ("GET", "/api/jobs/cleanup/x", ""),
        ("POST", "/api/documents", "GET"),
        ("POST", "/livez", "GET"),
        ("DELETE", "/api/graph/stats", "GET"),
        ("GET", "/api/jobs/job-1/cancel", "POST"),
    ] {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let (status, headers, body) = answer(app.http().request(method.clone(), url(path))).await;
        if allowed.is_empty() {
            assert_error(&(status, body), 404, "not_found");
            continue;
        }
        assert_says(&(status, body), 405, "method_not_allowed", &[method.as_str(), path]);
        assert!(headers["allow"].to_str().unwrap().contains(allowed), "{headers:?}");
        assert!(headers["content-type"].to_str().unwrap().starts_with("application/json"), "{headers:?}");
    }
    for path in ["/api/jobs", "/api/jobs/cleanup"] {
        let post = || app.http().post(url(path));
        let json = "application/json";
        for (content_type, body, status, code) in [
            (json, "{\"a\":", 400, "invalid_json"),
            (json, "{a:1}", 400, "invalid_json"),
            (json, "[]", 400, "invalid_json"),
            (json, "7", 400, "invalid_json"),
            (json, "\u{feff}{}", 400, "invalid_json"),
            (json, "{} {}", 400, "invalid_json"),
            ("text/plain", "{\"a\":1}", 415, "wrong_content_type"),
            ("application/x-www-form-urlencoded", "a=1", 415, "wrong_content_type"),
        ] {
            let (given, _, body) = answer(post().header("content-type", content_type).body(body)).await;
            assert_error(&(given, body), status, code);
        }
        let (status, _, body) = answer(post().body("{\"a\":1}")).await;
        assert_error(&(status, body), 415, "wrong_content_type");
        let (status, _, body) = answer(post().header("content-type", json).body(vec![0xff, 0xfe, 0x00])).await;
        assert_error(&(status, body), 400, "invalid_json");
    }
    // HEAD of what can be read.
    let head = app.http().head(url("/api/jobs")).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.text().await.unwrap().as_str()), (200, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_version() {
    let app = start().await;
    let (status, live) = app.get("/livez").await.unwrap();
    assert_eq!((status, &live["status"]), (200, &json!("ok")), "{live}");
    let (status, ready) = app.get("/readyz").await.unwrap();
    assert_eq!((status, &ready["status"]), (200, &json!("ready")), "{ready}");
    let (status, version) = app.get("/version").await.unwrap();
    assert_eq!(
        (status, &version["name"], &version["version"]),
        (200, &json!("graphmill"), &json!(env!("CARGO_PKG_VERSION"))),
        "{version}"
    );
    let (_, headers, _) = answer(app.http().get(format!("{}/api/jobs", app.url()))).await;
    assert!(headers["content-type"].to_str().unwrap().starts_with("application/json"), "{headers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_not_ours_is_refused() {
    let app = start().await;
    let port = app.url().rsplit(':').next().unwrap();
    for ours in
        [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("LocalHost:{port}"), format!("[::1]:{port}")]
    {
        let answer = raw(&app, request("GET", "/livez", &ours, "")).await.unwrap();
        assert_eq!(answer.status, 200, "{ours}: {answer:?}");
    }
    for foreign in [
        "evil.example",
        &format!("evil.example:{port}"),
        "localhost:1",
        "127.0.0.1.evil.example",
        "",
        "169.254.169.254",
    ] {
        for path in ["/livez", "/api/jobs", "/nothing"] {
            let answer = raw(&app, request("GET", path, foreign, "")).await.unwrap();
            assert_says(&answer.json(), 403, "host_not_allowed", &[foreign]);
        }
    }
    let none = raw(&app, "GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n").await.unwrap();
    assert_error(&none.json(), 403, "host_not_allowed");
    let absolute =
        format!("GET http://evil.example/livez HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
    assert_error(&raw(&app, absolute).await.unwrap().json(), 403, "host_not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_origin_needs_permission() {
    let app = TestApp::start_with(BINARY, |s| s.arg("--allowed-origin").arg("https://app.example")).await.unwrap();
    let list = || app.http().get(format!("{}/api/jobs", app.url()));
    for foreign in
        ["https://evil.example", "null", "http://app.example", "https://app.example.evil.example", "http://localhost:1"]
    {
        let (status, headers, body) = answer(list().header("origin", foreign)).await;
        assert_says(&(status, body), 403, "origin_not_allowed", &[foreign]);
        assert!(headers.get("access-control-allow-origin").is_none(), "{headers:?}");
        let upload = app.http().post(format!("{}/api/upload", app.url())).header("origin", foreign);
        let form =
            reqwest::multipart::Form::new().part("file", reqwest::multipart::Part::text("A pump.").file_name("a.txt"));
        let (status, _, body) = answer(upload.multipart(form)).await;
        assert_error(&(status, body), 403, "origin_not_allowed");
    }
    assert_eq!(app.get("/api/jobs").await.unwrap().1["total"], 0);
    // None is fine, ours is fine, the allowed one is fine and is told so.
    assert_eq!(answer(list()).await.0, 200);
    let (status, headers, _) = answer(list().header("origin", app.url())).await;
    assert_eq!((status, headers.get("access-control-allow-origin")), (200, None));
    let (status, headers, _) = answer(list().header("origin", "https://app.example")).await;
    assert_eq!((status, headers["access-control-allow-origin"].to_str().unwrap()), (200, "https://app.example"));
    assert!(headers["vary"].to_str().unwrap().to_lowercase().contains("origin"), "{headers:?}");
    // Errors carry the headers too: else a page could not read them.
    let (status, headers, _) =
        answer(app.http().get(format!("{}/nothing", app.url())).header("origin", "https://app.example")).await;
    assert_eq!((status, headers.contains_key("access-control-allow-origin")), (404, true));
    // A preflight.
    let preflight = |origin: &'static str| {
        let request = app.http().request(reqwest::Method::OPTIONS, format!("{}/api/jobs/job-1", app.url()));
        request
            .header("origin", origin)
            .header("access-control-request-method", "DELETE")
            .header("access-control-request-headers", "content-type")
    };
    let (status, headers, _) = answer(preflight("https://app.example")).await;
    assert_eq!(status, 204);
    assert!(headers["access-control-allow-methods"].to_str().unwrap().contains("DELETE"), "{headers:?}");
    assert!(
        headers["access-control-allow-headers"].to_str().unwrap().to_lowercase().contains("content-type"),
        "{headers:?}"
    );
    let (status, headers, _) = answer(preflight("https://evil.example")).await;
    assert_eq!((status, headers.contains_key("access-control-allow-origin")), (403, false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_in_a_handler_is_a_json_error_and_harms_nobody_else() {
    let app = TestApp::start_with(BINARY, |s| s.env("FAILPOINTS", "cleanup.between_batches=1*panic")).await.unwrap();
    let job = app.upload_job("a.txt", "Northgate Pump is dry.", &[]).await.unwrap();
    app.wait_ended(&job).await.unwrap();
    let all = json!({"older_than_days": 0});
    assert_error(&app.post_json("/api/jobs/cleanup", &all).await.unwrap(), 500, "internal");
    assert_eq!(app.post_json("/api/jobs/cleanup", &all).await.unwrap().0, 200);
}
