//! Short forms that the text itself defines: `Central Processing Unit (CPU)`, `CPU (central processing unit)`. The long form is found as Schwartz
//! and Hearst do ("A simple algorithm for identifying abbreviation definitions in biomedical text", PSB 2003).

use super::candidates::{Candidate, Reading, Why};
use super::lexer::{Gap, Place};
use super::shape::Shape;

/// A definition: short form and long form as candidates.
pub(super) struct Definition {
    /// The short form.
    pub(super) short: Candidate,
    /// The long form.
    pub(super) long: Candidate,
}

/// All definitions of a chunk.
pub(super) fn find(reading: &Reading<'_>) -> Vec<Definition> {
    let words = &reading.lexed.words;
    let mut out = Vec::new();
    for at in 1..words.len() {
        if words[at].gap != Gap::Open || matches!(words[at].place, Place::Code | Place::CodeSpan) {
            continue;
        }
        if words[at].closes && is_short(reading, at) {
            if let Some(from) = long_before(reading, at) {
                out.push(define(reading, at, from, at));
            }
        } else if is_short(reading, at - 1) && words[at - 1].sentence == words[at].sentence {
            let close = (at..words.len().min(at + 9))
                .take_while(|i| *i == at || reading.follows(*i))
                .find(|i| words[*i].closes);
            if let Some(last) = close
                && last > at
                && long_start(reading, at - 1, at, last + 1) == Some(at)
            {
                out.push(define(reading, at - 1, at, last + 1));
            }
        }
    }
    out
}

fn define(reading: &Reading<'_>, short: usize, from: usize, to: usize) -> Definition {
    Definition { short: reading.over(short, short + 1, Why::Defined), long: reading.over(from, to, Why::Defined) }
}

/// Two to eight characters with at least one capital.
fn is_short(reading: &Reading<'_>, at: usize) -> bool {
    let word = &reading.lexed.words[at];
    let text = &reading.text[word.start..word.end];
    let length = text.chars().count();
    let look = matches!(word.shape, Shape::Acronym | Shape::Camel | Shape::Code);
    look && (2..=8).contains(&length) && text.chars().filter(|c| c.is_uppercase()).count() >= 2
}

/// Where the long form before the short one in brackets begins.
fn long_before(reading: &Reading<'_>, short: usize) -> Option<usize> {
    let words = &reading.lexed.words;
    let letters = words[short].end - words[short].start;
    let most = (letters + 5).min(letters * 2);
    let sentence = words[short].sentence;
    let mut from = short;
    while from > 0 && short - from < most && words[from - 1].sentence == sentence {
        from -= 1;
        if words[from].gap != Gap::Space {
            break;
        }
    }
    long_start(reading, short, from, short)
}

/// The word of `from..to` at which the long form begins: reading both backwards, each letter of the short form is found in the long one, the first
/// at the start of a word.
fn long_start(reading: &Reading<'_>, short: usize, from: usize, to: usize) -> Option<usize> {
    let words = &reading.lexed.words;
    let short_text = &reading.text[words[short].start..words[short].end];
    let short_text = short_text.strip_suffix('s').filter(|s| s.chars().all(char::is_uppercase)).unwrap_or(short_text);
    let mut letters = short_text.chars().rev().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).peekable();
    let mut index = to;
    while index > from {
        index -= 1;
        let form = &reading.vocabulary.word(index).lower;
        let chars: Vec<char> = form.chars().collect();
        for (i, c) in chars.iter().enumerate().rev() {
            let Some(wanted) = letters.peek() else { break };
            let starts_word = i == 0 || !chars[i - 1].is_alphanumeric();
            if c == wanted {
                let mut rest = letters.clone();
                rest.next();
                if rest.peek().is_none() && !starts_word {
                    continue; // the first letter must begin a word
                }
                letters.next();
            }
        }
        if letters.peek().is_none() {
            // `universally unique identifier (UUID)`: the letters were found in fewer words than there are; one more may begin alike.
            let first = short_text.chars().next().map(|c| c.to_ascii_lowercase());
            while index > from
                && to - index < short_text.len()
                && reading.follows(index)
                && reading.vocabulary.word(index - 1).lower.chars().next() == first
            {
                index -= 1;
            }
            let long_enough = to - index >= 2 || chars.len() > short_text.len() + 3;
            let sound = reading.vocabulary.word(index).stop.is_none() && reading.vocabulary.word(to - 1).stop.is_none();
            let whole = (index + 1..to).all(|i| reading.follows(i));
            return (long_enough && sound && whole).then_some(index);
        }
    }
    None
}
