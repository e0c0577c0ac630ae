//! The chunker: takes pages in order, gives chunks as soon as they are certain.

use super::border::{Border, choose, choose_start};
use super::scan::{Reach, Region, Scan, cluster_borders};
use super::{Chunk, ChunkOptions, token_count};
use crate::{MarkKind, PAGE_SEPARATOR, Page, is_blank};
use std::collections::VecDeque;

/// Chunks a document page by page, in memory of a page or two. The chunks do not depend on how pages come in parts.
#[derive(Debug)]
pub struct Chunker {
    options: ChunkOptions,
    /// Text from the start of the next chunk on.
    text: String,
    regions: VecDeque<Region>,
    /// Where each page starts in the buffer, and its number. The first may have started before it.
    pages: VecDeque<(usize, u32)>,
    headings: Vec<(u8, String)>,
    /// Start of the next chunk in the buffer, and in the document.
    start: usize,
    start_char: u64,
    /// Byte that the next chunk must end behind: the end of the last one.
    covered: usize,
    /// Whether a visible character has come at all.
    any_visible: bool,
    index: u32,
    borders: Vec<Border>,
}

/// The end of a chunk and the start of the one after it.
struct Cut {
    end: usize,
    end_chars: usize,
    next: usize,
    next_chars: usize,
}

impl Chunker {
    /// A chunker for one document.
    #[must_use]
    pub fn new(options: ChunkOptions) -> Self {
        Self {
            options,
            text: String::new(),
            regions: VecDeque::new(),
            pages: VecDeque::new(),
            headings: Vec::new(),
            start: 0,
            start_char: 0,
            covered: 0,
            any_visible: false,
            index: 0,
            borders: Vec::new(),
        }
    }

    /// Takes the next page; returns the chunks that are certain now.
    pub fn push(&mut self, page: &Page) -> Vec<Chunk> {
        if !self.pages.is_empty() && !page.continued {
            self.text.push_str(PAGE_SEPARATOR);
        }
        let base = self.text.len();
        if !page.continued || self.pages.is_empty() {
            self.pages.push_back((base, page.number));
        }
        self.text.push_str(&page.text);
        self.regions.extend(page.marks.iter().map(|mark| Region {
            start: base + mark.start,
            end: base + mark.end,
            chars: page.text[mark.start..mark.end].trim_end().chars().count(),
            kind: mark.kind.clone(),
        }));
        self.any_visible = self.any_visible || !page.text.chars().all(is_blank);
        // Two windows: whatever is decided within the first is then certain.
        let ahead = 8 * self.options.size + 64;
        let mut chunks = Vec::new();
        while self.text.len() - self.start > ahead {
            match self.next_chunk(false) {
                Some(chunk) => chunks.push(chunk),
                None => break,
            }
        }
        self.forget();
        chunks
    }

    /// Ends the document; returns the last chunks. A document without visible text has none.
    #[must_use]
    pub fn finish(mut self) -> Vec<Chunk> {
        let mut chunks = Vec::new();
        while self.any_visible && self.start < self.text.len() {
            match self.next_chunk(true) {
                Some(chunk) => chunks.push(chunk),
                None => break,
            }
        }
        chunks
    }

    fn next_chunk(&mut self, last: bool) -> Option<Chunk> {
        let mut cut = self.cut(last);
        if cut.is_none() && self.covered > self.start {
            // Nothing ends behind the last chunk from here: share nothing with it.
            let shared = self.text[self.start..self.covered].chars().count();
            self.start_char += shared as u64;
            self.start = self.covered;
            if self.start == self.text.len() {
                return None;
            }
            cut = self.cut(last);
        }
        let cut = cut?;
        let chunk = self.chunk(&cut);
        self.start = cut.next;
        self.start_char += cut.next_chars as u64;
        self.covered = cut.end;
        Some(chunk)
    }

    /// Decides where the next chunk ends. `None` if that needs more text, or if no place lies behind what is covered.
    fn cut(&mut self, last: bool) -> Option<Cut> {
        let size = self.options.size;
        while self.regions.front().is_some_and(|region| region.end <= self.start) {
            let region = self.regions.pop_front()?;
            self.pass_heading(region);
        }
        let regions = self.regions.make_contiguous();
        let reach = Scan::new(&self.text, regions, self.start, size, &mut self.borders).run();
        let whole = |byte: usize, chars: usize| Cut { end: byte, end_chars: chars, next: byte, next_chars: chars };
        match reach {
            Reach::End { byte, chars } => return last.then(|| whole(byte, chars)),
            Reach::BlankEnd { .. } if !last => return None,
            Reach::Heading(border) if border.byte > self.covered => return Some(whole(border.byte, border.chars)),
            Reach::Window | Reach::Heading(_) | Reach::BlankEnd { .. } => {}
        }
        let covered = self.covered;
        let more_than = if covered > self.start {
            self.borders.iter().filter(|border| border.byte <= covered).map(|border| border.chars).max().unwrap_or(0)
        } else {
            0
        };
        let end = match choose(&self.borders, size, more_than) {
            Some(end) => end,
            None if covered > self.start => return None,
            None => match self.forced_end() {
                Some(end) => end,
                // Only white space follows: the chunk takes it.
                None if last => return Some(whole(self.text.len(), self.text[self.start..].chars().count())),
                None => return None,
            },
        };
        let next = if end.before_heading { None } else { choose_start(&self.borders, end, self.options.overlap) };
        let next = next.unwrap_or(end);
        Some(Cut { end: end.byte, end_chars: end.chars, next: next.byte, next_chars: next.chars })
    }

    /// An end within a word, or past the size where even one cluster, or code with the white space before it, is larger.
    fn forced_end(&mut self) -> Option<Border> {
        let size = self.options.size;
        let lead = self.text[self.start..].find(|c| !is_blank(c)).map(|at| self.start + at)?;
        let fits =
            |region: &&Region| region.kind == MarkKind::Code && region.chars <= size && region.start >= self.start;
        let kept = self.regions.iter().find(|region| region.start <= lead && lead < region.end).filter(fits);
        let from = kept.map_or(self.start, |region| region.end);
        cluster_borders(&self.text, self.start, from, size, &mut self.borders);
        choose(&self.borders, size, 0)
    }

    fn chunk(&mut self, cut: &Cut) -> Chunk {
        let text = self.text[self.start..cut.end].to_owned();
        let lead = text.find(|c| !is_blank(c)).unwrap_or(0);
        let tail = text.trim_end_matches(is_blank).len().max(1) - 1;
        let (first, final_byte) = (self.start + lead, self.start + tail);
        let context = self.table_header(first);
        while self.regions.front().is_some_and(|region| region.end <= cut.end && region.end <= cut.next) {
            if let Some(region) = self.regions.pop_front() {
                self.pass_heading(region);
            }
        }
        let chunk = Chunk {
            index: self.index,
            start_char: self.start_char,
            end_char: self.start_char + cut.end_chars as u64,
            page_start: self.page_at(first),
            page_end: self.page_at(final_byte),
            heading_path: self.heading_path(cut.end),
            token_count: token_count(&text),
            context,
            text,
        };
        self.index += 1;
        chunk
    }

    fn pass_heading(&mut self, region: Region) {
        if let MarkKind::Heading { level, title } = region.kind {
            self.headings.retain(|(above, _)| *above < level);
            self.headings.push((level, title));
        }
    }

    /// The path after all headings that start before `end`.
    fn heading_path(&self, end: usize) -> Vec<String> {
        let mut path = self.headings.clone();
        for region in self.regions.iter().take_while(|region| region.start < end) {
            if let MarkKind::Heading { level, title } = &region.kind {
                path.retain(|(above, _)| above < level);
                path.push((*level, title.clone()));
            }
        }
        path.into_iter().map(|(_, title)| title).filter(|title| !title.is_empty()).collect()
    }

    /// The header of the table that `byte` lies in, behind that header.
    fn table_header(&self, byte: usize) -> Option<String> {
        let region = self.regions.iter().find(|region| region.start <= byte && byte < region.end)?;
        match region.kind {
            MarkKind::Table { header } if header > 0 && byte >= region.start + header => {
                Some(self.text[region.start..region.start + header].trim_end().to_owned())
            }
            _ => None,
        }
    }

    fn page_at(&self, byte: usize) -> u32 {
        let after = self.pages.partition_point(|(start, _)| *start <= byte);
        self.pages.get(after.saturating_sub(1)).map_or(1, |(_, number)| *number)
    }

    /// Drops the text of chunks that are done. The header of a table in progress stays until the table ends.
    fn forget(&mut self) {
        let in_progress = self.regions.front().map_or(self.start, |region| region.start);
        let gone = self.start.min(in_progress);
        self.text.drain(..gone);
        self.start -= gone;
        self.covered = self.covered.saturating_sub(gone);
        for region in &mut self.regions {
            region.start -= gone;
            region.end -= gone;
        }
        while self.pages.len() > 1 && self.pages[1].0 <= gone {
            self.pages.pop_front();
        }
        for (start, _) in &mut self.pages {
            *start = start.saturating_sub(gone);
        }
    }
}
