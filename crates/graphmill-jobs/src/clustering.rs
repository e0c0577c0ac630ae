//! The clustering job: communities of the entities of a collection, by Leiden, as a new generation of the layer.

mod assign_communities;
mod build_projection;
mod generate_summaries;
mod generation;
mod matching;
mod request;
mod run_leiden;
mod view;
mod within_reindex;

use std::sync::Arc;

use async_trait::async_trait;
use graphmill_core::{ErrorCode, JobType};
use graphmill_graph::GraphStore;
use graphmill_models::{CallContext, ModelChoice, ModelProvider, OfflineSummariser, Summariser};
use graphmill_runtime::{Completed, Interruption, JobContext, JobHandler, StageRun};
use graphmill_store::records::LogLevel;
use serde_json::{Map, Value, json};
use tokio::sync::OnceCell;

pub use assign_communities::Assigned;
pub use request::ClusteringOptions;
pub use within_reindex::ClusteringStage;

use crate::unnamed_blobs::delete_unnamed_of_claim;
use assign_communities::AssignCommunities;
use build_projection::BuildProjection;
use generate_summaries::GenerateSummaries;
use run_leiden::RunLeiden;
use view::View;

/// What a clustering needs. Cheap to clone.
#[derive(Clone)]
pub struct ClusteringServices {
    /// Where entities are read and communities are written.
    pub graph: Arc<dyn GraphStore>,
    /// Describes communities, with the model that the collection extracts with.
    pub models: Arc<ModelProvider>,
    /// Communities that are described at once with a model server.
    pub model_concurrency: usize,
}

/// Runs clusterings.
pub struct ClusteringHandler {
    services: ClusteringServices,
}

/// One job: what its stages share.
struct Clustering<'a> {
    services: &'a ClusteringServices,
    options: ClusteringOptions,
    summariser: Arc<dyn Summariser>,
    calls: CallContext,
    /// Stages whose first unit holds the projection and what Leiden found.
    outputs: [(&'static str, u32); 2],
    view: OnceCell<Arc<View>>,
}

impl ClusteringHandler {
    /// A handler over these services.
    pub fn new(services: ClusteringServices) -> Self {
        Self { services }
    }

    /// The summariser that the collection's settings say now.
    async fn summariser(
        &self,
        context: &JobContext,
        options: ClusteringOptions,
    ) -> Result<Arc<dyn Summariser>, Interruption> {
        if !options.generate_summaries {
            return Ok(Arc::new(OfflineSummariser));
        }
        let record = context.store().collection(&context.job().job.collection).await?;
        let choice = record.map(|record| ModelChoice::from(&record.settings)).unwrap_or_default();
        Ok(self.services.models.of(&choice).map_err(|e| crate::interruption::of_model(&e))?.summariser)
    }
}

#[async_trait]
impl JobHandler for ClusteringHandler {
    fn job_type(&self) -> JobType {
        JobType::Clustering
    }

    async fn run(&self, context: &JobContext) -> Result<Completed, Interruption> {
        let options: ClusteringOptions =
            serde_json::from_value(Value::Object(context.job().params.clone())).map_err(|e| {
                Interruption::fail(ErrorCode::Internal, format!("the job's record cannot be read: {e}"), None)
            })?;
        let fresh = context.job().stages.iter().all(|s| s.plan.is_none());
        let message = if fresh { "Starting clustering" } else { "Resuming clustering" };
        context.log(LogLevel::Info, message, json!({"attempt": context.job().attempt}));
        let summariser = self.summariser(context, options).await?;
        let clustering =
            Clustering::new(&self.services, options, summariser, [(BuildProjection::NAME, 0), (RunLeiden::NAME, 0)]);
        let stages = StageRun::new(context);
        stages.stage(&BuildProjection { clustering: &clustering }).await?;
        stages.stage(&RunLeiden { clustering: &clustering }).await?;
        let assigned = stages.stage(&AssignCommunities { clustering: &clustering }).await?;
        let mut metadata = assigned.metadata();
        if options.generate_summaries {
            let summarised = stages.stage(&GenerateSummaries { clustering: &clustering }).await?;
            metadata.insert("summaries_generated".to_owned(), json!(summarised.generated));
        }
        graphmill_core::fault_point!("clustering.before_complete");
        Ok(Completed { message: "Clustering complete".to_owned(), metadata })
    }

    /// What a stopped job had written unseen into the graph goes when the next run begins.
    async fn after(&self, context: &JobContext) {
        delete_unnamed_of_claim(context, &*self.services.graph).await;
    }
}

impl<'a> Clustering<'a> {
    fn new(
        services: &'a ClusteringServices,
        options: ClusteringOptions,
        summariser: Arc<dyn Summariser>,
        outputs: [(&'static str, u32); 2],
    ) -> Self {
        Self { services, options, summariser, calls: CallContext::new(), outputs, view: OnceCell::new() }
    }

    /// Projection and communities in memory, read from the outputs of their stages once a claim.
    async fn view(&self, context: &JobContext) -> Result<&Arc<View>, Interruption> {
        let read = || async {
            let [projection, found] = self.outputs;
            let projection = context.unit_output(projection.0, projection.1).await?;
            let found = context.unit_output(found.0, found.1).await?;
            let view = context.compute(move |_| View::decode(&projection, &found)).await??;
            Ok::<_, Interruption>(Arc::new(view))
        };
        self.view.get_or_try_init(read).await
    }

    /// Parameters that the layer remembers.
    fn parameters(&self, view: &View) -> Map<String, Value> {
        Map::from_iter([
            ("resolution".to_owned(), json!(self.options.resolution)),
            ("seed".to_owned(), json!(self.options.seed)),
            ("max_levels".to_owned(), json!(self.options.max_levels)),
            ("summaries".to_owned(), json!(self.options.generate_summaries)),
            ("modularity".to_owned(), json!(view.modularity)),
        ])
    }
}
