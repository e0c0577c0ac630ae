//! The glyphs of a page: what was shown where, in the order it was drawn.

/// Which way text runs, as a reader of the upright page sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Direction {
    Right,
    /// Lines that run from bottom to top: the page is to be turned clockwise.
    Up,
    /// Upside down.
    Left,
    Down,
    /// Glyphs one below the other.
    Vertical,
}

/// A shown glyph, in coordinates turned so that its line runs to the right and `y` rises.
///
/// Vertical text keeps the coordinates of the page: `x` is the middle of its column, `y` where the glyph starts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Glyph {
    /// Where its text lies in [`Glyphs::text`]; glyphs in order of drawing have adjoining texts.
    pub start: u32,
    pub end: u32,
    pub x0: f32,
    /// Where it ends: the next glyph of the word starts about there.
    pub x1: f32,
    pub y: f32,
    pub size: f32,
    pub direction: Direction,
    /// Whether white space was shown right before it.
    pub after_space: bool,
}

/// All glyphs of a page.
#[derive(Debug, Default)]
pub(super) struct Glyphs {
    pub text: String,
    pub list: Vec<Glyph>,
    /// Glyphs whose text cannot be known.
    pub unknown: u32,
}

impl Glyphs {
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.list.clear();
        self.unknown = 0;
    }

    /// Adds a glyph unless it is drawn again where it stands already: a way to make text bold.
    pub(super) fn push(&mut self, text: &str, mut glyph: Glyph) {
        let again = self.list.iter().rev().take(3).any(|last| {
            let near = 0.2_f32.min(0.5 * (last.x1 - last.x0).abs() / last.size.max(0.1)) * last.size;
            last.direction == glyph.direction
                && (last.x0 - glyph.x0).abs() < near
                && (last.y - glyph.y).abs() < 0.1 * last.size
                && &self.text[last.start as usize..last.end as usize] == text
                && !text.is_empty()
        });
        if !again {
            glyph.start = self.text.len() as u32;
            self.text.push_str(text);
            glyph.end = self.text.len() as u32;
            self.list.push(glyph);
        }
    }
}
