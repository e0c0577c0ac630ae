//! From words to rows, and to the segments of rows that wide gaps set apart.

use super::{Glyphs, WORD_GAP, Word};
use crate::chunk::is_cjk;

/// A gap wider than this part of the size ends a segment: a column or a cell may end there.
const SEGMENT_GAP: f32 = 1.2;

/// Words of a row without a wide gap between them, from left to right.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub words: Vec<Word>,
    pub x0: f32,
    pub x1: f32,
    pub y: f32,
    pub size: f32,
    /// Number of its row, from the top.
    pub row: usize,
}

/// Groups the words of a page into rows from the top, and these into segments from the left.
pub(super) fn segments(words: &[Word], glyphs: &Glyphs) -> Vec<Segment> {
    let mut sorted = words.to_vec();
    sorted.sort_by(|a, b| b.line_y.total_cmp(&a.line_y).then(a.x0.total_cmp(&b.x0)));
    let mut segments = Vec::new();
    let mut row: Vec<Word> = Vec::new();
    let (mut y, mut size) = (0.0, 0.0);
    let mut number = 0;
    for word in sorted {
        // A raised or lowered word belongs to its line; an initial of three lines' height to the first of them.
        let reach = 0.5 * word.line_size.max(size).min(1.5 * word.line_size.min(size));
        if !row.is_empty() && y - word.line_y > reach {
            cut_row(std::mem::take(&mut row), number, glyphs, &mut segments);
            number += 1;
        }
        if row.is_empty() {
            (y, size) = (word.line_y, word.line_size);
        }
        row.push(word);
    }
    cut_row(row, number, glyphs, &mut segments);
    segments
}

fn cut_row(mut row: Vec<Word>, number: usize, glyphs: &Glyphs, segments: &mut Vec<Segment>) {
    row.sort_by(|a, b| a.x0.total_cmp(&b.x0));
    drop_overprints(&mut row, glyphs);
    let mut open: Option<Segment> = None;
    for word in row {
        match &mut open {
            Some(segment) if word.x0 - segment.x1 < SEGMENT_GAP * segment.size.max(word.size) => {
                segment.x1 = segment.x1.max(word.x1);
                if word.line_size > 1.1 * segment.size {
                    (segment.y, segment.size) = (word.line_y, word.line_size);
                }
                segment.words.push(word);
            }
            _ => {
                segments.extend(open.take());
                open = Some(Segment {
                    x0: word.x0,
                    x1: word.x1,
                    y: word.y,
                    size: word.size,
                    row: number,
                    words: vec![word],
                });
            }
        }
    }
    segments.extend(open);
}

/// Text that was drawn again at its place, or a hair beside it, to look bold.
fn drop_overprints(row: &mut Vec<Word>, glyphs: &Glyphs) {
    let mut index = 1;
    while index < row.len() {
        let word = row[index];
        let twin = row[..index].iter().rev().take(4).any(|other| {
            let near = (0.2 * word.size).min(0.5 * (word.x1 - word.x0));
            (word.x0 - other.x0).abs() < near
                && (word.y - other.y).abs() < 0.2 * word.size
                && word.text(glyphs) == other.text(glyphs)
        });
        if twin {
            row.remove(index);
        } else {
            index += 1;
        }
    }
}

/// Whether a blank belongs between two things that follow each other on a line.
pub(super) fn has_blank_between(gap: f32, size: f32, after_space: bool, before: &str, next: &str) -> bool {
    let wide = before.chars().next_back().is_some_and(is_cjk) && next.chars().next().is_some_and(is_cjk);
    after_space && !wide || gap > if wide { 0.8 } else { WORD_GAP } * size
}
