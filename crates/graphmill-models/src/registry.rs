//! The models that the settings ask for.

use std::fmt;
use std::sync::Arc;

use graphmill_core::ContentCache;

use crate::offline::{OfflineEmbedder, OfflineExtractor};
use crate::openai::{OpenAiEmbedder, OpenAiExtractor, Surroundings};
use crate::{Embedder, EntityExtractor, Error, ModelSettings, OfflineSummariser, Summariser};

/// One embedder, one extractor and one summariser, shared by all jobs. Cheap to clone.
#[derive(Clone)]
pub struct Models {
    /// Turns texts into vectors.
    pub embedder: Arc<dyn Embedder>,
    /// Turns chunks into facts.
    pub extractor: Arc<dyn EntityExtractor>,
    /// Describes communities; asks the same model as the extractor, within the same rate.
    pub summariser: Arc<dyn Summariser>,
}

impl Models {
    /// The models of `settings`: clients where a server is set, offline ones else. Nothing is asked yet.
    pub fn new(settings: &ModelSettings, cache: Arc<dyn ContentCache>) -> Result<Self, Error> {
        Self::with_surroundings(settings, cache, Surroundings::default())
    }

    /// The same with another clock and another chance.
    pub fn with_surroundings(
        settings: &ModelSettings,
        cache: Arc<dyn ContentCache>,
        surroundings: Surroundings,
    ) -> Result<Self, Error> {
        let embedder: Arc<dyn Embedder> = match &settings.embedding {
            Some(endpoint) => Arc::new(OpenAiEmbedder::new(endpoint, settings, cache.clone(), surroundings.clone())?),
            None => Arc::new(OfflineEmbedder),
        };
        let (extractor, summariser): (Arc<dyn EntityExtractor>, Arc<dyn Summariser>) = match &settings.llm {
            Some(endpoint) => {
                let client = OpenAiExtractor::new(endpoint, settings, cache, surroundings)?;
                let summariser = client.summariser();
                (Arc::new(client), Arc::new(summariser))
            }
            None => (Arc::new(OfflineExtractor), Arc::new(OfflineSummariser)),
        };
        Ok(Self { embedder, extractor, summariser })
    }
}

impl fmt::Debug for Models {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Models")
            .field("embedding", &self.embedder.space())
            .field("extraction", &self.extractor.version())
            .finish()
    }
}
