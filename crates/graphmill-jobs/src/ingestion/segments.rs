//! How chunks lie between the stages: [`SEGMENT`] to a segment, all segments in one output, an index beside them. A stage reads one segment at a
//! time.

use bytes::Bytes;
use graphmill_documents::chunk::Chunk;
use graphmill_runtime::stage::{decode, encode};
use graphmill_runtime::{Interruption, JobContext};
use graphmill_store::requests::Output;
use serde::{Deserialize, Serialize};

/// Chunks in a segment.
pub(super) const SEGMENT: usize = 64;

/// Where the chunks of a document are.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Segments {
    /// Chunks in all.
    pub chunks: u32,
    /// Start of each segment, and the end of the last, in bytes.
    pub offsets: Vec<u64>,
    /// Where they lie.
    pub place: Place,
}

/// Few chunks lie in the index itself, many in a blob.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Place {
    Inline(Vec<Bytes>),
    Blob(String),
}

impl Segments {
    /// Number of segments.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.offsets.len().saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// Chunks in a segment.
    pub(super) fn size(&self, segment: u32) -> u32 {
        let before = segment.saturating_mul(SEGMENT as u32);
        self.chunks.saturating_sub(before).min(SEGMENT as u32)
    }

    /// Chunks of a segment, in order.
    pub(super) async fn read(&self, context: &JobContext, segment: u32) -> Result<Vec<Chunk>, Interruption> {
        let n = segment as usize;
        match &self.place {
            Place::Inline(segments) => decode(&segments[n]),
            Place::Blob(key) => decode(&context.blobs().read_range(key, self.offsets[n]..self.offsets[n + 1]).await?),
        }
    }
}

/// Collects chunks into segments.
#[derive(Default)]
pub(super) struct SegmentWriter {
    open: Vec<Chunk>,
    closed: Vec<Bytes>,
    offsets: Vec<u64>,
    chunks: u32,
}

impl SegmentWriter {
    /// Adds chunks; answers how many there are now.
    pub(super) fn push(&mut self, chunks: Vec<Chunk>) -> Result<u32, Interruption> {
        for chunk in chunks {
            self.open.push(chunk);
            self.chunks += 1;
            if self.open.len() == SEGMENT {
                self.close()?;
            }
        }
        Ok(self.chunks)
    }

    /// Closed segments that were not taken yet.
    pub(super) fn take_closed(&mut self) -> Vec<Bytes> {
        std::mem::take(&mut self.closed)
    }

    /// Closes the last segment; answers (chunks, offsets).
    pub(super) fn finish(&mut self) -> Result<(u32, Vec<u64>), Interruption> {
        if !self.open.is_empty() {
            self.close()?;
        }
        Ok((self.chunks, std::mem::take(&mut self.offsets)))
    }

    fn close(&mut self) -> Result<(), Interruption> {
        let bytes = encode(&self.open)?;
        self.open.clear();
        if self.offsets.is_empty() {
            self.offsets.push(0);
        }
        let end = self.offsets.last().copied().unwrap_or(0) + bytes.len() as u64;
        self.offsets.push(end);
        self.closed.push(bytes);
        Ok(())
    }
}

/// Largest size of segments that lie in the index itself.
pub(super) const INLINE_MAX: usize = Output::INLINE_MAX / 2;
