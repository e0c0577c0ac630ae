//! `/v1/chat/completions`, for entity extraction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use graphmill_core::{CacheKey, CollectionId, ContentCache, ErrorCode, IdHasher, fault_point};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::answer;
use super::in_flight::InFlight;
use super::refusal::Refusal;
use super::transport::{Failure, Transport};
use super::{PROMPT_VERSION, Surroundings, TRIES, prompt};
use crate::entity_types::{keep_types, parameter};
use crate::usage::Usage;
use crate::{
    CallContext, ChunkInput, Endpoint, EntityExtractor, Error, Extraction, ExtractorVersion, ModelSettings, Quarantined,
};

/// No answer about a chunk is longer, in bytes.
const LONGEST_ANSWER: usize = 4 << 20;

/// Temperature of the tries: a model that repeats itself would repeat a bad answer as well.
const TEMPERATURES: [f64; TRIES as usize] = [0.0, 0.3, 0.6];

/// Extracts through a server that speaks OpenAI's wire format.
#[derive(Clone)]
pub struct OpenAiExtractor {
    transport: Arc<Transport>,
    cache: Arc<dyn ContentCache>,
    in_flight: Arc<InFlight>,
    /// The server takes `response_format`.
    json_mode: Arc<AtomicBool>,
    /// The server takes `temperature`.
    temperature: Arc<AtomicBool>,
    /// The only types that entities may have; the usual ones are asked for when there is none, and every type is taken.
    types: Option<Arc<[String]>>,
}

/// An answer as the cache keeps it: what the model said, so that better rules can read it again.
#[derive(Debug, Serialize, Deserialize)]
struct Said {
    content: String,
    /// The model was cut off.
    cut: bool,
}

enum Answered {
    Said(Said),
    Bad(String),
    Refused(String),
}

impl OpenAiExtractor {
    /// A client of `endpoint`.
    pub fn new(
        endpoint: &Endpoint,
        settings: &ModelSettings,
        cache: Arc<dyn ContentCache>,
        surroundings: Surroundings,
    ) -> Result<Self, Error> {
        let transport = Arc::new(Transport::new("llm", endpoint, settings, LONGEST_ANSWER, surroundings)?);
        let (json_mode, temperature) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(true)));
        Ok(Self { transport, cache, in_flight: Arc::default(), json_mode, temperature, types: None })
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
        Ok(read.map(|extraction| Extraction { from_cache: true, ..extraction }))
    }

    fn body(&self, chunk: &ChunkInput<'_>, temperature: f64) -> Value {
        let mut body = json!({
            "model": self.transport.model(),
            "messages": [
                { "role": "system", "content": prompt::system(self.types.as_deref()) },
                { "role": "user", "content": prompt::user(chunk) },
            ],
        });
        if self.temperature.load(Ordering::Relaxed) {
            body["temperature"] = json!(temperature);
        }
        if self.json_mode.load(Ordering::Relaxed) {
            body["response_format"] = json!({ "type": "json_object" });
        }
        body
    }

    /// One request; a parameter that the server does not know is left out from then on.
    async fn ask(&self, chunk: &ChunkInput<'_>, temperature: f64, ctx: &CallContext) -> Result<Answered, Error> {
        loop {
            let failure = match self.transport.post("chat/completions", &self.body(chunk, temperature), ctx).await {
                Ok(bytes) => return Ok(read_reply(&bytes, ctx)),
                Err(failure) => failure,
            };
            match failure {
                Failure::Call(error) => return Err(error),
                Failure::Answer(reason) => return Ok(Answered::Bad(reason)),
                Failure::Body(Refusal::Parameter("response_format"))
                    if self.json_mode.swap(false, Ordering::Relaxed) => {}
                Failure::Body(Refusal::Parameter("temperature")) if self.temperature.swap(false, Ordering::Relaxed) => {
                }
                Failure::Body(refusal) => return self.refused(refusal, ctx).await,
            }
        }
    }

    async fn refused(&self, refusal: Refusal, ctx: &CallContext) -> Result<Answered, Error> {
        let reason = match refusal {
            Refusal::TooLong(reason) => {
                return Ok(Answered::Refused(format!("the chunk is too long for the model: {reason}")));
            }
            Refusal::Content(reason) => {
                return Ok(Answered::Refused(format!("the model refuses the content: {reason}")));
            }
            Refusal::Unclear(reason) | Refusal::Transient(reason) | Refusal::Everything(reason, _) => reason,
            Refusal::Parameter(name) => format!("HTTP 400 about {name}"),
            Refusal::RateLimited(_) => "HTTP 429".to_owned(),
        };
        // This chunk's fault or the configuration's? A harmless chunk tells which.
        let harmless = ChunkInput { text: "The pump stands in the hall.", ..ChunkInput::default() };
        match self.transport.post("chat/completions", &self.body(&harmless, 0.0), ctx).await {
            Ok(_) | Err(Failure::Answer(_)) => {
                Ok(Answered::Refused(format!("the model server refuses this chunk and takes others: {reason}")))
            }
            Err(Failure::Call(error)) => Err(error),
            Err(Failure::Body(_)) => {
                Err(self.transport.refused(reason, "check the name of the model and what it accepts"))
            }
        }
    }
}

/// What the model said, or why there is nothing.
fn read_reply(bytes: &[u8], ctx: &CallContext) -> Answered {
    // Read leniently: a lone surrogate in a sentence must not cost the answer.
    let Some(reply) = std::str::from_utf8(bytes).ok().and_then(answer::parse_whole) else {
        return Answered::Bad("it is not the JSON of a chat answer".into());
    };
    let tokens = |name: &str| reply.get("usage").and_then(|u| u.get(name)).and_then(Value::as_u64).unwrap_or(0);
    Usage::add(&ctx.usage.input_tokens, tokens("prompt_tokens"));
    Usage::add(&ctx.usage.output_tokens, tokens("completion_tokens"));
    let Some(choice) = reply.get("choices").and_then(|c| c.get(0)) else {
        return Answered::Bad("it has no choices".into());
    };
    let finish = choice.get("finish_reason").and_then(Value::as_str).unwrap_or_default();
    if finish == "content_filter" {
        return Answered::Refused("the model refuses the content: content_filter".into());
    }
    let content = match choice.get("message").and_then(|m| m.get("content")) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts.iter().filter_map(|p| p.get("text").and_then(Value::as_str)).collect(),
        // Some servers hand the object out as it is.
        Some(object @ Value::Object(_)) => object.to_string(),
        _ => return Answered::Bad("it has no content".into()),
    };
    Answered::Said(Said { content, cut: finish == "length" })
}

#[async_trait]
impl EntityExtractor for OpenAiExtractor {
    fn version(&self) -> ExtractorVersion {
        let mut parameters = "temperature=0 response_format=json_object".to_owned();
        if let Some(types) = &self.types {
            parameters.push(' ');
            parameters.push_str(&parameter(types));
        }
        ExtractorVersion { model: self.transport.model().to_owned(), prompt_version: PROMPT_VERSION, parameters }
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
        let mut bad = String::new();
        for temperature in TEMPERATURES {
            let said = match self.ask(&chunk, temperature, ctx).await? {
                Answered::Said(said) => said,
                Answered::Bad(reason) => {
                    Usage::add(&ctx.usage.bad_answers, 1);
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
