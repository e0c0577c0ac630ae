//! The words of a text as full-text search sees them: what is indexed, what a query asks for, and what is highlighted are cut by this one rule.
//!
//! A word is a run of letters, digits and the marks on them; everything else stands between words (`foo_bar` and `RFC-7231` are two words each).
//! Case, diacritics and compatibility forms (full-width letters, ligatures) are folded. Scripts that are written without white space have no such
//! runs: there each pair of neighbouring characters is a word, and the last character of a run is one more, so that a search for a single
//! character finds it as the beginning of a word.

use std::borrow::Cow;
use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Longest word, in characters; the rest of a longer one is not looked at (a line of base64 is no word that anybody types).
pub const LONGEST_WORD: usize = 64;

/// A word of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word<'a> {
    /// Folded.
    pub term: Cow<'a, str>,
    /// Where it stands: characters of the text, end excluded.
    pub at: Range<usize>,
    /// A single character of an unspaced script: in a query it asks for all words that begin with it.
    pub single: bool,
}

/// Whether words of the script are written without white space between them (Han, kana, Hangul, Thai, Lao, Khmer, Burmese, …).
pub fn is_unspaced(c: char) -> bool {
    matches!(c as u32,
        0x0E01..=0x0E5B | 0x0E81..=0x0EDF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x2E80..=0x2FDF | 0x3005..=0x3007
        | 0x3031..=0x3035 | 0x3040..=0x30FF | 0x31F0..=0x31FF | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xAC00..=0xD7AF
        | 0xF900..=0xFAFF | 0xFF66..=0xFF9F | 0x20000..=0x3FFFF)
}

/// Calls `each` with every word of the text, in order.
pub fn each_word<'a>(text: &'a str, mut each: impl FnMut(Word<'a>)) {
    let mut scan = Scan { text, word: None, last: None };
    let mut count = 0;
    for (n, (at, c)) in text.char_indices().enumerate() {
        count = n + 1;
        let unspaced = is_unspaced(c);
        if unspaced {
            scan.end_word(at, n, &mut each);
            scan.unspaced(at, c, n, &mut each);
            continue;
        }
        scan.end_run(n, &mut each);
        if c.is_alphanumeric() || (scan.word.is_some() && !c.is_ascii() && is_combining_mark(c)) {
            scan.word.get_or_insert((at, n));
        } else {
            scan.end_word(at, n, &mut each);
        }
    }
    scan.end_word(text.len(), count, &mut each);
    scan.end_run(count, &mut each);
}

/// The words of a query, each once, at most `limit`.
pub fn query_words(query: &str, limit: usize) -> Vec<(String, bool)> {
    let mut words: Vec<(String, bool)> = Vec::new();
    let mut found: Vec<Word<'_>> = Vec::new();
    each_word(query, |word| found.push(word));
    for (i, word) in found.iter().enumerate() {
        // The last character of a longer run is covered by the pair before it.
        if word.single && i > 0 && found[i - 1].at.end == word.at.end {
            continue;
        }
        let entry = (word.term.clone().into_owned(), word.single);
        if words.len() < limit && !words.contains(&entry) {
            words.push(entry);
        }
    }
    words
}

struct Scan<'a> {
    text: &'a str,
    /// Byte and character at which the present word began.
    word: Option<(usize, usize)>,
    /// The character of an unspaced script just before, with its byte.
    last: Option<(usize, char)>,
}

impl<'a> Scan<'a> {
    fn end_word(&mut self, at: usize, n: usize, each: &mut impl FnMut(Word<'a>)) {
        if let Some((from, first)) = self.word.take() {
            each(Word { term: folded(&self.text[from..at]), at: first..n, single: false });
        }
    }

    fn unspaced(&mut self, at: usize, c: char, n: usize, each: &mut impl FnMut(Word<'a>)) {
        if let Some((from, _)) = self.last {
            let pair = &self.text[from..at + c.len_utf8()];
            each(Word { term: pair_folded(pair), at: n - 1..n + 1, single: false });
        }
        self.last = Some((at, c));
    }

    fn end_run(&mut self, n: usize, each: &mut impl FnMut(Word<'a>)) {
        if let Some((from, c)) = self.last.take() {
            let one = &self.text[from..from + c.len_utf8()];
            each(Word { term: pair_folded(one), at: n - 1..n, single: true });
        }
    }
}

/// Half-width kana and compatibility ideographs as the ordinary ones, character by character.
fn pair_folded(text: &str) -> Cow<'_, str> {
    let compatible =
        |c: char| matches!(c as u32, 0x2E80..=0x2FDF | 0xF900..=0xFAFF | 0xFF66..=0xFF9F | 0x2F800..=0x2FA1F);
    if text.chars().any(compatible) { Cow::Owned(text.nfkc().collect()) } else { Cow::Borrowed(text) }
}

/// Lower case without diacritics and compatibility forms.
fn folded(word: &str) -> Cow<'_, str> {
    let short = word.len() <= LONGEST_WORD;
    if word.is_ascii() {
        let word = if short { word } else { &word[..LONGEST_WORD] };
        let lower = !word.bytes().any(|b| b.is_ascii_uppercase());
        return if lower { Cow::Borrowed(word) } else { Cow::Owned(word.to_ascii_lowercase()) };
    }
    // Lower case first: its special forms (a dotted capital I) decompose into letter and mark.
    let lower = word.chars().take(LONGEST_WORD).flat_map(char::to_lowercase);
    let folded: String = lower.nfkd().filter(|c| !is_diacritic(*c)).flat_map(char::to_lowercase).collect();
    // A word of marks alone keeps them: it must not become the empty word.
    Cow::Owned(if folded.is_empty() { word.to_owned() } else { folded.nfc().collect() })
}

/// The combining diacritics of Latin, Greek and Cyrillic. Marks of other scripts are vowels or tell words apart.
fn is_diacritic(c: char) -> bool {
    matches!(c as u32, 0x0300..=0x036F | 0x0483..=0x0487 | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF | 0x20D0..=0x20FF)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        each_word(text, |word| found.push(word.term.into_owned()));
        found
    }

    #[test]
    fn spaced_scripts_are_cut_at_what_is_no_letter() {
        assert_eq!(terms("The naïve PUMP, foo_bar RFC-7231!"), ["the", "naive", "pump", "foo", "bar", "rfc", "7231"]);
        assert_eq!(terms("Ｆｕｌｌ ﬁle Ωμέγα İstanbul"), ["full", "file", "ωμεγα", "istanbul"]);
        assert_eq!(terms("naive\u{308}"), ["naive"], "a mark that stands alone belongs to the letter before it");
        assert_eq!(terms("हिन्दी"), ["हिन्दी"], "vowel signs stay");
        assert!(terms(" \u{308}\"*^() \0").is_empty());
        assert_eq!(terms(&"x".repeat(500)), ["x".repeat(LONGEST_WORD)]);
    }

    #[test]
    fn unspaced_scripts_are_cut_into_pairs() {
        assert_eq!(terms("泵站A手册"), ["泵站", "站", "a", "手册", "册"]);
        assert_eq!(terms("ﾀﾝｸ"), terms("タンク"), "half-width kana are the same words");
        let query = |q: &str| query_words(q, 64);
        assert_eq!(query("泵站手 阀"), [("泵站".into(), false), ("站手".into(), false), ("阀".into(), true)]);
        assert_eq!(query("Pump pump PUMP x"), [("pump".into(), false), ("x".into(), false)]);
        assert!(query("!? \" ' `").is_empty());
        assert_eq!(query_words("a b c d", 2).len(), 2);
    }

    proptest::proptest! {
        #[test]
        fn places_are_within_the_text_and_terms_are_not_empty(text in "\\PC{0,60}") {
            let characters: Vec<char> = text.chars().collect();
            each_word(&text, |word| {
                assert!(word.at.start < word.at.end && word.at.end <= characters.len());
                assert!(!word.term.is_empty());
                assert!(characters[word.at].iter().any(|c| c.is_alphanumeric() || is_unspaced(*c)));
            });
        }
    }
}
