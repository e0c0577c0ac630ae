//! Vertical writing: columns from the right, each from the top.

use super::super::glyphs::{Direction, Glyph, Glyphs};

/// The text of the vertical columns of a page, one a line, and whether they come before the horizontal text.
pub(super) fn text(glyphs: &Glyphs) -> Option<(String, bool)> {
    let mut shown: Vec<&Glyph> = glyphs.list.iter().filter(|glyph| glyph.direction == Direction::Vertical).collect();
    let top = shown.iter().map(|glyph| glyph.y).fold(f32::NEG_INFINITY, f32::max);
    let first = shown.first()?;
    let (mut x, mut size) = (first.x0, first.size);
    shown.sort_by(|a, b| b.x0.total_cmp(&a.x0));
    let mut columns: Vec<Vec<&Glyph>> = Vec::new();
    for glyph in shown {
        if columns.is_empty() || x - glyph.x0 > 0.5 * size {
            columns.push(Vec::new());
            (x, size) = (glyph.x0, glyph.size);
        }
        columns.last_mut()?.push(glyph);
    }
    let mut text = String::new();
    for column in &mut columns {
        column.sort_by(|a, b| b.y.total_cmp(&a.y));
        if !text.is_empty() {
            text.push('\n');
        }
        for glyph in column {
            text.push_str(&glyphs.text[glyph.start as usize..glyph.end as usize]);
        }
    }
    let lowest = glyphs.list.iter().filter(|glyph| glyph.direction == Direction::Right).map(|glyph| glyph.y);
    let below = lowest.fold(f32::NEG_INFINITY, f32::max) < top;
    Some((text, below))
}
