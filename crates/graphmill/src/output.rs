//! What commands print. Answers go to standard output (tables for people, JSON with `--json`), everything else to standard error. Whatever people
//! read goes through [`styled_line`] or [`tell_line`], where what would steer a terminal is written out; only JSON and files go out as they are. A
//! reader that has seen enough (`graphmill stats | head -1`) ends the command quietly.

mod table;
mod visible;
mod words;

use std::fmt::Arguments;
use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use serde_json::Value;

pub(crate) use table::{Table, fact, kept, prose};
pub(crate) use visible::visible;
pub(crate) use words::{in_words, of_file, plural};

/// What a shell calls the end of a command that wrote to a closed pipe.
pub(crate) const CLOSED_PIPE: u8 = 141;

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

/// How a piece of a line looks where colours are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Bold,
    Green,
    Yellow,
    Red,
    Cyan,
    Grey,
}

impl Style {
    /// What turns it on (ECMA-48, SGR).
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "1",
            Self::Green => "32",
            Self::Yellow => "33",
            Self::Red => "31",
            Self::Cyan => "36",
            Self::Grey => "90",
        }
    }
}

/// A line of pieces as a terminal may show it.
fn painted(pieces: &[(Style, &str)], colours: bool) -> String {
    let mut line = String::new();
    for (style, text) in pieces {
        let text = visible(text);
        if colours && *style != Style::Plain {
            line.push_str(&format!("\u{1b}[{}m{text}\u{1b}[0m", style.code()));
        } else {
            line.push_str(&text);
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// Prints a line of pieces to standard output.
pub(crate) fn styled_line(pieces: &[(Style, &str)]) {
    as_it_is(&painted(pieces, colours()));
}

/// Prints a line to standard output.
pub(crate) fn line(text: Arguments<'_>) {
    styled_line(&[(Style::Plain, &text.to_string())]);
}

/// Prints a text of several lines to standard output, each after `margin`.
pub(crate) fn block(margin: &str, text: &str) {
    text.lines().for_each(|line| styled_line(&[(Style::Plain, margin), (Style::Plain, line)]));
}

/// Prints a text and a line end to standard output as it is: JSON, which is for scripts, and scripts of our own. A closed pipe ends the process as it
/// ends other Unix commands.
pub(crate) fn as_it_is(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()) {
        if error.kind() == io::ErrorKind::BrokenPipe {
            std::process::exit(CLOSED_PIPE.into());
        }
        tell!("graphmill: standard output cannot be written: {}", in_words(&error.to_string()));
        std::process::exit(1);
    }
}

/// Prints a line to standard error. That nobody reads it ends nothing.
pub(crate) fn tell_line(text: Arguments<'_>) {
    let _ = writeln!(io::stderr(), "{}", painted(&[(Style::Plain, &text.to_string())], false));
}

/// `println!` by way of [`line()`].
macro_rules! say {
    ($($text:tt)*) => { $crate::output::line(format_args!($($text)*)) };
}
/// `eprintln!` by way of [`tell_line`].
macro_rules! tell {
    ($($text:tt)*) => { $crate::output::tell_line(format_args!($($text)*)) };
}
pub(crate) use {say, tell};

/// Nobody reads standard output any more; no error that anybody has to be told.
#[derive(Debug, thiserror::Error)]
#[error("standard output was closed")]
pub(crate) struct Closed;

/// An error of writing to standard output.
pub(crate) fn of_stdout(error: io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Closed.into(),
        _ => anyhow::Error::new(error).context("standard output cannot be written"),
    }
}

/// Prints an answer: as it is with `--json`, else as `show` says it to people.
pub(crate) fn answer(value: &Value, show: impl FnOnce(&Value)) {
    if json() { as_it_is(&value.to_string()) } else { show(value) }
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

/// `shown of total things` on standard error, when a list does not show all. `thing`: what one of them is called.
pub(crate) fn count(page: &Value, key: &str, thing: &str) {
    let shown = page[key].as_array().map_or(0, Vec::len);
    let more = if page["total_capped"] == true { "more than " } else { "" };
    let total = page["total"].as_u64().unwrap_or(0);
    tell!("{shown} of {more}{}", plural(total, thing));
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

    #[test]
    fn only_our_own_styles_reach_the_terminal() {
        let pieces = [(Style::Red, "failed"), (Style::Plain, " a\u{1b}[0m\u{1b}]0;title\u{7}.md\nok ")];
        assert_eq!(painted(&pieces, true), "\u{1b}[31mfailed\u{1b}[0m a\\x1B[0m\\x1B]0;title\\x07.md\\nok");
        assert_eq!(painted(&pieces, false), "failed a\\x1B[0m\\x1B]0;title\\x07.md\\nok");
    }
}
