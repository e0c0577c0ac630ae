//! Looking over the characters that may belong to the next chunk, for the borders among them.

use super::border::{Border, Rank, closes, is_cluster_start, rank_after_blank, rank_between};
use crate::{MarkKind, is_blank};
use unicode_segmentation::UnicodeSegmentation;

/// A mark, with its place in the buffer.
#[derive(Debug, Clone)]
pub(super) struct Region {
    pub start: usize,
    pub end: usize,
    pub chars: usize,
    pub kind: MarkKind,
}

/// How a look over a window ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The window was full, or a heading stopped it: choose among the borders.
    Window,
    /// A heading starts here, after text: the chunk ends here.
    Heading(Border),
    /// The text ends, and all of it fits.
    End { byte: usize, chars: usize },
    /// The text ends in white space that does not fit.
    BlankEnd { byte: usize, chars: usize },
}

/// The state of a look over one window.
pub(super) struct Scan<'a> {
    text: &'a str,
    regions: &'a [Region],
    start: usize,
    size: usize,
    borders: &'a mut Vec<Border>,
    /// The last visible character, and where it ended.
    visible: Option<(char, Border)>,
    /// The last one that closes nothing: what a sentence ends with.
    sentence_char: Option<char>,
    line_breaks: u32,
    /// Where the line starts that white space led to, and its characters: indentation goes with its line.
    line_start: (usize, usize),
    in_blank: bool,
    heading_seen: bool,
    body_seen: bool,
}

impl<'a> Scan<'a> {
    /// `borders` is emptied first; it is handed in so that its memory is used again. `regions` are those that end after
    /// `start`.
    pub(super) fn new(
        text: &'a str,
        regions: &'a [Region],
        start: usize,
        size: usize,
        borders: &'a mut Vec<Border>,
    ) -> Self {
        borders.clear();
        Self {
            text,
            regions,
            start,
            size,
            borders,
            visible: None,
            sentence_char: None,
            line_breaks: 0,
            line_start: (start, 0),
            in_blank: true,
            heading_seen: false,
            body_seen: false,
        }
    }

    /// Looks at the characters of the window and, if it ends in white space, at what follows that.
    pub(super) fn run(mut self) -> Reach {
        let bytes = self.text.as_bytes();
        let (mut byte, mut chars) = (self.start, 0);
        while byte < bytes.len() {
            let next = if bytes[byte].is_ascii() {
                bytes[byte] as char
            } else {
                self.text[byte..].chars().next().expect("byte is a character's start")
            };
            if is_blank(next) && !self.continues_cluster(byte, next) {
                let breaks = self.line_breaks_of(byte, next);
                if !self.in_blank {
                    self.in_blank = true;
                    self.line_breaks = 0;
                }
                self.line_breaks += breaks;
                byte += next.len_utf8();
                chars += 1;
                if breaks > 0 {
                    self.line_start = (byte, chars);
                }
                continue;
            }
            if chars > self.size && !self.in_blank {
                return Reach::Window;
            }
            if let Some(reach) = self.visible(byte, chars, next) {
                return reach;
            }
            if chars > self.size {
                return Reach::Window;
            }
            if next.is_ascii() {
                // The rest of a word in ASCII holds no border.
                let room = self.size + 1 - chars;
                let run = bytes[byte..].iter().take(room).take_while(|byte| byte.is_ascii_graphic()).count();
                byte += run;
                chars += run;
                self.see(bytes[byte - 1] as char, byte, chars);
            } else {
                byte += next.len_utf8();
                chars += 1;
                self.see(next, byte, chars);
            }
        }
        if chars <= self.size {
            Reach::End { byte, chars }
        } else if self.in_blank {
            Reach::BlankEnd { byte, chars }
        } else {
            Reach::Window
        }
    }

    /// A zero-width character within a cluster (ZWJ, variation selector) is no white space.
    fn continues_cluster(&self, byte: usize, next: char) -> bool {
        !next.is_ascii()
            && !self.in_blank
            && !next.is_whitespace()
            && self.visible.is_some_and(|(before, _)| !is_cluster_start(self.text, byte, before, next))
    }

    fn line_breaks_of(&self, byte: usize, blank: char) -> u32 {
        match blank {
            '\n' | '\u{b}' | '\u{85}' | '\u{2028}' => 1,
            '\r' => u32::from(self.text.as_bytes().get(byte + 1) != Some(&b'\n')),
            '\x0c' | '\u{2029}' => 2,
            _ => 0,
        }
    }

    /// Remembers a visible character that ended at `byte`.
    fn see(&mut self, c: char, byte: usize, chars: usize) {
        let end = Border { byte, chars, rank: Rank::Word, before_heading: false, starts: false };
        self.visible = Some((c, end));
        self.in_blank = false;
        if closes(c) {
            let mut before = self.text[self.start..byte].chars().rev().skip_while(|c| closes(*c));
            self.sentence_char = before.next();
        } else {
            self.sentence_char = Some(c);
        }
    }

    /// Meets a visible character: maybe a border stands before it, maybe the window ends.
    fn visible(&mut self, byte: usize, chars: usize, next: char) -> Option<Reach> {
        while self.regions.first().is_some_and(|region| region.end <= byte) {
            self.regions = &self.regions[1..];
        }
        let region = self.regions.first().filter(|region| region.start <= byte);
        let seen_to = self.visible.map_or(self.start, |(_, end)| end.byte);
        let begins = region.is_some_and(|region| seen_to <= region.start);
        let in_heading = region.is_some_and(|region| matches!(region.kind, MarkKind::Heading { .. }));
        let found = self.visible.and_then(|(before, _)| {
            let rank = if self.in_blank {
                rank_after_blank(self.line_breaks, self.sentence_char, next)
            } else {
                rank_between(before, next)?
            };
            let before_char = if self.in_blank { '\n' } else { before };
            let whole = is_cluster_start(self.text, byte, before_char, next);
            whole.then_some(rank)
        });
        let found = found.and_then(|rank| self.rank_in(region, begins, byte, rank));
        let (byte, chars) = if self.in_blank && self.line_breaks > 0 { self.line_start } else { (byte, chars) };
        let border = found.map(|rank| Border { byte, chars, rank, before_heading: begins && in_heading, starts: true });
        let stop = border.filter(|border| border.before_heading && self.body_seen);
        if in_heading {
            self.heading_seen = true;
        } else {
            self.body_seen = true;
        }
        if let Some(border) = border {
            if border.chars > self.size {
                self.push_tail(border);
                return Some(Reach::Window);
            }
            if stop.is_some() {
                return Some(Reach::Heading(border));
            }
            if !border.before_heading {
                self.borders.push(border);
            }
        }
        None
    }

    /// The white space before this border does not fit. The chunk may end before it, if the next can hold it, else it
    /// takes all of it, since no chunk is white space alone.
    fn push_tail(&mut self, border: Border) {
        let Some((before, end)) = self.visible else { return };
        if end.chars > self.size {
            return;
        }
        let blanks = border.chars - end.chars;
        if !is_cluster_start(self.text, end.byte, before, '\u{a0}') {
            return;
        }
        self.borders.push(if blanks < self.size {
            Border { starts: false, byte: end.byte, chars: end.chars, ..border }
        } else {
            border
        });
    }

    /// What a border's rank becomes by the structure around it; `None` where it must not be used.
    fn rank_in(&self, region: Option<&Region>, begins: bool, byte: usize, rank: Rank) -> Option<Rank> {
        let stuck = self.heading_seen && !self.body_seen;
        let Some(region) = region else {
            return Some(if stuck { Rank::Stuck } else { rank });
        };
        match &region.kind {
            MarkKind::Heading { .. } if begins && stuck => None,
            MarkKind::Heading { .. } if begins => Some(Rank::Block),
            MarkKind::Heading { .. } => Some(Rank::Inside),
            _ if begins => Some(if stuck { Rank::Stuck } else { Rank::Block }),
            MarkKind::Code if region.chars <= self.size => None,
            MarkKind::Table { header } if self.line_breaks > 0 && self.in_blank => {
                let body = region.start + header;
                match byte.cmp(&body) {
                    std::cmp::Ordering::Less => Some(Rank::Inside),
                    std::cmp::Ordering::Equal if *header > 0 => Some(Rank::Stuck),
                    _ => Some(Rank::Line),
                }
            }
            MarkKind::Code if self.line_breaks > 0 && self.in_blank => Some(Rank::Line),
            MarkKind::Code | MarkKind::Table { .. } => Some(Rank::Inside),
        }
    }
}

/// The borders between grapheme clusters of a window that has no better ones, and at least one, past the window if need
/// be; none if the text ends before that. Those before `from` are left out.
pub(super) fn cluster_borders(text: &str, start: usize, from: usize, size: usize, borders: &mut Vec<Border>) {
    borders.clear();
    let mut chars = 0;
    let mut visible = false;
    for (at, cluster) in text[start..].grapheme_indices(true) {
        let blank = cluster.chars().all(is_blank);
        if visible && !blank && start + at >= from {
            if chars > size && !borders.is_empty() {
                return;
            }
            borders.push(Border { byte: start + at, chars, rank: Rank::Grapheme, before_heading: false, starts: true });
            if chars > size {
                return;
            }
        }
        visible |= !blank;
        chars += cluster.chars().count();
    }
}
