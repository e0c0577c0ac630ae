//! The type of an entity by cheap cues: its look, its first and last word.

use super::candidates::{Candidate, Reading, Why};
use super::lexicon::Language;
use super::shape::Shape;

/// A type of the schema ([`graphmill_core::ENTITY_TYPES`]) for `candidate`, and whether a cue told it (else it is the usual one of its look).
pub(super) fn type_of(reading: &Reading<'_>, candidate: &Candidate) -> (&'static str, bool) {
    let (from, to) = candidate.words;
    if matches!(candidate.why, Why::Identifier | Why::InCode | Why::CodeSpan | Why::Version) {
        return ("identifier", true);
    }
    if from >= to {
        return ("concept", false); // a CJK term
    }
    let words = &reading.lexed.words;
    let lower = |i: usize| &*reading.vocabulary.word(i).lower;
    let numbered = matches!(words[to - 1].shape, Shape::Number | Shape::Version);
    let head = if numbered && to - from > 1 { to - 2 } else { to - 1 };
    if reading.lexicon.type_cue(lower(from)) == Some("standard") && words[from].shape == Shape::Acronym {
        return ("standard", true);
    }
    if let Some(cue) = reading.lexicon.type_cue(singular(lower(head))) {
        let alone = to - from == 1;
        // A plain word alone says what a thing is; `Inc` alone says nothing.
        if !alone || !matches!(cue, "organization" | "person" | "location") {
            return (cue, true);
        }
    }
    let capitals = (from..to).all(|i| words[i].shape == Shape::Capital);
    let named = to - from >= 2 && capitals && !numbered;
    if named && (reading.lexicon.is_given_name(lower(from)) || is_titled(reading, from)) && to - from <= 4 {
        return ("person", true);
    }
    if (from..to).all(|i| reading.lexicon.is_place(lower(i)))
        || (to - from == 2 && reading.lexicon.is_place(lower(to - 1)) && named)
    {
        return ("location", true);
    }
    if named
        && words[from].shape == Shape::Capital
        && matches!(lower(from), "university" | "bank" | "ministry" | "department" | "institute")
    {
        return ("organization", true);
    }
    if numbered {
        return ("product", true);
    }
    match words[head].shape {
        Shape::Camel | Shape::Acronym => ("technology", false),
        Shape::Code => (
            if reading.text[words[head].start..words[head].end].contains('-') { "product" } else { "technology" },
            false,
        ),
        Shape::Capital
            if to - from == 1 && candidate.why == Why::Name && reading.vocabulary.language == Language::English =>
        {
            ("product", false)
        }
        _ => ("concept", false),
    }
}

/// `Dr. Miller`: the title stands before the name.
fn is_titled(reading: &Reading<'_>, from: usize) -> bool {
    reading.lexicon.type_cue(&reading.vocabulary.word(from).lower) == Some("person")
}

fn singular(word: &str) -> &str {
    match word.strip_suffix('s') {
        Some(stem) if stem.len() > 3 && !stem.ends_with('s') && !stem.ends_with('u') && !stem.ends_with('i') => stem,
        _ => word,
    }
}
