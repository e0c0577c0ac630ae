//! Which format a file has, told by its first bytes. The name decides between text-like formats alone.

mod signature;

use crate::Error;
use serde::{Deserialize, Serialize};

/// How many of a file's first bytes [`detect`] wants to see; fewer are fine when the file is shorter.
pub const HEAD_BYTES: usize = 64 * 1024;

/// The accepted types, for people.
pub const ACCEPTED: &str = "PDF (application/pdf), HTML (text/html), Markdown (text/markdown), plain text (text/plain)";

/// A format that can be parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Portable Document Format, ISO 32000.
    Pdf,
    /// HTML, and XHTML read as such.
    Html,
    /// Markdown as in CommonMark, with tables.
    Markdown,
    /// Plain text.
    Text,
}

impl Format {
    /// The media type (RFC 6838).
    #[must_use]
    pub fn mime_type(self) -> &'static str {
        match self {
            Self::Pdf => "application/pdf",
            Self::Html => "text/html",
            Self::Markdown => "text/markdown",
            Self::Text => "text/plain",
        }
    }

    /// The name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pdf => "PDF",
            Self::Html => "HTML",
            Self::Markdown => "Markdown",
            Self::Text => "plain text",
        }
    }
}

/// Tells the format of a file from its first [`HEAD_BYTES`] bytes and, between text-like formats, its name.
///
/// # Errors
/// [`Error::EmptyFile`] for no bytes, [`Error::UnsupportedFormat`] for anything that is none of the accepted types,
/// naming what it looks like. White space alone is plain text: that it has no text is found by the parser.
pub fn detect(head: &[u8], file_name: Option<&str>) -> Result<Format, Error> {
    if head.is_empty() {
        return Err(Error::EmptyFile);
    }
    if is_pdf(head) {
        return Ok(Format::Pdf);
    }
    if let Some(found) = signature::known_binary(head) {
        return Err(Error::unsupported(found));
    }
    let text = crate::charset::sample(head).ok_or_else(|| Error::unsupported("binary data"))?;
    let hint = file_name.and_then(hint_of_name);
    Ok(text_format(&text, hint))
}

/// The header may stand anywhere in the first 1024 bytes (ISO 32000-1, annex H, note 13). Away from the start, an
/// object must follow, so that a text about PDF stays a text.
fn is_pdf(head: &[u8]) -> bool {
    const HEADER: &[u8] = b"%PDF-";
    let window = &head[..head.len().min(1024)];
    match find(window, HEADER) {
        Some(0) => true,
        Some(at) => head[..at].iter().all(u8::is_ascii_whitespace) || find(&head[at..], b" obj").is_some(),
        None => false,
    }
}

pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn hint_of_name(name: &str) -> Option<Format> {
    let (stem, extension) = name.rsplit_once('.')?;
    if stem.is_empty() || stem.ends_with('/') {
        return None;
    }
    match extension.to_ascii_lowercase().as_str() {
        "md" | "markdown" | "mdown" | "mkd" | "mkdn" | "mdx" => Some(Format::Markdown),
        "html" | "htm" | "xhtml" | "xht" => Some(Format::Html),
        "txt" | "text" | "log" | "csv" | "tsv" | "json" | "jsonl" | "xml" | "yaml" | "yml" | "toml" | "ini" | "rst"
        | "tex" => Some(Format::Text),
        _ => None,
    }
}

fn text_format(text: &str, hint: Option<Format>) -> Format {
    let start = skip_markup_preamble(text);
    if starts_with_tag(start, &["!doctype html", "html", "head", "body"]) {
        return Format::Html;
    }
    match hint {
        Some(format) => format,
        None if starts_with_tag(
            start,
            &[
                "title", "meta", "link", "script", "style", "div", "table", "h1", "h2", "h3", "p", "a", "font", "br",
                "b", "center", "article", "section", "main", "ul", "ol", "span",
            ],
        ) =>
        {
            Format::Html
        }
        None if looks_like_markdown(text) => Format::Markdown,
        None => Format::Text,
    }
}

/// Skips what may stand before the first tag of HTML: white space, comments, an XML declaration.
fn skip_markup_preamble(text: &str) -> &str {
    let mut rest = text.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    loop {
        let end = if rest.starts_with("<!--") {
            rest.find("-->").map(|at| at + 3)
        } else if rest.starts_with("<?") {
            rest.find('>').map(|at| at + 1)
        } else {
            return rest;
        };
        match end {
            Some(end) => rest = rest[end..].trim_start(),
            None => return rest,
        }
    }
}

fn starts_with_tag(text: &str, names: &[&str]) -> bool {
    let Some(rest) = text.strip_prefix('<') else {
        return false;
    };
    names.iter().any(|name| {
        rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
            && rest[name.len()..].starts_with(|c: char| c.is_whitespace() || c == '>' || c == '/')
    })
}

/// Whether unnamed text has the structure of Markdown: two kinds of evidence, or much of one.
fn looks_like_markdown(text: &str) -> bool {
    let mut headings = 0;
    let mut fences = 0;
    let mut links = 0;
    let mut tables = 0;
    for line in text.lines() {
        let line = line.trim_end();
        let level = line.bytes().take_while(|byte| *byte == b'#').count();
        if (1..=6).contains(&level) && line[level..].starts_with(' ') && fences % 2 == 0 {
            headings += 1;
        } else if line.trim_start().starts_with("```") {
            fences += 1;
        } else if line.starts_with('|') && line.contains("---") && line.bytes().all(|byte| b"|-: ".contains(&byte)) {
            tables += 1;
        } else if line.contains("](") {
            links += 1;
        }
    }
    let kinds = [headings > 0, fences > 1, links > 0, tables > 0];
    kinds.iter().filter(|seen| **seen).count() > 1 || headings > 2
}

#[cfg(test)]
mod tests;
