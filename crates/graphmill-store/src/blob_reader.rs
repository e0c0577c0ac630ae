//! A blob that is read in pieces. It is opened once: whoever reads it goes on to its end although it is removed meanwhile.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::Bytes;

use crate::blobs::blocking;
use crate::{Blobs, Error, Result};

/// Bytes of a piece.
const PIECE: u64 = 256 * 1024;

/// An open blob.
#[derive(Debug)]
pub struct BlobReader {
    key: String,
    file: File,
    size: u64,
    /// What is left to read.
    range: Range<u64>,
}

impl Blobs {
    /// Opens a blob; `None` when there is none.
    ///
    /// # Errors
    /// The file cannot be opened although it is there.
    pub async fn reader(&self, key: &str) -> Result<Option<BlobReader>> {
        let (path, key) = (self.local_path(key)?, key.to_owned());
        blocking(move || {
            let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
            match opened {
                Ok((size, file)) => Ok(Some(BlobReader { key, file, size, range: 0..size })),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(e) => Err(Error::blob(&key, &e)),
            }
        })
        .await
    }
}

impl BlobReader {
    /// Bytes of the whole blob.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads only these bytes (cut to what there is).
    #[must_use]
    pub fn only(mut self, range: Range<u64>) -> Self {
        let end = range.end.min(self.size);
        self.range = range.start.min(end)..end;
        self
    }

    /// The next piece and the reader for the rest; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read, or is shorter than it was.
    pub async fn next(mut self) -> Result<Option<(Bytes, Self)>> {
        if self.range.is_empty() {
            return Ok(None);
        }
        blocking(move || {
            let end = self.range.end.min(self.range.start + PIECE);
            let mut read = || {
                self.file.seek(SeekFrom::Start(self.range.start))?;
                let mut piece = vec![0; usize::try_from(end - self.range.start).map_err(std::io::Error::other)?];
                self.file.read_exact(&mut piece)?;
                Ok(piece)
            };
            let piece: Vec<u8> = read().map_err(|e: std::io::Error| Error::blob(&self.key, &e))?;
            self.range.start = end;
            Ok(Some((piece.into(), self)))
        })
        .await
    }

    /// Runs `read` over the open file on a thread that may block.
    ///
    /// # Errors
    /// What `read` meets.
    pub async fn with_file<T: Send + 'static>(
        mut self,
        read: impl FnOnce(&mut File) -> std::io::Result<T> + Send + 'static,
    ) -> Result<T> {
        blocking(move || read(&mut self.file).map_err(|e| Error::blob(&self.key, &e))).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(mut reader: BlobReader) -> Vec<u8> {
        let mut all = Vec::new();
        while let Some((piece, rest)) = reader.next().await.unwrap() {
            all.extend_from_slice(&piece);
            reader = rest;
        }
        all
    }

    #[tokio::test]
    async fn pieces_are_the_blob_although_it_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path()).unwrap();
        let content: Vec<u8> = (0..700_000u32).map(|n| (n % 251) as u8).collect();
        blobs.put("original/a", content.clone().into()).await.unwrap();
        let whole = blobs.reader("original/a").await.unwrap().unwrap();
        let part = blobs.reader("original/a").await.unwrap().unwrap().only(262_000..600_001);
        let beyond = blobs.reader("original/a").await.unwrap().unwrap().only(900_000..900_001);
        assert_eq!(whole.size(), 700_000);
        blobs.delete("original/a").await.unwrap();
        assert!(blobs.reader("original/a").await.unwrap().is_none());
        assert_eq!(read_all(whole).await, content);
        assert_eq!(read_all(part).await, content[262_000..600_001]);
        assert!(read_all(beyond).await.is_empty());
    }
}
