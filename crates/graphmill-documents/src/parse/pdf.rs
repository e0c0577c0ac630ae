//! PDF: the objects are read by `hayro-syntax`, the text layer is ours.

mod content;
mod font;
mod glyphs;
mod layout;
mod matrix;

use crate::{DocumentInfo, Error, PAGE_SEPARATOR, Page, PageSink, Warning, is_blank};
use content::{Fonts, Interpreter, page_content};
use glyphs::Glyphs;
use hayro_syntax::object::{Dict, Object};
use hayro_syntax::page::Page as PdfPage;
use hayro_syntax::{DecryptionError, LoadPdfError, Pdf};
use matrix::Matrix;
use std::path::Path;

/// How many of a document's last bytes may hold the pointer to its table of objects.
const TAIL_BYTES: usize = 2048;

pub(super) fn parse(path: &Path, sink: &mut dyn PageSink) -> Result<DocumentInfo, Error> {
    let data = std::fs::read(path).map_err(|error| Error::read(path, &error))?;
    let repaired = damage(&data);
    let pdf = Pdf::new(data).map_err(|error| open_error(error, repaired))?;
    if let Some(detail) = repaired {
        sink.warning(Warning::new("repaired", format!("the file is damaged ({detail}) and was repaired")))?;
    }
    let pages = pdf.pages();
    if pages.is_empty() {
        return Err(Error::NoPages);
    }
    sink.opened(pages.len() as u32)?;
    let mut reader = Reader::default();
    let mut char_count = 0;
    let mut blank = true;
    for (number, page) in (1..).zip(pages.iter()) {
        let text = reader.text_of(page);
        if reader.glyphs.unknown > 0 {
            let unknown = reader.glyphs.unknown;
            let message = format!("{unknown} characters of page {number} have no known meaning and were left out");
            sink.warning(Warning::on_page("unknown_characters", number, message))?;
        }
        blank = blank && text.chars().all(is_blank);
        char_count += text.chars().count() as u64;
        if number > 1 {
            char_count += PAGE_SEPARATOR.chars().count() as u64;
        }
        sink.page(Page::plain(number, text))?;
    }
    if blank {
        let reason = format!("none of its {} pages has any; they may be scanned images", pages.len());
        return Err(Error::NoText { reason });
    }
    Ok(DocumentInfo {
        title: title(&pdf),
        language: language(&pdf),
        page_count: pages.len() as u32,
        char_count,
        charset: None,
    })
}

/// What is kept from page to page.
#[derive(Default)]
struct Reader {
    fonts: Fonts,
    glyphs: Glyphs,
    vocabulary: layout::Vocabulary,
}

impl Reader {
    fn text_of(&mut self, page: &PdfPage<'_>) -> String {
        self.glyphs.clear();
        let content = page_content(page);
        let mut interpreter =
            Interpreter::new(&mut self.fonts, &mut self.glyphs, upright(page), page.render_dimensions());
        interpreter.run(&content, page.resources());
        layout::page_text(&self.glyphs, &mut self.vocabulary).replace('\0', " ")
    }
}

/// From user space to the page as a reader holds it, the origin at its lower left corner, `y` rising.
fn upright(page: &PdfPage<'_>) -> Matrix {
    let turned = page.initial_transform(false).as_coeffs();
    Matrix::new(turned.map(|number| number as f32))
}

/// Looks whether the file says where its table of objects lies. If not, it was found by going through the whole file.
fn damage(data: &[u8]) -> Option<&'static str> {
    const POINTER: &[u8] = b"startxref";
    let tail = &data[data.len().saturating_sub(TAIL_BYTES)..];
    let Some(at) = tail.windows(POINTER.len()).rposition(|window| window == POINTER) else {
        return Some("its end is missing");
    };
    let digits = tail[at + POINTER.len()..].trim_ascii_start();
    let len = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let offset: Option<usize> = std::str::from_utf8(&digits[..len]).ok().and_then(|digits| digits.parse().ok());
    // Offsets count from the header, which may stand behind a few bytes of something else.
    let header = crate::format::find(&data[..data.len().min(1024)], b"%PDF-").unwrap_or(0);
    let points = |start: usize| {
        let table = offset.and_then(|offset| data.get(offset.checked_add(start)?..)).map(<[u8]>::trim_ascii_start);
        table.is_some_and(|table| table.starts_with(b"xref") || starts_object(table))
    };
    let fine = points(0) || points(header);
    (!fine).then_some("it does not say rightly where its table of objects lies")
}

/// Whether bytes start as an object does: two numbers and the word.
fn starts_object(bytes: &[u8]) -> bool {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(40)]).into_owned();
    let mut words = head.split_ascii_whitespace();
    let number = |word: Option<&str>| word.is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    number(words.next()) && number(words.next()) && words.next().is_some_and(|word| word.starts_with("obj"))
}

fn open_error(error: LoadPdfError, damage: Option<&str>) -> Error {
    match error {
        LoadPdfError::Decryption(DecryptionError::PasswordProtected) => {
            Error::Encrypted { detail: "a password is needed to open it".to_owned() }
        }
        LoadPdfError::Decryption(DecryptionError::UnsupportedAlgorithm) => {
            Error::Encrypted { detail: "the kind of encryption is not known".to_owned() }
        }
        LoadPdfError::Decryption(DecryptionError::MissingIDEntry | DecryptionError::InvalidEncryption) => {
            Error::Damaged { format: "PDF".to_owned(), detail: "its encryption entry is not valid".to_owned() }
        }
        LoadPdfError::Invalid => Error::Damaged {
            format: "PDF".to_owned(),
            detail: damage.unwrap_or("its pages cannot be found").to_owned(),
        },
    }
}

fn title(pdf: &Pdf) -> Option<String> {
    let title = text_string(pdf.metadata().title.as_deref()?);
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    Some(title).filter(|title| !title.is_empty())
}

fn language(pdf: &Pdf) -> Option<String> {
    let catalog = pdf.xref().get::<Dict<'_>>(pdf.xref().root_id())?;
    let language = match catalog.get::<Object<'_>>("Lang")? {
        Object::String(text) => text_string(&text),
        _ => return None,
    };
    Some(language.trim().to_owned()).filter(|language| !language.is_empty())
}

/// A text string (ISO 32000-1, 7.9.2.2): UTF-16 or UTF-8 with a mark, else PDFDocEncoding, which is close to
/// Windows-1252.
fn text_string(bytes: &[u8]) -> String {
    let encoding = match bytes {
        [0xfe, 0xff, ..] => encoding_rs::UTF_16BE,
        [0xff, 0xfe, ..] => encoding_rs::UTF_16LE,
        [0xef, 0xbb, 0xbf, ..] => encoding_rs::UTF_8,
        _ => encoding_rs::WINDOWS_1252,
    };
    encoding.decode_with_bom_removal(bytes).0.replace('\0', "")
}
