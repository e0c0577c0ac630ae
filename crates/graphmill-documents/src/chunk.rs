//! Chunking: from pages of text to chunks whose offsets count in the text of the document.

mod border;
mod chunker;
mod scan;
mod tokens;

pub use chunker::Chunker;
pub use tokens::token_count;

pub(crate) use border::is_cjk;

use crate::{Error, Page};
use serde::{Deserialize, Serialize};

/// How text is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Strategy {
    /// At the strongest border that keeps the chunk full: block, line, sentence, word, grapheme cluster.
    #[default]
    Recursive,
}

impl std::str::FromStr for Strategy {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        match name {
            "recursive" => Ok(Self::Recursive),
            _ => Err(Error::ChunkStrategy { given: name.to_owned(), allowed: "recursive".to_owned() }),
        }
    }
}

/// Checked settings of chunking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkOptions {
    strategy: Strategy,
    size: usize,
    overlap: usize,
}

impl ChunkOptions {
    /// The largest chunk size, in characters.
    pub const MAX_SIZE: usize = 100_000;

    /// Settings of the recursive strategy; both values are characters (Unicode scalar values).
    ///
    /// # Errors
    /// [`Error::ChunkSize`] unless `size` is from 1 to [`Self::MAX_SIZE`], [`Error::ChunkOverlap`] unless `overlap` is
    /// less than `size`.
    pub fn new(size: u64, overlap: u64) -> Result<Self, Error> {
        if size < 1 || size > Self::MAX_SIZE as u64 {
            return Err(Error::ChunkSize { given: size, min: 1, max: Self::MAX_SIZE as u64 });
        }
        if overlap >= size {
            return Err(Error::ChunkOverlap { given: overlap, chunk_size: size });
        }
        Ok(Self { strategy: Strategy::Recursive, size: size as usize, overlap: overlap as usize })
    }

    /// The strategy.
    #[must_use]
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// Most characters of a chunk.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Most characters that a chunk shares with the one before.
    #[must_use]
    pub fn overlap(&self) -> usize {
        self.overlap
    }
}

impl Default for ChunkOptions {
    fn default() -> Self {
        Self { strategy: Strategy::Recursive, size: 1000, overlap: 200 }
    }
}

/// A piece of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// Number in the document, from 0.
    pub index: u32,
    /// The text: exactly the characters `start_char..end_char` of [`crate::document_text`].
    pub text: String,
    /// First character.
    pub start_char: u64,
    /// Character after the last.
    pub end_char: u64,
    /// Page of the first visible character.
    pub page_start: u32,
    /// Page of the last visible character.
    pub page_end: u32,
    /// The headings it stands under, highest first.
    pub heading_path: Vec<String>,
    /// Estimate, see [`token_count`].
    pub token_count: u32,
    /// What a reader needs to know before the text: the header of a table that the chunk begins in the middle of. It
    /// goes before the text where that is embedded or sent to a model; the text itself stays as in the document.
    pub context: Option<String>,
}

impl Chunk {
    /// What is embedded or sent to a model: the context, if any, and the text.
    #[must_use]
    pub fn text_in_context(&self) -> std::borrow::Cow<'_, str> {
        graphmill_core::text_in_context(self.context.as_deref(), &self.text)
    }
}

/// Chunks a document that is in memory whole; [`Chunker`] takes it page by page.
#[must_use]
pub fn chunk_pages(pages: &[Page], options: ChunkOptions) -> Vec<Chunk> {
    let mut chunker = Chunker::new(options);
    let mut chunks = Vec::new();
    for page in pages {
        chunks.extend(chunker.push(page));
    }
    chunks.extend(chunker.finish());
    chunks
}

#[cfg(test)]
mod tests;
