use axum::body::Body;
use axum::http::{Method, Request};
use graphmill_store::keys::KeyToken;
use serde_json::json;

use crate::test_server::{Answer, LOCAL_TOKEN, TestServer};

async fn call(server: &TestServer, method: &str, uri: &str, authorization: Option<&str>) -> Answer {
    let request = Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(uri);
    let request = authorization.into_iter().fold(request, |r, value| r.header("authorization", value));
    server.send(request.body(Body::empty()).unwrap()).await
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// Makes a key by the local token; answers its token.
async fn make(server: &TestServer, body: serde_json::Value) -> String {
    let request = Request::post("/api/keys").header("authorization", bearer(LOCAL_TOKEN));
    let request = request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap();
    let answer = server.send(request).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.headers["cache-control"], "no-store");
    answer.json()["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn from_the_first_key_on_everybody_needs_one() {
    let server = TestServer::start().await;
    assert_eq!(call(&server, "GET", "/api/jobs", None).await.status, 200);
    assert_eq!(call(&server, "GET", "/api/keys", None).await.error().0, 401, "keys are not for everyone");
    let token = make(&server, json!({"name": "one"})).await;
    for path in ["/api/jobs", "/api/nothing", "/metrics", "/openapi.json", "/docs", "/", "/livez/x"] {
        let answer = call(&server, "GET", path, None).await;
        assert_eq!((answer.error().0, answer.error().1.as_str()), (401, "unauthorized"), "{path}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    for path in ["/livez", "/readyz", "/version"] {
        assert_eq!(call(&server, "GET", path, None).await.status, 200, "{path}");
    }
    for shown in [bearer(&token), format!("bearer  {token}"), bearer(LOCAL_TOKEN)] {
        assert_eq!(call(&server, "GET", "/api/jobs", Some(&shown)).await.status, 200);
    }
    // Gone with the last key, and its token stays refused.
    assert_eq!(call(&server, "DELETE", "/api/keys/one", Some(&bearer(&token))).await.json()["keys_left"], 0);
    assert_eq!(call(&server, "GET", "/api/jobs", None).await.status, 200);
    assert_eq!(call(&server, "GET", "/api/jobs", Some(&bearer(&token))).await.error().0, 401);
}

#[tokio::test]
async fn wrong_tokens_are_answered_alike_and_never_said_again() {
    let server = TestServer::start().await;
    let token = make(&server, json!({"name": "one"})).await;
    let other = KeyToken::generate().reveal();
    // The right id with another secret, the right secret under another id.
    let mixed = [format!("{}{}", &token[..17], &other[17..]), format!("{}{}", &other[..17], &token[17..])];
    let mut answers = Vec::new();
    for wrong in [&token[..token.len() - 1], &token[3..], "gm__", "x", "", &other, &mixed[0], &mixed[1]] {
        let answer = call(&server, "GET", "/api/jobs", Some(&bearer(wrong))).await;
        assert_eq!((answer.error().0, answer.error().1.as_str()), (401, "unauthorized"));
        assert_eq!(answer.headers["www-authenticate"], "Bearer error=\"invalid_token\"");
        assert!(wrong.len() < 5 || !answer.text.contains(wrong), "{}", answer.text);
        answers.push(answer.text);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    for scheme in [format!("Basic {token}"), token.clone()] {
        let answer = call(&server, "GET", "/api/jobs", Some(&scheme)).await;
        assert_eq!(answer.headers["www-authenticate"], "Bearer", "no token was shown");
    }
}

#[tokio::test]
async fn a_token_in_the_query_is_for_streams_alone_and_goes_no_further() {
    let server = TestServer::start().await;
    let token = make(&server, json!({"name": "one"})).await;
    let job = graphmill_core::JobId::from_bytes([7; 16]);
    for (path, status) in [
        (format!("/api/jobs?token={token}"), 401),
        (format!("/api/upload?token={token}"), 401),
        (format!("/api/jobs/{job}/stream?since=0&token={token}"), 404),
        (format!("/api/jobs/{job}/stream?%74oken={token}"), 404),
        (format!("/api/jobs/{job}/stream?token=x{token}"), 401),
        (format!("/api/jobs/{job}/stream?token="), 401),
    ] {
        let answer = call(&server, "GET", &path, None).await;
        assert_eq!(answer.error().0, status, "{path}: {}", answer.text);
        assert!(!answer.text.contains(&token), "{}", answer.text);
    }
    for name in ["a.txt", "b.txt"] {
        let form = crate::test_server::form_body(&[("file", Some(name), b"Pumps pump.")]);
        let kind = format!("multipart/form-data; boundary={}", crate::test_server::BOUNDARY);
        let request = Request::post("/api/upload").header("authorization", bearer(&token)).header("content-type", kind);
        assert_eq!(server.send(request.body(Body::from(form)).unwrap()).await.status, 202);
    }
    // Elsewhere it is no parameter, also beside a right key, and is not repeated.
    let path = format!("/api/jobs?limit=1&token={token}&status=pending");
    let answer = call(&server, "GET", &path, Some(&bearer(&token))).await;
    assert_eq!((answer.error().0, answer.error().1.as_str()), (400, "invalid_parameter"));
    assert!(!answer.text.contains(&token), "{}", answer.text);
    let answer = call(&server, "GET", "/api/jobs?limit=1&status=pending", Some(&bearer(&token))).await;
    let link = answer.headers["link"].to_str().unwrap();
    assert!(link.contains("status=pending") && !link.contains("token"), "{link}");
}

#[tokio::test]
async fn a_read_only_key_reads_and_a_bound_one_manages_no_keys() {
    let server = TestServer::start().await;
    let reader = bearer(&make(&server, json!({"name": "reader", "read_only": true})).await);
    let bound = bearer(&make(&server, json!({"name": "bound", "collection": "wiki"})).await);
    assert_eq!(call(&server, "GET", "/api/jobs", Some(&reader)).await.status, 200);
    assert_eq!(call(&server, "HEAD", "/api/jobs", Some(&reader)).await.status, 200);
    for (method, path) in
        [("POST", "/api/jobs/cleanup"), ("DELETE", "/api/jobs/x"), ("PUT", "/nothing"), ("POST", "/api/keys")]
    {
        let answer = call(&server, method, path, Some(&reader)).await;
        assert_eq!((answer.error().0, answer.error().1.as_str()), (403, "read_only_key"), "{method} {path}");
    }
    for (method, path, shown) in [
        ("GET", "/api/backup", &reader),
        ("GET", "/api/keys", &reader),
        ("GET", "/api/keys", &bound),
        ("DELETE", "/api/keys/reader", &bound),
        ("POST", "/api/keys", &bound),
    ] {
        let answer = call(&server, method, path, Some(shown)).await;
        assert_eq!((answer.error().0, answer.error().1.as_str()), (403, "forbidden"), "{method} {path}");
    }
    let answer = call(&server, "GET", "/api/keys", Some(&bearer(LOCAL_TOKEN))).await;
    let keys = answer.json();
    assert_eq!(
        (&keys["total"], &keys["keys"][0]["name"], &keys["keys"][0]["collection"]),
        (&json!(2), &json!("bound"), &json!("wiki"))
    );
    assert!(!answer.text.contains("hash") && !answer.text.contains(&reader[24..]), "{}", answer.text);
}

#[tokio::test]
async fn a_bad_key_is_named() {
    let server = TestServer::start().await;
    make(&server, json!({"name": "one"})).await;
    for (body, status, code) in [
        (json!({}), 400, "invalid_parameter"),
        (json!({"name": "a b"}), 400, "invalid_parameter"),
        (json!({"name": "a", "collection": "A B"}), 400, "invalid_parameter"),
        (json!({"name": "a", "readonly": true}), 400, "invalid_parameter"),
        (json!({"name": "one"}), 409, "key_exists"),
    ] {
        let request = Request::post("/api/keys").header("authorization", bearer(LOCAL_TOKEN));
        let request = request.header("content-type", "application/json").body(Body::from(body.to_string())).unwrap();
        let (found, word, _) = server.send(request).await.error();
        assert_eq!((found, word.as_str()), (status, code), "{body}");
    }
    for name in ["nobody", "a%20b", "%ff"] {
        let answer = call(&server, "DELETE", &format!("/api/keys/{name}"), Some(&bearer(LOCAL_TOKEN))).await;
        assert_eq!(answer.error().0, 404, "{name}");
    }
}
