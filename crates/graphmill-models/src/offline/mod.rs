//! The models that need nothing but the binary: the default. Pure functions of the text, the same bytes on every machine.

mod embedder;
mod extractor;

pub use embedder::{LEXICAL_DIMENSION, OfflineEmbedder, lexical_vector};
pub(crate) use extractor::defined_short_forms;
pub use extractor::{OfflineExtractor, TypedOfflineExtractor, extract};
