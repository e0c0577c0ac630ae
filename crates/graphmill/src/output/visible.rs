//! Texts of documents, names and messages as a terminal may show them: what would move its cursor, colour it, set its title or turn the order of
//! letters round is written out.

use std::borrow::Cow;

/// The text with every control character and every override of direction written out (`\x1B`, `\n`, `\u202E`); a tab becomes a space, which moves
/// nothing.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\t' => shown.push(' '),
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            c if is_hidden(c) && c <= '\u{FF}' => shown.push_str(&format!("\\x{:02X}", u32::from(c))),
            c if is_hidden(c) => shown.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// C0, DEL, C1; embeddings, overrides and isolates of direction.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_is_left() {
        let all: String = (0..=0x10FFFF).filter_map(char::from_u32).collect();
        let shown = visible(&all);
        for c in shown.chars() {
            assert!(
                !c.is_control() && !('\u{202A}'..='\u{202E}').contains(&c) && !('\u{2066}'..='\u{2069}').contains(&c)
            );
        }
        assert_eq!(
            visible("a\u{1b}[31mb\u{9b}2J\u{7f}\r\n\tc\u{202e}d\u{2066}"),
            "a\\x1B[31mb\\x9B2J\\x7F\\r\\n c\\u202Ed\\u2066"
        );
        assert!(matches!(visible("die Größe, 泵站, مرحبا, 👩‍🔧"), Cow::Borrowed(_)), "letters of every script stay");
    }
}
