//! What single-byte codes mean: the predefined encodings of ISO 32000-1, annex D.

use encoding_rs::{MACINTOSH, WINDOWS_1252};

/// A predefined encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Standard,
    WinAnsi,
    MacRoman,
    Symbol,
    ZapfDingbats,
}

/// The upper half of StandardEncoding, from 0xA1; a blank where it has nothing.
const STANDARD_HIGH: &str =
    "¡¢£⁄¥ƒ§¤'“«‹›ﬁﬂ –†‡· ¶•‚„”»…‰ ¿ `´ˆ˜¯˘˙¨ ˚¸ ˝˛ˇ—                Æ ª    ŁØŒº     æ   ı  łøœß";

/// The symbol font, from 0x20.
const SYMBOL_LOW: &str =
    " !∀#∃%&∋()∗+,−./0123456789:;<=>?≅ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ[∴]⊥_‾αβχδεφγηιϕκλμνοπθρστυϖωξψζ{|}∼";

/// The symbol font, from 0xA0; a blank where it has nothing.
const SYMBOL_HIGH: &str =
    "€ϒ′≤⁄∞ƒ♣♦♥♠↔←↑→↓°±″≥×∝∂•÷≠≡≈…⏐⎯↵ℵℑℜ℘⊗⊕∅∩∪⊃⊇⊄⊂⊆∈∉∠∇®©™∏√⋅¬∧∨⇔⇐⇑⇒⇓◊〈®©™∑⎛⎜⎝⎡⎢⎣⎧⎨⎩⎪ 〉∫⌠⎮⌡⎞⎟⎠⎤⎥⎦⎫⎬⎭";

impl Encoding {
    pub(super) fn by_name(name: &[u8]) -> Option<Self> {
        match name {
            b"StandardEncoding" => Some(Self::Standard),
            b"WinAnsiEncoding" => Some(Self::WinAnsi),
            b"MacRomanEncoding" => Some(Self::MacRoman),
            _ => None,
        }
    }

    /// The character of a code, if it has one.
    pub(super) fn char_of(self, code: u8) -> Option<char> {
        let nth = |table: &str, first: u8| {
            let found = table.chars().nth(usize::from(code.checked_sub(first)?))?;
            (found != ' ' || code == b' ').then_some(found)
        };
        match self {
            Self::Standard => match code {
                b'\'' => Some('’'),
                b'`' => Some('‘'),
                0x20..=0x7e => Some(code as char),
                _ => nth(STANDARD_HIGH, 0xa1),
            },
            Self::WinAnsi => match code {
                0..=0x1f => None,
                // Annex D.2, notes 3, 5 and 6.
                0x7f | 0x81 | 0x8d | 0x8f | 0x90 | 0x9d => Some('•'),
                0xa0 => Some(' '),
                0xad => Some('-'),
                _ => single(WINDOWS_1252, code),
            },
            Self::MacRoman => match code {
                0..=0x1f | 0x7f => None,
                0xca => Some(' '),
                _ => single(MACINTOSH, code),
            },
            Self::Symbol if code < 0x7f => nth(SYMBOL_LOW, 0x20),
            Self::Symbol => nth(SYMBOL_HIGH, 0xa0),
            Self::ZapfDingbats => dingbat(code),
        }
    }
}

fn single(encoding: &'static encoding_rs::Encoding, code: u8) -> Option<char> {
    encoding.decode_without_bom_handling(&[code]).0.chars().next()
}

/// Zapf Dingbats follow the Unicode block of that name, but for signs that Unicode had before.
fn dingbat(code: u8) -> Option<char> {
    let from = |first: u32, base: u8| char::from_u32(first + u32::from(code - base));
    match code {
        b' ' => Some(' '),
        0x25 => Some('☎'),
        0x2a => Some('☛'),
        0x2b => Some('☞'),
        0x48 => Some('★'),
        0x6c => Some('●'),
        0x6e => Some('■'),
        0x73 => Some('▲'),
        0x74 => Some('▼'),
        0x75 => Some('◆'),
        0x77 => Some('◗'),
        0x21..=0x7e => from(0x2701, 0x21),
        0xa1..=0xa7 => from(0x2761, 0xa1),
        0xa8 => Some('♣'),
        0xa9 => Some('♦'),
        0xaa => Some('♥'),
        0xab => Some('♠'),
        0xac..=0xb5 => from(0x2460, 0xac),
        0xb6..=0xd4 => from(0x2776, 0xb6),
        0xd5 => Some('→'),
        0xd6 => Some('↔'),
        0xd7 => Some('↕'),
        0xd8..=0xef | 0xf1..=0xfe => from(0x2798, 0xd8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::Encoding::{MacRoman, Standard, Symbol, WinAnsi, ZapfDingbats};

    #[test]
    fn codes_are_those_of_the_annex() {
        let cases = [
            (Standard, 0xae, Some('ﬁ')),
            (Standard, 0xb1, Some('–')),
            (Standard, 0xd0, Some('—')),
            (Standard, 0xe1, Some('Æ')),
            (Standard, 0xfb, Some('ß')),
            (Standard, 0xb0, None),
            (Standard, b'\'', Some('’')),
            (WinAnsi, 0x80, Some('€')),
            (WinAnsi, 0xfc, Some('ü')),
            (MacRoman, 0x8a, Some('ä')),
            (Symbol, b'a', Some('α')),
            (Symbol, 0xb7, Some('•')),
            (Symbol, 0xe5, Some('∑')),
            (Symbol, 0xf2, Some('∫')),
            (Symbol, 0xfe, Some('⎭')),
            (ZapfDingbats, 0x34, Some('✔')),
            (ZapfDingbats, 0xd4, Some('➔')),
        ];
        for (encoding, code, expected) in cases {
            assert_eq!(encoding.char_of(code), expected, "{encoding:?} {code:#x}");
        }
    }
}
