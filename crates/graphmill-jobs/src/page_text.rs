//! The kept text of a document's pages: one blob of frames, each a length (u32, little-endian) and a MessagePack [`Page`]. A page that is very long
//! stands in several frames ([`Page::continued`]): its parts.

use std::fs::File;
use std::io::{BufReader, Error, ErrorKind, Read};

use graphmill_documents::Page;
use graphmill_runtime::stage::decode;
use graphmill_store::{BlobReader, Result};

/// A part of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagePart {
    /// Its text.
    pub text: String,
    /// How many parts the page has.
    pub parts: u32,
}

/// Reads a part (from 1) of a page (from 1); `None` when there is none. Of the other frames only the heads are read.
///
/// # Errors
/// The blob cannot be read, or is no blob of pages.
pub async fn page_part(blob: BlobReader, page: u32, part: u32) -> Result<Option<PagePart>> {
    blob.with_file(move |file| find(file, page, part)).await
}

/// Bytes of a frame in which its head certainly lies.
const HEAD: usize = 8;

fn find(file: &mut File, page: u32, part: u32) -> std::io::Result<Option<PagePart>> {
    let mut reader = BufReader::with_capacity(64 * 1024, file);
    let (mut parts, mut found) = (0, None);
    while let Some(length) = next_length(&mut reader)? {
        let mut head = [0; HEAD];
        let known = length.min(HEAD);
        reader.read_exact(&mut head[..known])?;
        let number = number_of(&head[..known]).ok_or_else(damaged)?;
        if number > page {
            break;
        }
        parts += u32::from(number == page);
        if number == page && parts == part {
            let mut frame = vec![0; length];
            frame[..known].copy_from_slice(&head[..known]);
            reader.read_exact(&mut frame[known..])?;
            let page: Page = decode(&frame).map_err(|_| damaged())?;
            found = Some(page.text);
        } else {
            reader.seek_relative(i64::try_from(length - known).map_err(Error::other)?)?;
        }
    }
    Ok(found.map(|text| PagePart { text, parts }))
}

/// Length of the next frame; `None` at the end.
fn next_length(reader: &mut impl Read) -> std::io::Result<Option<usize>> {
    let mut length = [0; 4];
    match reader.read_exact(&mut length) {
        Ok(()) => Ok(Some(u32::from_le_bytes(length) as usize)),
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(e) => Err(e),
    }
}

/// The number of the page, the first field of a [`Page`] in MessagePack.
fn number_of(head: &[u8]) -> Option<u32> {
    match head {
        [0x94, small @ 0..=0x7f, ..] => Some(u32::from(*small)),
        [0x94, 0xcc, one, ..] => Some(u32::from(*one)),
        [0x94, 0xcd, a, b, ..] => Some(u32::from(u16::from_be_bytes([*a, *b]))),
        [0x94, 0xce, a, b, c, d, ..] => Some(u32::from_be_bytes([*a, *b, *c, *d])),
        _ => None,
    }
}

fn damaged() -> Error {
    Error::new(ErrorKind::InvalidData, "it is no blob of pages; ingest the document again")
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use graphmill_store::Blobs;

    use super::*;
    use crate::ingestion::put_page;

    #[tokio::test]
    async fn any_page_and_any_part_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        let mut bytes = BytesMut::new();
        for number in [1, 2, 3, 127, 128, 255, 256, 65_535, 65_536, 70_000] {
            put_page(&mut bytes, &Page::plain(number, format!("page {number}"))).unwrap();
            if number == 128 {
                let more = Page { continued: true, ..Page::plain(number, "its rest") };
                put_page(&mut bytes, &more).unwrap();
            }
        }
        blobs.put("pages/a", bytes.freeze()).await.unwrap();
        let read = async |page, part| {
            let blob = blobs.reader("pages/a").await.unwrap().unwrap();
            page_part(blob, page, part).await.unwrap().map(|found| (found.text, found.parts))
        };
        for number in [1, 3, 127, 255, 256, 65_535, 65_536, 70_000] {
            assert_eq!(read(number, 1).await, Some((format!("page {number}"), 1)));
            assert_eq!(read(number, 2).await, None);
        }
        assert_eq!(read(128, 1).await, Some(("page 128".into(), 2)));
        assert_eq!(read(128, 2).await, Some(("its rest".into(), 2)));
        for absent in [0, 4, 70_001] {
            assert_eq!(read(absent, 1).await, None);
        }
        blobs.put("pages/b", "nothing of ours".into()).await.unwrap();
        let broken = page_part(blobs.reader("pages/b").await.unwrap().unwrap(), 1, 1).await.unwrap_err();
        assert!(broken.to_string().contains("ingest the document again"), "{broken}");
    }
}
