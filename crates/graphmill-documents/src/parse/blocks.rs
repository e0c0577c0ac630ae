//! Giving out one logical page in parts.

use crate::{Error, Mark, Page, PageSink, is_blank};

/// Sends the parts of a document that is one page, and keeps its totals.
pub(super) struct LinePages<'a> {
    sink: &'a mut dyn PageSink,
    sent: bool,
    chars: u64,
    blank: bool,
}

impl<'a> LinePages<'a> {
    pub(super) fn new(sink: &'a mut dyn PageSink) -> Self {
        Self { sink, sent: false, chars: 0, blank: true }
    }

    /// Sends the next part; an empty one is left out.
    pub(super) fn part(&mut self, text: String, marks: Vec<Mark>) -> Result<(), Error> {
        if text.is_empty() {
            return Ok(());
        }
        self.chars += text.chars().count() as u64;
        self.blank = self.blank && text.chars().all(is_blank);
        let page = Page { number: 1, continued: self.sent, text, marks };
        self.sent = true;
        self.sink.page(page)
    }

    /// Characters sent, and whether none of them shows.
    pub(super) fn totals(self) -> (u64, bool) {
        (self.chars, self.blank)
    }
}

pub(super) fn no_text() -> Error {
    Error::NoText { reason: String::new() }
}
