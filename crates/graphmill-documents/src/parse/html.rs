//! HTML: the text as a reader sees it, from the tokens of the document rather than a tree, so that a deep or broken
//! nesting costs nothing. Headings, tables and preformatted text become marks.

mod charset;
mod text;

use super::blocks::{LinePages, no_text};
use crate::charset::TextReader;
use crate::{DocumentInfo, Error, PageSink};
use html5ever::tokenizer::{BufferQueue, Tokenizer, TokenizerOpts};
use std::path::Path;

pub(super) fn parse(path: &Path, sink: &mut dyn PageSink) -> Result<DocumentInfo, Error> {
    let mut reader = TextReader::open(path, charset::declared)?;
    let tokenizer = Tokenizer::new(text::Extractor::default(), TokenizerOpts::default());
    let input = BufferQueue::default();
    let mut block = String::new();
    while reader.read_into(&mut block)? {
        input.push_back(block.as_str().into());
        block.clear();
        // Scripts are no obstacle: nothing runs.
        while !input.is_empty() {
            let _ = tokenizer.feed(&input);
        }
    }
    tokenizer.end();
    let found = tokenizer.sink.finish();
    let mut pages = LinePages::new(sink);
    pages.part(found.text, found.marks)?;
    let (char_count, blank) = pages.totals();
    for warning in reader.warnings() {
        sink.warning(warning)?;
    }
    if blank {
        return Err(no_text());
    }
    Ok(DocumentInfo {
        title: found.title,
        language: found.language,
        page_count: 1,
        char_count,
        charset: Some(reader.charset_name().to_owned()),
    })
}
