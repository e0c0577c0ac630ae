//! What commands print. Answers go to standard output (tables for people, JSON with `--json`), everything else to standard error. A reader that has seen
//! enough (`graphmill stats | head -1`) ends the command quietly.

mod table;

use std::fmt::Arguments;
use std::io::{IsTerminal, Write};
use std::sync::OnceLock;

use serde_json::Value;

pub(crate) use table::Table;

/// How answers are printed; chosen once, when the process begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Tables and sentences.
    People,
    /// The answers of the API, one JSON value a line.
    Json,
}

static FORMAT: OnceLock<Format> = OnceLock::new();

/// Chooses the format of this process.
pub(crate) fn choose(format: Format) {
    let _ = FORMAT.set(format);
}

/// Whether scripts read the answers.
pub(crate) fn json() -> bool {
    FORMAT.get() == Some(&Format::Json)
}

/// Whether standard output takes colours: a terminal, and `NO_COLOR` (no-color.org) is not set.
pub(crate) fn colours() -> bool {
    std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints a line to standard output; a closed pipe ends the process, as it ends other Unix commands.
pub(crate) fn line(text: Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_fmt(text).and_then(|()| out.write_all(b"\n")) {
        if error.kind() != std::io::ErrorKind::BrokenPipe {
            eprintln!("graphmill: standard output cannot be written: {error}");
        }
        std::process::exit(1);
    }
}

/// `println!` by way of [`line()`].
macro_rules! say {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}
pub(crate) use say;

/// Prints an answer: as it is with `--json`, else as `show` says it to people.
pub(crate) fn answer(value: &Value, show: impl FnOnce(&Value)) {
    if json() { say!("{value}") } else { show(value) }
}

/// A text of an answer, empty when it has none.
pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("")
}

/// A number of an answer as people read it.
pub(crate) fn number(value: &Value, key: &str) -> String {
    match &value[key] {
        Value::Number(n) if n.is_f64() => format!("{:.3}", n.as_f64().unwrap_or(0.0)),
        Value::Number(n) => n.to_string(),
        _ => String::new(),
    }
}

/// A size as people read it.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", bytes as f64 / 1e6),
        _ => format!("{:.1} GB", bytes as f64 / 1e9),
    }
}

/// A text on one line, cut to so many characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if words.chars().count() <= most {
        return words;
    }
    let mut short: String = words.chars().take(most.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// `shown of total things` on standard error, when a list does not show all.
pub(crate) fn count(page: &Value, key: &str, things: &str) {
    let shown = page[key].as_array().map_or(0, Vec::len);
    let more = if page["total_capped"] == true { "more than " } else { "" };
    eprintln!("{shown} of {more}{} {things}", page["total"]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_on_one_line() {
        assert_eq!(cut("a\n  b\tc", 10), "a b c");
        assert_eq!(cut("泵站 pumping station", 5), "泵站 p…");
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!([999, 1_500, 2_000_000, 3_210_000_000].map(size), ["999 B", "1.5 kB", "2.0 MB", "3.2 GB"]);
    }
}
