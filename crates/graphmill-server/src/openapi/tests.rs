use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use super::document;
use crate::test_server::{NO_JOB, TestServer};

const METHODS: &[&str] = &["get", "post", "put", "patch", "delete"];

/// Each operation of the document: path, method, description.
fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let item = item.as_object().unwrap().clone();
        let path = path.clone();
        item.into_iter().map(move |(method, operation)| (path.clone(), method, operation))
    };
    paths.iter().flat_map(of_path).collect()
}

/// What is wrong with `value` as an instance of `schema`.
fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let whole = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "components": document["components"],
        "allOf": [schema],
    });
    let validator = jsonschema::options().should_validate_formats(true).build(&whole).unwrap();
    validator.iter_errors(value).map(|e| format!("{value}: {e}")).collect()
}

/// Whether `value` is what the document says of `schema`.
pub(crate) fn assert_described(schema: &str, value: &Value) {
    let schema = json!({"$ref": format!("#/components/schemas/{schema}")});
    assert_eq!(faults(&document(), &schema, value), Vec::<String>::new());
}

/// All examples that stand beside a schema, anywhere.
fn check_examples(document: &Value, at: &str, value: &Value, checked: &mut usize) {
    match value {
        Value::Object(map) => {
            let mut examples: Vec<&Value> = map.get("example").into_iter().collect();
            match map.get("examples") {
                Some(Value::Array(list)) => examples.extend(list),
                Some(Value::Object(named)) => examples.extend(named.values().map(|e| &e["value"])),
                _ => {}
            }
            // A media type or parameter has its schema in it; else this is the schema.
            let schema = map.get("schema").unwrap_or(value);
            for example in examples {
                *checked += 1;
                assert_eq!(faults(document, schema, example), Vec::<String>::new(), "{at}");
            }
            for (key, inner) in map {
                if !matches!(key.as_str(), "example" | "examples" | "default") {
                    check_examples(document, &format!("{at}/{key}"), inner, checked);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| check_examples(document, at, item, checked)),
        _ => {}
    }
}

#[test]
fn all_examples_are_valid() {
    let document = document();
    let mut checked = 0;
    check_examples(&document, "", &document, &mut checked);
    assert!(checked > 100, "{checked}");
    let broken = json!({"error": "no code"});
    assert_eq!(faults(&document, &json!({"$ref": "#/components/schemas/Error"}), &broken).len(), 1);
}

#[test]
fn every_operation_is_described() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = std::collections::HashSet::new();
    for (path, method, operation) in operations(&document) {
        let text = |value: &Value| value.as_str().is_some_and(|text| text.len() > 3);
        assert!(text(&operation["summary"]), "{method} {path} has no summary");
        let id = operation["operationId"].as_str().unwrap().to_owned();
        assert!(ids.insert(id.clone()), "{id} twice");
        let tag = operation["tags"][0].as_str().unwrap();
        assert!(document["tags"].as_array().unwrap().iter().any(|t| t["name"] == tag), "{tag}");
        for (status, response) in operation["responses"].as_object().unwrap() {
            assert!(text(&response["description"]), "{method} {path} {status}");
            let json = &response["content"]["application/json"];
            if !status.starts_with('2') {
                assert!(
                    matches!(status.as_str(), "101" | "304") || json["schema"].is_object(),
                    "{method} {path} {status} has no body"
                );
            }
        }
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            assert!(text(&parameter["description"]), "{method} {path} {parameter}");
            assert!(parameter["schema"].is_object(), "{method} {path} {parameter}");
        }
    }
    let text = document.to_string();
    let at = text.find(":null").map(|at| &text[at.saturating_sub(200)..(at + 100).min(text.len())]);
    assert_eq!(at, None, "what is absent is left out");
}

/// The other way round holds by construction: `paths` is what the router is made of.
#[test]
fn there_is_no_path_beside_the_described_ones() {
    let router = include_str!("../router.rs");
    let (code, _) = router.split_once("#[cfg(test)]").unwrap();
    for way in [".route(", ".route_service(", ".nest(", ".nest_service(", ".merge("] {
        assert!(
            !code.contains(way),
            "router.rs adds a path by {way}): use .routes(routes!(…)), which describes it too"
        );
    }
}

#[tokio::test]
async fn the_router_takes_exactly_the_described_methods() {
    let server = TestServer::start().await;
    let document = document();
    let mut paths = std::collections::BTreeMap::<String, Vec<String>>::new();
    for (path, method, _) in operations(&document) {
        paths.entry(path).or_default().push(method);
    }
    for (path, methods) in paths {
        let uri = path.replace("{job_id}", NO_JOB).replace(['{', '}'], "");
        for method in METHODS {
            let upper = method.to_uppercase();
            let request = Request::builder().method(upper.as_str()).uri(&uri).body(Body::empty()).unwrap();
            // A stream has no end: its head says enough.
            let response = tower::ServiceExt::oneshot(server.router.clone(), request).await.unwrap();
            let described = methods.iter().any(|m| m == method);
            assert_eq!(response.status() != 405, described, "{upper} {uri}: {}", response.status());
            if !described {
                let allow = response.headers()["allow"].to_str().unwrap();
                for method in &methods {
                    assert!(allow.contains(&method.to_uppercase()), "{uri}: {allow}");
                }
            }
        }
    }
}

#[tokio::test]
async fn it_is_served_and_refers_to_nothing_that_is_not_there() {
    let answer = TestServer::start().await.get("/openapi.json").await;
    assert_eq!((answer.status.as_u16(), &answer.headers["content-type"]), (200, &"application/json".parse().unwrap()));
    let document = answer.json();
    fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str));
                map.values().for_each(|inner| references(inner, found));
            }
            Value::Array(items) => items.iter().for_each(|inner| references(inner, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 50);
    for reference in found {
        assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
    }
}
