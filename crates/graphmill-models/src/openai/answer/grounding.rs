//! Where a name stands in the text that was asked about, and how the text spells it. A name that stands nowhere is the model's invention.

use graphmill_core::EntityName;
use unicode_normalization::UnicodeNormalization;

/// Most occurrences of one name that are looked for.
const MOST_SPANS: usize = 64;

/// A text folded for comparison, with the way back to its characters.
pub(super) struct FoldedText<'a> {
    text: &'a str,
    folded: String,
    /// For each byte of `folded` the number of the character of `text` that it comes from.
    origin: Vec<u32>,
}

/// An occurrence: character range and spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Characters of the text.
    pub(super) span: (u32, u32),
    /// As the text spells it, white space folded.
    pub(super) spelling: String,
}

impl<'a> FoldedText<'a> {
    /// Folds `text`.
    pub(super) fn new(text: &'a str) -> Self {
        let mut folded = String::with_capacity(text.len());
        let mut origin = Vec::with_capacity(text.len());
        for (number, c) in text.chars().enumerate() {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            fold_char(c, &mut folded);
            origin.resize(folded.len(), number);
        }
        Self { text, folded, origin }
    }

    /// All occurrences of `name` between word borders, in order; also such as differ by a plural, or an underscore for a blank.
    pub(super) fn find(&self, name: &str) -> Vec<Found> {
        let exact = fold(name);
        let found = self.find_folded(&exact);
        if !found.is_empty() || !exact.contains('_') {
            return found;
        }
        self.find_folded(&fold(&name.replace('_', " ")))
    }

    fn find_folded(&self, name: &str) -> Vec<Found> {
        let found = self.occurrences(name);
        if !found.is_empty() {
            return found;
        }
        match name.strip_suffix("es").or_else(|| name.strip_suffix('s')) {
            Some(singular) if singular.len() >= 3 => self.occurrences(singular),
            _ => found,
        }
    }

    fn occurrences(&self, name: &str) -> Vec<Found> {
        if name.is_empty() {
            return Vec::new();
        }
        let matches = self.folded.match_indices(name);
        matches.filter_map(|(start, _)| self.occurrence(start, start + name.len())).take(MOST_SPANS).collect()
    }

    fn occurrence(&self, start: usize, end: usize) -> Option<Found> {
        let border = |at: usize| {
            let before = self.folded[..at].chars().next_back();
            let after = self.folded[at..].chars().next();
            !matches!((before, after), (Some(a), Some(b)) if joins(a) && joins(b))
        };
        if !border(start) {
            return None;
        }
        let plural = |suffix: &str| self.folded[end..].starts_with(suffix) && border(end + suffix.len());
        let end = match () {
            () if border(end) => end,
            () if plural("s") => end + 1,
            () if plural("es") => end + 2,
            () => return None,
        };
        let (first, last) = (self.origin[start], self.origin[end - 1]);
        // The span ends at a whole character of the text.
        let span = (first, last + 1);
        let raw: String = self.text.chars().skip(first as usize).take((last + 1 - first) as usize).collect();
        let spelling = super::names::tidy(&raw);
        EntityName::new(&spelling).is_ok().then_some(Found { span, spelling })
    }
}

/// Two such characters side by side are within one word.
fn joins(c: char) -> bool {
    // Scripts without blanks have no word borders to see.
    c.is_alphanumeric()
        && !matches!(c, '\u{e00}'..='\u{eff}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

fn fold(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        fold_char(c, &mut out);
    }
    out.trim().to_owned()
}

/// Appends `c` in lower case and compatibility decomposition; any run of white space is one blank, invisible characters are nothing.
fn fold_char(c: char, out: &mut String) {
    if c.is_ascii_graphic() {
        out.push(c.to_ascii_lowercase());
    } else if c.is_whitespace() {
        if !out.ends_with(' ') {
            out.push(' ');
        }
    } else if !c.is_control() && !matches!(c, '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}') {
        match c {
            '’' | '‘' | 'ʼ' => out.push('\''),
            '“' | '”' | '„' => out.push('"'),
            '‐' | '‑' | '–' | '—' | '−' => out.push('-'),
            'ß' => out.push_str("ss"),
            _ => {
                for folded in c.nfkd().flat_map(char::to_lowercase) {
                    if !folded.is_whitespace() || !out.ends_with(' ') {
                        out.push(if folded.is_whitespace() { ' ' } else { folded });
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spellings(text: &str, name: &str) -> Vec<(u32, u32, String)> {
        FoldedText::new(text).find(name).into_iter().map(|f| (f.span.0, f.span.1, f.spelling)).collect()
    }

    #[test]
    fn the_text_decides_the_spelling() {
        assert_eq!(spellings("The DELTA ROUTER runs", "delta_router"), [(4, 16, "DELTA ROUTER".to_owned())]);
        assert_eq!(spellings("to Port Two.", "Ｐｏｒｔ Ｔｗｏ"), [(3, 11, "Port Two".to_owned())]);
        assert_eq!(spellings("a two-line\n  sign", "two-line sign"), [(2, 17, "two-line sign".to_owned())]);
        assert_eq!(spellings("Größe der Straße", "STRASSE"), [(10, 16, "Straße".to_owned())]);
        assert_eq!(spellings("two pumps here", "pump"), [(4, 9, "pumps".to_owned())]);
        assert_eq!(spellings("one pump here", "Pumps"), [(4, 8, "pump".to_owned())]);
        assert_eq!(spellings("cafe\u{301} noir", "Café"), [(0, 5, "cafe\u{301}".to_owned())]);
        assert_eq!(spellings("設定ファイルを保存", "ファイル"), [(2, 6, "ファイル".to_owned())]);
    }

    #[test]
    fn no_part_of_a_word_is_a_name() {
        assert!(spellings("The Portal opens", "Port").is_empty());
        assert!(spellings("Import it", "Port").is_empty());
        assert!(spellings("x", "").is_empty());
        assert_eq!(spellings("C++ and C", "C++").len(), 1);
    }
}
