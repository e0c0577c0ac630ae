//! `Idempotency-Key`: the same request is carried out once, however often it is sent.
//!
//! A request is compared by what it means (decoded fields, hashes of files), never by its bytes. What was answered is kept by the store, in the
//! transaction that accepts, for 24 hours; keys of callers that are bound to different collections are different keys. Refusals are not kept: what
//! was refused may be sent again under the same key. 409 `idempotency_in_flight`: the first one has not been answered. 409
//! `idempotency_key_reused`: the key was used for another request.

use std::collections::HashSet;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use graphmill_core::{ErrorCode, IdHasher};
use graphmill_store::records::{AcceptedJob, KeptAnswer, Keyed};
use graphmill_store::requests::RequestKey;
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::shortened;
use crate::{AppState, Error, Result, Scope};

const HEADER: &str = "idempotency-key";

/// Longest key, in bytes.
const LONGEST: usize = 255;

/// Keys of requests that have not been answered, by whose they are.
#[derive(Debug, Default)]
pub(crate) struct InFlight(Arc<Mutex<HashSet<(String, String)>>>);

/// A request on its way, with or without a key. While it lives, another one with the same key is told to wait.
#[derive(Debug)]
pub(crate) struct Ticket {
    held: Option<(String, String)>,
    in_flight: Arc<Mutex<HashSet<(String, String)>>>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.in_flight.lock().remove(&held);
        }
    }
}

impl Ticket {
    /// Reads the header. 400: it is none of ours or stands twice; 409: a request with this key has not been answered yet.
    pub(crate) fn take(state: &AppState, scope: &Scope, headers: &HeaderMap) -> Result<Self> {
        let in_flight = state.in_flight.0.clone();
        let Some(key) = key_of(headers)? else { return Ok(Self { held: None, in_flight }) };
        let own = scope.bound().map(ToString::to_string).unwrap_or_default();
        let held = (own, key);
        if !in_flight.lock().insert(held.clone()) {
            return Err(Error::new(
                ErrorCode::IdempotencyInFlight,
                format!("a request with the Idempotency-Key {:?} has not been answered yet", shortened(&held.1)),
            )
            .hint("send it again in a moment: then it gets the same answer as the first one"));
        }
        Ok(Self { held: Some(held), in_flight })
    }

    /// What the same request was answered before.
    pub(crate) async fn earlier(&self, state: &AppState, request: &[u8; 32]) -> Result<Option<Response>> {
        let Some((own, key)) = &self.held else { return Ok(None) };
        match state.jobs().kept_answer(own, key).await? {
            None => Ok(None),
            Some((known, answer)) if known == *request => Ok(Some(respond(answer, true))),
            Some(_) => Err(self.reused()),
        }
    }

    /// What the store needs to keep the answer.
    pub(crate) fn key(
        &self,
        request: [u8; 32],
        answer: impl Fn(&[AcceptedJob]) -> KeptAnswer + Send + Sync + 'static,
    ) -> Option<RequestKey> {
        let (scope, key) = self.held.clone()?;
        Some(RequestKey { scope, key, request, answer: Arc::new(answer) })
    }

    /// What was done, or the answer that was given before (`Err`).
    pub(crate) fn outcome<T>(&self, keyed: Keyed<T>) -> Result<std::result::Result<T, Response>> {
        match keyed {
            Keyed::Done(value) => Ok(Ok(value)),
            Keyed::Replayed(answer) => Ok(Err(respond(answer, true))),
            Keyed::Reused => Err(self.reused()),
        }
    }

    fn reused(&self) -> Error {
        let key = self.held.as_ref().map(|(_, key)| key.as_str()).unwrap_or_default();
        Error::new(
            ErrorCode::IdempotencyKeyReused,
            format!("the Idempotency-Key {:?} was used for another request in the last 24 hours", shortened(key)),
        )
        .hint("use a new key for each request, and the same one only to send the same request again")
    }
}

fn key_of(headers: &HeaderMap) -> Result<Option<String>> {
    let mut values = headers.get_all(HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let bad = |shown: &str, why: &str| {
        Error::invalid(format!("the header Idempotency-Key is {:?}; {why}", shortened(shown)))
            .hint("a UUID is a good key")
    };
    let text = String::from_utf8_lossy(value.as_bytes());
    if values.next().is_some() {
        return Err(bad(&text, "it stands twice"));
    }
    let printable = text.bytes().all(|b| (0x20..0x7f).contains(&b));
    if text.trim().is_empty() || text.len() > LONGEST || !printable {
        return Err(bad(&text, &format!("it must be 1 to {LONGEST} printable ASCII characters")));
    }
    Ok(Some(text.into_owned()))
}

/// An answer in JSON, as it is kept.
pub(crate) fn kept(status: StatusCode, location: Option<String>, body: &impl Serialize) -> KeptAnswer {
    // Our answers are structs of plain fields: they can always be written.
    let body = serde_json::to_string(body).unwrap_or_default();
    KeptAnswer { status: status.as_u16(), location, body }
}

/// The response of an answer.
pub(crate) fn respond(answer: KeptAnswer, replayed: bool) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], answer.body).into_response();
    if let Some(location) = answer.location.and_then(|l| HeaderValue::try_from(l).ok()) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    if replayed {
        let name = HeaderName::from_static("idempotency-replayed");
        response.headers_mut().insert(name, HeaderValue::from_static("true"));
    }
    response
}

/// The hash of what a request means: fields in a fixed order, `null` for one that is absent.
pub(crate) fn meaning(endpoint: &str, fields: &[Value]) -> [u8; 32] {
    let hash = IdHasher::new("request").field(endpoint.as_bytes());
    fields.iter().fold(hash, |hash, field| hash.field(canonical(field).to_string().as_bytes())).finish32()
}

/// The same value with the keys of every object in order.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut names: Vec<&String> = map.keys().collect();
            names.sort_unstable();
            Value::Object(names.into_iter().map(|n| (n.clone(), canonical(&map[n]))).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(canonical).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use serde_json::json;

    use super::*;
    use crate::test_server::{Answer, TestServer, completed, failed, form};

    #[test]
    fn the_order_of_keys_means_nothing_and_every_field_something() {
        let base = meaning("a", &[json!({"x": 1, "y": {"b": [1], "a": 2}}), Value::Null]);
        assert_eq!(base, meaning("a", &[json!({"y": {"a": 2, "b": [1]}, "x": 1}), Value::Null]));
        for other in [
            meaning("b", &[json!({"x": 1, "y": {"b": [1], "a": 2}}), Value::Null]),
            meaning("a", &[json!({"x": 1, "y": {"b": [2], "a": 2}}), Value::Null]),
            meaning("a", &[Value::Null, json!({"x": 1, "y": {"b": [1], "a": 2}})]),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn a_key_is_short_and_printable() {
        let of = |value: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_bytes(value).unwrap());
            key_of(&headers)
        };
        assert_eq!(key_of(&HeaderMap::new()).unwrap(), None);
        assert_eq!(of(b"a b~").unwrap().as_deref(), Some("a b~"));
        assert_eq!(of(&[b'x'; 255]).unwrap().map(|k| k.len()), Some(255));
        for bad in [&b""[..], b"  ", &[b'x'; 256], "\u{e9}".as_bytes(), b"a\tb"] {
            let error = of(bad).unwrap_err();
            assert!(error.to_string().contains("1 to 255 printable"), "{error}");
        }
        let mut twice = HeaderMap::new();
        twice.append(HEADER, HeaderValue::from_static("a"));
        twice.append(HEADER, HeaderValue::from_static("a"));
        assert!(key_of(&twice).is_err());
    }

    fn with_key(mut request: Request<Body>, key: &str) -> Request<Body> {
        request.headers_mut().insert(HEADER, HeaderValue::from_str(key).unwrap());
        request
    }

    async fn upload(server: &TestServer, key: &str, boundary: &str, parts: &[(&str, &str, &str)]) -> Answer {
        let mut body = String::new();
        for (name, file, text) in parts {
            let file = if file.is_empty() { String::new() } else { format!("; filename=\"{file}\"") };
            body += &format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{text}\r\n");
        }
        body += &format!("--{boundary}--\r\n");
        let request = Request::post("/api/upload")
            .header("content-type", format!("multipart/form-data; boundary={boundary}"))
            .header(HEADER, key)
            .body(Body::from(body));
        server.send(request.unwrap()).await
    }

    #[tokio::test]
    async fn an_upload_is_known_by_its_fields_and_files_and_not_by_its_bytes() {
        let server = TestServer::start().await;
        let parts = [("file", "a.txt", "Pumps pump."), ("priority", "", "3"), ("file", "b.txt", "Valves close.")];
        let first = upload(&server, "k", "one", &parts).await;
        assert_eq!(first.status, 202, "{}", first.text);
        assert!(!first.headers.contains_key("idempotency-replayed"));
        // Another boundary, another order of fields.
        let again = [("priority", "", "3"), ("file", "a.txt", "Pumps pump."), ("file", "b.txt", "Valves close.")];
        let second = upload(&server, "k", "another", &again).await;
        assert_eq!((second.status, &second.text), (first.status, &first.text));
        assert_eq!(second.headers["idempotency-replayed"], "true");
        for other in [
            vec![("file", "a.txt", "Pumps pump!"), ("priority", "", "3"), ("file", "b.txt", "Valves close.")],
            vec![("file", "a.txt", "Pumps pump."), ("priority", "", "4"), ("file", "b.txt", "Valves close.")],
            vec![("file", "a.txt", "Pumps pump."), ("priority", "", "3"), ("file", "c.txt", "Valves close.")],
            vec![("file", "b.txt", "Valves close."), ("priority", "", "3"), ("file", "a.txt", "Pumps pump.")],
            vec![("file", "a.txt", "Pumps pump."), ("priority", "", "3")],
        ] {
            let (status, code, _) = upload(&server, "k", "one", &other).await.error();
            assert_eq!((status, code.as_str()), (409, "idempotency_key_reused"), "{other:?}");
        }
        assert_eq!(server.get("/api/jobs").await.json()["total"], 2);
        // Files of requests that made no job are not kept.
        let waited = async {
            while server.blob_files().len() > 2 {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), waited).await.expect("blobs of nobody stay");
        // The job is gone: the answer is not.
        for _ in 0..2 {
            let fence = server.claim().await.fence;
            server.end(fence, failed()).await;
            server.delete(&format!("/api/jobs/{}", fence.job)).await;
        }
        assert_eq!(upload(&server, "k", "one", &parts).await.text, first.text);
        assert_eq!(server.get("/api/jobs").await.json()["total"], 0);
    }

    #[tokio::test]
    async fn leaving_a_field_out_and_giving_its_default_are_one_request() {
        let server = TestServer::start().await;
        let bare = json!({"job_type": "reindex"});
        let whole = json!({"job_type": "reindex", "collection": "default", "priority": 0, "max_attempts": 5, "params": {
            "rebuild_embeddings": false, "rebuild_similarities": true, "run_clustering": null, "top_k": 10, "threshold": 0.7,
            "mode": "delta"}});
        let first = server.send(post("/api/jobs", "k", &bare)).await;
        let second = server.send(post("/api/jobs", "k", &whole)).await;
        assert_eq!((second.status, &second.text), (first.status, &first.text), "{}", second.text);
        // The alias is the same request too.
        let alias = server.send(post("/api/database/reindex", "k", &json!({"top_k": 10}))).await;
        assert_eq!((alias.text, alias.headers["idempotency-replayed"].to_str().unwrap()), (first.text, "true"));
        let other = json!({"job_type": "reindex", "params": {"top_k": 11}});
        assert_eq!(server.send(post("/api/jobs", "k", &other)).await.error().1, "idempotency_key_reused");
        let clustering = |params: Value| json!({"job_type": "clustering", "params": params});
        let first = server.send(post("/api/jobs", "c", &clustering(json!({})))).await;
        assert_eq!(
            server.send(post("/api/jobs", "c", &clustering(json!({"seed": 42, "resolution": 1.0})))).await.text,
            first.text
        );
        let bare = [("file", "a.txt", "Pumps pump.")];
        let whole = [
            ("file", "a.txt", "Pumps pump."),
            ("chunk_size", "", "1000"),
            ("chunk_overlap", "", "200"),
            ("extract_entities", "", "true"),
            ("force", "", "false"),
            ("priority", "", "0"),
            ("source", "", "a.txt"),
        ];
        let first = upload(&server, "u", "one", &bare).await;
        assert_eq!(upload(&server, "u", "one", &whole).await.text, first.text);
        assert_eq!(
            upload(&server, "u", "one", &[bare[0], ("chunk_size", "", "999")]).await.error().1,
            "idempotency_key_reused"
        );
    }

    #[tokio::test]
    async fn a_request_that_is_not_answered_yet_holds_its_key() {
        let server = TestServer::start().await;
        let (piece, rest) = tokio::sync::oneshot::channel::<()>();
        let whole = crate::test_server::form_body(&[("file", Some("a.txt"), b"Pumps pump.")]);
        let (begin, end) = (bytes::Bytes::from(whole[..20].to_vec()), bytes::Bytes::from(whole[20..].to_vec()));
        let body = futures::stream::once(async move { Ok::<_, std::io::Error>(begin) }).chain(futures::stream::once(
            async move {
                let _ = rest.await;
                Ok(end)
            },
        ));
        use futures::StreamExt;
        let slow = with_key(crate::test_server::form_of(Body::from_stream(body)), "k");
        let first = server.send(slow);
        let second = async {
            // Until the first one has taken the key.
            while server.state.in_flight.0.lock().is_empty() {
                tokio::task::yield_now().await;
            }
            let quick = with_key(form(&[("file", Some("a.txt"), b"Pumps pump.")]), "k");
            let refused = server.send(quick).await;
            let other = with_key(form(&[("file", Some("o.txt"), b"Other pumps.")]), "other");
            assert_eq!(server.send(other).await.status, 202);
            let _ = piece.send(());
            refused
        };
        let (first, refused) = tokio::join!(first, second);
        assert_eq!(refused.error().1, "idempotency_in_flight");
        assert_eq!((refused.status.as_u16(), refused.headers["retry-after"].to_str().unwrap()), (409, "1"));
        assert_eq!(first.status, 202);
        let again = server.send(with_key(form(&[("file", Some("a.txt"), b"Pumps pump.")]), "k")).await;
        assert_eq!((again.text, again.headers["idempotency-replayed"].to_str().unwrap()), (first.text, "true"));
        assert!(server.state.in_flight.0.lock().is_empty());
    }

    fn post(uri: &str, key: &str, json: &Value) -> Request<Body> {
        let request = Request::post(uri).header("content-type", "application/json").header(HEADER, key);
        request.body(Body::from(if json.is_null() { String::new() } else { json.to_string() })).unwrap()
    }

    #[tokio::test]
    async fn submits_and_retries_are_carried_out_once() {
        let server = TestServer::start().await;
        server.upload("a.txt", "Pumps pump.").await;
        let claimed = server.claim().await;
        let document = server.publish(&claimed.job).await;
        server.end(claimed.fence, completed()).await;
        let body = json!({"job_type": "ingestion", "params": {"document_id": document}, "max_attempts": 1});
        let first = server.send(post("/api/jobs", "s", &body)).await;
        assert_eq!(first.status, 202, "{}", first.text);
        let fence = server.claim().await.fence;
        let again = server.send(post("/api/jobs", "s", &body)).await;
        assert_eq!((again.status, &again.text), (first.status, &first.text), "as it was, not as the job is now");
        assert_eq!(again.headers["location"], first.headers["location"]);
        let mut other = body.clone();
        other["max_attempts"] = json!(2);
        assert_eq!(server.send(post("/api/jobs", "s", &other)).await.error().1, "idempotency_key_reused");
        server.end(fence, failed()).await;
        let retry = format!("/api/jobs/{}/retry", fence.job);
        assert_eq!(server.send(post(&retry, "s", &Value::Null)).await.error().1, "idempotency_key_reused");
        let first = server.send(post(&retry, "r", &Value::Null)).await;
        assert_eq!(first.status, 202, "{}", first.text);
        server.end(server.claim().await.fence, failed()).await;
        let again = server.send(post(&retry, "r", &Value::Null)).await;
        assert_eq!((again.status.as_u16(), &again.text), (202, &first.text));
        assert_eq!(server.record(fence.job).await.status, graphmill_core::JobStatus::Failed, "not retried twice");
        server.delete(&format!("/api/jobs/{}", fence.job)).await;
        assert_eq!(server.send(post(&retry, "r", &Value::Null)).await.text, first.text);
        assert_eq!(server.send(post(&retry, "new", &Value::Null)).await.error().0, 404);
    }
}
