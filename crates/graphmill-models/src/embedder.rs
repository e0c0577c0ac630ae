//! What the pipeline needs of an embedding model.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use graphmill_core::{CacheKey, CollectionId};
use serde::{Deserialize, Serialize};

use crate::{CallContext, Error, Quarantined};

/// Name of a model as its provider spells it. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ModelId(Arc<str>);

impl ModelId {
    /// From the provider's spelling.
    pub fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The embedding space that a model's vectors live in. Vectors of two spaces are never compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpaceDescription {
    /// The model.
    pub model: ModelId,
    /// Number of components of each vector; `None` until the provider has told it by a first answer (see [`Embedder::probe`]).
    pub dimension: Option<u32>,
}

/// One text to embed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbedInput<'a> {
    /// The chunk's text; not empty.
    pub text: &'a str,
}

/// The vector of one text (finite numbers, not all zero, as many as the space has), or why this text alone has none.
pub type EmbedAnswer = Result<Vec<f32>, Quarantined>;

/// Turns texts into vectors. Dropping a future stops its requests at once; none starts later.
#[async_trait]
pub trait Embedder: Send + Sync + 'static {
    /// The space; its dimension is known after the first good answer.
    fn space(&self) -> SpaceDescription;

    /// The answers to `inputs`, in their order. Equal texts are asked for once; what the cache has is not asked for. An `Err` concerns the whole
    /// call and says by [`Error::class`] what to do; what one text cannot have is in its own answer.
    async fn embed(
        &self,
        collection: &CollectionId,
        inputs: &[EmbedInput<'_>],
        ctx: &CallContext,
    ) -> Result<Vec<EmbedAnswer>, Error>;

    /// The space with its dimension known: asks the model for one vector when it is not yet.
    async fn probe(&self, ctx: &CallContext) -> Result<SpaceDescription, Error>;

    /// Where the content cache keeps the vector of `text` (see [`crate::decode_vector`]); `None` when answers are not cached (offline models).
    fn cache_key(&self, collection: &CollectionId, text: &str) -> Option<CacheKey>;
}
