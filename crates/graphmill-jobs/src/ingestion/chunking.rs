//! Stage `chunking`: pages become chunks with offsets, pages and heading paths. Memory of a few megabytes, whatever the document's size.

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use graphmill_core::ErrorCode;
use graphmill_documents::chunk::{Chunk, Chunker};
use graphmill_runtime::stage::{decode, encode};
use graphmill_runtime::{Interruption, JobContext, Stage, UnitDone};
use graphmill_store::records::{BlobRole, LogLevel};
use serde_json::json;

use super::loading::{Loaded, take_pages, too_many_chunks};
use super::segments::{INLINE_MAX, Place, SegmentWriter, Segments};
use super::{Ingestion, MAX_CHUNKS};
use crate::interruption::of_document;

/// Bytes of page text read at once.
const READ_BYTES: u64 = 4 << 20;

pub(super) struct Chunking<'a> {
    pub ingestion: &'a Ingestion<'a>,
    pub loaded: &'a Loaded,
}

#[async_trait]
impl Stage for Chunking<'_> {
    const NAME: &'static str = "chunking";
    type Unit = ();
    type Output = Segments;

    async fn plan(&self, _context: &JobContext) -> Result<Vec<()>, Interruption> {
        Ok(vec![()])
    }

    async fn run(&self, context: &JobContext, _unit: &()) -> Result<UnitDone, Interruption> {
        let segments = self.chunk(context).await?;
        if segments.chunks == 0 {
            let hint = "if the pages are scans, run OCR on the document first and upload the result".to_owned();
            return Err(Interruption::fail(ErrorCode::NoText, "the document has no text", hint));
        }
        Ok(UnitDone { output: encode(&segments)? })
    }

    async fn finish(&self, context: &JobContext, _units: &[()]) -> Result<Segments, Interruption> {
        let segments: Segments = decode(&context.unit_output(Self::NAME, 0).await?)?;
        let options = &self.ingestion.params.options;
        context.log(
            LogLevel::Info,
            format!("Created {} chunks", segments.chunks),
            json!({"chunk_size": options.chunk_size, "overlap": options.chunk_overlap}),
        );
        Ok(segments)
    }

    fn message(&self, _done: u64, _total: u64) -> String {
        "Splitting into chunks".to_owned()
    }
}

impl Chunking<'_> {
    async fn chunk(&self, context: &JobContext) -> Result<Segments, Interruption> {
        let options = self.ingestion.params.options;
        let mut chunker = Chunker::new(options.chunking().map_err(|e| of_document(&e))?);
        let mut writer = SegmentWriter::default();
        let mut sink = Sink::new(context);
        let mut buffer = BytesMut::new();
        let mut at = 0;
        while at < self.loaded.bytes {
            let end = (at + READ_BYTES).min(self.loaded.bytes);
            buffer.extend_from_slice(&context.blobs().read_range(&self.loaded.page_text, at..end).await?);
            at = end;
            let pages = take_pages(&mut buffer)?;
            let (back, chunks) = context
                .compute(move |_| {
                    let chunks: Vec<Chunk> = pages.iter().flat_map(|page| chunker.push(page)).collect();
                    (chunker, chunks)
                })
                .await?;
            chunker = back;
            let count = u64::from(writer.push(chunks)?);
            if count > MAX_CHUNKS {
                return Err(too_many_chunks(count, options.chunk_size));
            }
            sink.write(writer.take_closed()).await?;
            context.alive("chunking");
            context.progress(Self::NAME, at as f64 / self.loaded.bytes as f64, format!("Split into {count} chunks"));
        }
        let last = context.compute(move |_| chunker.finish()).await?;
        let count = u64::from(writer.push(last)?);
        if count > MAX_CHUNKS {
            return Err(too_many_chunks(count, options.chunk_size));
        }
        let (chunks, offsets) = writer.finish()?;
        sink.write(writer.take_closed()).await?;
        Ok(Segments { chunks, offsets, place: sink.finish().await? })
    }
}

/// Few bytes stay inline; from then on everything goes to a blob.
struct Sink<'a> {
    context: &'a JobContext,
    inline: Vec<Bytes>,
    inline_bytes: usize,
    blob: Option<(String, graphmill_store::BlobWriter)>,
}

impl<'a> Sink<'a> {
    fn new(context: &'a JobContext) -> Self {
        Self { context, inline: Vec::new(), inline_bytes: 0, blob: None }
    }

    async fn write(&mut self, segments: Vec<Bytes>) -> Result<(), Interruption> {
        self.inline_bytes += segments.iter().map(Bytes::len).sum::<usize>();
        self.inline.extend(segments);
        if self.inline_bytes <= INLINE_MAX {
            return Ok(());
        }
        if self.blob.is_none() {
            let fence = self.context.fence();
            let key = format!("jobs/{}/{}/chunks", fence.job, fence.epoch.0);
            self.blob = Some((key.clone(), self.context.blobs().writer(&key).await?));
        }
        if let Some((_, writer)) = &mut self.blob {
            for segment in self.inline.drain(..) {
                writer.write(segment).await?;
            }
        }
        Ok(())
    }

    async fn finish(self) -> Result<Place, Interruption> {
        let Some((key, writer)) = self.blob else { return Ok(Place::Inline(self.inline)) };
        writer.finish().await?;
        self.context.store().name_blobs(self.context.fence(), vec![(BlobRole::Output, key.clone())]).await?;
        Ok(Place::Blob(key))
    }
}
