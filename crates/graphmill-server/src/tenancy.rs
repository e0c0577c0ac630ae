//! A key that is bound to one collection sees none of another's: every route of the router is tried.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request};
use futures::StreamExt;
use graphmill_core::{ChunkFacts, CollectionId, DocumentId, EntityId, EntityName, JobId, Mention};
use graphmill_store::keys::{CreatedKey, KeyToken, NewKey};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::test_server::{BOUNDARY, TestServer, completed, form_body};

/// Words that nothing which the key sees may hold.
const THEIR_WORDS: &[&str] = &["theirs", "Pumps pump", "secret-plan"];

/// Method and path of every route, from the document that the router itself is described by.
fn routes() -> Vec<(Method, String)> {
    let document = crate::openapi::document();
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let methods: Vec<String> = item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        let path = path.clone();
        methods.into_iter().map(move |method| (method.parse().unwrap(), path.clone()))
    };
    let routes: Vec<_> = paths.iter().flat_map(of_path).collect();
    assert!(routes.len() > 40, "{routes:?}");
    routes
}

/// What stands for a parameter: something of theirs, and the same of nobody's.
struct Ids {
    pairs: Vec<(&'static str, String, String)>,
}

impl Ids {
    fn of(job: JobId, document: DocumentId, theirs: &CollectionId) -> Self {
        let nobodys: CollectionId = "nobodys".parse().unwrap();
        let absent = DocumentId::new(&nobodys, "secret-plan.txt");
        let community = |document: DocumentId| document.to_string().replacen("doc-", "com-", 1);
        let pairs = vec![
            ("{job_id}", job.to_string(), JobId::from_bytes([7; 16]).to_string()),
            ("{document_id}", document.to_string(), absent.to_string()),
            ("{entity_id}", entity_of(theirs), entity_of(&nobodys)),
            ("{community_id}", community(document), community(absent)),
            ("{collection}", "theirs".into(), "nobodys".into()),
            ("{name}", "theirs".into(), "nobodys".into()),
            ("{job_type}", "ingestion".into(), "ingestion".into()),
            ("{type}", "ingestion".into(), "ingestion".into()),
            ("{page}", "1".into(), "1".into()),
            ("{n}", "1".into(), "1".into()),
        ];
        Self { pairs }
    }

    /// The text with something of theirs, and with the same of nobody's.
    fn both(&self, text: &str) -> (String, String) {
        let mut both = (text.to_owned(), text.to_owned());
        for (name, theirs, nobodys) in &self.pairs {
            both = (both.0.replace(name, theirs), both.1.replace(name, nobodys));
        }
        assert!(!both.0.contains('{'), "say in Ids what {text} takes");
        both
    }

    /// The answer with the ids that the request named taken out.
    fn masked(&self, text: &str) -> String {
        let each = self.pairs.iter().filter(|(_, theirs, nobodys)| theirs != nobodys);
        each.fold(text.to_owned(), |text, (name, theirs, nobodys)| text.replace(theirs, name).replace(nobodys, name))
    }
}

fn entity_of(collection: &CollectionId) -> String {
    EntityId::new(collection, &EntityName::new("Pumps").unwrap()).to_string()
}

struct Tenant {
    server: TestServer,
    token: String,
    ids: Ids,
}

impl Tenant {
    async fn call(&self, method: &Method, uri: &str, kind: &str, body: Vec<u8>) -> (u16, String) {
        let request =
            Request::builder().method(method).uri(uri).header("authorization", format!("Bearer {}", self.token));
        let request = request.header("content-type", kind).body(Body::from(body)).unwrap();
        let response = self.server.router.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let mut pieces = response.into_body().into_data_stream();
        let mut text = String::new();
        // A stream of events has no end: what comes at once is looked at.
        while let Ok(Some(Ok(piece))) = tokio::time::timeout(Duration::from_millis(1500), pieces.next()).await {
            text.push_str(&String::from_utf8_lossy(&piece));
        }
        (status, text)
    }

    /// A request that names something of theirs is answered as one that names nothing.
    async fn same(&self, method: &Method, uri: &str, kind: &str, body: &str) {
        let ((uri, other_uri), (body, other_body)) = (self.ids.both(uri), bodies(&self.ids, body));
        let theirs = self.call(method, &uri, kind, body.into_bytes()).await;
        let nobodys = self.call(method, &other_uri, kind, other_body.into_bytes()).await;
        assert_eq!(
            (theirs.0, without_time(&self.ids.masked(&theirs.1))),
            (nobodys.0, without_time(&self.ids.masked(&nobodys.1))),
            "{method} {uri}"
        );
        assert!(!theirs.1.contains("Pumps pump") && !theirs.1.contains("secret-plan"), "{method} {uri}: {}", theirs.1);
        assert!(theirs.0 != 200 || method == Method::GET, "{method} {uri} was carried out: {}", theirs.1);
    }
}

/// Bodies are JSON with braces of their own: only ids in quotes are parameters.
fn bodies(ids: &Ids, body: &str) -> (String, String) {
    ids.pairs.iter().fold((body.to_owned(), body.to_owned()), |(a, b), (name, theirs, nobodys)| {
        (a.replace(name, theirs), b.replace(name, nobodys))
    })
}

/// How long a search took is nobody's secret.
fn without_time(text: &str) -> String {
    match serde_json::from_str::<Value>(text) {
        Ok(mut value) => {
            if let Some(map) = value.as_object_mut() {
                map.remove("took_ms");
            }
            value.to_string()
        }
        Err(_) => text.to_owned(),
    }
}

/// A server with a published document of `theirs`, and a key that is bound to `own`.
async fn tenant() -> (Tenant, JobId, DocumentId) {
    let server = TestServer::start().await;
    let theirs: CollectionId = "theirs".parse().unwrap();
    let form = [("collection", None, &b"theirs"[..]), ("file", Some("secret-plan.txt"), b"Pumps pump.")];
    let answer = server.send(crate::test_server::form(&form)).await;
    let job: JobId = answer.json()["job_id"].as_str().unwrap().parse().unwrap();
    let claimed = server.claim().await;
    let mention = Mention {
        spelling: "Pumps".into(),
        entity_type: "product".into(),
        description: "Pumps pump.".into(),
        spans: vec![(0, 5)],
    };
    let facts = ChunkFacts { mentions: vec![mention], ..ChunkFacts::default() };
    let document = server.publish_with(&claimed.job, facts).await;
    let entity = server.get(&format!("/api/entities/{}", entity_of(&theirs))).await;
    assert_eq!(entity.status, 200, "{}", entity.text);
    server.end(claimed.fence, completed()).await;
    let token = KeyToken::generate();
    for (token, name, collection) in
        [(&token, "bound", Some("own".parse().unwrap())), (&KeyToken::generate(), "theirs", None)]
    {
        let (id, secret_hash, name) = (token.id(), token.secret_hash(), name.parse().unwrap());
        let created =
            server.state.services.keys.create(NewKey { id, secret_hash, name, read_only: false, collection }).await;
        assert!(matches!(created.unwrap(), CreatedKey::Created(_)));
    }
    let ids = Ids::of(job, document, &theirs);
    (Tenant { server, token: token.reveal(), ids }, job, document)
}

#[tokio::test]
async fn no_route_tells_a_foreign_key_anything() {
    let (tenant, job, document) = tenant().await;
    let before = (tenant.server.record(job).await, tenant.server.state.graph().document(document).await.unwrap());
    for (method, path) in routes() {
        if !path.starts_with("/api/") {
            // Health, version and the description are the same for everyone.
            continue;
        }
        let json = "application/json";
        if path.contains('{') {
            tenant.same(&method, &path, json, "").await;
            continue;
        }
        if method == Method::GET {
            // Some of them want more than a collection.
            for query in ["?q=pumps", "?q=pumps&mode=text"] {
                let (_, text) = tenant.call(&method, &format!("{path}{query}"), json, Vec::new()).await;
                let told = THEIR_WORDS.iter().find(|word| text.contains(**word));
                assert!(
                    told.is_none() && !text.contains(&job.to_string()) && !text.contains(&document.to_string()),
                    "{path}: {text}"
                );
                tenant.same(&method, &format!("{path}{query}&collection={{collection}}"), json, "").await;
            }
            continue;
        }
        for body in [
            json!({"collection": "{collection}"}),
            json!({"job_type": "ingestion", "params": {"document_id": "{document_id}"}}),
            json!({"job_type": "ingestion", "collection": "{collection}", "params": {"document_id": "{document_id}"}}),
            json!({"job_type": "reindex", "collection": "{collection}"}),
            json!({"job_type": "clustering", "collection": "{collection}"}),
            json!({"older_than_days": 0, "status": ["completed"], "collection": "{collection}"}),
        ] {
            tenant.same(&method, &path, json, &body.to_string()).await;
        }
        let form = form_body(&[("collection", None, b"{collection}"), ("file", Some("a.txt"), b"A file.")]);
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        tenant.same(&method, &path, &kind, &String::from_utf8(form).unwrap()).await;
    }
    // A cleanup without a collection is one of the key's own.
    let all = json!({"older_than_days": 0, "status": ["completed", "failed", "cancelled"]}).to_string();
    let (status, text) = tenant.call(&Method::POST, "/api/jobs/cleanup", "application/json", all.into_bytes()).await;
    assert_eq!((status, text.contains("\"jobs_deleted\":0")), (200, true), "{text}");
    let after = (tenant.server.record(job).await, tenant.server.state.graph().document(document).await.unwrap());
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
}

#[tokio::test]
async fn what_a_bound_key_uploads_is_its_collections() {
    let (tenant, ..) = tenant().await;
    let form = form_body(&[("file", Some("mine.txt"), b"Valves are mine.")]);
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let (status, text) = tenant.call(&Method::POST, "/api/upload", &kind, form).await;
    assert_eq!(status, 202, "{text}");
    let job: Value = serde_json::from_str(&text).unwrap();
    let record = tenant.server.record(job["job_id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(record.collection.as_str(), "own");
    let (_, list) = tenant.call(&Method::GET, "/api/jobs", "application/json", Vec::new()).await;
    let list: Value = serde_json::from_str(&list).unwrap();
    assert_eq!((&list["total"], &list["jobs"][0]["job_id"]), (&json!(1), &job["job_id"]));
    let path = format!("/api/jobs/{}/cancel", job["job_id"].as_str().unwrap());
    assert_eq!(tenant.call(&Method::POST, &path, "application/json", Vec::new()).await.0, 200);
}
