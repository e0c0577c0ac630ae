//! Where the words of the query stand in a hit, by the same rule by which they were indexed.

use std::collections::HashSet;

use graphmill_core::words::{each_word, query_words};
use serde::Serialize;

/// Most places of one hit.
const PLACES: usize = 100;
/// Words of a query, as many as the search looks at.
const QUERY_WORDS: usize = 64;

/// Characters of a hit's text, end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub(super) struct Highlight {
    start: usize,
    end: usize,
}

/// The words of one query.
pub(super) struct Highlighter {
    words: HashSet<String>,
    /// Single characters of unspaced scripts: found wherever a word begins with one.
    beginnings: Vec<String>,
}

impl Highlighter {
    pub(super) fn new(query: &str) -> Self {
        let (singles, words): (Vec<_>, Vec<_>) =
            query_words(query, QUERY_WORDS).into_iter().partition(|(_, single)| *single);
        Self {
            words: words.into_iter().map(|(word, _)| word).collect(),
            beginnings: singles.into_iter().map(|(word, _)| word).collect(),
        }
    }

    /// Places that overlap are one.
    pub(super) fn highlights(&self, text: &str) -> Vec<Highlight> {
        let mut found: Vec<Highlight> = Vec::new();
        each_word(text, |word| {
            let mut end = word.at.end;
            if !self.words.contains(&*word.term) {
                if !self.beginnings.iter().any(|one| word.term.starts_with(one.as_str())) {
                    return;
                }
                end = word.at.start + 1;
            }
            let room = found.len() < PLACES;
            match found.last_mut() {
                Some(last) if word.at.start < last.end => last.end = last.end.max(end),
                _ if room => found.push(Highlight { start: word.at.start, end }),
                _ => {}
            }
        });
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marked(query: &str, text: &str) -> Vec<String> {
        let characters: Vec<char> = text.chars().collect();
        let places = Highlighter::new(query).highlights(text);
        places.into_iter().map(|at| characters[at.start..at.end].iter().collect()).collect()
    }

    #[test]
    fn words_are_marked_whatever_their_case_and_script() {
        assert_eq!(marked("naive pumps", "Naïve: the PUMPS, pumping"), ["Naïve", "PUMPS"]);
        assert_eq!(
            marked("海尔登工厂", "北门泵站由海尔登工厂制造。"),
            ["海尔登工厂"],
            "pairs that overlap are one place"
        );
        assert_eq!(marked("造", "制造。造船"), ["造", "造"]);
        assert_eq!(marked("RFC-7231", "see rfc 7231"), ["rfc", "7231"]);
        assert!(marked("!!", "a text").is_empty());
        assert_eq!(Highlighter::new("a").highlights(&"a ".repeat(500)).len(), PLACES);
    }
}
