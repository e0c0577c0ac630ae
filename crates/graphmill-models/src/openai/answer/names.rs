//! Names, types and descriptions as a model writes them, made clean.

/// Why a name is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadName {
    /// Nothing is left of it.
    Empty,
    /// Too long for any store.
    TooLong,
    /// It has half of a surrogate pair, which no text has.
    Broken,
}

impl BadName {
    /// For the log.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TooLong => "longer than 2000 bytes",
            Self::Broken => "not valid Unicode",
        }
    }
}

/// Pairs of quotes that may enclose a name.
const QUOTES: [(char, char); 9] =
    [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('„', '“'), ('‘', '’'), ('«', '»'), ('「', '」'), ('*', '*')];

/// The name without HTML's escapes, control characters, surplus white space, and quotes that enclose the whole of it.
pub(super) fn clean(raw: &str) -> Result<String, BadName> {
    if raw.contains('\u{fffd}') {
        return Err(BadName::Broken);
    }
    let mut name = tidy(raw);
    while let Some(inner) = unquoted(&name) {
        name = inner.trim().to_owned();
    }
    match name.len() {
        0 => Err(BadName::Empty),
        n if n > graphmill_core::EntityName::MAX_BYTES => Err(BadName::TooLong),
        _ => Ok(name),
    }
}

/// One line of text: HTML's escapes undone, control and invisible characters removed, white space folded.
pub(super) fn tidy(raw: &str) -> String {
    let text = unescape(raw);
    let visible = |c: &char| {
        (!c.is_control() || c.is_whitespace())
            && !matches!(c, '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{fffd}')
    };
    let text: String = text.chars().filter(visible).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// At most `most` bytes of `text`, cut between two characters, at a blank if there is one near the end.
pub(super) fn shorten(text: &str, most: usize) -> &str {
    if text.len() <= most {
        return text;
    }
    let end = (0..=most).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    let cut = &text[..end];
    cut.rfind(' ').filter(|at| at * 4 > end * 3).map_or(cut, |at| &cut[..at])
}

/// A kind of entity or relation as a lower-case word with underscores; `None` when nothing is left.
pub(super) fn kind(raw: &str, most: usize) -> Option<String> {
    let mut out = String::new();
    for c in tidy(raw).chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            out.push(c);
        } else if !out.ends_with('_') && !out.is_empty() {
            out.push('_');
        }
    }
    let kind = shorten(&out, most).trim_end_matches('_');
    (!kind.is_empty()).then(|| kind.to_owned())
}

fn unquoted(name: &str) -> Option<&str> {
    for (open, close) in QUOTES {
        let Some(inner) = name.strip_prefix(open).and_then(|rest| rest.strip_suffix(close)) else { continue };
        // `"a" and "b"` is not enclosed as a whole.
        if !inner.is_empty() && !inner.contains(open) && !inner.contains(close) {
            return Some(inner);
        }
    }
    // A pair of marks alone is nothing.
    QUOTES.iter().any(|(open, close)| name.chars().eq([*open, *close])).then_some("")
}

/// HTML's named and numeric character references that occur in names; an ampersand that begins none stays.
fn unescape(raw: &str) -> String {
    let mut out = raw.to_owned();
    // Twice: `&amp;amp;` comes from text that was escaped twice.
    for _ in 0..2 {
        if !out.contains('&') {
            break;
        }
        out = unescape_once(&out);
    }
    out
}

fn unescape_once(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find('&') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let reference = rest
            .find(';')
            .filter(|end| (2..=10).contains(end))
            .and_then(|end| Some((reference(&rest[1..end])?, end + 1)));
        match reference {
            Some((c, length)) => {
                out.push(c);
                rest = &rest[length..];
            }
            None => {
                out.push('&');
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn reference(name: &str) -> Option<char> {
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        return char::from_u32(code);
    }
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        "ndash" => '–',
        "mdash" => '—',
        "rsquo" => '’',
        "lsquo" => '‘',
        "rdquo" => '”',
        "ldquo" => '“',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_made_clean() {
        for (raw, right) in [
            ("AT&amp;T labs", "AT&T labs"),
            ("R&amp;amp;D", "R&D"),
            ("\"Delta Router\"", "Delta Router"),
            ("“‘Delta’”", "Delta"),
            ("\"quoted\" valve", "\"quoted\" valve"),
            ("\"a\" and \"b\"", "\"a\" and \"b\""),
            ("`tick` gauge", "`tick` gauge"),
            ("  two-line\nsign ", "two-line sign"),
            ("Valve\0 Seven", "Valve Seven"),
            ("**Pump**", "**Pump**"),
            ("O'Brien's pump", "O'Brien's pump"),
            ("&#x27;x&#39; &unknown; & y", "'x' &unknown; & y"),
        ] {
            assert_eq!(clean(raw).as_deref(), Ok(right), "{raw:?}");
        }
        for (raw, why) in [
            ("", BadName::Empty),
            ("\"\"", BadName::Empty),
            ("\0", BadName::Empty),
            ("half \u{fffd} x", BadName::Broken),
        ] {
            assert_eq!(clean(raw), Err(why), "{raw:?}");
        }
        assert_eq!(clean(&"9".repeat(2_001)), Err(BadName::TooLong));
    }

    #[test]
    fn kinds_are_words() {
        assert_eq!(kind("Located In", 60).as_deref(), Some("located_in"));
        assert_eq!(kind(" -- ", 60), None);
        assert_eq!(kind("gehört_zu", 60).as_deref(), Some("gehört_zu"));
    }

    #[test]
    fn shortened_between_characters() {
        assert_eq!(shorten("äöü", 3), "ä");
        assert_eq!(shorten("one two three", 9), "one two");
    }
}
