//! Where words begin and end, and which lines are more than text: the rules that the lexer goes by.

use super::cjk;

/// Abbreviations after which a full stop ends no sentence.
const ABBREVIATIONS: &[&str] = &[
    "al", "approx", "bzw", "ca", "cf", "dr", "e.g", "ed", "eq", "etc", "evtl", "fig", "ggf", "i.e", "inc", "incl",
    "jr", "ltd", "mr", "mrs", "ms", "no", "nr", "prof", "sec", "sog", "st", "u.a", "usw", "vgl", "vol", "vs", "z.b",
];

/// Characters that no word contains.
pub(super) fn ends_word(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_whitespace() || b"()[]{}<>\"`,;|*=!?^".contains(&(c as u8));
    }
    let inner = c.is_alphanumeric() || matches!(c, '’' | '\u{ad}' | '·') || is_mark(c);
    !inner || cjk::is_cjk(c)
}

/// Combining marks belong to the word in which they stand.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{64b}'..='\u{65f}' | '\u{900}'..='\u{dff}' | '\u{e31}'..='\u{e4e}')
}

/// Punctuation at the ends of a word removed, save what makes it a flag, a path, a variable, C++ or C#.
pub(super) fn trim_word(raw: &str) -> &str {
    let leading = |c: char| b"'&+#@:\\%_".contains(&(c as u32).min(255).try_into().unwrap_or(0)) || c == '’';
    let mut word = raw.trim_start_matches(leading);
    // A dash or a full stop before a word is only kept where it has a meaning.
    if word.starts_with("---") || word.starts_with("..") && !word.starts_with("../") {
        word = word.trim_start_matches(['-', '.']);
    }
    if word.starts_with("-") && !word.starts_with("--") {
        word = word.trim_start_matches('-');
    }
    let trailing = |c: char| matches!(c, '.' | ':' | '\'' | '’' | '-' | '/' | '~' | '$' | '@' | '\\' | '&' | '_' | '%');
    word = word.trim_end_matches(trailing);
    word = word.strip_suffix("'s").or_else(|| word.strip_suffix("’s")).unwrap_or(word);
    // `C++` and `C#`, but not `word+`.
    if word.ends_with(['+', '#']) && word.trim_end_matches(['+', '#']).len() > 2 {
        word = word.trim_end_matches(['+', '#']);
    }
    word
}

pub(super) fn is_closing(b: u8) -> bool {
    matches!(b, b')' | b'"' | b'\'' | b'*' | b']')
}

pub(super) fn is_abbreviation(word: &str) -> bool {
    let single = word.len() == 1 && word.as_bytes()[0].is_ascii_uppercase();
    single || (word.len() <= 6 && ABBREVIATIONS.binary_search(&word.to_ascii_lowercase().as_str()).is_ok())
}

/// `Debian-based`: a name and a plain word; `Hewlett-Packard` and `RS-232` are one.
pub(super) fn capital_then_lower(word: &str) -> bool {
    let mut parts = word.split('-');
    let name = parts.next().is_some_and(|p| p.chars().next().is_some_and(char::is_uppercase) && p.len() > 3);
    name && parts.next().is_some_and(|p| p.chars().next().is_some_and(char::is_lowercase) && p.len() > 2)
}

/// A list item, a definition or a quotation starts a sentence.
pub(super) fn starts_item(line: &str) -> bool {
    let bytes = line.as_bytes();
    let spaced = |at: usize| bytes.get(at).is_some_and(|b| *b == b' ' || *b == b'\t');
    match bytes.first() {
        Some(b'-' | b'*' | b'+' | b'>' | b':') => spaced(1),
        Some(b'0'..=b'9') => {
            let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
            digits <= 3 && matches!(bytes.get(digits), Some(b'.' | b')')) && spaced(digits + 1)
        }
        _ => line.starts_with('•') || line.starts_with('–'),
    }
}

/// A line of its own in capitals: a short line without a full stop whose words nearly all begin with one.
pub(super) fn looks_like_title(line: &str) -> bool {
    let line = line.trim_end();
    if line.len() > 90 || line.ends_with(['.', ',', ';', ':', '?', '!']) {
        return false;
    }
    let (mut words, mut capitals, mut long) = (0, 0, 0);
    for word in line.split_ascii_whitespace() {
        let Some(first) = word.chars().find(|c| c.is_alphanumeric()) else { continue };
        if first.is_numeric() {
            continue;
        }
        words += 1;
        if word.len() > 3 {
            long += 1;
            capitals += usize::from(first.is_uppercase());
        }
    }
    (2..=10).contains(&words) && long >= 2 && capitals == long
}

/// Past an HTML tag, or past the `<` alone when it is none.
pub(super) fn skip_tag(text: &str, at: usize, end: usize) -> usize {
    let rest = &text.as_bytes()[at + 1..end];
    let tag = rest.first().is_some_and(|b| b.is_ascii_alphabetic() || matches!(b, b'/' | b'!'));
    match rest.iter().take(LONGEST_MARK).position(|b| *b == b'>') {
        Some(close) if tag => at + close + 2,
        _ => at + 1,
    }
}

/// Past the address of a link, `](…)`, of which the bracket is at `at`; past the two brackets alone when it does not close.
pub(super) fn skip_link(text: &str, at: usize, end: usize) -> usize {
    let close = text.as_bytes()[at..end].iter().take(LONGEST_MARK).position(|b| *b == b')');
    at + close.map_or(2, |n| n + 1)
}

/// A tag or an address that does not close within so many bytes is none: looking on would make odd text slow.
const LONGEST_MARK: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn abbreviations_are_sorted() {
        assert!(ABBREVIATIONS.is_sorted());
    }
}
