//! Hyphens at the ends of lines: those of the typesetter go, those of the author stay.

use std::collections::HashSet;

/// More words than this are not remembered.
const MOST_WORDS: usize = 200_000;
/// Shorter words say nothing about hyphens.
const SHORTEST: usize = 4;

/// Words of the document so far, in lower case, and compounds with their hyphens.
#[derive(Debug, Default)]
pub(crate) struct Vocabulary(HashSet<Box<str>>);

impl Vocabulary {
    /// Learns the words of a line. The last is left out if it is broken off.
    pub(super) fn learn(&mut self, line: &str) {
        if self.0.len() > MOST_WORDS {
            return;
        }
        let broken = line.ends_with(is_hyphen);
        let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '-').peekable();
        while let Some(word) = words.next() {
            let word = word.trim_start_matches('-');
            if word.len() < SHORTEST || broken && words.peek().is_none() || word.ends_with('-') {
                continue;
            }
            let word = word.to_lowercase();
            if !self.0.contains(word.as_str()) {
                self.0.insert(word.into_boxed_str());
            }
        }
    }

    fn knows(&self, word: &str) -> bool {
        self.0.contains(word.to_lowercase().as_str())
    }
}

pub(super) fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{ad}')
}

/// Goes on from `text` to the next line of the same paragraph.
pub(super) fn join(text: &mut String, next: &str, vocabulary: &Vocabulary) {
    if text.ends_with('\u{ad}') {
        text.pop();
        text.push_str(next);
        return;
    }
    let Some(stem) = text.strip_suffix('-') else {
        let wide = |c: Option<char>| c.is_some_and(crate::chunk::is_cjk);
        if !(wide(text.chars().next_back()) && wide(next.chars().next())) {
            text.push(' ');
        }
        text.push_str(next);
        return;
    };
    let word = |c: char| c.is_alphanumeric() || c == '-';
    let left = &stem[stem.trim_end_matches(word).len()..];
    let right = &next[..next.find(|c| !word(c)).unwrap_or(next.len())];
    if left.is_empty() || right.is_empty() {
        // A dash between words, or before a line break.
        text.push(' ');
    } else if is_typesetters(left, right, vocabulary) {
        text.pop();
    }
    text.push_str(next);
}

/// Whether the hyphen between two parts of a word is there because the line ended.
fn is_typesetters(left: &str, right: &str, vocabulary: &Vocabulary) -> bool {
    let lower = right.chars().next().is_some_and(char::is_lowercase);
    let letter = left.chars().next_back().is_some_and(char::is_alphabetic);
    if !lower || !letter {
        return false;
    }
    let first = right.split('-').next().unwrap_or(right);
    let last = left.rsplit('-').next().unwrap_or(left);
    if vocabulary.knows(&format!("{left}{right}")) || vocabulary.knows(&format!("{last}{first}")) {
        return true;
    }
    let compound = vocabulary.knows(&format!("{left}-{right}")) || vocabulary.knows(&format!("{last}-{first}"));
    // What has a hyphen already is a compound, such as state-of-the-art or --no-verify.
    !compound && !left.contains('-')
}

#[cfg(test)]
mod tests {
    use super::{Vocabulary, join};

    #[test]
    fn c08_only_the_typesetters_hyphens_go() {
        let mut vocabulary = Vocabulary::default();
        vocabulary.learn("the configuration has price-determining parts and a re-");
        let joined = |left: &str, right: &str| {
            let mut text = left.to_owned();
            join(&mut text, right, &vocabulary);
            text
        };
        assert_eq!(joined("the configu-", "ration needs"), "the configuration needs");
        assert_eq!(joined("the price-", "determining factors"), "the price-determining factors");
        assert_eq!(joined("the data\u{ad}", "base"), "the database");
        assert_eq!(joined("pages 10-", "20 of"), "pages 10-20 of");
        assert_eq!(joined("the Anglo-", "Saxon"), "the Anglo-Saxon");
        assert_eq!(joined("an un-", "known word"), "an unknown word");
        assert_eq!(joined("state-of-", "the-art"), "state-of-the-art");
        assert_eq!(joined("with --no-", "verify set"), "with --no-verify set");
        assert_eq!(joined("a dash -", "and more"), "a dash - and more");
        assert_eq!(joined("one", "two"), "one two");
        assert_eq!(joined("図書館は", "朝九時"), "図書館は朝九時");
    }
}
