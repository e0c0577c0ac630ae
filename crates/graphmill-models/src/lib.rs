#![doc = include_str!("../README.md")]

pub mod embedder;
mod entity_types;
pub mod error;
pub mod extractor;
mod metrics;
pub mod offline;
pub mod openai;
pub mod provider;
pub mod registry;
pub mod settings;
pub mod summariser;
pub mod usage;

pub use embedder::{EmbedAnswer, EmbedInput, Embedder, ModelId, SpaceDescription};
pub use error::{Error, ErrorClass, Quarantined};
pub use extractor::{ChunkInput, Dropped, EntityExtractor, Extraction, ExtractorVersion};
pub use provider::{ModelChoice, ModelProvider};
pub use registry::Models;
pub use settings::{Endpoint, ModelSettings, Secret};
pub use summariser::{CommunityInput, MemberInput, OfflineSummariser, RelationInput, Summariser, Summary};
pub use usage::{CallContext, Usage, UsageSnapshot};

/// A vector as the content cache keeps it: each component as little-endian f32. `None` when the bytes are no vector.
pub fn decode_vector(bytes: &[u8]) -> Option<Vec<f32>> {
    let (components, rest) = bytes.as_chunks::<4>();
    let vector: Vec<f32> = components.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let usable = rest.is_empty() && vector.iter().all(|x| x.is_finite()) && vector.iter().any(|x| *x != 0.0);
    usable.then_some(vector)
}
