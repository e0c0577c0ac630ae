//! Reading a text file in blocks of decoded text, in memory that does not grow with the file.

use super::{Charset, Survey, utf16};
use crate::{Error, HEAD_BYTES, Warning};
use encoding_rs::{Decoder, Encoding, WINDOWS_1252};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// How much is read at once.
const BLOCK_BYTES: usize = 256 * 1024;

/// A text file, decoded block by block.
pub(crate) struct TextReader {
    path: PathBuf,
    file: File,
    charset: Charset,
    decoder: Decoder,
    /// Bytes of a character that the last block cut off (UTF-8 only; other decoders keep their own).
    pending: Vec<u8>,
    started: bool,
    ended: bool,
    strays: u64,
    nuls: u64,
    undecodable: bool,
}

impl TextReader {
    /// Opens a file and decides its character set: a byte order mark, else the look of UTF-16, else what `declared`
    /// reads in the head, else UTF-8 if the bytes are that, else a guess.
    pub(crate) fn open(path: &Path, declared: impl FnOnce(&[u8]) -> Option<&'static Encoding>) -> Result<Self, Error> {
        let mut file = File::open(path).map_err(|error| Error::read(path, &error))?;
        let mut head = Vec::with_capacity(HEAD_BYTES);
        (&mut file).take(HEAD_BYTES as u64).read_to_end(&mut head).map_err(|error| Error::read(path, &error))?;
        let charset = if head.starts_with(b"\xef\xbb\xbf") {
            survey(&mut file, path, Some(encoding_rs::UTF_8))?
        } else if let Some(encoding) = utf16(&head) {
            Charset::Declared(encoding)
        } else {
            survey(&mut file, path, declared(&head))?
        };
        file.seek(SeekFrom::Start(0)).map_err(|error| Error::read(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            charset,
            decoder: charset.encoding().new_decoder_with_bom_removal(),
            pending: Vec::new(),
            started: false,
            ended: false,
            strays: 0,
            nuls: 0,
            undecodable: false,
        })
    }

    /// Appends the next block to `text`; false at the end of the file.
    pub(crate) fn read_into(&mut self, text: &mut String) -> Result<bool, Error> {
        if self.ended {
            return Ok(false);
        }
        let mut bytes = std::mem::take(&mut self.pending);
        let kept = bytes.len();
        (&mut self.file)
            .take(BLOCK_BYTES as u64)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::read(&self.path, &error))?;
        self.ended = bytes.len() - kept < BLOCK_BYTES;
        let from = text.len();
        match self.charset {
            Charset::Utf8 | Charset::Utf8WithStrays => {
                let start = if !self.started && bytes.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
                self.decode_utf8(&bytes[start..], text);
            }
            Charset::Declared(_) | Charset::Guessed(_) => self.decode_other(&bytes, text),
        }
        self.started = true;
        self.replace_nuls(text, from);
        Ok(true)
    }

    fn decode_utf8(&mut self, mut bytes: &[u8], text: &mut String) {
        loop {
            let error = match std::str::from_utf8(bytes) {
                Ok(valid) => return text.push_str(valid),
                Err(error) => error,
            };
            let (valid, rest) = bytes.split_at(error.valid_up_to());
            text.push_str(std::str::from_utf8(valid).expect("valid up to here, says the error"));
            let stray = match error.error_len() {
                Some(len) => len,
                None if self.ended => rest.len(),
                None => {
                    self.pending = rest.to_vec();
                    return;
                }
            };
            text.push_str(&WINDOWS_1252.decode_without_bom_handling(&rest[..stray]).0);
            self.strays += stray as u64;
            bytes = &rest[stray..];
        }
    }

    fn decode_other(&mut self, bytes: &[u8], text: &mut String) {
        let mut at = 0;
        loop {
            let room = self.decoder.max_utf8_buffer_length(bytes.len() - at).unwrap_or(BLOCK_BYTES * 3);
            text.reserve(room);
            let (result, read, bad) = self.decoder.decode_to_string(&bytes[at..], text, self.ended);
            at += read;
            self.undecodable |= bad;
            if result == encoding_rs::CoderResult::InputEmpty {
                return;
            }
        }
    }

    fn replace_nuls(&mut self, text: &mut String, from: usize) {
        let found = text[from..].bytes().filter(|byte| *byte == 0).count();
        if found > 0 {
            let clean = text[from..].replace('\0', " ");
            text.replace_range(from.., &clean);
            self.nuls += found as u64;
        }
    }

    /// The name of the character set.
    pub(crate) fn charset_name(&self) -> &'static str {
        self.charset.encoding().name()
    }

    /// What a person should know of the decoding, after the last block.
    pub(crate) fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if let Charset::Guessed(encoding) = self.charset {
            warnings.push(Warning::new(
                "charset_guessed",
                format!("the text is not UTF-8 and names no character set; it was read as {}", encoding.name()),
            ));
        }
        if self.strays > 0 {
            warnings.push(Warning::new(
                "invalid_utf8",
                format!("{} bytes are not valid UTF-8 and were read as windows-1252", self.strays),
            ));
        }
        if self.undecodable {
            warnings.push(Warning::new(
                "undecodable_bytes",
                format!("some bytes mean nothing in {}; each became U+FFFD", self.charset_name()),
            ));
        }
        if self.nuls > 0 {
            warnings.push(Warning::new("nul_characters", format!("{} NUL characters became blanks", self.nuls)));
        }
        warnings
    }
}

fn survey(file: &mut File, path: &Path, declared: Option<&'static Encoding>) -> Result<Charset, Error> {
    file.seek(SeekFrom::Start(0)).map_err(|error| Error::read(path, &error))?;
    let mut survey = Survey::new();
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    loop {
        block.clear();
        (&mut *file).take(BLOCK_BYTES as u64).read_to_end(&mut block).map_err(|error| Error::read(path, &error))?;
        let last = block.len() < BLOCK_BYTES;
        survey.feed(&block, last);
        if last {
            return Ok(survey.verdict(declared));
        }
    }
}
