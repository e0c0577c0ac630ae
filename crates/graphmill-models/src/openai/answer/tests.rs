//! Whole answers: the kinds of c18, c19 and c21, made here with other words.

use graphmill_core::ChunkFacts;

use super::read;
use crate::{ChunkInput, Extraction};

const TEXT: &str = "The Lek Sluice was opened in Vianen.";
const GRAPH: &str = r#"{"entities": [{"name": "Vianen", "type": "location", "description": "d"}, {"name": "Lek Sluice", "type": "component", "description": "d"}], "relations": [{"source": "Lek Sluice", "target": "Vianen", "type": "located_in", "description": "d", "strength": 7}]}"#;

fn about(text: &str, answer: &str) -> Result<Extraction, &'static str> {
    read(answer, false, &ChunkInput { text, ..ChunkInput::default() })
}

fn names(facts: &ChunkFacts) -> Vec<&str> {
    facts.mentions.iter().map(|m| m.spelling.as_str()).collect()
}

/// (what was said, names, number of relations, strength of the first)
fn check(answer: &str, wanted: &[&str], relations: usize, strength: u64) {
    let extraction = about(TEXT, answer).unwrap_or_else(|why| panic!("{why}: {answer}"));
    assert_eq!(names(&extraction.facts), wanted, "{answer}");
    assert_eq!(extraction.facts.statements.len(), relations, "{answer}");
    if let Some(first) = extraction.facts.statements.first() {
        assert_eq!(first.strength_millionths, strength, "{answer}");
    }
}

#[test]
fn nearly_json_is_read() {
    let both = ["Lek Sluice", "Vianen"];
    for answer in [
        GRAPH.to_owned(),
        format!("```json\n{GRAPH}\n```"),
        format!("Sure! The result:\n\n```\n{GRAPH}\n```\nAsk me for {{more}} [details]."),
        format!("The keys are {{entities}} and {{relations}}, e.g. {{\"entities\": []}}.\n{GRAPH}"),
        format!("<think>Perhaps {{\"entities\": []}}, or {GRAPH}?</think>{GRAPH}"),
        format!("\u{feff}\n{GRAPH}"),
        GRAPH.replace('"', "'"),
        GRAPH.replace("}]", "},]").replace("7}", "7,}"),
        serde_json::to_string(GRAPH).unwrap(),
        format!("{{\"graph\": {GRAPH}}}"),
        format!("[{GRAPH}]"),
        GRAPH.replace("\"entities\"", "entities").replace("\"relations\"", "Relations"),
        GRAPH.replace("]}", "], \"entities\": []}"),
        GRAPH.replace("relations", "relationships").replace("\"source\"", "\"from\"").replace("\"target\"", "\"to\""),
    ] {
        check(&answer, &both, 1, 7_000_000);
    }
}

#[test]
fn a_strength_is_a_finite_number_or_the_default() {
    for (written, right) in [
        ("NaN", 5_000_000),
        ("Infinity", 5_000_000),
        ("-3", 5_000_000),
        ("null", 5_000_000),
        ("\"strong-ish\"", 5_000_000),
        ("1e999", 5_000_000),
        ("\"7/10\"", 7_000_000),
        ("7/10", 7_000_000),
        ("\"3/0\"", 5_000_000),
        ("\"40%\"", 4_000_000),
        ("\"high\"", 8_000_000),
        ("250", 10_000_000),
        ("0.5", 500_000),
    ] {
        check(&GRAPH.replace(": 7}", &format!(": {written}}}")), &["Lek Sluice", "Vianen"], 1, right);
    }
}

#[test]
fn of_a_cut_answer_the_whole_part_is_used() {
    let cut = &GRAPH[..GRAPH.find("\"target\"").unwrap()];
    let extraction = about(TEXT, cut).unwrap();
    assert_eq!((names(&extraction.facts).len(), extraction.facts.statements.len(), extraction.truncated), (2, 0, true));
    for end in 0..GRAPH.len() {
        let names = about(TEXT, &GRAPH[..end]).map_or(0, |e| e.facts.mentions.len());
        assert!(names <= 2);
    }
    assert!(about(TEXT, "{\"entities\": [{\"name\": \"Lek").is_err());
}

#[test]
fn other_shapes() {
    check(r#"[{"name": "Vianen", "type": "location"}]"#, &["Vianen"], 0, 0);
    check(r#"{"entities": null, "relations": null}"#, &[], 0, 0);
    check(
        r#"{"entities": ["Vianen", "Lek Sluice"], "relations": [["Lek Sluice", "in", "Vianen"]]}"#,
        &["Lek Sluice", "Vianen"],
        1,
        5_000_000,
    );
    check(r#"{"entities": {"Vianen": {"type": "location"}}}"#, &["Vianen"], 0, 0);
    check("[]", &[], 0, 0);
}

#[test]
fn what_is_no_answer_is_asked_again() {
    for answer in [
        "",
        "  ",
        "I cannot help with that.",
        "{}",
        "null",
        "42",
        "{entities}",
        "[1, 2]",
        "<think>{\"entities\": []}",
        "}{",
    ] {
        assert!(about(TEXT, answer).is_err(), "{answer}");
    }
}

#[test]
fn one_thing_in_many_spellings_is_one_entity() {
    let text = "R&D Hub runs the Omega Lathe. The omega lathe of R&D hub has a Tool Post. \"Omega Lathe\" and OMEGA LATHE feed Chuck One.";
    let answer = r#"{"entities": [
        {"name": "R&D Hub", "type": "organization", "description": "owner"}, {"name": "R&amp;D hub", "type": "organization", "description": "runs it"},
        {"name": "\"Omega Lathe\"", "type": "product"}, {"name": "OMEGA_LATHE", "type": "product"}, {"name": "omega lathe", "type": "thing"},
        {"name": " Tool  Post ", "type": "component"}, {"name": "Ｃｈｕｃｋ Ｏｎｅ", "type": "component"},
        {"name": "", "type": "component"}, {"name": "Warp Drive", "type": "product"}],
      "relations": [
        {"source": "Omega Lathe", "target": "Tool Post", "type": "has", "description": "long one", "strength": 5},
        {"source": "omega_lathe", "target": "tool post", "type": "has", "description": "b", "strength": 6},
        {"source": "Omega Lathe", "target": "OMEGA_LATHE", "type": "is", "strength": 5},
        {"source": "Omega Lathe", "target": "Warp Drive", "type": "has"}, {"source": "", "target": "Chuck One", "type": "has"},
        {"source": "Omega Lathe", "target": "Ｃｈｕｃｋ Ｏｎｅ", "type": "Feeds Into"}]}"#;
    let extraction = about(text, answer).unwrap();
    let keys: std::collections::BTreeSet<String> = extraction
        .facts
        .mentions
        .iter()
        .map(|m| graphmill_core::EntityName::new(&m.spelling).unwrap().to_string())
        .collect();
    assert_eq!(keys.into_iter().collect::<Vec<_>>(), ["chuck one", "omega lathe", "r&d hub", "tool post"]);
    assert!(extraction.facts.mentions.iter().all(|m| text.contains(&m.spelling)), "{:?}", extraction.facts.mentions);
    let relations: Vec<_> = extraction
        .facts
        .statements
        .iter()
        .map(|s| (s.source.as_str(), s.relation_type.as_str(), s.target.as_str()))
        .collect();
    assert_eq!(relations, [("Omega Lathe", "feeds_into", "Chuck One"), ("Omega Lathe", "has", "Tool Post")]);
    assert_eq!(extraction.facts.statements[1].description, "long one");
    assert_eq!((extraction.dropped.entities, extraction.dropped.relations), (2, 3));
    let hub = extraction.facts.mentions.iter().find(|m| m.spelling == "R&D Hub").unwrap();
    assert_eq!((hub.description.as_str(), hub.spans.as_slice()), ("owner runs it", &[(0, 7)][..]));
}

#[test]
fn a_name_that_no_store_takes_costs_only_itself() {
    let long = format!("Section {}", "7".repeat(9_000));
    let text = format!(
        "The `hot` tap and the \"old\" gate, D'Arcy's mill, D:\\mill\\a1, the three-line\nboard, Gate Nine, {long}, half 😀 face."
    );
    let answer = format!(
        r#"{{"entities": [{{"name": "`hot` tap"}}, {{"name": "\"old\" gate"}}, {{"name": "D'Arcy's mill"}}, {{"name": "D:\\mill\\a1"}},
        {{"name": "three-line\nboard"}}, {{"name": "Gate\u0000 Nine"}}, {{"name": "{long}"}}, {{"name": "half \ud83d face"}}], "relations": []}}"#
    );
    let extraction = about(&text, &answer).unwrap();
    assert_eq!(
        names(&extraction.facts),
        ["\"old\" gate", "D'Arcy's mill", "D:\\mill\\a1", "Gate Nine", "`hot` tap", "three-line board"]
    );
    assert_eq!(extraction.dropped.entities, 2);
    assert!(extraction.dropped.examples.iter().all(|e| e.len() < 200), "{:?}", extraction.dropped.examples);
}

#[test]
fn a_heading_names_things_too_and_context_does_not() {
    let chunk =
        ChunkInput { text: "It stands in Vianen.", context: Some("Near Utrecht."), heading_path: "Locks > Lek Sluice" };
    let answer =
        r#"{"entities": ["Vianen", "Lek Sluice", "Utrecht"], "relations": [["Lek Sluice", "located in", "Vianen"]]}"#;
    let extraction = read(answer, false, &chunk).unwrap();
    assert_eq!(names(&extraction.facts), ["Lek Sluice", "Vianen"]);
    assert!(extraction.facts.mentions[0].spans.is_empty());
    assert_eq!((extraction.facts.statements.len(), extraction.dropped.entities), (1, 1));
}

#[test]
fn short_forms_that_the_text_defines_are_alias_evidence() {
    let answer = r#"{"entities": ["Water Level Board", "WLB"], "relations": []}"#;
    let facts = about("The Water Level Board (WLB) decides.", answer).unwrap().facts;
    assert_eq!((facts.aliases[0].short.as_str(), facts.aliases[0].long.as_str()), ("WLB", "Water Level Board"));
}

proptest::proptest! {
    #[test]
    fn no_answer_panics(answer in "([{}\\[\\]:,\"'a-c\\\\ ]|entities|relations|name|NaN|null){0,60}") {
        if let Ok(extraction) = about("a b c abc", &answer) {
            proptest::prop_assert!(extraction.facts.mentions.iter().all(|m| "a b c abc".contains(&m.spelling)));
        }
    }
}
