//! From bytes to text: byte order marks, UTF-8, UTF-16 without a mark, declared and guessed character sets.

mod reader;

pub(crate) use reader::TextReader;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use std::borrow::Cow;

/// Share of control characters above which bytes are no text: one in so many. Random bytes have one in ten.
const TEXT_PER_CONTROL: usize = 50;

/// How the bytes of a file become text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charset {
    /// UTF-8, every byte of it.
    Utf8,
    /// UTF-8 with stray bytes, each read as Windows-1252: the most likely origin of a single odd byte, and nothing is
    /// lost.
    Utf8WithStrays,
    /// Something else, by declaration or byte order mark.
    Declared(&'static Encoding),
    /// Something else, guessed from the bytes.
    Guessed(&'static Encoding),
}

impl Charset {
    pub(crate) fn encoding(self) -> &'static Encoding {
        match self {
            Self::Utf8 | Self::Utf8WithStrays => UTF_8,
            Self::Declared(encoding) | Self::Guessed(encoding) => encoding,
        }
    }
}

/// UTF-16 by its mark, or by its look: text in Latin script has a zero in every second byte.
pub(crate) fn utf16(head: &[u8]) -> Option<&'static Encoding> {
    if head.starts_with(b"\xff\xfe") {
        return Some(UTF_16LE);
    }
    if head.starts_with(b"\xfe\xff") {
        return Some(UTF_16BE);
    }
    let pairs = head.len().min(4096) / 2;
    if pairs < 2 {
        return None;
    }
    let zeros = |odd: usize| (0..pairs).filter(|pair| head[pair * 2 + odd] == 0).count();
    let (even, odd) = (zeros(0), zeros(1));
    if odd * 10 >= pairs * 4 && even * 50 <= pairs {
        Some(UTF_16LE)
    } else if even * 10 >= pairs * 4 && odd * 50 <= pairs {
        Some(UTF_16BE)
    } else {
        None
    }
}

/// The head of a file as text, good enough to tell formats apart; `None` if it is no text in any encoding.
pub(crate) fn sample(head: &[u8]) -> Option<Cow<'_, str>> {
    let text = match utf16(head) {
        Some(encoding) => {
            let even = &head[..head.len() & !1];
            let text = encoding.decode_with_bom_removal(even).0;
            let bad = text.chars().filter(|c| *c == '\u{fffd}').count();
            if bad * TEXT_PER_CONTROL > text.chars().count() {
                return None;
            }
            text
        }
        None => match std::str::from_utf8(strip_bom(head)) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => WINDOWS_1252.decode_without_bom_handling(strip_bom(head)).0,
        },
    };
    let controls = text
        .chars()
        .filter(|c| matches!(c, '\0'..='\x1f' | '\x7f') && !matches!(c, '\t' | '\n' | '\r' | '\x0c' | '\x1b'))
        .count();
    (controls * TEXT_PER_CONTROL <= text.chars().count()).then_some(text)
}

fn strip_bom(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Decides the character set of a whole file from its bytes, seen once in blocks.
pub(crate) struct Survey {
    detector: chardetng::EncodingDetector,
    /// Bytes of a character that the last block cut off.
    pending: Vec<u8>,
    sequences: u64,
    strays: u64,
}

impl Survey {
    pub(crate) fn new() -> Self {
        Self {
            detector: chardetng::EncodingDetector::new(chardetng::Iso2022JpDetection::Allow),
            pending: Vec::new(),
            sequences: 0,
            strays: 0,
        }
    }

    /// Looks at the next block of the file.
    pub(crate) fn feed(&mut self, block: &[u8], last: bool) {
        let joined;
        let bytes = if self.pending.is_empty() {
            block
        } else {
            joined = [&self.pending[..], block].concat();
            &joined
        };
        let rest = self.count(bytes, last);
        // The detector is slow, and needed only for what is not UTF-8 or has the escapes of ISO-2022-JP.
        if self.strays > 0 || block.contains(&0x1b) {
            self.detector.feed(bytes, false);
        }
        self.pending = bytes[bytes.len() - rest..].to_vec();
        if last {
            self.detector.feed(b"", true);
        }
    }

    /// Counts multi-byte characters and stray bytes; returns how many bytes at the end are an unfinished character.
    fn count(&mut self, mut bytes: &[u8], last: bool) -> usize {
        loop {
            let (valid, error) = match std::str::from_utf8(bytes) {
                Ok(text) => (text.as_bytes(), None),
                Err(error) => (&bytes[..error.valid_up_to()], Some(error)),
            };
            if !valid.is_ascii() {
                self.sequences += valid.iter().filter(|byte| **byte >= 0xc0).count() as u64;
            }
            let Some(error) = error else { return 0 };
            let rest = &bytes[error.valid_up_to()..];
            match error.error_len() {
                Some(len) => {
                    self.strays += len as u64;
                    bytes = &rest[len..];
                }
                None if last => {
                    self.strays += rest.len() as u64;
                    return 0;
                }
                None => return rest.len(),
            }
        }
    }

    /// The verdict after the last block. A declared set counts where the bytes are not UTF-8.
    pub(crate) fn verdict(self, declared: Option<&'static Encoding>) -> Charset {
        if self.strays == 0 {
            return match declared {
                // Pure ASCII is the same in all that is not UTF-16 or ISO-2022-JP.
                Some(encoding) if encoding != UTF_8 => Charset::Declared(encoding),
                // ISO-2022-JP is ASCII by its bytes; only its escape sequences tell.
                None if self.sequences == 0 => match self.detector.guess(None, chardetng::Utf8Detection::Deny) {
                    guess if guess == encoding_rs::ISO_2022_JP => Charset::Guessed(guess),
                    _ => Charset::Utf8,
                },
                _ => Charset::Utf8,
            };
        }
        match declared {
            Some(encoding) if encoding != UTF_8 => Charset::Declared(encoding),
            Some(_) => Charset::Utf8WithStrays,
            None if self.sequences > 2 * self.strays => Charset::Utf8WithStrays,
            None => Charset::Guessed(self.detector.guess(None, chardetng::Utf8Detection::Deny)),
        }
    }
}
