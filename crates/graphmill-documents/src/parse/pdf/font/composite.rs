//! Composite fonts (Type 0): codes of one to four bytes, mapped to CIDs.

use super::{Shown, clean, mapped, to_unicode};
use hayro_cmap::{BfString, CMap, CMapName, CidFamily, WritingMode};
use hayro_syntax::object::{Array, Dict, Number, Object, String as PdfString};
use std::collections::HashMap;

pub(super) struct Composite {
    /// From codes to CIDs; `None` for Identity, whose codes are two bytes.
    encoding: Option<CMap>,
    to_unicode: Option<CMap>,
    /// From CIDs of a known collection to characters.
    collection: Option<CMap>,
    /// Whether the codes are UTF-16 by the name of the encoding.
    unicode_codes: bool,
    pub vertical: bool,
    widths: HashMap<u32, f32>,
    default_width: f32,
    /// What was looked up already: codes with their length in bytes.
    known: HashMap<(u32, u8), Known>,
}

/// Text and width of a code.
type Known = (Option<Box<str>>, f32);

impl Composite {
    pub(super) fn load(dict: &Dict<'_>) -> Self {
        let descendant = dict.get::<Array<'_>>("DescendantFonts").and_then(|fonts| fonts.iter::<Dict<'_>>().next());
        let descendant = descendant.unwrap_or_default();
        let (encoding, name) = encoding(dict);
        let vertical = match &encoding {
            Some(map) => map.metadata().writing_mode == Some(WritingMode::Vertical),
            None => name.ends_with(b"V"),
        };
        let unicode_codes = name.starts_with(b"Uni") && crate::format::find(&name, b"UTF8").is_none();
        let (widths, default_width) =
            if vertical { vertical_widths(&descendant) } else { horizontal_widths(&descendant) };
        Self {
            encoding,
            to_unicode: to_unicode(dict),
            collection: collection(&descendant),
            unicode_codes,
            vertical,
            widths,
            default_width,
            known: HashMap::new(),
        }
    }

    pub(super) fn decode(&mut self, bytes: &[u8], mut each: impl FnMut(Shown<'_>)) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (code, len, cid) = self.next_code(rest);
            rest = &rest[len.min(rest.len())..];
            let key = (code, len as u8);
            if !self.known.contains_key(&key) {
                let width = self.widths.get(&cid).copied().unwrap_or(self.default_width);
                let text = self.text(code, cid).map(String::into_boxed_str);
                self.known.insert(key, (text, width));
            }
            let (text, width) = &self.known[&key];
            each(Shown { text: text.as_deref(), width: *width, word_space: len == 1 && code == 32 });
        }
    }

    fn next_code(&self, bytes: &[u8]) -> (u32, usize, u32) {
        let code_of = |len: usize| bytes.iter().take(len).fold(0_u32, |code, byte| code << 8 | u32::from(*byte));
        let Some(encoding) = &self.encoding else {
            return (code_of(2), 2, code_of(2));
        };
        for len in 1..=bytes.len().min(4) {
            if let Some(cid) = encoding.lookup_cid_code(code_of(len), len as u8) {
                return (code_of(len), len, cid);
            }
        }
        let len = bytes.len().min(2);
        (code_of(len), len, 0)
    }

    fn text(&self, code: u32, cid: u32) -> Option<String> {
        let of_map = mapped(self.to_unicode.as_ref(), code);
        let of_collection = || match self.collection.as_ref()?.lookup_bf_string(cid)? {
            BfString::Char(c) => Some(clean(c.encode_utf8(&mut [0; 4]))),
            BfString::String(text) => Some(clean(&text)),
        };
        let of_code = || {
            let units = if code > 0xffff { vec![(code >> 16) as u16, code as u16] } else { vec![code as u16] };
            self.unicode_codes.then(|| String::from_utf16(&units).ok()).flatten().map(|text| clean(&text))
        };
        of_map.or_else(of_collection).or_else(of_code)
    }
}

/// The encoding of a font and its name; no map for the Identity encodings.
fn encoding(dict: &Dict<'_>) -> (Option<CMap>, Vec<u8>) {
    let get = |name: CMapName<'_>| hayro_cmap::load_embedded(name);
    match dict.get::<Object<'_>>("Encoding") {
        Some(Object::Name(name)) => {
            let name = name.as_ref().to_vec();
            if name.starts_with(b"Identity") {
                return (None, name);
            }
            let data = hayro_cmap::load_embedded(CMapName::from_bytes(&name));
            (data.and_then(|data| CMap::parse(data, get)), name)
        }
        Some(Object::Stream(stream)) => {
            let map = stream.decoded_data().ok().and_then(|data| CMap::parse(&data, get));
            let name = map.as_ref().and_then(|map| map.metadata().name.clone()).unwrap_or_default();
            (map, name)
        }
        _ => (None, b"Identity-H".to_vec()),
    }
}

fn collection(descendant: &Dict<'_>) -> Option<CMap> {
    let info = descendant.get::<Dict<'_>>("CIDSystemInfo")?;
    let registry = info.get::<PdfString<'_>>("Registry")?;
    let ordering = info.get::<PdfString<'_>>("Ordering")?;
    let name = CidFamily::from_registry_ordering(&registry, &ordering).ucs2_cmap()?;
    let data = hayro_cmap::load_embedded(name)?;
    CMap::parse(data, hayro_cmap::load_embedded)
}

/// `W` and `DW` (ISO 32000-1, 9.7.4.3): lists of one width each, or ranges of equal width.
fn horizontal_widths(descendant: &Dict<'_>) -> (HashMap<u32, f32>, f32) {
    let default = descendant.get::<Number>("DW").map_or(1000.0, |width| width.as_f32());
    (read_widths(descendant.get::<Array<'_>>("W"), 1, 0), default)
}

/// `W2` and `DW2`: three numbers a glyph, the first of which is how far it moves, downwards if negative.
fn vertical_widths(descendant: &Dict<'_>) -> (HashMap<u32, f32>, f32) {
    let defaults = descendant.get::<Array<'_>>("DW2");
    let default = defaults.and_then(|numbers| numbers.iter::<Number>().nth(1)).map_or(-1000.0, |width| width.as_f32());
    let mut widths = read_widths(descendant.get::<Array<'_>>("W2"), 3, 0);
    widths.values_mut().for_each(|width| *width = -*width);
    (widths, -default)
}

fn read_widths(array: Option<Array<'_>>, per_glyph: usize, which: usize) -> HashMap<u32, f32> {
    let mut widths = HashMap::new();
    let mut pending: Vec<f32> = Vec::new();
    for item in array.iter().flat_map(|array| array.iter::<Object<'_>>()) {
        match item {
            Object::Number(number) => pending.push(number.as_f32()),
            Object::Array(list) => {
                let first = pending.pop().unwrap_or(0.0) as u32;
                let numbers: Vec<f32> = list.iter::<Number>().map(|number| number.as_f32()).collect();
                for (cid, glyph) in (first..).zip(numbers.chunks_exact(per_glyph)) {
                    widths.insert(cid, glyph[which]);
                }
                pending.clear();
            }
            _ => {}
        }
        if pending.len() == 2 + per_glyph {
            let (first, last) = (pending[0] as u32, pending[1] as u32);
            for cid in first..=last.min(first.saturating_add(0xffff)) {
                widths.insert(cid, pending[2 + which]);
            }
            pending.clear();
        }
    }
    widths
}
