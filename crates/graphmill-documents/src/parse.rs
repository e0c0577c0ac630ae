//! The parsers, one for each format. They run in the parser child; nothing but tests calls them elsewhere.

mod blocks;
mod html;
pub(crate) mod markdown;
mod pdf;
mod text;

use crate::{DocumentInfo, Error, Format, PageSink};
use std::path::Path;

/// Parses a file into a sink, page by page.
///
/// # Errors
/// [`Error::NoText`] if the document shows nothing (pages may have been given to the sink all the same); the errors of
/// the format; those of the sink.
pub fn parse_file(path: &Path, format: Format, sink: &mut dyn PageSink) -> Result<DocumentInfo, Error> {
    match format {
        Format::Pdf => pdf::parse(path, sink),
        Format::Html => html::parse(path, sink),
        Format::Markdown => markdown::parse(path, sink),
        Format::Text => text::parse(path, sink),
    }
}
