//! `/v1/chat/completions`, for entity extraction.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use graphmill_core::{CacheKey, CollectionId, ContentCache, ErrorCode, IdHasher, fault_point};

use super::answer;
use super::conversation::{Answered, Chat, Question, Said, TEMPERATURES};
use super::in_flight::InFlight;
use super::summaries::OpenAiSummariser;
use super::{PROMPT_VERSION, Surroundings, TRIES, prompt};
use crate::entity_types::{keep_types, parameter};
use crate::metrics::Kind;
use crate::usage::Usage;
use crate::{
    CallContext, ChunkInput, Endpoint, EntityExtractor, Error, Extraction, ExtractorVersion, ModelSettings, Quarantined,
};

/// Extracts through a server that speaks OpenAI's wire format.
#[derive(Clone)]
pub struct OpenAiExtractor {
    chat: Arc<Chat>,
    cache: Arc<dyn ContentCache>,
    in_flight: Arc<InFlight>,
    /// The only types that entities may have; the usual ones are asked for when there is none, and every type is taken.
    types: Option<Arc<[String]>>,
}

impl OpenAiExtractor {
    /// A client of `endpoint`.
    pub fn new(
        endpoint: &Endpoint,
        settings: &ModelSettings,
        cache: Arc<dyn ContentCache>,
        surroundings: Surroundings,
    ) -> Result<Self, Error> {
        let chat = Arc::new(Chat::new(endpoint, settings, surroundings)?);
        Ok(Self { chat, cache, in_flight: Arc::default(), types: None })
    }

    /// A summariser that asks the same model, within the same rate.
    pub fn summariser(&self) -> OpenAiSummariser {
        OpenAiSummariser::over(self.chat.clone(), self.cache.clone())
    }

    /// The same client, asking for these types alone.
    pub fn with_types(&self, types: &[String]) -> Self {
        Self { types: Some(types.into()), ..self.clone() }
    }

    /// What an answer says, as far as its types are wanted; entities of others are told of as left out.
    fn read(&self, content: &str, cut: bool, chunk: &ChunkInput<'_>) -> Result<Extraction, &'static str> {
        let mut extraction = answer::read(content, cut, chunk)?;
        if let Some(types) = &self.types {
            let left_out;
            (extraction.facts, left_out) = keep_types(extraction.facts, types);
            extraction.dropped.entities += left_out;
        }
        Ok(extraction)
    }

    fn key(&self, collection: &CollectionId, chunk: &ChunkInput<'_>) -> CacheKey {
        let version = self.version();
        let hasher = IdHasher::new("extraction")
            .field(version.model.as_bytes())
            .field(&version.prompt_version.to_le_bytes())
            .field(version.parameters.as_bytes())
            .field(chunk.text.as_bytes())
            .field(chunk.context.unwrap_or_default().as_bytes())
            .field(chunk.heading_path.as_bytes());
        CacheKey { collection: collection.clone(), hash: hasher.finish32() }
    }

    async fn look_up(
        &self,
        key: &CacheKey,
        chunk: ChunkInput<'_>,
        ctx: &CallContext,
    ) -> Result<Option<Extraction>, Error> {
        let kept = self.cache.get(std::slice::from_ref(key)).await?;
        let said: Option<Said> =
            kept.into_iter().next().flatten().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let read = said.and_then(|said| self.read(&said.content, said.cut, &chunk).ok());
        Usage::add(&ctx.usage.cache_hits, u64::from(read.is_some()));
        Kind::Extraction.looked_up(usize::from(read.is_some()), usize::from(read.is_none()));
        Ok(read.map(|extraction| Extraction { from_cache: true, ..extraction }))
    }

    fn question(&self, chunk: &ChunkInput<'_>) -> Question {
        let harmless = ChunkInput { text: "The pump stands in the hall.", ..ChunkInput::default() };
        Question {
            system: prompt::system(self.types.as_deref()),
            user: prompt::user(chunk),
            harmless: prompt::user(&harmless),
            kind: Kind::Extraction,
            about: "chunk",
        }
    }
}

#[async_trait]
impl EntityExtractor for OpenAiExtractor {
    fn version(&self) -> ExtractorVersion {
        let mut parameters = "temperature=0 response_format=json_object".to_owned();
        if let Some(types) = &self.types {
            parameters.push(' ');
            parameters.push_str(&parameter(types));
        }
        ExtractorVersion { model: self.chat.model().to_owned(), prompt_version: PROMPT_VERSION, parameters }
    }

    async fn extract(
        &self,
        collection: &CollectionId,
        chunk: ChunkInput<'_>,
        ctx: &CallContext,
    ) -> Result<Extraction, Error> {
        let key = self.key(collection, &chunk);
        if let Some(user) = ctx.user {
            self.cache.note_use(user, std::slice::from_ref(&key)).await?;
        }
        let _claim = self.in_flight.claim(vec![key.clone()]).await;
        if let Some(extraction) = self.look_up(&key, chunk, ctx).await? {
            return Ok(extraction);
        }
        let question = self.question(&chunk);
        let mut bad = String::new();
        for temperature in TEMPERATURES {
            let said = match self.chat.ask(&question, temperature, ctx).await? {
                Answered::Said(said) => said,
                Answered::Bad(reason) => {
                    Usage::add(&ctx.usage.bad_answers, 1);
                    Kind::Extraction.bad_answer();
                    bad = reason;
                    continue;
                }
                Answered::Refused(reason) => return Err(Quarantined { code: ErrorCode::ModelRefused, reason }.into()),
            };
            match self.read(&said.content, said.cut, &chunk) {
                Ok(extraction) => {
                    fault_point!("models.extraction.answered");
                    let bytes = serde_json::to_vec(&said).map_err(|e| Error::CacheFailed(e.to_string()))?;
                    self.cache.put(vec![(key, Bytes::from(bytes))]).await?;
                    fault_point!("models.extraction.recorded");
                    return Ok(extraction);
                }
                Err(reason) => {
                    Usage::add(&ctx.usage.bad_answers, 1);
                    Kind::Extraction.bad_answer();
                    bad = reason.to_owned();
                }
            }
        }
        let reason = format!("the model's answer could not be used in {TRIES} tries: {bad}");
        Err(Quarantined { code: ErrorCode::ModelBadAnswer, reason }.into())
    }

    fn cache_key(&self, collection: &CollectionId, chunk: ChunkInput<'_>) -> Option<CacheKey> {
        Some(self.key(collection, &chunk))
    }
}
