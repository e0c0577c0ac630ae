//! The ingestion job: a document becomes chunks, vectors and facts of the graph.

mod chunking;
mod embedding;
mod entity_extraction;
mod loading;
mod persistence;
mod request;
mod segments;
mod settings;
mod unchanged;

use std::sync::Arc;

use async_trait::async_trait;
use graphmill_core::{CacheUser, DocumentId, ErrorCode, JobType, Seq};
use graphmill_documents::child::ParserPool;
use graphmill_graph::GraphStore;
use graphmill_graph::records::{PublishedCounts, PublishedSeq};
use graphmill_models::{CallContext, ModelProvider, Models};
use graphmill_runtime::{Completed, Interruption, JobContext, JobHandler, StageRun};
use graphmill_store::records::LogLevel;
use serde_json::{Map, Value, json};

pub use request::{
    ChosenOptions, IngestionOptions, Upload, reingestion, retry_quarantined, upload_of, upload_of_document,
    usual_overlap,
};

use crate::Turns;
use crate::unnamed_blobs::delete_unnamed_of_claim;
#[cfg(test)]
pub(crate) use loading::put_page;
use request::IngestionParams;

/// Name of the one stage that can be left out.
const EXTRACTION: &str = "entity_extraction";

/// Most chunks of one document; a larger file has to come in parts.
pub const MAX_CHUNKS: u64 = 50_000;

/// Runs ingestions.
pub struct IngestionHandler {
    graph: Arc<dyn GraphStore>,
    parsers: ParserPool,
    models: Arc<ModelProvider>,
    /// Units of a stage that asks a model server, at once.
    model_concurrency: usize,
    turns: Turns,
}

/// One job of the handler: what its stages share.
struct Ingestion<'a> {
    handler: &'a IngestionHandler,
    params: IngestionParams,
    document: DocumentId,
    seq: Seq,
    /// Those that its collection had when the job was accepted.
    models: Models,
    /// Counts the calls of models that this run of the job makes.
    calls: CallContext,
}

impl IngestionHandler {
    /// A handler over these services. `model_concurrency`: units at once in a stage that asks a model server. `turns`: shared with maintenance.
    pub fn new(
        graph: Arc<dyn GraphStore>,
        parsers: ParserPool,
        models: Arc<ModelProvider>,
        model_concurrency: usize,
        turns: Turns,
    ) -> Self {
        Self { graph, parsers, models, model_concurrency, turns }
    }

    fn begin(&self, context: &JobContext) -> Result<Ingestion<'_>, Interruption> {
        let job = context.job();
        let broken = |what: &str| Interruption::fail(ErrorCode::Internal, format!("the job's record {what}"), None);
        let params: IngestionParams = serde_json::from_value(Value::Object(job.params.clone()))
            .map_err(|e| broken(&format!("cannot be read: {e}")))?;
        let document = job.job.document.ok_or_else(|| broken("names no document"))?;
        let seq = job.job.seq.ok_or_else(|| broken("has no ticket"))?;
        let models = self.models.of(&params.models).map_err(|e| crate::interruption::of_model(&e))?;
        Ok(Ingestion {
            handler: self,
            params,
            document,
            seq,
            models,
            calls: CallContext::of(CacheUser { document, seq }),
        })
    }
}

#[async_trait]
impl JobHandler for IngestionHandler {
    fn job_type(&self) -> JobType {
        JobType::Ingestion
    }

    async fn run(&self, context: &JobContext) -> Result<Completed, Interruption> {
        let ingestion = self.begin(context)?;
        ingestion.refuse_if_overtaken().await?;
        // A stage that the short way passed has an empty plan.
        let fresh = context.job().stages.iter().all(|s| s.plan.as_ref().is_none_or(|plan| plan.is_empty()));
        if fresh {
            context.log(
                LogLevel::Info,
                "Starting document ingestion",
                json!({"filename": ingestion.params.filename, "file_size": ingestion.params.file_size}),
            );
            if let Some(completed) = unchanged::finish_if_unchanged(&ingestion, context).await? {
                return Ok(completed);
            }
        } else {
            context.log(LogLevel::Info, "Resuming document ingestion", json!({"attempt": context.job().attempt}));
        }
        ingestion.run_stages(context).await
    }

    async fn after(&self, context: &JobContext) {
        delete_unnamed_of_claim(context, &*self.graph).await;
        let Some(document) = context.job().job.document else { return };
        // What a job that did not publish had staged goes when no other job of the document can still need it.
        match context.store().unended_among(&[document]).await {
            Ok(unended) if unended.is_empty() => {
                if let Err(error) = self.graph.sweep_document(document).await {
                    tracing::warn!(%document, %error, "staged chunks could not be swept; the periodic sweep will do it");
                }
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%document, %error, "unended jobs could not be looked for"),
        }
    }
}

impl Ingestion<'_> {
    async fn run_stages(&self, context: &JobContext) -> Result<Completed, Interruption> {
        let collection = &context.job().job.collection;
        self.handler.graph.ensure_collection(collection).await.map_err(crate::interruption::of_graph)?;
        let stages = StageRun::new(context);
        let loaded = stages.stage(&loading::Loading { ingestion: self }).await?;
        let segments = Arc::new(stages.stage(&chunking::Chunking { ingestion: self, loaded: &loaded }).await?);
        let embedded = stages.stage(&embedding::Embedding::new(self, segments.clone())).await?;
        if self.params.options.extract_entities {
            stages.stage(&entity_extraction::EntityExtraction::new(self, segments.clone())).await?;
        }
        let persistence = persistence::Persistence::new(self, &loaded, segments, embedded);
        let persisted = stages.stage(&persistence).await?;
        graphmill_core::fault_point!("ingestion.before_complete");
        Ok(self.completed("Document ingestion complete", persisted.counts(), persisted.quarantined))
    }

    /// What a later upload or deletion of the document has published makes all work of this job useless.
    async fn refuse_if_overtaken(&self) -> Result<(), Interruption> {
        let published = self.handler.graph.published_seq(self.document).await;
        match published.map_err(crate::interruption::of_graph)? {
            Some(PublishedSeq { seq, deleted }) if seq > self.seq => Err(overtaken(deleted)),
            _ => Ok(()),
        }
    }

    fn completed(&self, message: &str, counts: PublishedCounts, quarantined: u64) -> Completed {
        let mut metadata = Map::from_iter([
            ("chunks_created".to_owned(), json!(counts.chunks)),
            ("entities_extracted".to_owned(), json!(counts.entities)),
            ("relations_extracted".to_owned(), json!(counts.relations)),
        ]);
        if quarantined > 0 {
            metadata.insert("chunks_quarantined".to_owned(), json!(quarantined));
        }
        let message = match quarantined {
            0 => message.to_owned(),
            1 => format!("{message}; 1 chunk was set aside (see errors)"),
            n => format!("{message}; {n} chunks were set aside (see errors)"),
        };
        Completed { message, metadata }
    }

    /// Awaits a call of a model; while the call waits on purpose (rate limit, pause between tries) the job is not stalled.
    async fn call<T>(&self, context: &JobContext, what: &str, call: impl Future<Output = T>) -> T {
        crate::model_call::model_call(context, &self.calls, what, call).await
    }
}

/// The outcome of a job that a later ticket of its document overtook.
fn overtaken(deleted: bool) -> Interruption {
    let by = if deleted { "a later deletion of the document" } else { "a later upload of the same document" };
    Interruption::Overtaken { message: format!("Overtaken by {by}") }
}
