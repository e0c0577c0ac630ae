//! Fonts as far as text needs them: from the bytes of a shown string to characters and widths.

mod cff;
mod composite;
mod encoding;
mod glyph_names;
mod metrics;
mod simple;

use composite::Composite;
use hayro_syntax::object::{Dict, Name, Stream};
use simple::Simple;
use unicode_normalization::UnicodeNormalization;

/// One code of a shown string.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shown<'a> {
    /// Its text: empty if it shows nothing, `None` if what it shows cannot be known.
    pub text: Option<&'a str>,
    /// How far it moves the pen, in thousandths of the size: to the right, or down in vertical writing.
    pub width: f32,
    /// Whether it is the single-byte code 32, to which word spacing applies.
    pub word_space: bool,
}

/// A font.
pub(super) struct Font {
    kind: Kind,
    /// Whether its glyphs run from top to bottom.
    pub vertical: bool,
    /// The height of its glyphs in units of the size: 1 but for fonts with a matrix of their own.
    pub scale: f32,
    /// Whether all its glyphs are equally wide, as in listings of programs.
    pub fixed_width: bool,
}

enum Kind {
    Simple(Box<Simple>),
    Composite(Box<Composite>),
}

impl Font {
    pub(super) fn load(dict: &Dict<'_>) -> Self {
        let subtype = dict.get::<Name<'_>>("Subtype");
        if subtype.as_ref().is_some_and(|name| name.as_ref() == b"Type0") {
            let composite = Composite::load(dict);
            return Self {
                vertical: composite.vertical,
                scale: 1.0,
                fixed_width: says_fixed_width(dict),
                kind: Kind::Composite(Box::new(composite)),
            };
        }
        let simple = Simple::load(dict);
        let fixed_width = simple.has_one_width() || says_fixed_width(dict);
        Self { vertical: false, scale: simple.scale, fixed_width, kind: Kind::Simple(Box::new(simple)) }
    }

    /// Goes through the codes of a string.
    pub(super) fn decode(&mut self, bytes: &[u8], mut each: impl FnMut(Shown<'_>)) {
        match &mut self.kind {
            Kind::Simple(font) => bytes.iter().for_each(|code| each(font.shown(*code))),
            Kind::Composite(font) => font.decode(bytes, each),
        }
    }
}

/// Whether a font says by its name that it is of fixed width. The flag for that in its descriptor is often forgotten, and
/// sometimes set for fonts that are not.
fn says_fixed_width(dict: &Dict<'_>) -> bool {
    let name = dict.get::<Name<'_>>("BaseFont");
    let name = name.map(|name| String::from_utf8_lossy(name.as_ref()).to_lowercase()).unwrap_or_default();
    ["mono", "courier", "consol", "typewriter"].iter().any(|word| name.contains(word))
}

/// The `ToUnicode` map of a font.
fn to_unicode(dict: &Dict<'_>) -> Option<hayro_cmap::CMap> {
    let stream = dict.get::<Stream<'_>>("ToUnicode")?;
    let data = stream.decoded_data().ok()?;
    hayro_cmap::CMap::parse(&data, hayro_cmap::load_embedded)
}

/// What a `ToUnicode` map says of a code. NUL and U+FFFD mean that whoever wrote it did not know.
fn mapped(map: Option<&hayro_cmap::CMap>, code: u32) -> Option<String> {
    let text = match map?.lookup_bf_string(code)? {
        hayro_cmap::BfString::Char(c) => c.to_string(),
        hayro_cmap::BfString::String(text) => text,
    };
    let useless = text.is_empty() || text.chars().any(|c| matches!(c, '\0' | '\u{fffd}' | '\u{ffff}'));
    (!useless).then(|| clean(&text))
}

/// Letters for ligatures, plain blanks for blanks of fixed width, nothing for control characters.
fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{fb00}' => out.push_str("ff"),
            '\u{fb01}' => out.push_str("fi"),
            '\u{fb02}' => out.push_str("fl"),
            '\u{fb03}' => out.push_str("ffi"),
            '\u{fb04}' => out.push_str("ffl"),
            '\u{fb05}' | '\u{fb06}' => out.push_str("st"),
            '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\t' | '\n' | '\r' => out.push(' '),
            '\u{2010}' | '\u{2011}' => out.push('-'),
            '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{200b}'..='\u{200f}' | '\u{feff}' | '\u{202a}'..='\u{202e}' => {}
            // Symbol fonts that were mapped to the private use area keep their codes in its low byte.
            '\u{f020}'..='\u{f0ff}' => {
                let symbol = encoding::Encoding::Symbol.char_of((c as u32 & 0xff) as u8);
                out.push(match c {
                    '\u{f0a7}' | '\u{f06e}' => '▪',
                    '\u{f0fc}' => '✓',
                    '\u{f0d8}' => '➢',
                    _ => symbol.unwrap_or(c),
                });
            }
            // Forms of Hebrew and Arabic letters by their place in a word.
            '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}' => out.extend(std::iter::once(c).nfkc()),
            _ => out.push(c),
        }
    }
    out
}
