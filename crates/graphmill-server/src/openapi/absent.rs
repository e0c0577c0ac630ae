//! Where `null` may stand. The derived schemas let every `Option` be null; really a value that is absent is left out of answers, parameters and forms,
//! and only the fields of a JSON request take `null` for it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Takes `null` out of all schemas but those that only JSON requests use.
pub(super) fn say_where_null_may_stand(document: &mut Value) {
    let requested = of_requests(document);
    for (key, value) in document.as_object_mut().expect("the document is an object") {
        if key != "components" {
            without_null(value);
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object_mut().expect("schemas are an object") {
        if requested.contains(name) {
            without_empty(schema);
        } else {
            without_null(schema);
        }
    }
}

/// Names of the schemas that JSON requests refer to and nothing else does.
fn of_requests(document: &Value) -> BTreeSet<String> {
    let (mut requested, mut others) = (BTreeSet::new(), BTreeSet::new());
    for item in document["paths"].as_object().into_iter().flat_map(Map::values) {
        for operation in item.as_object().into_iter().flat_map(Map::values) {
            reach(document, &operation["requestBody"]["content"]["application/json"], &mut requested);
            reach(document, &operation["requestBody"]["content"]["multipart/form-data"], &mut others);
            reach(document, &operation["parameters"], &mut others);
            reach(document, &operation["responses"], &mut others);
        }
    }
    requested.difference(&others).cloned().collect()
}

/// Adds what is referred to from here, over any number of steps.
fn reach(document: &Value, from: &Value, found: &mut BTreeSet<String>) {
    match from {
        Value::Array(items) => items.iter().for_each(|item| reach(document, item, found)),
        Value::Object(map) => {
            let name = map.get("$ref").and_then(Value::as_str).and_then(|r| r.strip_prefix("#/components/schemas/"));
            if let Some(name) = name
                && found.insert(name.to_owned())
            {
                reach(document, &document["components"]["schemas"][name], found);
            }
            map.values().for_each(|inner| reach(document, inner, found));
        }
        _ => {}
    }
}

fn without_null(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|t| t != "null");
                if let [one] = &types[..] {
                    map["type"] = one.clone();
                }
            }
            unwrap_choice(map);
            map.retain(|_, inner| !inner.is_null());
            map.values_mut().for_each(without_null);
            join_default(map);
        }
        _ => {}
    }
}

/// Members of the document itself that have no value.
fn without_empty(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(without_empty),
        Value::Object(map) => {
            map.retain(|_, inner| !inner.is_null());
            map.values_mut().for_each(without_empty);
        }
        _ => {}
    }
}

/// `oneOf: [null, X]` is X.
fn unwrap_choice(map: &mut Map<String, Value>) {
    let Some(Value::Array(choices)) = map.get_mut("oneOf") else { return };
    choices.retain(|choice| choice != &json!({"type": "null"}));
    if let [Value::Object(only)] = &choices[..] {
        let only = only.clone();
        map.remove("oneOf");
        map.extend(only);
    }
}

/// `allOf: [X, {type: object, default}]`, which the derive makes of an inlined word with a default and which nothing satisfies, is X with the default.
fn join_default(map: &mut Map<String, Value>) {
    let Some(Value::Array(parts)) = map.get("allOf") else { return };
    if let [Value::Object(schema), Value::Object(rest)] = &parts[..]
        && rest.len() == 2
        && rest.get("type").is_some_and(|t| t == "object")
        && let Some(default) = rest.get("default")
    {
        let mut joined = schema.clone();
        joined.insert("default".to_owned(), default.clone());
        map.remove("allOf");
        map.extend(joined);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::openapi::document;

    #[test]
    fn null_is_for_requests() {
        let document = document();
        let field = |schema: &str, name: &str| document["components"]["schemas"][schema]["properties"][name].clone();
        assert_eq!(field("KeyRequest", "read_only")["type"], json!(["boolean", "null"]));
        assert_eq!(field("KeyRequest", "collection")["oneOf"][1], json!({"type": "null"}));
        assert_eq!(field("CollectionSettings", "chunk_size")["type"], "integer");
        assert_eq!(field("UploadRequest", "force")["type"], "boolean");
    }

    #[test]
    fn a_word_with_a_default_can_be_satisfied() {
        let mut schema =
            json!({"allOf": [{"type": "string", "enum": ["asc", "desc"]}, {"type": "object", "default": "asc"}]});
        without_null(&mut schema);
        assert_eq!(schema, json!({"type": "string", "enum": ["asc", "desc"], "default": "asc"}));
    }
}
