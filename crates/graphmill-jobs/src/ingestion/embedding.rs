//! Stage `embedding`: a vector for each chunk, in the space of the configured model. A unit is a segment.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use graphmill_core::ErrorCode;
use graphmill_documents::chunk::Chunk;
use graphmill_graph::records::{SpaceId, SpaceState};
use graphmill_models::{EmbedAnswer, EmbedInput};
use graphmill_runtime::stage::{decode, encode};
use graphmill_runtime::{Interruption, JobContext, Stage, UnitDone};
use graphmill_store::records::LogLevel;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Ingestion;
use super::segments::Segments;
use crate::interruption::{of_graph, of_model};

pub(super) struct Embedding<'a> {
    ingestion: &'a Ingestion<'a>,
    segments: Arc<Segments>,
}

/// The space in which the vectors of this job lie.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Embedded {
    pub space: SpaceId,
}

/// Why a chunk was set aside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SetAside {
    /// Index of the chunk within its segment.
    pub index: u32,
    pub code: ErrorCode,
    pub reason: String,
}

impl<'a> Embedding<'a> {
    pub(super) fn new(ingestion: &'a Ingestion<'a>, segments: Arc<Segments>) -> Self {
        Self { ingestion, segments }
    }

    /// Offline models compute; the others wait for a server.
    fn is_offline(&self, context: &JobContext) -> bool {
        self.ingestion.models.embedder.cache_key(&context.job().job.collection, "").is_none()
    }

    async fn embed(&self, context: &JobContext, chunks: Vec<Chunk>) -> Result<Vec<EmbedAnswer>, Interruption> {
        let collection = context.job().job.collection.clone();
        let embedder = self.ingestion.models.embedder.clone();
        let calls = self.ingestion.calls.clone();
        let texts = move || async move {
            let texts: Vec<_> = chunks.iter().map(Chunk::text_in_context).collect();
            let inputs: Vec<_> = texts.iter().map(|text| EmbedInput { text }).collect();
            embedder.embed(&collection, &inputs, &calls).await
        };
        let answers = if self.is_offline(context) {
            context.compute(move |_| futures::executor::block_on(texts())).await?
        } else {
            self.ingestion.call(context, Self::NAME, texts()).await
        };
        answers.map_err(|e| of_model(&e))
    }
}

#[async_trait]
impl Stage for Embedding<'_> {
    const NAME: &'static str = "embedding";
    /// Number of the segment.
    type Unit = u32;
    type Output = Embedded;

    async fn plan(&self, _context: &JobContext) -> Result<Vec<u32>, Interruption> {
        Ok((0..self.segments.count()).collect())
    }

    async fn run(&self, context: &JobContext, segment: &u32) -> Result<UnitDone, Interruption> {
        let chunks = self.segments.read(context, *segment).await?;
        let count = chunks.len();
        let answers = self.embed(context, chunks).await?;
        if answers.len() != count {
            let message = format!("the embedder gave {} vectors for {count} chunks", answers.len());
            return Err(Interruption::retry(ErrorCode::ModelBadAnswer, message));
        }
        Ok(UnitDone { output: put_vectors(&answers)? })
    }

    async fn finish(&self, context: &JobContext, _units: &[u32]) -> Result<Embedded, Interruption> {
        let handler = self.ingestion.handler;
        let collection = &context.job().job.collection;
        let described = self.ingestion.models.embedder.probe(&self.ingestion.calls).await.map_err(|e| of_model(&e))?;
        let dimension = described.dimension.unwrap_or(0);
        let space = handler.graph.ensure_space(collection, described.model.as_str(), dimension).await;
        let space = space.map_err(of_graph)?;
        let details = json!({"model": space.model, "dimension": space.dimension});
        context.log(LogLevel::Info, format!("Embedded {} chunks", self.segments.chunks), details);
        if space.state != SpaceState::Active {
            context.log(
                LogLevel::Warning,
                "The configured embedding model is not the one that searches of this collection use; \
                 a reindex with rebuild_embeddings makes it so",
                json!({"model": space.model}),
            );
        }
        Ok(Embedded { space: space.id })
    }

    fn size(&self, segment: &u32) -> u64 {
        u64::from(self.segments.size(*segment))
    }

    fn concurrency(&self, context: &JobContext) -> usize {
        if self.is_offline(context) { context.cpu().threads() } else { self.ingestion.handler.model_concurrency }
    }

    fn message(&self, done: u64, total: u64) -> String {
        format!("Processing chunks ({done}/{total})")
    }
}

/// A unit's output: dimension and count (u32, little-endian), for each chunk one byte (1 = has a vector), the vectors as f32, then what was set
/// aside as MessagePack.
fn put_vectors(answers: &[EmbedAnswer]) -> Result<Bytes, Interruption> {
    let dimension = answers.iter().flatten().next().map_or(0, Vec::len);
    let mut bytes = BytesMut::with_capacity(8 + answers.len() * (1 + dimension * 4));
    bytes.put_u32_le(dimension as u32);
    bytes.put_u32_le(answers.len() as u32);
    for answer in answers {
        bytes.put_u8(u8::from(answer.is_ok()));
    }
    for vector in answers.iter().flatten() {
        if vector.len() != dimension {
            return Err(Interruption::retry(ErrorCode::ModelBadAnswer, "the vectors of one answer differ in length"));
        }
        vector.iter().for_each(|x| bytes.put_f32_le(*x));
    }
    let set_aside = (0u32..).zip(answers).filter_map(|(index, answer)| {
        let error = answer.as_ref().err()?;
        Some(SetAside { index, code: error.code, reason: error.reason.clone() })
    });
    bytes.put_slice(&encode(&set_aside.collect::<Vec<_>>())?);
    Ok(bytes.freeze())
}

/// A chunk's vector; `None` when it was set aside.
type MaybeVector = Option<Arc<[f32]>>;

/// What [`put_vectors`] wrote: one vector a chunk, `None` where it was set aside.
pub(super) fn get_vectors(mut bytes: Bytes) -> Result<(Vec<MaybeVector>, Vec<SetAside>), Interruption> {
    let damaged = || Interruption::fail(ErrorCode::Internal, "a kept vector cannot be read", None);
    if bytes.len() < 8 {
        return Err(damaged());
    }
    let (dimension, count) = (bytes.get_u32_le() as usize, bytes.get_u32_le() as usize);
    if bytes.len() < count {
        return Err(damaged());
    }
    let present = bytes.split_to(count);
    let mut vectors = Vec::with_capacity(count);
    for has in present {
        if has == 0 {
            vectors.push(None);
        } else if bytes.len() < dimension * 4 {
            return Err(damaged());
        } else {
            let (components, _) = bytes[..dimension * 4].as_chunks::<4>();
            vectors.push(Some(components.iter().map(|b| f32::from_le_bytes(*b)).collect()));
            bytes.advance(dimension * 4);
        }
    }
    Ok((vectors, decode(&bytes)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_survive_their_bytes() {
        let refused = graphmill_models::Quarantined { code: ErrorCode::ModelBadAnswer, reason: "zero".into() };
        let answers = vec![Ok(vec![1.0, -2.5]), Err(refused), Ok(vec![0.25, 3.0])];
        let (vectors, set_aside) = get_vectors(put_vectors(&answers).unwrap()).unwrap();
        assert_eq!(vectors[0].as_deref(), Some(&[1.0, -2.5][..]));
        assert_eq!(vectors[1], None);
        assert_eq!(vectors[2].as_deref(), Some(&[0.25, 3.0][..]));
        assert_eq!(set_aside[0].index, 1);
    }
}
