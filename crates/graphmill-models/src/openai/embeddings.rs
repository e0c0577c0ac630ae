//! `/v1/embeddings`.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use graphmill_core::{CacheKey, CollectionId, ContentCache, ErrorCode, IdHasher, fault_point};
use serde_json::json;

use super::in_flight::InFlight;
use super::refusal::Refusal;
use super::transport::{Failure, Transport};
use super::vectors::{self, EmbeddingAnswer, Refused};
use super::{Surroundings, TRIES};
use crate::metrics::Kind;
use crate::usage::Usage;
use crate::{
    CallContext, EmbedAnswer, EmbedInput, Embedder, Endpoint, Error, ModelId, ModelSettings, Quarantined,
    SpaceDescription, decode_vector,
};

/// Most texts in one request.
const MOST_TEXTS: usize = 64;

/// Most bytes of text in one request, unless a single text is longer.
const MOST_BYTES: usize = 256 * 1024;

/// 64 vectors of 8,192 numbers written out are about 10 MB.
const LONGEST_ANSWER: usize = 32 << 20;

/// A batch that cannot be used is asked for again in this many parts.
const PARTS: usize = 4;

/// Embeds through a server that speaks OpenAI's wire format.
pub struct OpenAiEmbedder {
    transport: Transport,
    cache: Arc<dyn ContentCache>,
    in_flight: InFlight,
    dimension: OnceLock<u32>,
    concurrency: usize,
}

/// A text that the cache did not have, with its key.
type Missing<'a> = (CacheKey, &'a str);

/// Answers by key.
type Answers = Vec<(CacheKey, EmbedAnswer)>;

impl OpenAiEmbedder {
    /// A client of `endpoint`.
    pub fn new(
        endpoint: &Endpoint,
        settings: &ModelSettings,
        cache: Arc<dyn ContentCache>,
        surroundings: Surroundings,
    ) -> Result<Self, Error> {
        let transport = Transport::new("embedding", endpoint, settings, LONGEST_ANSWER, surroundings)?;
        let concurrency = settings.concurrency.max(1);
        Ok(Self { transport, cache, in_flight: InFlight::default(), dimension: OnceLock::new(), concurrency })
    }

    fn key(&self, collection: &CollectionId, text: &str) -> CacheKey {
        let hasher = IdHasher::new("embedding").field(self.transport.model().as_bytes()).field(text.as_bytes());
        CacheKey { collection: collection.clone(), hash: hasher.finish32() }
    }

    /// What the cache has of `missing`; the rest is returned.
    async fn look_up<'a>(
        &self,
        missing: Vec<Missing<'a>>,
        found: &mut Answers,
        ctx: &CallContext,
    ) -> Result<Vec<Missing<'a>>, Error> {
        let keys: Vec<CacheKey> = missing.iter().map(|(key, _)| key.clone()).collect();
        let kept = self.cache.get(&keys).await?;
        let mut rest = Vec::new();
        for (entry, bytes) in missing.into_iter().zip(kept) {
            // A vector of another dimension than the space's is as good as none.
            let vector = bytes.and_then(|b| decode_vector(&b)).filter(|v| self.fits(v));
            match vector {
                Some(vector) => found.push((entry.0, Ok(vector))),
                None => rest.push(entry),
            }
        }
        Usage::add(&ctx.usage.cache_hits, (keys.len() - rest.len()) as u64);
        // What is missing is looked up once more before it is asked for, and counted then.
        Kind::Embedding.looked_up(keys.len() - rest.len(), 0);
        Ok(rest)
    }

    fn fits(&self, vector: &[f32]) -> bool {
        let length = u32::try_from(vector.len()).unwrap_or(u32::MAX);
        *self.dimension.get_or_init(|| length) == length
    }

    /// One batch: what somebody else asked for meanwhile is taken from the cache, the rest is asked for.
    async fn batch(&self, batch: Vec<Missing<'_>>, ctx: &CallContext) -> Result<Answers, Error> {
        let _claims = self.in_flight.claim(batch.iter().map(|(key, _)| key.clone()).collect()).await;
        let mut answers = Vec::with_capacity(batch.len());
        let rest = self.look_up(batch, &mut answers, ctx).await?;
        Kind::Embedding.looked_up(0, rest.len());
        if !rest.is_empty() {
            answers.extend(self.settle(&rest, TRIES, ctx).await?);
        }
        Ok(answers)
    }

    /// Asks for `items`; where the answer cannot be used, finds out whose fault it is.
    fn settle<'a>(
        &'a self,
        items: &'a [Missing<'a>],
        tries: u32,
        ctx: &'a CallContext,
    ) -> BoxFuture<'a, Result<Answers, Error>> {
        Box::pin(async move {
            let refused = match self.ask(items, tries, ctx).await? {
                Ok(answers) => return Ok(answers),
                Err(refused) => refused,
            };
            if let [(key, _)] = items {
                if let Fault::Unclear(reason) = &refused {
                    self.rule_out_refusal_of_everything(reason, ctx).await?;
                }
                return Ok(vec![(key.clone(), Err(refused.quarantine(TRIES)))]);
            }
            if let Fault::Answer(Refused { items: faulty, .. }) = &refused
                && !faulty.is_empty()
            {
                return self.without(items, faulty, &refused, ctx).await;
            }
            let mut answers = Vec::with_capacity(items.len());
            for part in items.chunks(items.len().div_ceil(PARTS)) {
                let tries = if part.len() > 1 { 1 } else { TRIES - 1 };
                answers.extend(self.settle(part, tries, ctx).await?);
            }
            match &refused {
                // The whole was bad and so is every part of it: that is the server.
                Fault::Answer(bad) if answers.iter().all(|(_, answer)| answer.is_err()) => {
                    Err(self.transport.bad_answers(bad.reason.clone()))
                }
                _ => Ok(answers),
            }
        })
    }

    /// The items but those at `faulty`, which are set aside.
    async fn without(
        &self,
        items: &[Missing<'_>],
        faulty: &[usize],
        fault: &Fault,
        ctx: &CallContext,
    ) -> Result<Answers, Error> {
        let aside = |place: &usize| (items[*place].0.clone(), Err(fault.quarantine(TRIES)));
        let mut answers: Answers = faulty.iter().map(aside).collect();
        let sound: Vec<Missing<'_>> = items
            .iter()
            .enumerate()
            .filter(|(place, _)| !faulty.contains(place))
            .map(|(_, item)| item.clone())
            .collect();
        answers.extend(self.settle(&sound, TRIES, ctx).await?);
        Ok(answers)
    }

    /// One request, repeated up to `tries` times while its answer cannot be used. A good answer is in the cache when this returns.
    async fn ask(&self, items: &[Missing<'_>], tries: u32, ctx: &CallContext) -> Result<Result<Answers, Fault>, Error> {
        let texts: Vec<&str> = items.iter().map(|(_, text)| *text).collect();
        let body = json!({ "model": self.transport.model(), "input": texts, "encoding_format": "float" });
        let mut bad = Refused { reason: String::new(), items: Vec::new() };
        for _ in 0..tries.max(1) {
            let bytes = match self.transport.post(Kind::Embedding, "embeddings", &body, ctx).await {
                Ok(bytes) => bytes,
                Err(Failure::Call(error)) => return Err(error),
                Err(Failure::Body(refusal)) => return Ok(Err(Fault::of(refusal))),
                Err(Failure::Answer(reason)) => {
                    Usage::add(&ctx.usage.bad_answers, 1);
                    Kind::Embedding.bad_answer();
                    bad = Refused { reason, items: Vec::new() };
                    continue;
                }
            };
            match self.read(&bytes, items.len(), ctx) {
                Ok(vectors) => return self.record(items, vectors).await.map(Ok),
                Err(refused) => {
                    Usage::add(&ctx.usage.bad_answers, 1);
                    Kind::Embedding.bad_answer();
                    bad = refused;
                }
            }
        }
        Ok(Err(Fault::Answer(bad)))
    }

    fn read(&self, bytes: &[u8], count: usize, ctx: &CallContext) -> Result<Vec<Vec<f32>>, Refused> {
        let answer: EmbeddingAnswer = serde_json::from_slice(bytes)
            .map_err(|_| Refused { reason: "it is not the JSON of an embedding answer".into(), items: Vec::new() })?;
        let tokens = answer.usage.unwrap_or_default();
        Usage::add(&ctx.usage.input_tokens, tokens.prompt_tokens);
        Kind::Embedding.tokens(tokens.prompt_tokens, 0);
        let vectors = vectors::read(answer, count, self.dimension.get().copied())?;
        if vectors.iter().all(|v| self.fits(v)) {
            return Ok(vectors);
        }
        Err(Refused { reason: "its vectors have another dimension than the space".into(), items: Vec::new() })
    }

    /// Keeps the vectors, then hands them out.
    async fn record(&self, items: &[Missing<'_>], vectors: Vec<Vec<f32>>) -> Result<Answers, Error> {
        let encode = |v: &Vec<f32>| v.iter().flat_map(|x| x.to_le_bytes()).collect::<Bytes>();
        let entries = items.iter().zip(&vectors).map(|((key, _), vector)| (key.clone(), encode(vector))).collect();
        fault_point!("models.embedding.answered");
        self.cache.put(entries).await?;
        fault_point!("models.embedding.recorded");
        Ok(items.iter().zip(vectors).map(|((key, _), vector)| (key.clone(), Ok(vector))).collect())
    }

    /// A 400 that says no more may be this text's fault or the configuration's: a harmless text tells which.
    async fn rule_out_refusal_of_everything(&self, reason: &str, ctx: &CallContext) -> Result<(), Error> {
        let body = json!({ "model": self.transport.model(), "input": ["test"], "encoding_format": "float" });
        match self.transport.post(Kind::Embedding, "embeddings", &body, ctx).await {
            Ok(_) | Err(Failure::Answer(_)) => Ok(()),
            Err(Failure::Call(error)) => Err(error),
            Err(Failure::Body(_)) => {
                Err(self.transport.refused(reason.to_owned(), "check the name of the model and what it accepts"))
            }
        }
    }
}

/// Why a request for some texts has no vectors.
enum Fault {
    /// The server cannot or will not embed something of it.
    Refused(String),
    /// It refuses and does not say why.
    Unclear(String),
    /// Its answers cannot be used.
    Answer(Refused),
}

impl Fault {
    fn of(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooLong(reason) => {
                Self::Refused(format!("the text is too long for the embedding model: {reason}"))
            }
            Refusal::Content(reason) => Self::Refused(format!("the embedding server refuses the text: {reason}")),
            Refusal::Parameter(name) => Self::Unclear(format!("HTTP 400 about {name}")),
            Refusal::Unclear(reason) | Refusal::Transient(reason) | Refusal::Everything(reason, _) => {
                Self::Unclear(reason)
            }
            Refusal::RateLimited(_) => Self::Unclear("HTTP 429".into()),
        }
    }

    fn quarantine(&self, tries: u32) -> Quarantined {
        let (code, reason) = match self {
            Self::Refused(reason) => (ErrorCode::ModelRefused, reason.clone()),
            Self::Unclear(reason) => {
                (ErrorCode::ModelRefused, format!("the embedding server refuses this text and takes others: {reason}"))
            }
            Self::Answer(bad) => {
                let reason =
                    format!("the embedding server's answer could not be used in {tries} tries: {}", bad.reason);
                (ErrorCode::ModelBadAnswer, reason)
            }
        };
        Quarantined { code, reason }
    }
}

/// Consecutive texts that fit into one request.
fn batches<'a>(missing: Vec<Missing<'a>>) -> Vec<Vec<Missing<'a>>> {
    let mut out: Vec<Vec<Missing<'a>>> = Vec::new();
    let mut bytes = 0;
    for entry in missing {
        match out.last_mut() {
            Some(batch) if batch.len() < MOST_TEXTS && bytes + entry.1.len() <= MOST_BYTES => {
                bytes += entry.1.len();
                batch.push(entry);
            }
            _ => {
                bytes = entry.1.len();
                out.push(vec![entry]);
            }
        }
    }
    out
}

#[async_trait]
impl Embedder for OpenAiEmbedder {
    fn space(&self) -> SpaceDescription {
        SpaceDescription { model: ModelId::new(self.transport.model()), dimension: self.dimension.get().copied() }
    }

    async fn embed(
        &self,
        collection: &CollectionId,
        inputs: &[EmbedInput<'_>],
        ctx: &CallContext,
    ) -> Result<Vec<EmbedAnswer>, Error> {
        let keys: Vec<CacheKey> = inputs.iter().map(|input| self.key(collection, input.text)).collect();
        if let Some(user) = ctx.user {
            self.cache.note_use(user, &keys).await?;
        }
        let mut seen = std::collections::HashSet::with_capacity(keys.len());
        let distinct: Vec<Missing<'_>> = keys
            .iter()
            .zip(inputs)
            .filter(|(key, _)| seen.insert((*key).clone()))
            .map(|(key, input)| (key.clone(), input.text))
            .collect();
        let mut answers: Answers = Vec::with_capacity(distinct.len());
        let missing = self.look_up(distinct, &mut answers, ctx).await?;
        let mut waiting = batches(missing).into_iter();
        let mut running: FuturesUnordered<_> =
            waiting.by_ref().take(self.concurrency).map(|batch| self.batch(batch, ctx)).collect();
        let mut failed = None;
        // After a failure nothing new is asked; what is under way is paid for, so it is awaited and kept.
        while let Some(result) = running.next().await {
            match result {
                Ok(batch) => answers.extend(batch),
                Err(error) => failed = failed.or(Some(error)),
            }
            if failed.is_none()
                && let Some(batch) = waiting.next()
            {
                running.push(self.batch(batch, ctx));
            }
        }
        if let Some(error) = failed {
            return Err(error);
        }
        let by_key: HashMap<CacheKey, EmbedAnswer> = answers.into_iter().collect();
        Ok(keys.iter().map(|key| by_key[key].clone()).collect())
    }

    async fn probe(&self, ctx: &CallContext) -> Result<SpaceDescription, Error> {
        if self.dimension.get().is_none() {
            let input = EmbedInput { text: "graphmill" };
            let answers = self.embed(&CollectionId::default(), &[input], ctx).await?;
            if let Some(Err(quarantined)) = answers.into_iter().next() {
                return Err(self.transport.bad_answers(quarantined.reason));
            }
        }
        Ok(self.space())
    }

    fn cache_key(&self, collection: &CollectionId, text: &str) -> Option<CacheKey> {
        Some(self.key(collection, text))
    }
}
