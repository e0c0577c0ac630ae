//! From glyphs in their places to text in reading order.

mod bidi;
mod columns;
mod hyphens;
mod paragraphs;
mod rows;
mod vertical;

pub(super) use hyphens::Vocabulary;

use super::glyphs::{Direction, Glyph, Glyphs};

/// Gaps wider than this part of the size set words apart.
const WORD_GAP: f32 = 0.13;

/// Glyphs that adjoin each other, in the order they were drawn.
#[derive(Debug, Clone, Copy)]
struct Word {
    x0: f32,
    x1: f32,
    y: f32,
    size: f32,
    /// Baseline and size of the line it was drawn with: a raised or lowered word belongs to that.
    line_y: f32,
    line_size: f32,
    fixed_width: bool,
    /// Its glyphs in the list of the page.
    from: usize,
    to: usize,
    after_space: bool,
}

impl Word {
    fn text(self, glyphs: &Glyphs) -> &str {
        let (first, last) = (&glyphs.list[self.from], &glyphs.list[self.to - 1]);
        &glyphs.text[first.start as usize..last.end as usize]
    }
}

/// The text of a page: lines in reading order, paragraphs set apart by a blank line.
pub(super) fn page_text(glyphs: &Glyphs, vocabulary: &mut Vocabulary) -> String {
    let mut parts: Vec<(usize, String)> = Vec::new();
    for direction in [Direction::Right, Direction::Up, Direction::Left, Direction::Down] {
        let words = words(glyphs, direction);
        if !words.is_empty() {
            let segments = rows::segments(&words, glyphs);
            let blocks = columns::blocks(segments);
            parts.push((words.len(), paragraphs::text(&blocks, glyphs, vocabulary)));
        }
    }
    // What most of the page is, then labels on its sides.
    parts.sort_by_key(|(words, _)| std::cmp::Reverse(*words));
    let mut texts: Vec<String> = parts.into_iter().map(|(_, text)| text).collect();
    if let Some((text, first)) = vertical::text(glyphs) {
        texts.insert(if first { 0 } else { texts.len().min(1) }, text);
    }
    texts.retain(|text| !text.is_empty());
    texts.join("\n\n")
}

fn words(glyphs: &Glyphs, direction: Direction) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut last_index = None;
    for (index, glyph) in glyphs.list.iter().enumerate().filter(|(_, glyph)| glyph.direction == direction) {
        let adjoins = index > 0 && last_index == Some(index - 1);
        match words.last_mut() {
            Some(word) if adjoins && continues(word, glyph) => {
                word.x1 = word.x1.max(glyph.x1);
                word.x0 = word.x0.min(glyph.x0);
                word.to = index + 1;
            }
            _ => words.push(Word {
                x0: glyph.x0,
                x1: glyph.x1,
                y: glyph.y,
                size: glyph.size,
                line_y: glyph.y,
                line_size: glyph.size,
                fixed_width: glyph.fixed_width,
                from: index,
                to: index + 1,
                after_space: glyph.after_space,
            }),
        }
        last_index = Some(index);
    }
    words.retain(|word| !word.text(glyphs).is_empty());
    chain(&mut words);
    words
}

/// Gives words that were drawn one after the other, side by side, the baseline of the largest of them.
fn chain(words: &mut [Word]) {
    let mut start = 0;
    for index in 1..=words.len() {
        let follows = index < words.len() && {
            let (last, next) = (words[index - 1], words[index]);
            // A sign as high as two lines is no part of the second.
            let size = last.size.max(next.size).min(1.5 * last.size.min(next.size));
            let gap = next.x0 - last.x1;
            (next.y - last.y).abs() < 0.5 * size && gap > -0.5 * size && gap < 1.2 * size
        };
        if !follows {
            let links = &mut words[start..index];
            // The first of the largest: the line goes on at its height.
            let size = links.iter().map(|word| word.size).fold(0.0, f32::max);
            let base = links.iter().find(|word| word.size >= 0.9 * size).map_or(0.0, |word| word.y);
            for word in links {
                (word.line_y, word.line_size) = (base, size);
            }
            start = index;
        }
    }
}

fn continues(word: &Word, glyph: &Glyph) -> bool {
    let gap = glyph.x0 - word.x1;
    let alike = glyph.size < 1.3 * word.size && word.size < 1.3 * glyph.size;
    !glyph.after_space
        && alike
        && (glyph.y - word.y).abs() < 0.15 * word.size
        && gap < WORD_GAP * word.size
        && gap > -0.4 * word.size
}
