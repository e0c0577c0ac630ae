//! Markdown: the text stays as it is; headings, code blocks and tables become marks.

use super::blocks::{LinePages, no_text};
use super::text::last_line_start;
use crate::charset::TextReader;
use crate::{DocumentInfo, Error, Mark, MarkKind, PageSink};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use std::path::Path;

/// A long file is parsed in parts of this size, each cut before a block of the top level.
const PART_BYTES: usize = 4 << 20;
/// A single block longer than this is cut at a line and loses its mark.
const BLOCK_BYTES: usize = 16 << 20;

pub(super) fn parse(path: &Path, sink: &mut dyn PageSink) -> Result<DocumentInfo, Error> {
    let mut reader = TextReader::open(path, |_| None)?;
    let mut pages = LinePages::new(sink);
    let mut text = String::new();
    let mut title = None;
    let mut more = true;
    while more {
        more = reader.read_into(&mut text)?;
        if more && text.len() < PART_BYTES {
            continue;
        }
        let outline = Outline::of(&text);
        title = title.or(outline.title);
        let cut = match outline.last_block {
            _ if !more => text.len(),
            0 if text.len() > BLOCK_BYTES => last_line_start(&text),
            cut => cut,
        };
        let rest = text.split_off(cut);
        let marks = outline.marks.into_iter().filter(|mark| mark.end <= cut).collect();
        pages.part(std::mem::replace(&mut text, rest), marks)?;
    }
    let (char_count, blank) = pages.totals();
    for warning in reader.warnings() {
        sink.warning(warning)?;
    }
    if blank {
        return Err(no_text());
    }
    Ok(DocumentInfo {
        title,
        page_count: 1,
        char_count,
        charset: Some(reader.charset_name().to_owned()),
        ..DocumentInfo::default()
    })
}

/// The structure of a piece of Markdown.
#[derive(Debug, Default, PartialEq)]
struct Outline {
    marks: Vec<Mark>,
    /// From the front matter, else the first heading of level 1.
    title: Option<String>,
    /// Where the last block of the top level starts: it may not be whole yet.
    last_block: usize,
}

impl Outline {
    fn of(text: &str) -> Self {
        let options = Options::ENABLE_TABLES | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
        let mut outline = Self::default();
        let mut depth = 0_usize;
        let mut heading: Option<(u8, String)> = None;
        let mut front_matter = false;
        for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
            match event {
                Event::Start(tag) => {
                    if depth == 0 {
                        outline.last_block = range.start;
                    }
                    match tag {
                        // A heading inside a quote or a list is not one of the document's own.
                        Tag::Heading { level, .. } if depth == 0 => heading = Some((level as u8, String::new())),
                        Tag::CodeBlock(_) => outline.push(range, MarkKind::Code),
                        Tag::Table(_) => {
                            let header = header_bytes(&text[range.clone()]);
                            outline.push(range, MarkKind::Table { header });
                        }
                        Tag::MetadataBlock(_) => front_matter = true,
                        _ => {}
                    }
                    depth += 1;
                }
                Event::End(end) => {
                    depth -= 1;
                    match end {
                        TagEnd::Heading(_) => {
                            if let Some((level, title)) = heading.take() {
                                outline.heading(range, level, &title);
                            }
                        }
                        TagEnd::MetadataBlock(_) => front_matter = false,
                        _ => {}
                    }
                }
                Event::Text(words) if front_matter => outline.title = outline.title.or_else(|| yaml_title(&words)),
                Event::Text(words) | Event::Code(words) => {
                    if let Some((_, title)) = &mut heading {
                        title.push_str(&words);
                    }
                }
                Event::SoftBreak | Event::HardBreak => {
                    if let Some((_, title)) = &mut heading {
                        title.push(' ');
                    }
                }
                _ => {}
            }
        }
        outline
    }

    fn push(&mut self, range: std::ops::Range<usize>, kind: MarkKind) {
        self.marks.push(Mark { start: range.start, end: range.end, kind });
    }

    fn heading(&mut self, range: std::ops::Range<usize>, level: u8, title: &str) {
        let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
        if level == 1 && self.title.is_none() && !title.is_empty() {
            self.title = Some(title.clone());
        }
        self.push(range, MarkKind::Heading { level, title });
    }
}

/// The header of a table is its first two lines: the names of the columns and the delimiter row.
fn header_bytes(table: &str) -> usize {
    table.split_inclusive('\n').take(2).map(str::len).sum()
}

fn yaml_title(front_matter: &str) -> Option<String> {
    let value = front_matter.lines().find_map(|line| line.strip_prefix("title:"))?;
    let value = value.trim().trim_matches(['"', '\'']).trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// A piece of Markdown as one page, for tests of chunking.
#[cfg(test)]
pub(crate) fn page_of(text: &str) -> crate::Page {
    crate::Page { number: 1, continued: false, text: text.to_owned(), marks: Outline::of(text).marks }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(text: &str) -> Vec<(u8, String)> {
        let marks = Outline::of(text).marks;
        marks
            .into_iter()
            .filter_map(|mark| match mark.kind {
                MarkKind::Heading { level, title } => Some((level, title)),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn headings_are_those_of_commonmark() {
        let text = "# One *two*\n\n```sh\n# no\n```\n\n~~~\n## no\n~~~\n\nThree\n-----\n\n    # no\n\n> # quoted\n\n#no\n\n### `f` #\n";
        let expected = [(1, "One two"), (2, "Three"), (3, "f")];
        assert_eq!(titles(text), expected.map(|(level, title)| (level, title.to_owned())));
    }

    #[test]
    fn tables_and_code_are_marked_with_their_ranges() {
        let text = "| a | b |\n|---|---|\n| 1 | 2 |\n\n```\nx\n```\n";
        let outline = Outline::of(text);
        assert_eq!(outline.marks[0].kind, MarkKind::Table { header: 20 });
        assert_eq!(&text[outline.marks[0].start..outline.marks[0].end], "| a | b |\n|---|---|\n| 1 | 2 |\n");
        assert_eq!(text[outline.marks[1].start..outline.marks[1].end].trim_end(), "```\nx\n```");
    }

    #[test]
    fn the_title_comes_from_the_front_matter_or_the_first_heading() {
        assert_eq!(Outline::of("---\ntitle: \"Guide\"\n---\n\n# Other\n").title.as_deref(), Some("Guide"));
        assert_eq!(Outline::of("## Second\n\n# First\n").title.as_deref(), Some("First"));
        assert_eq!(Outline::of("text").title, None);
    }
}
