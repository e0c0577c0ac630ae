//! Where in what a model said the graph is.

use serde_json::{Value, json};

use super::json::{self, Parsed};

/// Places at which an answer is looked for; prose has fewer braces.
const MOST_STARTS: usize = 200;

/// The graph, as an object with the lists `entities` and `relations`.
#[derive(Debug)]
pub(super) struct Located {
    /// The object.
    pub(super) graph: Graph,
    /// The answer did not end within it.
    pub(super) complete: bool,
}

/// The two lists of an answer, as the model wrote them.
#[derive(Debug, Default)]
pub(super) struct Graph {
    /// Entities.
    pub(super) entities: Vec<Value>,
    /// Relations.
    pub(super) relations: Vec<Value>,
}

/// The graph in `content`; an `Err` says why there is none.
pub(super) fn find(content: &str) -> Result<Located, &'static str> {
    let content = without_thinking(content).trim().trim_start_matches('\u{feff}').trim();
    if content.is_empty() {
        return Err("it is empty");
    }
    // A JSON string that holds JSON.
    if content.starts_with(['"', '\''])
        && let Some(Parsed { value: Value::String(inner), .. }) = json::parse(content)
        && inner.contains('{')
        && let Some(located) = best(&inner)
    {
        return Ok(located);
    }
    best(content).ok_or("it has no JSON object with entities and relations")
}

/// What follows the model's thinking aloud.
fn without_thinking(content: &str) -> &str {
    if content.trim_start().starts_with("<think") && !content.contains("</think") {
        return ""; // cut off while it was thinking
    }
    ["</think>", "</thinking>", "</reasoning>"]
        .iter()
        .filter_map(|end| content.rfind(end).map(|at| &content[at + end.len()..]))
        .min_by_key(|rest| rest.len())
        .unwrap_or(content)
}

/// The fullest graph that begins at some bracket; a whole one before a cut one.
fn best(content: &str) -> Option<Located> {
    let mut found: Option<Located> = None;
    let mut from = 0;
    for _ in 0..MOST_STARTS {
        let Some(start) = content[from..].find(['{', '[']).map(|n| from + n) else { break };
        from = start + 1;
        let Some(parsed) = json::parse(&content[start..]) else { continue };
        let whole = start == 0 && content[parsed.end..].trim().is_empty();
        let Some(graph) = graph_of(&parsed.value, whole) else { continue };
        from = start + parsed.end.max(1);
        let rank = |l: &Located| (l.complete, l.graph.entities.len() + l.graph.relations.len());
        let located = Located { graph, complete: parsed.complete };
        // A cut one is only worth something if there is something in it.
        let useful = located.complete || rank(&located).1 > 0;
        if useful && found.as_ref().is_none_or(|known| rank(&located) >= rank(known)) {
            found = Some(located);
        }
    }
    found
}

/// `value` as a graph, if it is one: an object with either list, one within an object, or a bare list of entities.
fn graph_of(value: &Value, whole: bool) -> Option<Graph> {
    match value {
        Value::Object(members) => {
            let list = |names: &[&str]| {
                members
                    .iter()
                    .find(|(key, _)| names.contains(&key.to_lowercase().as_str()))
                    .map(|(_, value)| items(value))
            };
            let entities = list(&["entities", "nodes", "entity"]);
            let relations = list(&["relations", "relationships", "edges", "relation", "triples"]);
            if entities.is_some() || relations.is_some() {
                return Some(Graph {
                    entities: entities.unwrap_or_default(),
                    relations: relations.unwrap_or_default(),
                });
            }
            members.values().filter(|v| v.is_object()).find_map(|inner| graph_of(inner, false))
        }
        Value::Array(items) => {
            let named = |item: &Value| item.get("name").or_else(|| item.get("entity")).is_some();
            let graph = items.iter().find(|item| item.get("entities").is_some()).and_then(|item| graph_of(item, false));
            if graph.is_some() {
                return graph;
            }
            let bare = (!items.is_empty() || whole) && items.iter().all(named);
            bare.then(|| Graph { entities: items.clone(), relations: Vec::new() })
        }
        _ => None,
    }
}

/// A list; an object is a list of its members, each with its key as name; anything else is none.
fn items(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.clone(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match value {
                Value::Object(fields) if !fields.contains_key("name") => {
                    let mut fields = fields.clone();
                    fields.insert("name".into(), json!(name));
                    Value::Object(fields)
                }
                Value::Object(_) => value.clone(),
                other => json!({ "name": name, "description": other }),
            })
            .collect(),
        _ => Vec::new(),
    }
}
