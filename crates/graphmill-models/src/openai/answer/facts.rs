//! The facts of an answer: names that the text has, relations between them; what leads nowhere is left out and counted.

use std::cmp::Reverse;
use std::collections::HashMap;

use graphmill_core::{AliasEvidence, ChunkFacts, EntityName, Mention, Statement, entity_type_rank};
use serde_json::Value;

use super::grounding::{FoldedText, Found};
use super::locate::Graph;
use super::names;
use crate::{ChunkInput, Dropped, Extraction};

/// Entities and relations of one chunk; a model that runs away writes more.
const MOST_ENTITIES: usize = 200;
const MOST_RELATIONS: usize = 400;

/// Longest description, in bytes.
const LONGEST_DESCRIPTION: usize = 400;

/// Strength of a relation for which the model gives none that is a number from 0 to 10, in millionths.
const DEFAULT_STRENGTH: u64 = 5_000_000;

/// What was left out is shown so many times.
const MOST_EXAMPLES: usize = 5;

/// An entity of the answer with all that was said of it.
struct Entity {
    key: EntityName,
    found: Vec<Found>,
    /// How the heading spells it, when only that has it.
    spelling: String,
    types: Vec<String>,
    descriptions: Vec<String>,
}

/// Builds the facts of `graph` about `chunk`.
pub(super) fn build(graph: &Graph, chunk: &ChunkInput<'_>) -> Extraction {
    let mut dropped = Dropped::default();
    let text = FoldedText::new(chunk.text);
    let heading = FoldedText::new(chunk.heading_path);
    let mut entities: Vec<Entity> = Vec::new();
    let mut by_key: HashMap<EntityName, usize> = HashMap::new();
    // The answer's own spellings lead to an entity too: `Delta_Router` is what its relations will say.
    let mut by_name: HashMap<String, usize> = HashMap::new();
    for (place, item) in graph.entities.iter().enumerate() {
        let raw = name_of(item);
        let named = if place < MOST_ENTITIES { locate(&raw, &text, &heading) } else { Err("too many entities") };
        let (name, spelling, found) = match named {
            Ok(named) => named,
            Err(reason) => {
                drop_entity(&mut dropped, &raw, reason);
                continue;
            }
        };
        // A spelling that was found can name an entity: grounding checked it.
        let Ok(key) = EntityName::new(&spelling) else { continue };
        let number = *by_key.entry(key).or_insert_with_key(|key| {
            let spelling = spelling.clone();
            entities.push(Entity { key: key.clone(), found, spelling, types: Vec::new(), descriptions: Vec::new() });
            entities.len() - 1
        });
        by_name.insert(name, number);
        let entity = &mut entities[number];
        entity.types.push(entity_type(item));
        add_description(&mut entity.descriptions, &field(item, &["description", "desc", "summary"]));
    }
    let statements = statements(graph, &entities, &by_key, &by_name, &mut dropped);
    let mentions = entities.iter().flat_map(mentions).collect();
    let (facts, lost) = ChunkFacts::canonical(mentions, statements, aliases(chunk.text, &entities, &by_key));
    dropped.entities += lost.mentions;
    dropped.relations += lost.statements;
    Extraction { facts, dropped, ..Extraction::default() }
}

/// The clean name, how the text or the heading spells it, and where it stands in the text.
fn locate(
    raw: &str,
    text: &FoldedText<'_>,
    heading: &FoldedText<'_>,
) -> Result<(String, String, Vec<Found>), &'static str> {
    let name = names::clean(raw).map_err(names::BadName::reason)?;
    let found = text.find(&name);
    if let Some(first) = found.first() {
        let spelling = first.spelling.clone();
        return Ok((name, spelling, found));
    }
    let above = heading.find(&name).into_iter().next().ok_or("not in the text")?;
    Ok((name, above.spelling, Vec::new()))
}

fn drop_entity(dropped: &mut Dropped, raw: &str, reason: &str) {
    dropped.entities += 1;
    if dropped.examples.len() < MOST_EXAMPLES {
        let short: String = raw.chars().take(80).flat_map(char::escape_debug).collect();
        let more = if raw.chars().nth(80).is_some() { "…" } else { "" };
        dropped.examples.push(format!("\"{short}{more}\": {reason}"));
    }
}

/// One mention for each spelling; what is said of the entity goes with the first.
fn mentions(entity: &Entity) -> Vec<Mention> {
    let entity_type = voted(&entity.types);
    let mut description = names::shorten(&entity.descriptions.join(" "), LONGEST_DESCRIPTION).to_owned();
    let mut out: Vec<Mention> = Vec::new();
    for found in &entity.found {
        match out.iter_mut().find(|m| m.spelling == found.spelling) {
            Some(mention) => mention.spans.push(found.span),
            None => out.push(Mention {
                spelling: found.spelling.clone(),
                entity_type: entity_type.clone(),
                description: std::mem::take(&mut description),
                spans: vec![found.span],
            }),
        }
    }
    if out.is_empty() {
        out.push(Mention { spelling: entity.spelling.clone(), entity_type, description, spans: Vec::new() });
    }
    out
}

/// The type said most often; ties by the order of the schema, then by bytes.
fn voted(types: &[String]) -> String {
    let count = |t: &String| types.iter().filter(|other| *other == t).count();
    types.iter().min_by_key(|t| (Reverse(count(t)), entity_type_rank(t), (*t).clone())).cloned().unwrap_or_default()
}

fn statements(
    graph: &Graph,
    entities: &[Entity],
    by_key: &HashMap<EntityName, usize>,
    by_name: &HashMap<String, usize>,
    dropped: &mut Dropped,
) -> Vec<Statement> {
    let end = |name: &str| {
        let name = names::clean(name).ok()?;
        let number = by_name
            .get(&name)
            .or_else(|| by_key.get(&EntityName::new(&name).ok()?))
            .or_else(|| by_key.get(&EntityName::new(&name.replace('_', " ")).ok()?));
        number.map(|n| &entities[*n])
    };
    let mut out = Vec::new();
    for (place, item) in graph.relations.iter().enumerate() {
        let (source, target, kind) = ends_of(item);
        let ends = end(&source).zip(end(&target)).filter(|(a, b)| a.key != b.key && place < MOST_RELATIONS);
        let Some((source, target)) = ends else {
            dropped.relations += 1;
            continue;
        };
        let description = names::tidy(&field(item, &["description", "desc", "summary", "evidence"]));
        out.push(Statement {
            source: source.spelling.clone(),
            target: target.spelling.clone(),
            relation_type: names::kind(&kind, 60).unwrap_or_else(|| "related_to".into()),
            description: names::shorten(&description, LONGEST_DESCRIPTION).to_owned(),
            strength_millionths: strength(item),
        });
    }
    out
}

/// Short forms that the text defines, where both forms are entities of the answer.
fn aliases(text: &str, entities: &[Entity], by_key: &HashMap<EntityName, usize>) -> Vec<AliasEvidence> {
    let spelled = |name: &str| Some(entities[*by_key.get(&EntityName::new(name).ok()?)?].spelling.clone());
    let defined = crate::offline::defined_short_forms(text);
    defined
        .iter()
        .filter_map(|(short, long)| Some(AliasEvidence { short: spelled(short)?, long: spelled(long)? }))
        .collect()
}

/// The first of `names` that `item` has as text or number; empty if none.
fn field(item: &Value, names: &[&str]) -> String {
    let value = names.iter().find_map(|name| item.get(name).filter(|v| !v.is_null()));
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        Some(Value::Array(words)) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    }
}

fn name_of(item: &Value) -> String {
    match item {
        Value::String(name) => name.clone(),
        _ => field(item, &["name", "entity", "entity_name", "title", "label", "id"]),
    }
}

fn entity_type(item: &Value) -> String {
    let kind = names::kind(&field(item, &["type", "entity_type", "category", "class"]), 40)
        .unwrap_or_else(|| "concept".into());
    let known = match kind.as_str() {
        "org" | "company" | "institution" | "organisation" => "organization",
        "place" | "geo" | "city" | "country" | "gpe" | "loc" => "location",
        "people" | "human" | "per" => "person",
        _ => return kind,
    };
    known.to_owned()
}

/// Source, target and kind of a relation: an object, or a triple `[source, kind, target]`.
fn ends_of(item: &Value) -> (String, String, String) {
    if let Value::Array(parts) = item {
        let part = |i: usize| parts.get(i).and_then(Value::as_str).unwrap_or_default().to_owned();
        return (part(0), part(2), part(1));
    }
    let source = field(item, &["source", "from", "subject", "head", "source_entity", "src"]);
    let target = field(item, &["target", "to", "object", "tail", "target_entity", "dst", "tgt"]);
    (source, target, field(item, &["type", "relation", "relation_type", "relationship", "predicate", "label"]))
}

fn add_description(known: &mut Vec<String>, raw: &str) {
    let text = names::shorten(&names::tidy(raw), LONGEST_DESCRIPTION).to_owned();
    if !text.is_empty() && !known.contains(&text) {
        known.push(text);
    }
}

/// In millionths, from a number, a number in words of a model (`7/10`, `70%`, `high`), or the default.
fn strength(item: &Value) -> u64 {
    let value = ["strength", "weight", "score", "relationship_strength"].iter().find_map(|name| item.get(name));
    let number = match value {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(words)) => strength_in_words(words),
        _ => None,
    };
    match number {
        Some(n) if n.is_finite() && n >= 0.0 => (n.min(10.0) * 1e6).round() as u64,
        _ => DEFAULT_STRENGTH,
    }
}

fn strength_in_words(words: &str) -> Option<f64> {
    let words = words.trim().to_lowercase();
    match words.as_str() {
        "high" | "strong" => return Some(8.0),
        "medium" | "moderate" => return Some(5.0),
        "low" | "weak" => return Some(2.0),
        _ => {}
    }
    if let Some((part, whole)) = words.split_once('/') {
        let (part, whole): (f64, f64) = (part.trim().parse().ok()?, whole.trim().parse().ok()?);
        return (whole > 0.0).then(|| part / whole * 10.0);
    }
    match words.strip_suffix('%') {
        Some(percent) => percent.trim().parse::<f64>().ok().map(|p| p / 10.0),
        None => words.parse().ok(),
    }
}
