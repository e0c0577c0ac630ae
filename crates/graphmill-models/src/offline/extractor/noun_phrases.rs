//! Noun phrases of English text without a tagger: pairs and triples of plain words that the chunk repeats, and such that stand between an article
//! and a word that ends a phrase.

use std::collections::HashMap;

use super::candidates::{Candidate, Reading, Why};
use super::lexer::Place;
use super::shape::Shape;

/// Appends the noun phrases of a chunk.
pub(super) fn find(reading: &Reading<'_>, found: &mut Vec<Candidate>) {
    let runs = runs(reading);
    let mut pairs: HashMap<(u32, u32), u32> = HashMap::new();
    for run in &runs {
        for i in run.0..run.1.saturating_sub(1) {
            if is_pair(reading, i) {
                *pairs.entry((reading.vocabulary.id(i), reading.vocabulary.id(i + 1))).or_default() += 1;
            }
        }
    }
    let repeated = |i: usize| {
        is_pair(reading, i)
            && pairs.get(&(reading.vocabulary.id(i), reading.vocabulary.id(i + 1))).is_some_and(|n| *n >= 2)
    };
    for &(from, to) in &runs {
        let mut i = from;
        while i + 1 < to {
            if repeated(i) {
                let end = if i + 2 < to && repeated(i + 1) { i + 3 } else { i + 2 };
                found.push(reading.over(i, end, Why::Repeated));
                i = end;
            } else {
                i += 1;
            }
        }
        let phrase = to - from == 2 && after_article(reading, from) && !repeated(from);
        if phrase && is_pair(reading, from) && ends_phrase(reading, to) && !is_inflected(reading, to - 1) {
            found.push(reading.over(from, to, Why::Phrase));
        }
    }
}

/// Stretches of plain words with nothing between them.
fn runs(reading: &Reading<'_>) -> Vec<(usize, usize)> {
    let words = &reading.lexed.words;
    let plain = |i: usize| {
        words[i].shape == Shape::Lower
            && words[i].place == Place::Text
            && reading.vocabulary.word(i).stop.is_none()
            && words[i].end - words[i].start >= 3
    };
    let mut out = Vec::new();
    let mut from = 0;
    while from < words.len() {
        if !plain(from) {
            from += 1;
            continue;
        }
        let mut to = from + 1;
        while to < words.len() && plain(to) && reading.follows(to) {
            to += 1;
        }
        if to - from >= 2 {
            out.push((from, to));
        }
        from = to;
    }
    out
}

/// The words at `i` and `i + 1` can be adjective and noun, or noun and noun.
fn is_pair(reading: &Reading<'_>, i: usize) -> bool {
    let first = &reading.vocabulary.word(i).lower;
    let second = &reading.vocabulary.word(i + 1).lower;
    let adverb = |w: &str| w.ends_with("ly") && w.len() > 4;
    let plain = |w: &str| !reading.lexicon.is_weak(w) && !adverb(w);
    let instruction = reading.lexicon.is_imperative(first) && !after_article(reading, i);
    plain(first) && plain(second) && !second.ends_with("ed") && !instruction && first != second
}

fn after_article(reading: &Reading<'_>, i: usize) -> bool {
    i > 0
        && reading.follows(i)
        && matches!(
            &*reading.vocabulary.word(i - 1).lower,
            "the" | "a" | "an" | "each" | "every" | "this" | "its" | "your" | "their"
        )
}

/// A verb in the third person, a participle or a gerund may stand there, or a plural: too doubtful when it is said once.
fn is_inflected(reading: &Reading<'_>, i: usize) -> bool {
    let word = &reading.vocabulary.word(i).lower;
    (word.ends_with('s') && !word.ends_with("ss") && !word.ends_with("us") && !word.ends_with("is"))
        || word.ends_with("ing")
        || reading.lexicon.is_imperative(word)
}

fn ends_phrase(reading: &Reading<'_>, at: usize) -> bool {
    if !reading.follows(at) {
        return true;
    }
    matches!(
        &*reading.vocabulary.word(at).lower,
        "of" | "is"
            | "are"
            | "was"
            | "were"
            | "can"
            | "must"
            | "and"
            | "or"
            | "that"
            | "which"
            | "with"
            | "for"
            | "in"
            | "on"
            | "to"
            | "by"
            | "from"
            | "has"
            | "will"
            | "may"
            | "should"
            | "when"
            | "if"
            | "as"
            | "at"
    )
}
