//! The query as a vector of the collection's active space. The model may be a server that is slow or down: it is waited for a short time, and after
//! a failure nobody waits for it again for a while.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use graphmill_core::{CollectionId, ErrorCode};
use graphmill_graph::records::{Space, SpaceId, SpaceState};
use graphmill_models::{CallContext, EmbedInput, Embedder, ErrorClass, ModelChoice};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{AppState, Error, Result};

/// How long a search waits for the model.
const PATIENCE: Duration = Duration::from_secs(3);
/// Models of collections that are remembered.
const OTHERS_KEPT: usize = 64;
/// How long after a failure searches do without it.
const REST: Duration = Duration::from_secs(5);

/// The configured embedding model, as searches use it. Cheap to clone.
#[derive(Clone)]
pub struct QueryEmbedder {
    embedder: Arc<dyn Embedder>,
    usage: CallContext,
    /// Until when the model is not asked, and why.
    rests: Arc<Mutex<Option<(Instant, ErrorCode, String)>>>,
    /// Those of collections with a model of their own, by its name.
    others: Arc<Mutex<HashMap<String, QueryEmbedder>>>,
}

/// A query's vector and the space that it lies in.
pub(super) struct QueryVector {
    pub(super) space: SpaceId,
    pub(super) vector: Vec<f32>,
}

impl QueryEmbedder {
    /// Searches through `embedder`, the same that ingestion uses.
    pub fn new(embedder: Arc<dyn Embedder>) -> Self {
        Self { embedder, usage: CallContext::new(), rests: Arc::default(), others: Arc::default() }
    }

    /// Through another model; what is known of its failures is kept.
    fn other(&self, embedder: Arc<dyn Embedder>) -> Self {
        let model = embedder.space().model.to_string();
        let mut others = self.others.lock();
        if others.len() >= OTHERS_KEPT && !others.contains_key(&model) {
            others.clear();
        }
        others.entry(model).or_insert_with(|| Self::new(embedder)).clone()
    }

    async fn embed(&self, collection: &CollectionId, query: &str) -> Result<Vec<f32>> {
        if let Some((until, code, message)) = self.rests.lock().clone()
            && Instant::now() < until
        {
            return Err(no_vector(code, &message));
        }
        let inputs = [EmbedInput { text: query }];
        let asked = tokio::time::timeout(PATIENCE, self.embedder.embed(collection, &inputs, &self.usage)).await;
        let (code, message) = match asked {
            Err(_) => {
                let model = self.embedder.space().model;
                (ErrorCode::ModelUnavailable, format!("{model} gave no vector within {} s", PATIENCE.as_secs()))
            }
            Ok(Err(error)) => {
                let rests = !matches!(error.class(), ErrorClass::Quarantine { .. });
                if !rests {
                    return Err(no_vector(error.code(), &error.to_string()));
                }
                (error.code(), error.to_string())
            }
            Ok(Ok(answers)) => match answers.into_iter().next() {
                Some(Ok(vector)) => {
                    *self.rests.lock() = None;
                    return Ok(vector);
                }
                // This text alone has none.
                Some(Err(refused)) => return Err(no_vector(refused.code, &refused.reason)),
                None => (ErrorCode::ModelBadAnswer, "the embedding model gave no answer".to_owned()),
            },
        };
        *self.rests.lock() = Some((Instant::now() + REST, code, message.clone()));
        Err(no_vector(code, &message))
    }
}

fn no_vector(code: ErrorCode, message: &str) -> Error {
    Error::new(code, format!("the query has no vector: {message}"))
        .hint("mode=text needs no model; mode=hybrid goes by text until the model answers")
}

/// Whether a search can go on without vectors after this error.
pub(super) fn is_of_the_model(error: &Error) -> bool {
    use ErrorCode as C;
    let code = error.code();
    let of_model = matches!(
        code,
        C::ModelUnavailable | C::ModelRateLimited | C::ModelBadAnswer | C::ModelRefused | C::SpaceMismatch
    );
    // The content cache of the model may have no room or fail; the graph's own errors are none of the model's.
    of_model || (matches!(error, Error::Refused { .. }) && matches!(code, C::StorageFull | C::StorageFailed))
}

/// The vector of a query; `None` when the collection has no active space.
pub(super) async fn of(state: &AppState, collection: &CollectionId, query: &str) -> Result<Option<QueryVector>> {
    let spaces = state.graph().spaces(collection).await?;
    let Some(active) = spaces.into_iter().find(|space| space.state == SpaceState::Active) else { return Ok(None) };
    let embedder = embedder_for(state, collection, &active).await?;
    let configured = embedder.embedder.space();
    if configured.model.as_str() != active.model {
        return Err(mismatch(&active, &format!("the configured model is {}", configured.model)));
    }
    let vector = embedder.embed(collection, query).await?;
    if vector.len() != active.dimension as usize {
        let has = format!("the configured model gives {} components, these have {}", vector.len(), active.dimension);
        return Err(mismatch(&active, &has));
    }
    Ok(Some(QueryVector { space: active.id, vector }))
}

/// The one that has the model of the space: the collection's own, else the server's; the collection's own when neither has it.
async fn embedder_for(state: &AppState, collection: &CollectionId, active: &Space) -> Result<QueryEmbedder> {
    let usual = &state.services.query_embedder;
    let settings = state.jobs().collection(collection).await?.map(|known| known.settings).unwrap_or_default();
    if settings.embedding_model.is_none() || usual.embedder.space().model.as_str() == active.model {
        return Ok(usual.clone());
    }
    match state.services.models.of(&ModelChoice::from(&settings)) {
        Ok(models) => Ok(usual.other(models.embedder)),
        Err(error) => Err(no_vector(ErrorCode::ModelRefused, &error.to_string())),
    }
}

fn mismatch(active: &Space, what: &str) -> Error {
    Error::new(ErrorCode::SpaceMismatch, format!("the vectors of this collection are of {}; {what}", active.model)).hint(
        "make vectors of the configured model: POST /api/jobs {\"job_type\":\"reindex\",\"params\":{\"rebuild_embeddings\":true}}; \
         until then mode=text and mode=hybrid find by words",
    )
}
