//! The encoding within a CFF font program (Adobe Technical Note 5176), for fonts whose dictionary has none.

use super::encoding::Encoding;

/// Standard strings from number 150 on; those before are the glyphs of StandardEncoding in order.
const STANDARD_MORE: &str = "¹¬µ™Ð½±Þ¼÷¦°þ¾²®−ð×³©ÁÂÄÀÅÃÇÉÊËÈÍÎÏÌÑÓÔÖÒÕŠÚÛÜÙÝŸŽáâäàåãçéêëèíîïìñóôöòõšúûüùýÿž";
/// Numbers from here on are strings of the font.
const OWN_STRINGS: u16 = 391;

/// The names of the glyphs that the codes of a font stand for, if it has an encoding of its own.
pub(super) fn encoding(data: &[u8]) -> Option<Vec<Option<String>>> {
    let names = Index::read(data, usize::from(*data.get(2)?))?;
    let dicts = Index::read(data, names.end)?;
    let strings = Index::read(data, dicts.end)?;
    let top = TopDict::read(dicts.get(0)?);
    if top.encoding <= 1 {
        return None;
    }
    let glyphs = Index::read(data, top.char_strings)?.count;
    let charset = charset(data, top.charset, glyphs)?;
    let name = |sid: u16| match sid.checked_sub(OWN_STRINGS) {
        Some(own) => Some(String::from_utf8_lossy(strings.get(usize::from(own))?).into_owned()),
        None => standard_string(sid).map(|c| format!("uni{:04X}", c as u32)),
    };
    let mut encoding = vec![None; 256];
    for (code, sid) in codes(data, top.encoding, &charset)? {
        encoding[usize::from(code)] = name(sid);
    }
    Some(encoding)
}

/// An INDEX: a counted list of byte strings.
struct Index<'a> {
    data: &'a [u8],
    count: usize,
    offset_size: usize,
    offsets: usize,
    end: usize,
}

impl<'a> Index<'a> {
    fn read(data: &'a [u8], at: usize) -> Option<Self> {
        let count = usize::from(u16_at(data, at)?);
        let mut index = Self { data, count, offset_size: 0, offsets: at + 3, end: at + 2 };
        if count > 0 {
            index.offset_size = usize::from(*data.get(at + 2)?);
            if !(1..=4).contains(&index.offset_size) {
                return None;
            }
            index.end = index.place(count)?;
        }
        Some(index)
    }

    /// Where an item starts in the data.
    fn place(&self, item: usize) -> Option<usize> {
        let at = self.offsets + item * self.offset_size;
        let offset =
            self.data.get(at..at + self.offset_size)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        // Offsets count from the byte before the first item.
        (self.offsets + (self.count + 1) * self.offset_size + offset).checked_sub(1)
    }

    fn get(&self, item: usize) -> Option<&'a [u8]> {
        if item >= self.count {
            return None;
        }
        self.data.get(self.place(item)?..self.place(item + 1)?)
    }
}

/// Offsets from the Top DICT; 0 where it says nothing.
#[derive(Default)]
struct TopDict {
    charset: usize,
    encoding: usize,
    char_strings: usize,
}

impl TopDict {
    fn read(data: &[u8]) -> Self {
        let mut dict = Self::default();
        let mut operand = 0_i64;
        let mut at = 0;
        while let Some(first) = data.get(at).copied() {
            let byte = |index: usize| i64::from(data.get(at + index).copied().unwrap_or(0));
            let mut len = 1;
            match first {
                15 => dict.charset = operand.max(0) as usize,
                16 => dict.encoding = operand.max(0) as usize,
                17 => dict.char_strings = operand.max(0) as usize,
                12 => len = 2,
                28 => (operand, len) = (byte(1) << 8 | byte(2), 3),
                29 => (operand, len) = (byte(1) << 24 | byte(2) << 16 | byte(3) << 8 | byte(4), 5),
                // A real number: half bytes up to one that is 15.
                30 => {
                    let ends = |byte: &u8| byte & 0xf == 0xf || byte >> 4 == 0xf;
                    len = 1 + data[at + 1..].iter().position(ends).map_or(data.len(), |last| last + 1);
                }
                32..=246 => operand = i64::from(first) - 139,
                247..=250 => (operand, len) = ((i64::from(first) - 247) * 256 + byte(1) + 108, 2),
                251..=254 => (operand, len) = (-(i64::from(first) - 251) * 256 - byte(1) - 108, 2),
                _ => {}
            }
            at += len;
        }
        dict
    }
}

/// The string numbers of the glyphs.
fn charset(data: &[u8], at: usize, glyphs: usize) -> Option<Vec<u16>> {
    let mut sids: Vec<u16> = vec![0];
    if at <= 2 {
        sids.extend(1..=228);
        return Some(sids);
    }
    let format = *data.get(at)?;
    let mut at = at + 1;
    while sids.len() < glyphs {
        let first = u16_at(data, at)?;
        let (more, len) = match format {
            0 => (0, 2),
            1 => (u16::from(*data.get(at + 2)?), 3),
            2 => (u16_at(data, at + 2)?, 4),
            _ => return None,
        };
        sids.extend((first..=first.saturating_add(more)).take(glyphs - sids.len()));
        at += len;
    }
    Some(sids)
}

/// Codes with their string numbers.
fn codes(data: &[u8], at: usize, charset: &[u16]) -> Option<Vec<(u8, u16)>> {
    let format = *data.get(at)?;
    let count = usize::from(*data.get(at + 1)?);
    let mut codes: Vec<u8> = Vec::new();
    let mut at = at + 2;
    for _ in 0..count {
        let first = *data.get(at)?;
        if format & 0x7f == 0 {
            codes.push(first);
            at += 1;
        } else {
            codes.extend(first..=first.saturating_add(*data.get(at + 1)?));
            at += 2;
        }
    }
    let mut found: Vec<(u8, u16)> = codes.into_iter().zip(charset.iter().skip(1).copied()).collect();
    if format & 0x80 != 0 {
        for _ in 0..*data.get(at)? {
            found.push((*data.get(at + 1)?, u16_at(data, at + 2)?));
            at += 3;
        }
    }
    Some(found)
}

fn standard_string(sid: u16) -> Option<char> {
    match sid {
        1..=149 => (0x20..=0xff_u8).filter_map(|code| Encoding::Standard.char_of(code)).nth(usize::from(sid) - 1),
        150..=228 => STANDARD_MORE.chars().nth(usize::from(sid) - 150),
        _ => None,
    }
}

fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(data.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_strings_have_their_numbers() {
        let cases = [
            (1, ' '),
            (34, 'A'),
            (66, 'a'),
            (104, '\''),
            (109, 'ﬁ'),
            (137, '—'),
            (149, 'ß'),
            (166, '−'),
            (171, 'Á'),
            (228, 'ž'),
        ];
        for (sid, expected) in cases {
            assert_eq!(standard_string(sid), Some(expected), "{sid}");
        }
        assert_eq!(standard_string(0), None);
        assert_eq!(standard_string(229), None);
    }

    /// An INDEX with offsets of one byte.
    fn index(items: &[&[u8]]) -> Vec<u8> {
        let mut bytes = (items.len() as u16).to_be_bytes().to_vec();
        bytes.push(1);
        let mut offset = 1;
        for item in items {
            bytes.push(offset);
            offset += item.len() as u8;
        }
        bytes.push(offset);
        items.iter().for_each(|item| bytes.extend_from_slice(item));
        bytes
    }

    #[test]
    fn an_encoding_of_the_font_is_read_with_its_own_strings() {
        // The offsets in the Top DICT are written as three bytes each, so that its length does not depend on them.
        let build = |charset: u16, encoding: u16, char_strings: u16| {
            let offset = |value: u16, operator: u8| {
                let [high, low] = value.to_be_bytes();
                [28, high, low, operator]
            };
            let top = [offset(charset, 15), offset(encoding, 16), offset(char_strings, 17)].concat();
            let mut font = vec![1, 0, 4, 1];
            font.extend(index(&[b"Own"]));
            font.extend(index(&[&top]));
            font.extend(index(&[b"f_f_i"]));
            font.extend([0, 0]);
            font
        };
        let start = build(0, 0, 0).len() as u16;
        let mut font = build(start, start + 5, start + 9);
        font.extend([0, 0, 34, 1, 135]);
        font.extend([0, 2, 65, 14]);
        font.extend(index(&[b"x", b"y", b"z"]));
        let names = encoding(&font).expect("an encoding");
        assert_eq!(names[65].as_deref(), Some("uni0041"));
        assert_eq!(names[14].as_deref(), Some("f_f_i"));
        assert_eq!(names.iter().flatten().count(), 2);
        for cut in 0..font.len() {
            assert!(encoding(&font[..cut]).is_none_or(|names| names.len() == 256));
        }
    }
}
