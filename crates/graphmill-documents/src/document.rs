//! What a parser gives: pages of text with marks, warnings, and facts of the document.

use serde::{Deserialize, Serialize};

/// What stands between the texts of two pages in the text of the document.
///
/// Character offsets of chunks count in the text that results: page texts in order, this string between pages of
/// different number, nothing between the parts of one page (see [`Page::continued`]).
pub const PAGE_SEPARATOR: &str = "\n\n";

/// A page, or a part of a very long one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// Number of the page, from 1. Formats without pages are one page.
    pub number: u32,
    /// Whether this goes on with the page before (same number) rather than starting a new one. Text files of many
    /// megabytes come in parts, so that nobody has to hold them whole.
    pub continued: bool,
    /// The text: valid, without NUL.
    pub text: String,
    /// Structure, in order of `start`; ranges do not cross each other.
    pub marks: Vec<Mark>,
}

impl Page {
    /// A page without structure.
    #[must_use]
    pub fn plain(number: u32, text: impl Into<String>) -> Self {
        Self { number, continued: false, text: text.into(), marks: Vec::new() }
    }
}

/// A stretch of a page's text that means something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// First byte in the page's text.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
    /// What it is.
    pub kind: MarkKind,
}

/// Kinds of structure that chunking respects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum MarkKind {
    /// A heading: a chunk starts with it, and what follows lies under it.
    Heading {
        /// 1 for the highest, 6 for the lowest.
        level: u8,
        /// Its text without markup.
        title: String,
    },
    /// Preformatted text, such as a code fence: kept in one chunk if it fits.
    Code,
    /// A table whose rows are lines; a row is kept in one chunk if it fits.
    Table {
        /// Bytes of the table that are its header (names of columns and what sets them off); 0 if there is none.
        header: usize,
    },
}

/// Something that a person should know about a document that was read all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// A stable word for programs, in snake case.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// The page it is about, if it is about one.
    pub page: Option<u32>,
}

impl Warning {
    pub(crate) fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), page: None }
    }

    pub(crate) fn on_page(code: &str, page: u32, message: impl Into<String>) -> Self {
        Self { page: Some(page), ..Self::new(code, message) }
    }
}

/// Facts of a whole document, known at its end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentInfo {
    /// The title that the document itself states.
    pub title: Option<String>,
    /// The language that the document itself states (BCP 47).
    pub language: Option<String>,
    /// Number of pages; 1 for formats without pages.
    pub page_count: u32,
    /// Unicode scalar values of the document's text, separators included.
    pub char_count: u64,
    /// The character set it was decoded from, for text formats.
    pub charset: Option<String>,
}

/// The receiver of what a parser finds, in document order.
pub trait PageSink {
    /// Learns how many pages are to come, before the first.
    ///
    /// # Errors
    /// As for [`PageSink::page`].
    fn opened(&mut self, page_count: u32) -> Result<(), crate::Error> {
        let _ = page_count;
        Ok(())
    }

    /// Takes the next page.
    ///
    /// # Errors
    /// An error ends the parse; it is returned from there unchanged.
    fn page(&mut self, page: Page) -> Result<(), crate::Error>;

    /// Takes a warning.
    ///
    /// # Errors
    /// As for [`PageSink::page`].
    fn warning(&mut self, warning: Warning) -> Result<(), crate::Error>;
}

/// A sink that keeps everything: for tests and small documents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    /// All pages.
    pub pages: Vec<Page>,
    /// All warnings.
    pub warnings: Vec<Warning>,
}

impl PageSink for Collected {
    fn page(&mut self, page: Page) -> Result<(), crate::Error> {
        self.pages.push(page);
        Ok(())
    }

    fn warning(&mut self, warning: Warning) -> Result<(), crate::Error> {
        self.warnings.push(warning);
        Ok(())
    }
}

/// The text of a whole document, in which the offsets of its chunks count.
#[must_use]
pub fn document_text(pages: &[Page]) -> String {
    let mut text = String::with_capacity(pages.iter().map(|page| page.text.len() + 2).sum());
    for (index, page) in pages.iter().enumerate() {
        if index > 0 && !page.continued {
            text.push_str(PAGE_SEPARATOR);
        }
        text.push_str(&page.text);
    }
    text
}

/// Whether a character shows nothing: white space of any kind, zero-width and control characters.
#[must_use]
pub fn is_blank(c: char) -> bool {
    match c {
        ' '..='~' => c == ' ',
        '\0'..='\x1f' | '\x7f'..='\u{a0}' | '\u{ad}' => true,
        '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180e}' => true,
        '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => true,
        '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' => true,
        _ => c.is_whitespace(),
    }
}
