//! From segments in reading order to lines, and from lines to paragraphs.

use super::bidi::{is_right_to_left, logical};
use super::columns::Block;
use super::hyphens::{Vocabulary, is_hyphen, join};
use super::rows::{Segment, has_blank_between};
use super::{Glyphs, Word};

/// What sets the cells of a row apart.
const CELL_GAP: &str = "  ";

/// A line of text with its place.
#[derive(Debug)]
struct Line {
    text: String,
    x0: f32,
    x1: f32,
    y: f32,
    size: f32,
    first_word: f32,
    segments: usize,
    /// Whether it is of a listing: its line break and its indentation are meant.
    listing: bool,
    /// Width of a character, in a listing.
    unit: f32,
}

/// The text of the blocks of a page.
pub(super) fn text(blocks: &[Block], glyphs: &Glyphs, vocabulary: &mut Vocabulary) -> String {
    let lines: Vec<Vec<Line>> = blocks.iter().map(|block| lines(block, glyphs)).collect();
    lines.iter().flatten().for_each(|line| vocabulary.learn(&line.text));
    let mut text = String::new();
    for lines in lines {
        if !text.is_empty() && !lines.is_empty() {
            text.push_str("\n\n");
        }
        paragraphs(&lines, vocabulary, &mut text);
    }
    text.retain(|c| c != '\u{ad}');
    text
}

fn lines(block: &[Segment], glyphs: &Glyphs) -> Vec<Line> {
    block.chunk_by(|a, b| a.row == b.row).filter_map(|row| line(row, glyphs)).collect()
}

fn line(row: &[Segment], glyphs: &Glyphs) -> Option<Line> {
    let words: Vec<Word> = row.iter().flat_map(|segment| segment.words.iter().copied()).collect();
    let right_to_left = words.iter().any(|word| word.text(glyphs).chars().any(is_right_to_left));
    let text = if right_to_left { right_to_left_line(&words, glyphs) } else { line_text(row, glyphs) };
    let largest = row.iter().max_by(|a, b| a.size.total_cmp(&b.size))?;
    let first = words.first()?;
    Some(Line {
        text: text.trim().to_owned(),
        x0: row.first()?.x0,
        x1: row.last()?.x1,
        y: largest.y,
        size: largest.size,
        first_word: first.x1 - first.x0,
        segments: row.len(),
        listing: words.iter().all(|word| word.fixed_width),
        unit: (first.x1 - first.x0) / first.text(glyphs).chars().count().max(1) as f32,
    })
}

fn line_text(row: &[Segment], glyphs: &Glyphs) -> String {
    let mut text = String::new();
    for segment in row {
        if !text.is_empty() {
            text.push_str(CELL_GAP);
        }
        let mut end: Option<Word> = None;
        for word in &segment.words {
            let next = word.text(glyphs);
            let blank = end.is_some_and(|end| {
                let size = end.size.min(word.size);
                has_blank_between(word.x0 - end.x1, size, word.after_space, &text, next)
            });
            if blank {
                text.push(' ');
            }
            text.push_str(next);
            end = Some(*word);
        }
    }
    text
}

/// A line with right-to-left text: its glyphs by their places, then in reading order.
fn right_to_left_line(words: &[Word], glyphs: &Glyphs) -> String {
    let mut shown: Vec<_> = words.iter().flat_map(|word| &glyphs.list[word.from..word.to]).collect();
    shown.sort_by(|a, b| a.x0.total_cmp(&b.x0));
    let mut units: Vec<&str> = Vec::with_capacity(shown.len() * 2);
    let mut end = f32::INFINITY;
    for glyph in shown {
        let unit = &glyphs.text[glyph.start as usize..glyph.end as usize];
        if unit.is_empty() {
            continue;
        }
        if glyph.x0 - end > super::WORD_GAP * glyph.size {
            units.push(" ");
        }
        units.push(unit);
        end = glyph.x1;
    }
    logical(&units)
}

fn paragraphs(lines: &[Line], vocabulary: &Vocabulary, text: &mut String) {
    let right = lines.iter().map(|line| line.x1).fold(f32::NEG_INFINITY, f32::max);
    let usual = usual_distance(lines);
    let listing_left = lines.iter().filter(|line| line.listing).map(|line| line.x0).fold(f32::INFINITY, f32::min);
    for (index, line) in lines.iter().enumerate() {
        let before = index.checked_sub(1).map(|before| &lines[before]);
        match before {
            None => {}
            Some(before) if is_apart(before, line, usual) => text.push_str("\n\n"),
            Some(before) if goes_on(before, line, right) => {
                join(text, &line.text, vocabulary);
                continue;
            }
            Some(_) => text.push('\n'),
        }
        if line.listing && line.unit > 0.0 {
            let indent = ((line.x0 - listing_left) / line.unit).round().clamp(0.0, 80.0);
            text.extend(std::iter::repeat_n(' ', indent as usize));
        }
        text.push_str(&line.text);
    }
}

/// The usual distance between two lines of a block: the median.
fn usual_distance(lines: &[Line]) -> f32 {
    let mut distances: Vec<f32> =
        lines.windows(2).map(|pair| pair[0].y - pair[1].y).filter(|distance| *distance > 0.0).collect();
    if distances.is_empty() {
        return 0.0;
    }
    let middle = distances.len() / 2;
    *distances.select_nth_unstable_by(middle, f32::total_cmp).1
}

/// Whether a blank line belongs between two lines.
fn is_apart(before: &Line, line: &Line, usual: f32) -> bool {
    let distance = before.y - line.y;
    let size = before.size.max(line.size);
    let alike = before.size < 1.15 * line.size && line.size < 1.15 * before.size;
    // In a block of few lines the median is no measure; no text is set wider than twice its size.
    distance > 1.35 * usual.min(1.6 * size) || !alike && distance > 1.1 * size
}

/// Whether a line goes on with the sentence of the line before: that one ended because the next word did not fit.
fn goes_on(before: &Line, line: &Line, right: f32) -> bool {
    let alike = before.size < 1.15 * line.size && line.size < 1.15 * before.size;
    let full = before.x1 + 0.3 * before.size + line.first_word > right - 0.5 * before.size;
    let indented = line.x0 > before.x0 + 0.8 * line.size && !starts_item(&before.text);
    let broken = before.text.ends_with('\u{ad}')
        || before.text.ends_with(is_hyphen) && line.text.starts_with(char::is_alphanumeric);
    before.segments == 1
        && line.segments == 1
        && !(before.listing && line.listing)
        && alike
        && before.y > line.y
        && !starts_item(&line.text)
        && (full && !indented || broken)
}

/// Whether a line starts with the sign or the number of a list item.
fn starts_item(text: &str) -> bool {
    let mut chars = text.chars();
    match chars.next() {
        Some('•' | '◦' | '▪' | '■' | '●' | '○' | '–' | '—' | '*' | '·' | '➢' | '✓' | '-') => {
            chars.next() == Some(' ')
        }
        Some(c) if c.is_ascii_digit() => {
            let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
            rest.starts_with(". ") || rest.starts_with(") ")
        }
        _ => false,
    }
}
