//! A query parameter that an operation does not describe is refused: a misspelt `purge` that was ignored would delete something else than was meant.
//! What an operation knows is read from its description, so that the two cannot differ.

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::{MatchedPath, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use crate::error::shortened;
use crate::{Error, Result, auth, openapi};

/// Names by path template and method.
type Known = HashMap<(String, String), Vec<String>>;

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let document = openapi::document();
    let mut known = Known::new();
    for (path, operations) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in operations.as_object().into_iter().flatten() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let names = parameters.filter(|p| p["in"] == "query").filter_map(|p| p["name"].as_str());
            let mut names: Vec<String> = names.map(str::to_owned).collect();
            if operation["security"].as_array().into_iter().flatten().any(|way| way["token"] != Value::Null) {
                names.push("token".to_owned());
            }
            known.insert((path.clone(), method.to_uppercase()), names);
        }
    }
    known
});

/// 400 for a request with a query parameter that its operation does not know. Paths and methods that there are not are told as that.
pub(crate) async fn refuse_unknown(request: Request, next: Next) -> Response {
    match check(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            crate::body::drain(request.into_body());
            error.into_response()
        }
    }
}

fn check(request: &Request) -> Result<()> {
    let misplaced = request.extensions().get::<auth::MisplacedToken>().is_some();
    let query = request.uri().query().unwrap_or_default();
    if query.is_empty() && !misplaced {
        return Ok(());
    }
    let Some(path) = request.extensions().get::<MatchedPath>() else { return Ok(()) };
    // HEAD is answered as GET is.
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    let Some(known) = KNOWN.get(&(path.as_str().to_owned(), method.to_string())) else { return Ok(()) };
    let mut given = url::form_urlencoded::parse(query.as_bytes()).map(|(name, _)| name);
    if let Some(unknown) = given.find(|name| !known.iter().any(|k| k == name)) {
        return Err(refusal(&unknown, known));
    }
    if misplaced {
        return Err(refusal("token", known)
            .hint("a token in the query is for streams alone; show it as Authorization: Bearer …"));
    }
    Ok(())
}

fn refusal(unknown: &str, known: &[String]) -> Error {
    let shown = shortened(unknown);
    let Some(nearest) = known.iter().min_by_key(|name| strsim::damerau_levenshtein(name, &shown)) else {
        return Error::invalid(format!("the query parameter {shown:?} is not known; this path takes none"));
    };
    Error::invalid(format!(
        "the query parameter {shown:?} is not known; the nearest is {nearest:?}, the known ones are {}",
        known.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use crate::test_server::{NO_JOB, TestServer, completed};

    #[tokio::test]
    async fn a_misspelt_parameter_is_named_with_the_nearest_and_nothing_is_done() {
        let server = TestServer::start().await;
        server.upload("a.txt", "Pumps pump.").await;
        let claimed = server.claim().await;
        let document = server.publish(&claimed.job).await;
        server.end(claimed.fence, completed()).await;
        let (status, code, error) = server.delete(&format!("/api/documents/{document}?prge=true")).await.error();
        let expected = "the query parameter \"prge\" is not known; the nearest is \"purge\", the known ones are purge";
        assert_eq!((status, code.as_str(), error.as_str()), (400, "invalid_parameter", expected));
        assert_eq!(server.get("/api/graph/stats").await.json()["documents"], 1);
        let (_, _, error) = server.get("/api/jobs?limit=5&staus=failed").await.error();
        assert!(
            error.contains("\"staus\"") && error.contains("\"status\"") && error.contains("created_before"),
            "{error}"
        );
        let (_, _, error) = server.get("/api/job-types?x=1").await.error();
        assert_eq!(error, "the query parameter \"x\" is not known; this path takes none");
        assert_eq!(server.get("/api/jobs?utm_source=").await.error().0, 400, "also one without a value");
        assert_eq!(server.get("/api/nothing?x=1").await.error().0, 404);
        assert_eq!(server.delete("/api/upload?x=1").await.error().0, 405);
    }

    #[tokio::test]
    async fn every_operation_refuses_what_it_does_not_describe() {
        let server = TestServer::start().await;
        for (path, method) in super::KNOWN.keys() {
            let uri = format!("{}?nobody_knows=1", path.replace("{job_id}", NO_JOB).replace(['{', '}'], ""));
            let request = axum::http::Request::builder().method(method.as_str()).uri(&uri).body(Body::empty()).unwrap();
            let (status, code, error) = server.send(request).await.error();
            // Keys are asked for before anything else is looked at.
            let refused = (status, code.as_str()) == (400, "invalid_parameter") && error.contains("nobody_knows");
            assert!(refused || (status == 401 && path.starts_with("/api/keys")), "{method} {path}: {status} {error}");
        }
        let head = axum::http::Request::head("/api/jobs?nobody_knows=1").body(Body::empty()).unwrap();
        assert_eq!(server.send(head).await.status, 400);
    }

    #[tokio::test]
    async fn a_token_is_for_streams_alone() {
        let server = TestServer::start().await;
        let (status, _, error) = server.get("/api/jobs?token=gm_secret_word").await.error();
        assert!(status == 400 && error.contains("\"token\" is not known") && !error.contains("gm_"), "{error}");
        assert_eq!(server.get(&format!("/api/jobs/{NO_JOB}/events?since=0")).await.error().0, 404);
        let (_, _, error) = server.get(&format!("/api/jobs/{NO_JOB}/events?sinse=0")).await.error();
        assert!(error.contains("\"since\"") && error.contains("token"), "{error}");
    }
}
