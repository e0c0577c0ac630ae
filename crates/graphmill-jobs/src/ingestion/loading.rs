//! Stage `loading`: the original becomes pages of text, in a guarded child process; kept as one blob of framed pages.

use std::time::Instant;

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use graphmill_core::ErrorCode;
use graphmill_documents::child::ParseEvent;
use graphmill_documents::{DocumentInfo, HEAD_BYTES, Page, Warning, detect};
use graphmill_runtime::stage::{decode, encode};
use graphmill_runtime::{Interruption, JobContext, Stage, UnitDone};
use graphmill_store::records::{BlobRole, LogLevel};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::{Ingestion, MAX_CHUNKS};
use crate::interruption::of_document;

/// Pages are written in pieces of about this many bytes.
const WRITE_BYTES: usize = 1 << 20;

pub(super) struct Loading<'a> {
    pub ingestion: &'a Ingestion<'a>,
}

/// What loading found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Loaded {
    /// Blob of the pages: each a length (u32, little-endian) and a MessagePack [`Page`].
    pub page_text: String,
    /// Bytes of that blob.
    pub bytes: u64,
    /// Pages.
    pub pages: u32,
    /// Characters of the document's text.
    pub chars: u64,
    pub title: Option<String>,
    pub language: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

#[async_trait]
impl Stage for Loading<'_> {
    const NAME: &'static str = "loading";
    type Unit = ();
    type Output = Loaded;

    async fn plan(&self, _context: &JobContext) -> Result<Vec<()>, Interruption> {
        Ok(vec![()])
    }

    async fn run(&self, context: &JobContext, _unit: &()) -> Result<UnitDone, Interruption> {
        let begun = Instant::now();
        let mut loaded = self.load(context).await?;
        loaded.seconds = begun.elapsed().as_secs_f64();
        self.refuse_if_too_long(&loaded)?;
        context.store().name_blobs(context.fence(), vec![(BlobRole::PageText, loaded.page_text.clone())]).await?;
        Ok(UnitDone { output: encode(&loaded)? })
    }

    async fn finish(&self, context: &JobContext, _units: &[()]) -> Result<Loaded, Interruption> {
        let loaded: Loaded = decode(&context.unit_output(Self::NAME, 0).await?)?;
        let patch = Map::from_iter([("page_count".to_owned(), json!(loaded.pages))]);
        context.store().merge_metadata(context.fence(), patch).await?;
        let pages = if loaded.pages == 1 { "page" } else { "pages" };
        let details =
            json!({"duration_seconds": (loaded.seconds * 1_000.0).round() / 1_000.0, "characters": loaded.chars});
        context.log(LogLevel::Info, format!("Loaded {} {pages}", loaded.pages), details);
        Ok(loaded)
    }

    fn message(&self, _done: u64, _total: u64) -> String {
        "Loading document".to_owned()
    }
}

impl Loading<'_> {
    async fn load(&self, context: &JobContext) -> Result<Loaded, Interruption> {
        let params = &self.ingestion.params;
        let blobs = context.blobs();
        let head = blobs.read_range(&params.original, 0..(HEAD_BYTES as u64).min(params.file_size)).await?;
        let format = detect(&head, Some(&params.filename)).map_err(|e| of_document(&e))?;
        let mut events = self.ingestion.handler.parsers.parse(&blobs.local_path(&params.original)?, format);
        let page_text = blobs.random_key("pages");
        let mut writer = blobs.writer(&page_text).await?;
        let mut buffer = BytesMut::new();
        let mut written = 0;
        let mut total = 0;
        while let Some(event) = events.next().await {
            match event.map_err(|e| of_document(&e))? {
                ParseEvent::Opened { page_count } => total = page_count,
                ParseEvent::Page(page) => {
                    context.alive(format!("page {} of {}", page.number, params.filename));
                    let part = f64::from(page.number.saturating_sub(1)) / f64::from(total.max(page.number));
                    context.progress(Self::NAME, part, format!("Loading pages ({}/{total})", page.number));
                    put_page(&mut buffer, &page)?;
                    if buffer.len() >= WRITE_BYTES {
                        written += buffer.len() as u64;
                        writer.write(buffer.split().freeze()).await?;
                    }
                }
                ParseEvent::Warning(warning) => log_warning(context, &warning),
                ParseEvent::End(info) => {
                    written += buffer.len() as u64;
                    writer.write(buffer.freeze()).await?;
                    graphmill_core::fault_point!("loading.before_pages_safe");
                    writer.finish().await?;
                    return Ok(loaded(page_text, written, info));
                }
            }
        }
        Err(Interruption::retry(ErrorCode::ParserCrashed, "the parser ended without an end of the document"))
    }

    /// Before anything is paid for. The chunker counts exactly; this sees what can never fit.
    fn refuse_if_too_long(&self, loaded: &Loaded) -> Result<(), Interruption> {
        let options = &self.ingestion.params.options;
        let least = loaded.chars / options.chunk_size.max(1);
        if least > MAX_CHUNKS { Err(too_many_chunks(least, options.chunk_size)) } else { Ok(()) }
    }
}

/// The failure of a document that would have more chunks than one document may have.
pub(super) fn too_many_chunks(at_least: u64, chunk_size: u64) -> Interruption {
    Interruption::fail(
        ErrorCode::TooManyChunks,
        format!("the document has at least {at_least} chunks of {chunk_size} characters; the limit is {MAX_CHUNKS}"),
        "split the file into several documents, or choose a larger chunk_size".to_owned(),
    )
}

fn loaded(page_text: String, bytes: u64, info: DocumentInfo) -> Loaded {
    Loaded {
        page_text,
        bytes,
        pages: info.page_count,
        chars: info.char_count,
        title: info.title,
        language: info.language,
        seconds: 0.0, // known when all is safe
    }
}

fn log_warning(context: &JobContext, warning: &Warning) {
    let details = json!({"code": warning.code, "page": warning.page});
    context.log(LogLevel::Warning, warning.message.clone(), details);
}

pub(crate) fn put_page(buffer: &mut BytesMut, page: &Page) -> Result<(), Interruption> {
    let bytes = encode(page)?;
    let too_long = |_| Interruption::fail(ErrorCode::TooLarge, format!("page {} is over 4 GB", page.number), None);
    buffer.put_u32_le(u32::try_from(bytes.len()).map_err(too_long)?);
    buffer.put_slice(&bytes);
    Ok(())
}

/// Takes the whole pages out of `buffer`; what is left is the beginning of the next.
pub(super) fn take_pages(buffer: &mut BytesMut) -> Result<Vec<Page>, Interruption> {
    let mut pages = Vec::new();
    while let Some((length, _)) = buffer.split_first_chunk::<4>() {
        let end = 4 + u32::from_le_bytes(*length) as usize;
        if buffer.len() < end {
            break;
        }
        let frame: Bytes = buffer.split_to(end).freeze();
        pages.push(decode(&frame[4..])?);
    }
    Ok(pages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_back_whatever_the_pieces() {
        let pages: Vec<Page> = (1..=5).map(|n| Page::plain(n, "x".repeat(n as usize * 10))).collect();
        let mut whole = BytesMut::new();
        for page in &pages {
            put_page(&mut whole, page).unwrap();
        }
        for size in [1, 3, 7, 64, 1000] {
            let (mut buffer, mut back) = (BytesMut::new(), Vec::new());
            for piece in whole.chunks(size) {
                buffer.put_slice(piece);
                back.extend(take_pages(&mut buffer).unwrap());
            }
            assert_eq!(back, pages);
            assert!(buffer.is_empty());
        }
    }
}
