//! The reindex job: brings the embeddings, similarities and communities of a collection up to what is published.

mod comparison;
mod rebuild_embeddings;
mod rebuild_similarities;
mod request;
mod similarity_plan;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use graphmill_core::{ErrorCode, Fence, JobStatus, JobType};
use graphmill_graph::GraphStore;
use graphmill_graph::records::LayerRun;
use graphmill_models::{CallContext, Embedder, ModelChoice, ModelProvider};
use graphmill_runtime::{Completed, Interruption, JobContext, JobHandler, StageRun};
use graphmill_store::records::LogLevel;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};

pub use request::{ReindexMode, ReindexOptions};

use crate::clustering::{ClusteringOptions, ClusteringServices, ClusteringStage};
use crate::interruption::{of_graph, of_model};
use crate::unnamed_blobs::delete_unnamed_of_claim;

/// Name of the stage that runs a clustering.
const CLUSTERING: &str = "clustering";

/// Runs reindexes.
pub struct ReindexHandler {
    graph: Arc<dyn GraphStore>,
    models: Arc<ModelProvider>,
    /// Units of a stage that asks a model server, at once.
    model_concurrency: usize,
    /// Rows that are compared as one unit; by their size when `None`.
    block_rows: Option<u32>,
    /// Layer runs of the claims that work now: a cancelled job's are given up.
    runs: Mutex<HashMap<Fence, Vec<LayerRun>>>,
}

/// One job of the handler: what its stages share.
struct Reindex<'a> {
    handler: &'a ReindexHandler,
    options: ReindexOptions,
    /// Of the model that the collection has now.
    embedder: Arc<dyn Embedder>,
    /// Counts the calls of models that this run of the job makes.
    calls: CallContext,
}

impl ReindexHandler {
    /// A handler over these services. `model_concurrency`: units at once in a stage that asks a model server. `block_rows`: chunks whose similarities are
    /// one unit of work (by their size when `None`).
    pub fn new(
        graph: Arc<dyn GraphStore>,
        models: Arc<ModelProvider>,
        model_concurrency: usize,
        block_rows: Option<u32>,
    ) -> Self {
        Self { graph, models, model_concurrency, block_rows, runs: Mutex::default() }
    }

    /// This claim writes to the run.
    fn note_run(&self, context: &JobContext, run: &LayerRun) {
        self.runs.lock().entry(context.fence()).or_default().push(run.clone());
    }

    async fn begin(&self, context: &JobContext) -> Result<Reindex<'_>, Interruption> {
        let options = serde_json::from_value(Value::Object(context.job().params.clone())).map_err(|e| {
            Interruption::fail(ErrorCode::Internal, format!("the job's record cannot be read: {e}"), None)
        })?;
        let known = context.store().collection(&context.job().job.collection).await?;
        let choice = known.map(|collection| ModelChoice::from(&collection.settings)).unwrap_or_default();
        let embedder = self.models.of(&choice).map_err(|e| of_model(&e))?.embedder;
        Ok(Reindex { handler: self, options, embedder, calls: CallContext::new() })
    }
}

#[async_trait]
impl JobHandler for ReindexHandler {
    fn job_type(&self) -> JobType {
        JobType::Reindex
    }

    async fn run(&self, context: &JobContext) -> Result<Completed, Interruption> {
        let reindex = self.begin(context).await?;
        let fresh = context.job().stages.iter().all(|s| s.plan.is_none());
        let message = if fresh { "Starting reindex" } else { "Resuming reindex" };
        context.log(LogLevel::Info, message, json!({"attempt": context.job().attempt}));
        self.graph.ensure_collection(&context.job().job.collection).await.map_err(of_graph)?;
        reindex.run_stages(context).await
    }

    /// What a cancelled job had written unseen goes; a failed one may be retried and goes on with it.
    async fn after(&self, context: &JobContext) {
        delete_unnamed_of_claim(context, &*self.graph).await;
        let runs = self.runs.lock().remove(&context.fence()).unwrap_or_default();
        if runs.is_empty() {
            return;
        }
        let given_up = match context.store().job(context.fence().job).await {
            Ok(detail) => detail.job.status == JobStatus::Cancelled,
            Err(graphmill_store::Error::NotFound(_)) => true,
            Err(error) => {
                tracing::warn!(job.id = %context.fence().job, %error, "the end of a reindex could not be looked at");
                false
            }
        };
        for run in runs.iter().filter(|_| given_up) {
            if let Err(error) = self.graph.give_up_run(run).await {
                tracing::warn!(collection = %run.collection, %error, "rows of a cancelled run stay until the next one");
            }
        }
    }
}

impl Reindex<'_> {
    async fn run_stages(&self, context: &JobContext) -> Result<Completed, Interruption> {
        let stages = StageRun::new(context);
        let mut metadata = Map::new();
        if self.options.rebuild_embeddings {
            let rebuilt = stages.stage(&rebuild_embeddings::RebuildEmbeddings::new(self)).await?;
            metadata.insert("embeddings_created".to_owned(), json!(rebuilt.created));
            if rebuilt.set_aside > 0 {
                metadata.insert("chunks_quarantined".to_owned(), json!(rebuilt.set_aside));
            }
        }
        if self.options.rebuild_similarities {
            let rebuilt = stages.stage(&rebuild_similarities::RebuildSimilarities::new(self)).await?;
            metadata.insert("chunks_compared".to_owned(), json!(rebuilt.compared));
            metadata.insert("similarities".to_owned(), json!(rebuilt.similarities));
        }
        if self.options.run_clustering {
            let services = ClusteringServices {
                graph: self.handler.graph.clone(),
                models: self.handler.models.clone(),
                model_concurrency: self.handler.model_concurrency,
            };
            // The last stage: it commits the job's intent.
            let assigned = stages.stage(&ClusteringStage::new(&services, ClusteringOptions::default())).await?;
            metadata.extend(assigned.metadata());
        }
        graphmill_core::fault_point!("reindex.before_complete");
        Ok(Completed { message: "Reindexing complete".to_owned(), metadata })
    }
}
