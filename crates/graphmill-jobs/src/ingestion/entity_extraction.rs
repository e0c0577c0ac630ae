//! Stage `entity_extraction`: the facts of each chunk. Offline a unit is a segment; with a model server it is one chunk, as it is one call.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use graphmill_core::{ChunkFacts, ContentHash};
use graphmill_documents::chunk::Chunk;
use graphmill_models::{ChunkInput, EntityExtractor, Error, ErrorClass, Extraction};
use graphmill_runtime::stage::{decode, encode};
use graphmill_runtime::{Interruption, JobContext, Stage, UnitDone};
use graphmill_store::records::LogLevel;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Mutex;

use super::Ingestion;
use super::embedding::SetAside;
use super::segments::{SEGMENT, Segments};
use crate::interruption::of_model;

pub(super) struct EntityExtraction<'a> {
    ingestion: &'a Ingestion<'a>,
    segments: Arc<Segments>,
    /// The segment read last: neighbouring units of one chunk share it.
    last_read: Mutex<Option<(u32, Arc<Vec<Chunk>>)>>,
}

/// Chunks `from` to `to` (not included) of the document, all of one segment.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Range {
    from: u32,
    to: u32,
}

/// What the stage found, for the log.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Extracted {
    pub mentions: u64,
    pub statements: u64,
    pub set_aside: u64,
}

impl<'a> EntityExtraction<'a> {
    pub(super) fn new(ingestion: &'a Ingestion<'a>, segments: Arc<Segments>) -> Self {
        Self { ingestion, segments, last_read: Mutex::default() }
    }

    fn is_offline(&self, context: &JobContext) -> bool {
        let collection = &context.job().job.collection;
        self.ingestion.models.extractor.cache_key(collection, ChunkInput::default()).is_none()
    }

    async fn segment(&self, context: &JobContext, number: u32) -> Result<Arc<Vec<Chunk>>, Interruption> {
        let mut last = self.last_read.lock().await;
        if let Some((n, chunks)) = &*last
            && *n == number
        {
            return Ok(chunks.clone());
        }
        let chunks = Arc::new(self.segments.read(context, number).await?);
        *last = Some((number, chunks.clone()));
        Ok(chunks)
    }

    async fn extract(
        &self,
        context: &JobContext,
        range: Range,
    ) -> Result<Vec<Result<Extraction, Error>>, Interruption> {
        let number = range.from / SEGMENT as u32;
        let first = number * SEGMENT as u32;
        let chunks = self.segment(context, number).await?;
        let collection = context.job().job.collection.clone();
        let extractor = self.ingestion.models.extractor.clone();
        let calls = self.ingestion.calls.clone();
        let work = move || async move {
            let mut found = Vec::new();
            for chunk in &chunks[(range.from - first) as usize..(range.to - first) as usize] {
                found.push(extract_one(&*extractor, &collection, chunk, &calls).await);
            }
            found
        };
        if self.is_offline(context) {
            context.compute(move |_| futures::executor::block_on(work())).await
        } else {
            Ok(self.ingestion.call(context, Self::NAME, work()).await)
        }
    }
}

async fn extract_one(
    extractor: &dyn EntityExtractor,
    collection: &graphmill_core::CollectionId,
    chunk: &Chunk,
    calls: &graphmill_models::CallContext,
) -> Result<Extraction, Error> {
    let heading_path = chunk.heading_path.join(" > ");
    let input = ChunkInput { text: &chunk.text, context: chunk.context.as_deref(), heading_path: &heading_path };
    extractor.extract(collection, input, calls).await
}

#[async_trait]
impl Stage for EntityExtraction<'_> {
    const NAME: &'static str = super::EXTRACTION;
    type Unit = Range;
    type Output = Extracted;

    async fn plan(&self, context: &JobContext) -> Result<Vec<Range>, Interruption> {
        let step = if self.is_offline(context) { SEGMENT as u32 } else { 1 };
        let chunks = self.segments.chunks;
        Ok((0..chunks).step_by(step as usize).map(|from| Range { from, to: (from + step).min(chunks) }).collect())
    }

    async fn run(&self, context: &JobContext, range: &Range) -> Result<UnitDone, Interruption> {
        let mut facts = Vec::new();
        let mut set_aside = Vec::new();
        for (index, answer) in (range.from % SEGMENT as u32..).zip(self.extract(context, *range).await?) {
            match answer {
                Ok(extraction) => {
                    log_dropped(context, &extraction);
                    facts.push(extraction.facts);
                }
                Err(error) => match error.class() {
                    ErrorClass::Quarantine { code } => {
                        set_aside.push(SetAside { index, code, reason: error.to_string() });
                        facts.push(ChunkFacts::quarantined());
                    }
                    _ => return Err(of_model(&error)),
                },
            }
        }
        Ok(UnitDone { output: put_facts(&facts, &set_aside)? })
    }

    async fn finish(&self, context: &JobContext, _units: &[Range]) -> Result<Extracted, Interruption> {
        let mut found = Extracted::default();
        context
            .each_unit_output(Self::NAME, |_, bytes| {
                let (header, facts) = get_facts(&bytes)?;
                found.set_aside += header.set_aside.len() as u64;
                for facts in facts {
                    found.mentions += facts.mentions.len() as u64;
                    found.statements += facts.statements.len() as u64;
                }
                Ok(())
            })
            .await?;
        let usage = self.ingestion.calls.usage.snapshot();
        context.log(
            LogLevel::Info,
            format!("Extracted {} mentions and {} statements", found.mentions, found.statements),
            json!({"set_aside": found.set_aside, "model_requests": usage.requests, "cache_hits": usage.cache_hits}),
        );
        Ok(found)
    }

    fn size(&self, range: &Range) -> u64 {
        u64::from(range.to - range.from)
    }

    fn concurrency(&self, context: &JobContext) -> usize {
        if self.is_offline(context) { context.cpu().threads() } else { self.ingestion.handler.model_concurrency }
    }

    fn message(&self, done: u64, total: u64) -> String {
        format!("Extracting entities ({done}/{total})")
    }
}

fn log_dropped(context: &JobContext, extraction: &Extraction) {
    let dropped = &extraction.dropped;
    if !dropped.is_empty() {
        context.log(
            LogLevel::Warning,
            format!("Left out {} entities and {} relations of a model's answer", dropped.entities, dropped.relations),
            json!({"examples": dropped.examples}),
        );
    }
}

/// What can be read of a unit's output without its facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FactsHeader {
    pub hashes: Vec<[u8; 32]>,
    pub set_aside: Vec<SetAside>,
}

impl FactsHeader {
    pub(super) fn hashes(&self) -> impl Iterator<Item = ContentHash> {
        self.hashes.iter().map(|hash| ContentHash::from_bytes(*hash))
    }
}

/// A unit's output: length of the header (u32, little-endian), the header and the facts as MessagePack, so that ids can be made without reading the
/// facts.
fn put_facts(facts: &[ChunkFacts], set_aside: &[SetAside]) -> Result<Bytes, Interruption> {
    let hashes = facts.iter().map(|f| *f.hash().as_bytes()).collect();
    let header = encode(&FactsHeader { hashes, set_aside: set_aside.to_vec() })?;
    let facts = encode(&facts)?;
    let mut bytes = BytesMut::with_capacity(4 + header.len() + facts.len());
    bytes.put_u32_le(header.len() as u32);
    bytes.put_slice(&header);
    bytes.put_slice(&facts);
    Ok(bytes.freeze())
}

/// The header alone.
pub(super) fn get_header(bytes: &[u8]) -> Result<FactsHeader, Interruption> {
    decode(split(bytes).0)
}

/// Header and facts.
pub(super) fn get_facts(bytes: &[u8]) -> Result<(FactsHeader, Vec<ChunkFacts>), Interruption> {
    let (header, facts) = split(bytes);
    Ok((decode(header)?, decode(facts)?))
}

fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (length, rest) = bytes.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
    rest.split_at_checked(u32::from_le_bytes(*length) as usize).unwrap_or((&[], &[]))
}
