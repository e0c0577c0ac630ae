//! Plain text: one page, without structure.

use super::blocks::{LinePages, no_text};
use crate::charset::TextReader;
use crate::{DocumentInfo, Error, PageSink};
use std::path::Path;

/// Parts of a long text end at a line break after this many bytes.
const PART_BYTES: usize = 1 << 20;

pub(super) fn parse(path: &Path, sink: &mut dyn PageSink) -> Result<DocumentInfo, Error> {
    let mut reader = TextReader::open(path, |_| None)?;
    let mut pages = LinePages::new(sink);
    let mut text = String::new();
    while reader.read_into(&mut text)? {
        if text.len() > PART_BYTES {
            let rest = text.split_off(last_line_start(&text));
            pages.part(std::mem::replace(&mut text, rest), Vec::new())?;
        }
    }
    pages.part(text, Vec::new())?;
    let (char_count, blank) = pages.totals();
    for warning in reader.warnings() {
        sink.warning(warning)?;
    }
    if blank {
        return Err(no_text());
    }
    Ok(DocumentInfo {
        page_count: 1,
        char_count,
        charset: Some(reader.charset_name().to_owned()),
        ..DocumentInfo::default()
    })
}

/// Where to cut a long text so that what follows may still be looked at: before its last whole line, so that neither
/// CR LF nor a combining mark at the start of the next block is cut off. Without line breaks: before its last word, or
/// when even words are lacking, not yet.
pub(super) fn last_line_start(text: &str) -> usize {
    let bytes = text.as_bytes();
    let body = &bytes[..bytes.len().saturating_sub(1)];
    if let Some(at) = body.iter().rposition(|byte| *byte == b'\n') {
        return at + 1;
    }
    (1..bytes.len())
        .rev()
        .take(4096)
        .find(|at| bytes[at - 1] == b' ' && bytes[*at].is_ascii_alphanumeric())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::last_line_start;

    #[test]
    fn a_part_ends_before_a_line_or_a_word() {
        assert_eq!(last_line_start("one\r\ntwo\r\nthr"), 10);
        assert_eq!(last_line_start("one\r\ntwo\r\n"), 5);
        assert_eq!(last_line_start("one two"), 4);
        assert_eq!(last_line_start("onetwo"), 0);
        assert_eq!(last_line_start("一\n二"), 4);
        assert_eq!(last_line_start(""), 0);
    }
}
