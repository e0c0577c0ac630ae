//! Text to words: Markdown's marks removed, sentences counted, offsets kept.

use super::cjk;
use super::marks::{
    capital_then_lower, ends_word, is_abbreviation, is_closing, looks_like_title, skip_link, skip_tag, starts_item,
    trim_word,
};
use super::shape::Shape;

/// What stands between a word and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    /// White space alone: the two can be one phrase.
    Space,
    /// An opening bracket after white space.
    Open,
    /// Anything else.
    Break,
}

/// A word with its place. Offsets are bytes of the chunk's text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word {
    /// First byte.
    pub(super) start: usize,
    /// One past the last byte.
    pub(super) end: usize,
    /// Look.
    pub(super) shape: Shape,
    /// What is before it.
    pub(super) gap: Gap,
    /// A closing bracket follows at once.
    pub(super) closes: bool,
    /// Number of its sentence within the chunk.
    pub(super) sentence: u32,
    /// The first word of its sentence, where a capital says nothing.
    pub(super) initial: bool,
    /// Where it stands.
    pub(super) place: Place,
}

/// The part of a document in which a word stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Running text.
    Text,
    /// A heading, where capitals say little.
    Heading,
    /// Alone between backticks.
    CodeSpan,
    /// A fenced block, or among others between backticks.
    Code,
    /// Emphasised or quoted; the number tells one such stretch from the next.
    Marked(u32),
}

/// All that is read off a text once.
#[derive(Debug, Default)]
pub(super) struct Lexed {
    /// Words in order.
    pub(super) words: Vec<Word>,
    /// Terms of Chinese and Japanese text: byte ranges and sentence.
    pub(super) cjk: Vec<cjk::Term>,
    /// Number of sentences.
    pub(super) sentences: u32,
}

/// Reads `text`.
pub(super) fn lex(text: &str) -> Lexed {
    let mut lexer = Lexer {
        text,
        out: Lexed::default(),
        fence: None,
        sentence_open: false,
        gap: Gap::Break,
        fresh: false,
        marked: 0,
    };
    let mut start = 0;
    while start < text.len() {
        let end = text[start..].find('\n').map_or(text.len(), |n| start + n);
        lexer.line(start, end);
        start = end + 1;
    }
    lexer.end_sentence();
    lexer.out
}

struct Lexer<'a> {
    text: &'a str,
    out: Lexed,
    /// The mark that opened the fenced block we are in.
    fence: Option<u8>,
    sentence_open: bool,
    gap: Gap,
    /// The next word begins a table cell, a quotation, or what follows a colon.
    fresh: bool,
    marked: u32,
}

impl Lexer<'_> {
    fn end_sentence(&mut self) {
        if self.sentence_open {
            self.out.sentences += 1;
            self.sentence_open = false;
        }
        self.gap = Gap::Break;
    }

    fn line(&mut self, start: usize, end: usize) {
        let line = &self.text[start..end];
        let trimmed = line.trim_start();
        let from = start + (line.len() - trimmed.len());
        let first = trimmed.bytes().next().unwrap_or(b'\n');
        if let Some(mark) = self.fence {
            if trimmed.as_bytes().starts_with(&[mark; 3]) {
                self.fence = None;
            } else {
                self.scan(from, end, Place::Code);
            }
            self.end_sentence();
            return;
        }
        if trimmed.starts_with("```") || trimmed.starts_with("~~~") {
            self.fence = Some(first);
            self.end_sentence();
            return;
        }
        if trimmed.trim_end().is_empty() {
            self.end_sentence();
            return;
        }
        match first {
            b'#' => {
                self.end_sentence();
                self.scan(from, end, Place::Heading);
                self.end_sentence();
            }
            b'|' => {
                self.end_sentence();
                self.scan(from, end, Place::Text);
                self.end_sentence();
            }
            _ => {
                if starts_item(trimmed) {
                    self.end_sentence();
                }
                let heading = looks_like_title(trimmed);
                if heading {
                    self.end_sentence();
                }
                self.scan(from, end, if heading { Place::Heading } else { Place::Text });
                if heading {
                    self.end_sentence();
                }
            }
        }
    }

    /// Words of one line.
    fn scan(&mut self, start: usize, end: usize, place: Place) {
        let text = self.text;
        let bytes = text.as_bytes();
        let mut at = start;
        let mut code_span: Option<(usize, Place)> = None;
        let mut mark: Option<(u8, usize)> = None;
        while at < end {
            let b = bytes[at];
            match b {
                b' ' | b'\t' | b'\r' => at += 1,
                b'`' => {
                    self.gap = Gap::Break;
                    code_span = match code_span {
                        Some(_) => None,
                        None => self.code_span(at + 1, end),
                    };
                    at += 1;
                }
                b'*' | b'"' => {
                    self.gap = Gap::Break;
                    self.fresh = true;
                    mark = match mark {
                        Some((opened, _)) if opened == b => None,
                        None if text[at + 1..end].contains(b as char) => {
                            self.marked += 1;
                            Some((b, at))
                        }
                        other => other,
                    };
                    at += 1 + usize::from(b == b'*' && bytes.get(at + 1) == Some(&b'*'));
                }
                b']' if bytes.get(at + 1) == Some(&b'(') => {
                    // The address of a link.
                    self.gap = Gap::Break;
                    at = skip_link(text, at, end);
                }
                b'(' | b'[' => {
                    self.gap = if self.gap == Gap::Space { Gap::Open } else { Gap::Break };
                    at += 1;
                }
                b'.' | b'!' | b'?'
                    if at + 1 >= end || bytes[at + 1].is_ascii_whitespace() || is_closing(bytes[at + 1]) =>
                {
                    self.end_sentence();
                    at += 1;
                }
                b'|' => {
                    self.gap = Gap::Break;
                    self.fresh = true;
                    at += 1;
                }
                b':' => {
                    self.gap = Gap::Break;
                    self.fresh = true;
                    at += 1;
                }
                b'<' => {
                    self.gap = Gap::Break;
                    at = skip_tag(text, at, end);
                }
                _ if b.is_ascii_alphanumeric() || b"-/.~$_".contains(&b) || !b.is_ascii() => {
                    let place = match (code_span, mark) {
                        (Some((close, place)), _) if at < close => place,
                        (None, Some(_)) if place == Place::Text => Place::Marked(self.marked),
                        _ => place,
                    };
                    at = self.word(at, end, place);
                }
                _ => {
                    self.gap = Gap::Break;
                    at += 1;
                }
            }
        }
    }

    /// Where the code span that begins at `at` closes, and what its words are: alone in it, or part of a command.
    fn code_span(&self, at: usize, end: usize) -> Option<(usize, Place)> {
        let close = at + self.text[at..end].find('`')?;
        let alone = !self.text[at..close].trim().contains([' ', '\t', '=', '(', '{', '<', '%', '?']);
        Some((close, if alone { Place::CodeSpan } else { Place::Code }))
    }

    /// One word, or whatever stands at `at`; returns where to go on.
    fn word(&mut self, at: usize, end: usize, place: Place) -> usize {
        let text = self.text;
        let first = text[at..].chars().next().unwrap_or(' ');
        if cjk::is_cjk(first) {
            return self.cjk_run(at, end);
        }
        let stop = text[at..end].char_indices().find(|(_, c)| ends_word(*c)).map_or(end, |(n, _)| at + n);
        if stop == at {
            if cjk::ends_sentence(first) {
                self.end_sentence();
            }
            if !first.is_whitespace() {
                self.gap = Gap::Break;
            }
            return at + first.len_utf8();
        }
        let raw = &text[at..stop];
        if raw.contains("://") || raw.starts_with("www.") || raw.starts_with("mailto:") {
            self.gap = Gap::Break;
            return text[at..end].find([' ', '\t', ')', '>', '"', '|']).map_or(end, |n| at + n);
        }
        let body = trim_word(raw);
        if body.is_empty() {
            self.gap = Gap::Break;
            return stop;
        }
        let body_start = at + (body.as_ptr() as usize - raw.as_ptr() as usize);
        let body_end = body_start + body.len();
        let tail = &text[body_end..stop];
        self.push_parts(body_start, body_end, place);
        let stopped =
            tail.ends_with(['.', '!', '?', '…']) && (stop == end || text[stop..].starts_with([' ', '\t', '\r']));
        if stopped && !(tail == "." && is_abbreviation(body)) {
            self.end_sentence();
        } else if !tail.is_empty() && !tail.starts_with('\'') && !tail.starts_with('’') {
            self.gap = Gap::Break;
            self.fresh = tail.ends_with(':');
        } else if text.as_bytes().get(stop) == Some(&b')')
            && let Some(last) = self.out.words.last_mut()
        {
            last.closes = true;
        }
        stop
    }

    /// A word, or its parts where it is only written together: `and/or`, `Debian-based`, `word:word`.
    fn push_parts(&mut self, start: usize, end: usize, place: Place) {
        let text = self.text;
        let word = &text[start..end];
        let shape = Shape::of(word);
        let splits = |c: char| match shape {
            Shape::Identifier | Shape::Version | Shape::Number | Shape::Acronym => false,
            _ => matches!(c, '/' | ':' | '.' | '=') || (c == '-' && capital_then_lower(word)),
        };
        if shape == Shape::Noise && word.contains('@') {
            self.gap = Gap::Break;
            return;
        }
        if word.contains(splits) {
            let mut from = 0;
            for part in word.split(splits) {
                if !part.is_empty() {
                    self.push(start + from, start + from + part.len(), Shape::of(part), place);
                    self.gap = Gap::Break;
                }
                from += part.len() + 1;
            }
            self.gap = Gap::Space;
        } else {
            self.push(start, end, shape, place);
        }
    }

    fn push(&mut self, start: usize, end: usize, shape: Shape, place: Place) {
        if end - start > 120 {
            self.gap = Gap::Break;
            return; // no name is as long; a blob in text
        }
        let initial = !self.sentence_open || self.fresh;
        self.fresh = false;
        self.sentence_open = true;
        let sentence = self.out.sentences;
        self.out.words.push(Word { start, end, shape, gap: self.gap, closes: false, sentence, initial, place });
        self.gap = Gap::Space;
    }

    fn cjk_run(&mut self, at: usize, end: usize) -> usize {
        let stop = self.text[at..end].char_indices().find(|(_, c)| !cjk::is_cjk(*c)).map_or(end, |(n, _)| at + n);
        cjk::terms(self.text, at, stop, self.out.sentences, &mut self.out.cjk);
        self.sentence_open = true;
        self.gap = Gap::Break;
        stop
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        lex(text).words.iter().map(|w| &text[w.start..w.end]).collect()
    }

    #[test]
    fn marks_of_markdown_are_no_words() {
        assert_eq!(
            words(
                "# Set up\n\n- see [the guide](https://x.org/a_b) and `apt_get`\n\n| Name | Value |\n|------|-------|\n| a | *b* |"
            ),
            ["Set", "up", "see", "the", "guide", "and", "apt_get", "Name", "Value", "a", "b"]
        );
        assert_eq!(words("<b>Bold</b> at https://debian.org/x?y=1 now, AT&T's"), ["Bold", "at", "now", "AT&T"]);
    }

    #[test]
    fn sentences_are_counted() {
        let lexed = lex("Dr. Smith runs sources.list. It is v1.2.3, e.g. here!\nNext line\ngoes on");
        let starts: Vec<bool> = lexed.words.iter().map(|w| w.initial).collect();
        assert_eq!(lexed.sentences, 3);
        assert_eq!(starts.iter().filter(|s| **s).count(), 3);
    }

    #[test]
    fn fences_are_code_until_they_close() {
        let lexed = lex("text\n```sh\nrun --now\n~~~\n```\nafter");
        let places: Vec<Place> = lexed.words.iter().map(|w| w.place).collect();
        assert_eq!(places, [Place::Text, Place::Code, Place::Code, Place::Text]);
    }
}
