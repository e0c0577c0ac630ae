//! The frames between the parser pool and a child.

use crate::{DocumentInfo, Error, Format, Page, Warning};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::path::PathBuf;

/// No frame is larger; a length beyond it is garbage. Pages are a few megabytes at most.
pub(super) const MAX_FRAME_BYTES: u32 = 512 << 20;

/// Version of the frames: a child of another build must not be talked to.
pub(super) const VERSION: u32 = 1;

/// A document to parse.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub path: PathBuf,
    pub format: Format,
    pub memory_bytes: u64,
    pub cpu_seconds: u64,
    #[cfg(feature = "fault-points")]
    pub fault: Option<super::Fault>,
}

/// What a child says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    /// First of all, before any request.
    Ready {
        version: u32,
    },
    /// The document is open and has so many pages.
    Opened {
        page_count: u32,
    },
    Page(Page),
    Warning(Warning),
    /// The document is done. `resident_bytes` is the memory that the child holds now.
    End {
        info: DocumentInfo,
        resident_bytes: u64,
    },
    /// The document failed; the child is fit for another unless it ends.
    Failed(Error),
}

/// A frame as bytes.
pub(super) fn encode<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    rmp_serde::encode::write_named(&mut frame, value).map_err(io::Error::other)?;
    let len = u32::try_from(frame.len() - 4).ok().filter(|len| *len <= MAX_FRAME_BYTES);
    let len = len.ok_or_else(|| io::Error::other("the page is too large for a frame"))?;
    frame[..4].copy_from_slice(&len.to_le_bytes());
    Ok(frame)
}

pub(super) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    rmp_serde::from_slice(body).map_err(|error| error.to_string())
}

pub(super) fn write_frame<T: Serialize>(out: &mut impl Write, value: &T) -> io::Result<()> {
    out.write_all(&encode(value)?)?;
    out.flush()
}

/// Reads a frame; `None` at the end of input.
pub(super) fn read_frame<T: DeserializeOwned>(input: &mut impl Read) -> io::Result<Option<T>> {
    let mut len = [0; 4];
    match input.read_exact(&mut len) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let len = u32::from_le_bytes(len);
    if len > MAX_FRAME_BYTES {
        return Err(io::Error::other(format!("a frame of {len} bytes")));
    }
    let mut body = vec![0; len as usize];
    input.read_exact(&mut body)?;
    decode(&body).map(Some).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back_whole_and_garbage_is_told() {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, &Answer::Page(Page::plain(7, "text"))).expect("a small frame");
        write_frame(&mut bytes, &Answer::Failed(Error::EmptyFile)).expect("a small frame");
        let mut input = bytes.as_slice();
        let first: Answer = read_frame(&mut input).expect("whole").expect("there");
        assert!(matches!(first, Answer::Page(page) if page == Page::plain(7, "text")));
        let second: Answer = read_frame(&mut input).expect("whole").expect("there");
        assert!(matches!(second, Answer::Failed(Error::EmptyFile)));
        assert!(read_frame::<Answer>(&mut input).expect("the end").is_none());

        assert!(read_frame::<Answer>(&mut b"Segmentation fault".as_slice()).is_err());
        assert!(read_frame::<Answer>(&mut b"\x02\0\0\0??".as_slice()).is_err());
    }
}
