//! The offline extractor with the types of a collection.

use std::sync::Arc;

use async_trait::async_trait;
use graphmill_core::{CacheKey, CollectionId};

use super::OfflineExtractor;
use crate::entity_types::{keep_types, parameter};
use crate::{CallContext, ChunkInput, EntityExtractor, Error, Extraction, ExtractorVersion};

/// Gives only entities of some types. A type that the rules do not know is never given.
#[derive(Debug, Clone)]
pub struct TypedOfflineExtractor {
    types: Arc<[String]>,
}

impl TypedOfflineExtractor {
    /// Of these types alone.
    pub fn new(types: &[String]) -> Self {
        Self { types: types.into() }
    }
}

#[async_trait]
impl EntityExtractor for TypedOfflineExtractor {
    fn version(&self) -> ExtractorVersion {
        ExtractorVersion { parameters: parameter(&self.types), ..OfflineExtractor.version() }
    }

    async fn extract(
        &self,
        collection: &CollectionId,
        chunk: ChunkInput<'_>,
        ctx: &CallContext,
    ) -> Result<Extraction, Error> {
        let extraction = OfflineExtractor.extract(collection, chunk, ctx).await?;
        // What the rules find of other types was never wanted: it is no loss to tell of.
        let (facts, _) = keep_types(extraction.facts, &self.types);
        Ok(Extraction { facts, ..extraction })
    }

    fn cache_key(&self, _: &CollectionId, _: ChunkInput<'_>) -> Option<CacheKey> {
        None
    }
}
