//! The stage `clustering` of a reindex: the same steps as a clustering job without summaries, as the units of one stage.

use std::sync::Arc;

use async_trait::async_trait;
use graphmill_models::OfflineSummariser;
use graphmill_runtime::stage::decode;
use graphmill_runtime::{Interruption, JobContext, Stage, UnitDone};
use serde::{Deserialize, Serialize};

use super::assign_communities::{Assigned, assign};
use super::build_projection::project;
use super::run_leiden::find;
use super::{Clustering, ClusteringOptions, ClusteringServices, generation};

/// Name of the stage.
const NAME: &str = "clustering";

/// Runs a whole clustering as one stage. Its `finish` commits the job's intent and moves the layer's pointer, so that it has to be the job's last stage.
pub struct ClusteringStage<'a> {
    clustering: Clustering<'a>,
}

impl<'a> ClusteringStage<'a> {
    /// The stage, with the options of [`ClusteringOptions`] but summaries, which only a clustering job makes.
    pub fn new(services: &'a ClusteringServices, options: ClusteringOptions) -> Self {
        let options = ClusteringOptions { generate_summaries: false, ..options };
        let summariser = Arc::new(OfflineSummariser);
        Self { clustering: Clustering::new(services, options, summariser, [(NAME, 0), (NAME, 1)]) }
    }
}

/// Steps, one after the other: each reads what the one before recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Entities and relations.
    Projection,
    /// Communities.
    Leiden,
    /// Ids and titles.
    Assignment,
}

#[async_trait]
impl Stage for ClusteringStage<'_> {
    const NAME: &'static str = NAME;
    type Unit = Step;
    type Output = Assigned;

    async fn plan(&self, _context: &JobContext) -> Result<Vec<Step>, Interruption> {
        Ok(vec![Step::Projection, Step::Leiden, Step::Assignment])
    }

    async fn run(&self, context: &JobContext, step: &Step) -> Result<UnitDone, Interruption> {
        let collection = &context.job().job.collection;
        let output = match step {
            Step::Projection => project(&self.clustering, context, collection, NAME, 1.0 / 3.0).await?,
            Step::Leiden => {
                let projection = context.unit_output(NAME, 0).await?;
                find(&self.clustering, context, projection).await?
            }
            Step::Assignment => assign(&self.clustering, context, collection, NAME, 2.0 / 3.0..0.95).await?,
        };
        Ok(UnitDone { output })
    }

    async fn finish(&self, context: &JobContext, _units: &[Step]) -> Result<Assigned, Interruption> {
        let assigned: Assigned = decode(&context.unit_output(NAME, 2).await?)?;
        let collection = &context.job().job.collection;
        generation::publish(&self.clustering, context, collection, &assigned, None).await?;
        Ok(assigned)
    }

    fn message(&self, done: u64, _total: u64) -> String {
        let step = match done {
            0 => "Building the projection",
            1 => "Finding communities",
            _ => "Assigning communities",
        };
        step.to_owned()
    }
}
