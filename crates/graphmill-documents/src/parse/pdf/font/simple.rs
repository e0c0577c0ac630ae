//! Fonts with one byte a code: Type 1, TrueType, Type 3.

use super::encoding::Encoding;
use super::glyph_names::text_of;
use super::metrics::standard_width;
use super::{Shown, clean, mapped, to_unicode};
use hayro_syntax::object::{Array, Dict, MaybeRef, Name, Number, Object, Rect, Stream};

pub(super) struct Simple {
    texts: Vec<Option<Box<str>>>,
    widths: Vec<f32>,
    /// See [`super::Font::scale`].
    pub scale: f32,
}

impl Simple {
    pub(super) fn load(dict: &Dict<'_>) -> Self {
        let names = Names::load(dict);
        let map = to_unicode(dict);
        let texts: Vec<Option<Box<str>>> = (0..=255_u8)
            .map(|code| mapped(map.as_ref(), u32::from(code)).or_else(|| names.text(code)).map(String::into_boxed_str))
            .collect();
        let (unit, scale) = type3_units(dict);
        let widths = widths(dict, &texts, unit);
        Self { texts, widths, scale }
    }

    /// Whether its letters and figures, at least five of them, are equally wide.
    pub(super) fn has_one_width(&self) -> bool {
        let shown = self.widths.iter().zip(&self.texts).filter(|(width, text)| {
            **width > 0.0 && text.as_deref().is_some_and(|text| text.starts_with(char::is_alphanumeric))
        });
        let mut widths = shown.map(|(width, _)| *width);
        let Some(first) = widths.next() else { return false };
        let mut others = 0;
        widths.all(|width| {
            others += 1;
            (width - first).abs() < 1.0
        }) && others >= 4
    }

    pub(super) fn shown(&self, code: u8) -> Shown<'_> {
        Shown {
            text: self.texts[usize::from(code)].as_deref(),
            width: self.widths[usize::from(code)],
            word_space: code == b' ',
        }
    }
}

/// What the codes of a font are called.
struct Names {
    is_type3: bool,
    base: Encoding,
    /// Differences from the base, or the encoding that the font file has.
    own: Vec<Option<String>>,
}

impl Names {
    fn load(dict: &Dict<'_>) -> Self {
        let font_name = base_font(dict);
        let descriptor = dict.get::<Dict<'_>>("FontDescriptor");
        let is_true_type = dict.get::<Name<'_>>("Subtype").is_some_and(|name| name.as_ref() == b"TrueType");
        let usual = if font_name.contains("ZapfDingbats") {
            Encoding::ZapfDingbats
        } else if font_name.ends_with("Symbol") || font_name.contains("SymbolMT") {
            Encoding::Symbol
        } else if is_true_type {
            Encoding::WinAnsi
        } else {
            Encoding::Standard
        };
        let is_type3 = dict.get::<Name<'_>>("Subtype").is_some_and(|name| name.as_ref() == b"Type3");
        let mut names = Self { is_type3, base: usual, own: vec![None; 256] };
        let encoding = dict.get::<Object<'_>>("Encoding");
        let by_name = match &encoding {
            Some(Object::Name(name)) => Encoding::by_name(name.as_ref()),
            Some(Object::Dict(encoding)) => {
                encoding.get::<Name<'_>>("BaseEncoding").and_then(|name| Encoding::by_name(name.as_ref()))
            }
            _ => None,
        };
        match by_name {
            Some(base) => names.base = base,
            None => names.read_program(descriptor.as_ref()),
        }
        if let Some(Object::Dict(encoding)) = &encoding {
            names.read_differences(encoding);
        }
        names
    }

    fn read_differences(&mut self, encoding: &Dict<'_>) {
        let Some(differences) = encoding.get::<Array<'_>>("Differences") else { return };
        let mut code = 0_usize;
        for item in differences.raw_iter() {
            match item {
                MaybeRef::NotRef(Object::Number(number)) => code = number.as_i64().clamp(0, 255) as usize,
                MaybeRef::NotRef(Object::Name(name)) => {
                    if let Some(place) = self.own.get_mut(code) {
                        *place = Some(String::from_utf8_lossy(name.as_ref()).into_owned());
                    }
                    code += 1;
                }
                _ => {}
            }
        }
    }

    /// The encoding that the font program brings along.
    fn read_program(&mut self, descriptor: Option<&Dict<'_>>) {
        let program = |key: &str| descriptor.and_then(|descriptor| descriptor.get::<Stream<'_>>(key));
        if let Some(program) = program("FontFile") {
            self.read_type1_encoding(&program);
        } else if let Some(data) = program("FontFile3").and_then(|program| program.decoded_data().ok())
            && let Some(names) = super::cff::encoding(&data)
        {
            self.own = names;
        }
    }

    /// The clear-text part of a Type 1 program lists its codes as `dup 65 /A put`.
    fn read_type1_encoding(&mut self, program: &Stream<'_>) {
        let Ok(data) = program.decoded_data() else { return };
        let clear = crate::format::find(&data, b"eexec").map_or(&data[..], |end| &data[..end]);
        let Some(start) = crate::format::find(clear, b"/Encoding") else { return };
        let text = String::from_utf8_lossy(&clear[start..]);
        let mut words = text.split_ascii_whitespace().skip(1);
        while let Some(word) = words.next() {
            match word {
                "StandardEncoding" | "readonly" => return,
                "dup" => {
                    let code = words.next().and_then(|code| code.parse::<usize>().ok());
                    let name = words.next().and_then(|name| name.strip_prefix('/'));
                    if let (Some(place), Some(name)) = (code.and_then(|code| self.own.get_mut(code)), name) {
                        *place = Some(name.to_owned());
                    }
                }
                _ => {}
            }
        }
    }

    fn text(&self, code: u8) -> Option<String> {
        match self.own[usize::from(code)].as_deref() {
            Some(".notdef") => Some(String::new()),
            Some(name) => text_of(name).or_else(|| self.numbered(name, code)).map(|text| clean(&text)),
            None => self.base.char_of(code).map(|c| clean(c.encode_utf8(&mut [0; 4]))),
        }
    }
}

impl Names {
    /// Bitmap fonts that TeX makes call the glyph of code 65 `a65`; its codes are ASCII, and ligatures below that.
    fn numbered(&self, name: &str, code: u8) -> Option<String> {
        let number: u8 = name.trim_start_matches(|c: char| c.is_ascii_alphabetic()).parse().ok()?;
        if !self.is_type3 || number != code {
            return None;
        }
        Some(match code {
            11 => "ff".to_owned(),
            12 => "fi".to_owned(),
            13 => "fl".to_owned(),
            14 => "ffi".to_owned(),
            15 => "ffl".to_owned(),
            0x21..=0x7e => (code as char).to_string(),
            _ => return None,
        })
    }
}

fn base_font(dict: &Dict<'_>) -> String {
    let name = dict.get::<Name<'_>>("BaseFont");
    name.map(|name| String::from_utf8_lossy(name.as_ref()).into_owned()).unwrap_or_default()
}

/// Thousandths of the size that a unit of width is, and how high glyphs are in units of the size.
fn type3_units(dict: &Dict<'_>) -> (f32, f32) {
    let is_type3 = dict.get::<Name<'_>>("Subtype").is_some_and(|name| name.as_ref() == b"Type3");
    let matrix: Vec<f32> = match dict.get::<Array<'_>>("FontMatrix") {
        Some(matrix) if is_type3 => matrix.iter::<Number>().map(|number| number.as_f32()).collect(),
        _ => return (1.0, 1.0),
    };
    let [across, _, _, up, ..] = matrix[..] else { return (1.0, 1.0) };
    let height = dict.get::<Rect>("FontBBox").map_or(0.0, |area| area.height() as f32 * up.abs());
    let scale = if height > 0.0 { height } else { 1000.0 * up.abs() };
    (across.abs() * 1000.0, scale)
}

fn widths(dict: &Dict<'_>, texts: &[Option<Box<str>>], unit: f32) -> Vec<f32> {
    let descriptor = dict.get::<Dict<'_>>("FontDescriptor");
    let missing = descriptor.and_then(|descriptor| descriptor.get::<Number>("MissingWidth"));
    let font_name = base_font(dict);
    let listed = dict.get::<Array<'_>>("Widths");
    let mut widths: Vec<f32> = texts
        .iter()
        .map(|text| match (&listed, missing) {
            (Some(_), missing) => missing.map_or(0.0, |width| width.as_f32()),
            (None, _) => {
                standard_width(&font_name, text.as_deref().and_then(|text| text.chars().next()).unwrap_or(' '))
            }
        })
        .collect();
    let first = dict.get::<Number>("FirstChar").map_or(0, |first| first.as_i64().clamp(0, 255) as usize);
    let listed = listed.iter().flat_map(|listed| listed.iter::<Number>());
    for (place, width) in widths.iter_mut().skip(first).zip(listed) {
        *place = width.as_f32() * unit;
    }
    widths
}
