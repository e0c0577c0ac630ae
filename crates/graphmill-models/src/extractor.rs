//! What the pipeline needs of an entity extractor.

use async_trait::async_trait;
use graphmill_core::{CacheKey, ChunkFacts, CollectionId, ContentHash, IdHasher};

use crate::{CallContext, Error};

/// One chunk to read. One item is one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ChunkInput<'a> {
    /// The chunk's text, to which spans of mentions refer (in characters).
    pub text: &'a str,
    /// Text around the chunk that helps to understand it; nothing is extracted from it.
    pub context: Option<&'a str>,
    /// Headings above the chunk, outermost first, parts separated by ` > `; empty if there are none.
    pub heading_path: &'a str,
}

/// What a chunk says, and what of the answer could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extraction {
    /// The facts, in canonical order.
    pub facts: ChunkFacts,
    /// What was left out, for the job's log.
    pub dropped: Dropped,
    /// The answer was not asked for: the content cache had it.
    pub from_cache: bool,
    /// The model's answer ended early; what was whole of it was used.
    pub truncated: bool,
}

/// What of a model's answer was left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dropped {
    /// Entities whose name is not one or does not stand in the text.
    pub entities: u64,
    /// Relations from a thing to itself, or with an end that is no entity of the answer (one said twice is joined, not left out).
    pub relations: u64,
    /// The first few entities left out, names shortened to 80 characters, each with the reason; made for a log line.
    pub examples: Vec<String>,
}

impl Dropped {
    /// Nothing was left out.
    pub fn is_empty(&self) -> bool {
        self.entities == 0 && self.relations == 0
    }
}

/// Everything that changes an extractor's answers. Two extractors of equal version give equal facts (as far as their model repeats itself).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtractorVersion {
    /// The model (`rules-v1` for the offline one).
    pub model: String,
    /// Version of prompt and of the rules that read the answer.
    pub prompt_version: u32,
    /// Parameters of the call, as `name=value` words in a fixed order; may be empty.
    pub parameters: String,
}

impl ExtractorVersion {
    /// One hash of all fields; part of what decides whether an upload is unchanged.
    pub fn fingerprint(&self) -> ContentHash {
        let hasher = IdHasher::new("extractor")
            .field(self.model.as_bytes())
            .field(&self.prompt_version.to_le_bytes())
            .field(self.parameters.as_bytes());
        ContentHash::from_bytes(hasher.finish32())
    }
}

/// Turns a chunk into facts. Dropping a future stops its request at once; none starts later.
#[async_trait]
pub trait EntityExtractor: Send + Sync + 'static {
    /// What the answers depend on besides the chunk.
    fn version(&self) -> ExtractorVersion;

    /// The facts of one chunk. An [`Error::Quarantined`] concerns this chunk alone; see [`Error::class`].
    async fn extract(
        &self,
        collection: &CollectionId,
        chunk: ChunkInput<'_>,
        ctx: &CallContext,
    ) -> Result<Extraction, Error>;

    /// Where the content cache keeps the answer about this chunk; `None` when answers are not cached (offline models).
    fn cache_key(&self, collection: &CollectionId, chunk: ChunkInput<'_>) -> Option<CacheKey>;

    /// Hash of the settings that change what is extracted; see [`ExtractorVersion::fingerprint`].
    fn settings_fingerprint(&self) -> ContentHash {
        self.version().fingerprint()
    }
}
