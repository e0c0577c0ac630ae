//! What a job type is to the runtime.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use graphmill_core::JobType;

use crate::{Completed, Interruption, JobContext};

/// Runs the jobs of one type.
#[async_trait]
pub trait JobHandler: Send + Sync + 'static {
    /// The type.
    fn job_type(&self) -> JobType;

    /// Runs a job from where its checkpoints stand. Dropping the future is how it is cancelled.
    async fn run(&self, context: &JobContext) -> Result<Completed, Interruption>;

    /// Called when a job of this type has ended or was stopped, in whatever way, after the store knows; for tidying up what it staged.
    async fn after(&self, context: &JobContext);
}

/// The handlers, by type.
#[derive(Clone, Default)]
pub struct Registry(BTreeMap<JobType, Arc<dyn JobHandler>>);

impl Registry {
    /// Adds a handler.
    #[must_use]
    pub fn with(mut self, handler: Arc<dyn JobHandler>) -> Self {
        self.0.insert(handler.job_type(), handler);
        self
    }

    /// The handler of a type.
    pub fn get(&self, job_type: JobType) -> Option<Arc<dyn JobHandler>> {
        self.0.get(&job_type).cloned()
    }

    /// The types that can be run.
    pub fn types(&self) -> impl Iterator<Item = JobType> {
        self.0.keys().copied()
    }
}
