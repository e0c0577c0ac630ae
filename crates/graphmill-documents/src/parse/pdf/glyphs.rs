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
    /// Whether all glyphs of its font are equally wide.
    pub fixed_width: bool,
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
        let composed = self.accented(text, &mut glyph);
        let text = composed.as_deref().unwrap_or(text);
        if !again {
            glyph.start = self.text.len() as u32;
            self.text.push_str(text);
            glyph.end = self.text.len() as u32;
            self.list.push(glyph);
        }
    }

    /// Makes one letter of an accent and the letter that stands below it: TeX draws them apart, the accent first.
    fn accented(&mut self, text: &str, glyph: &mut Glyph) -> Option<String> {
        let last = *self.list.last()?;
        let before = &self.text[last.start as usize..last.end as usize];
        let mut letters = text.chars();
        let (first, accent) = (letters.next()?, combining(before)?);
        let apart = (last.x0 + last.x1 - glyph.x0 - glyph.x1).abs() / 2.0;
        if last.direction != glyph.direction || apart > 0.25 * glyph.size || (last.y - glyph.y).abs() > 0.5 * glyph.size
        {
            return None;
        }
        let base = match first {
            'ı' => 'i',
            'ȷ' => 'j',
            other => other,
        };
        let whole = unicode_normalization::char::compose(base, accent)?;
        self.list.pop();
        self.text.truncate(last.start as usize);
        glyph.after_space |= last.after_space;
        Some(std::iter::once(whole).chain(letters).collect())
    }
}

/// The combining mark of an accent that was drawn by itself.
fn combining(text: &str) -> Option<char> {
    let mut chars = text.chars();
    let accent = match chars.next()? {
        '`' => '\u{300}',
        '´' => '\u{301}',
        'ˆ' | '^' => '\u{302}',
        '˜' | '~' => '\u{303}',
        '¯' | 'ˉ' => '\u{304}',
        '˘' => '\u{306}',
        '˙' => '\u{307}',
        '¨' => '\u{308}',
        '˚' => '\u{30a}',
        '˝' => '\u{30b}',
        'ˇ' => '\u{30c}',
        '¸' => '\u{327}',
        '˛' => '\u{328}',
        _ => return None,
    };
    chars.next().is_none().then_some(accent)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glyph(x0: f32, x1: f32) -> Glyph {
        Glyph {
            start: 0,
            end: 0,
            x0,
            x1,
            y: 0.0,
            size: 10.0,
            direction: Direction::Right,
            after_space: false,
            fixed_width: false,
        }
    }

    #[test]
    fn c02_a_glyph_drawn_again_at_its_place_is_one() {
        let mut glyphs = Glyphs::default();
        for (text, x0) in [("o", 0.0), ("o", 0.2), ("o", 5.0), ("o", 5.0), ("k", 10.0)] {
            glyphs.push(text, glyph(x0, x0 + 5.0));
        }
        assert_eq!(glyphs.text, "ook");
    }

    #[test]
    fn an_accent_and_its_letter_are_one_letter() {
        let mut glyphs = Glyphs::default();
        glyphs.push("r", glyph(0.0, 4.0));
        glyphs.push("´", glyph(4.0, 9.0));
        glyphs.push("e", glyph(4.2, 8.6));
        glyphs.push("^", glyph(9.0, 14.0));
        glyphs.push("x", glyph(14.0, 19.0));
        assert_eq!(glyphs.text, "ré^x");
    }
}
