//! The models of each collection: the configured ones, others of the same servers, or offline ones.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use graphmill_core::{CollectionSettings, ContentCache, OFFLINE};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::offline::{OfflineEmbedder, OfflineExtractor, TypedOfflineExtractor};
use crate::openai::{OpenAiEmbedder, OpenAiExtractor, Surroundings};
use crate::{Embedder, Endpoint, EntityExtractor, Error, ModelSettings, Models, OfflineSummariser, Summariser};

/// Clients that are kept; when more models were used, those that no job holds go.
const CLIENTS_KEPT: usize = 64;

/// Which models somebody asks for; what is absent is the configured one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelChoice {
    /// Embedding model at the configured server, or `offline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedding: Option<String>,
    /// Extraction model at the configured server, or `offline`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extraction: Option<String>,
    /// The only types that an entity may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entity_types: Option<Vec<String>>,
}

impl ModelChoice {
    /// The configured models.
    pub fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl From<&CollectionSettings> for ModelChoice {
    fn from(settings: &CollectionSettings) -> Self {
        Self {
            embedding: settings.embedding_model.clone(),
            extraction: settings.extraction_model.clone(),
            entity_types: settings.entity_types.clone(),
        }
    }
}

/// Makes models on demand and keeps them: all jobs that use one model of one server share a client, and with it the rate limit.
pub struct ModelProvider {
    settings: ModelSettings,
    cache: Arc<dyn ContentCache>,
    surroundings: Surroundings,
    embedders: Mutex<HashMap<String, Arc<OpenAiEmbedder>>>,
    extractors: Mutex<HashMap<String, Arc<OpenAiExtractor>>>,
}

impl ModelProvider {
    /// Over the configured servers. Fails when no client can be made of them; nothing is asked yet.
    pub fn new(settings: &ModelSettings, cache: Arc<dyn ContentCache>) -> Result<Self, Error> {
        Self::with_surroundings(settings, cache, Surroundings::default())
    }

    /// The same with another clock and another chance.
    pub fn with_surroundings(
        settings: &ModelSettings,
        cache: Arc<dyn ContentCache>,
        surroundings: Surroundings,
    ) -> Result<Self, Error> {
        let (embedders, extractors) = (Mutex::default(), Mutex::default());
        let provider = Self { settings: settings.clone(), cache, surroundings, embedders, extractors };
        provider.of(&ModelChoice::default())?;
        Ok(provider)
    }

    /// The models of `choice`. Fails when it names a model and no server is configured to have it.
    pub fn of(&self, choice: &ModelChoice) -> Result<Models, Error> {
        let (extractor, summariser) = self.extractor(choice)?;
        Ok(Models { embedder: self.embedder(choice)?, extractor, summariser })
    }

    fn embedder(&self, choice: &ModelChoice) -> Result<Arc<dyn Embedder>, Error> {
        let asked = choice.embedding.as_deref();
        let Some(endpoint) = endpoint("embedding.url", self.settings.embedding.as_ref(), asked)? else {
            return Ok(Arc::new(OfflineEmbedder));
        };
        let make = || OpenAiEmbedder::new(&endpoint, &self.settings, self.cache.clone(), self.surroundings.clone());
        Ok(kept(&self.embedders, &endpoint.model, make)?)
    }

    /// The summariser asks the model that extracts.
    fn extractor(&self, choice: &ModelChoice) -> Result<Readers, Error> {
        let asked = choice.extraction.as_deref();
        let types = choice.entity_types.as_deref();
        let Some(endpoint) = endpoint("llm.url", self.settings.llm.as_ref(), asked)? else {
            let extractor: Arc<dyn EntityExtractor> = match types {
                Some(types) => Arc::new(TypedOfflineExtractor::new(types)),
                None => Arc::new(OfflineExtractor),
            };
            return Ok((extractor, Arc::new(OfflineSummariser)));
        };
        let make = || OpenAiExtractor::new(&endpoint, &self.settings, self.cache.clone(), self.surroundings.clone());
        let client = kept(&self.extractors, &endpoint.model, make)?;
        let summariser = Arc::new(client.summariser());
        let extractor: Arc<dyn EntityExtractor> = match types {
            Some(types) => Arc::new(client.with_types(types)),
            None => client,
        };
        Ok((extractor, summariser))
    }
}

/// What reads texts: finds entities in them, summarises them.
type Readers = (Arc<dyn EntityExtractor>, Arc<dyn Summariser>);

/// Where the asked model is; `None` = offline.
fn endpoint(name: &'static str, configured: Option<&Endpoint>, asked: Option<&str>) -> Result<Option<Endpoint>, Error> {
    match (configured, asked) {
        (_, Some(OFFLINE)) | (None, None) => Ok(None),
        (Some(endpoint), None) => Ok(Some(endpoint.clone())),
        (Some(endpoint), Some(model)) => Ok(Some(Endpoint { model: model.to_owned(), ..endpoint.clone() })),
        (None, Some(model)) => Err(Error::Settings {
            name,
            reason: format!(
                "it is not set, and the model {model:?} of a collection needs a server; without one only {OFFLINE:?} can be used"
            ),
        }),
    }
}

fn kept<T>(
    clients: &Mutex<HashMap<String, Arc<T>>>,
    model: &str,
    make: impl FnOnce() -> Result<T, Error>,
) -> Result<Arc<T>, Error> {
    let mut clients = clients.lock();
    if let Some(known) = clients.get(model) {
        return Ok(known.clone());
    }
    if clients.len() >= CLIENTS_KEPT {
        clients.retain(|_, client| Arc::strong_count(client) > 1);
    }
    let client = Arc::new(make()?);
    clients.insert(model.to_owned(), client.clone());
    Ok(client)
}

impl fmt::Debug for ModelProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelProvider").field("settings", &self.settings).finish_non_exhaustive()
    }
}
