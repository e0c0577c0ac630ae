//! What nobody waits for, or only for a moment: deletions of documents and collections, upkeep of layers, the sweep of staged chunks, blobs that nothing names, old tombstones. Each task
//! repeats until it is done, so that a kill in the middle costs nothing but time.

mod collections;
mod deletes;
mod leftovers;
mod reconcile;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use graphmill_core::{ContentCache, Seq};
use graphmill_graph::GraphStore;
use graphmill_runtime::Occupancy;
use graphmill_store::{Blobs, JobStore};
use tokio::sync::{Notify, broadcast};
use tokio_util::sync::CancellationToken;

use crate::Turns;
pub use reconcile::{ReconcileError, reconcile_collections};
pub use upkeep::{MakeJob, Upkeep};

/// How often each task looks by itself.
#[derive(Debug, Clone)]
pub struct MaintenanceConfig {
    /// Pause after a document deletion failed, and the longest time until one that nobody nudged for is seen.
    pub deletes_every: Duration,
    /// Between two sweeps of staged chunks, unnamed blobs and tombstones.
    pub leftovers_every: Duration,
    /// Age from which a blob that nothing names, or a tombstone, goes.
    pub keep: Duration,
    /// Which collections have a handler at work: the one that the runtime was given.
    pub occupancy: Occupancy,
    /// Shared with the handler of ingestions.
    pub turns: Turns,
}

impl Default for MaintenanceConfig {
    fn default() -> Self {
        Self {
            deletes_every: Duration::from_secs(5),
            leftovers_every: Duration::from_secs(600),
            keep: Duration::from_secs(24 * 3600),
            occupancy: Occupancy::default(),
            turns: Turns::default(),
        }
    }
}

/// The running tasks. Cheap to clone.
#[derive(Clone)]
pub struct Maintenance {
    stores: Stores,
    wake: Arc<Notify>,
    stop: CancellationToken,
    tasks: tokio_util::task::TaskTracker,
}

/// What the tasks work on.
#[derive(Clone)]
struct Stores {
    jobs: Arc<dyn JobStore>,
    graph: Arc<dyn GraphStore>,
    blobs: Blobs,
    cache: Arc<dyn ContentCache>,
    occupancy: Occupancy,
    turns: Turns,
    purges: broadcast::Sender<(Seq, Purged)>,
}

/// What the purge of a document removed outside the graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Purged {
    /// Cached answers of models that no other document uses.
    pub cache_entries: u64,
    /// Log lines of its jobs.
    pub log_lines: u64,
    /// Bytes of its originals, page texts, kept outputs and of those answers.
    pub bytes: u64,
}

/// Purges whose end may wait for a slow listener.
const PURGES_KEPT: usize = 256;

impl Maintenance {
    /// Starts the tasks; deletions that an earlier process left are carried out at once.
    pub fn start(
        jobs: Arc<dyn JobStore>,
        graph: Arc<dyn GraphStore>,
        blobs: Blobs,
        cache: Arc<dyn ContentCache>,
        config: MaintenanceConfig,
    ) -> Self {
        let (occupancy, turns) = (config.occupancy.clone(), config.turns.clone());
        let maintenance = Self {
            stores: Stores { jobs, graph, blobs, cache, occupancy, turns, purges: broadcast::channel(PURGES_KEPT).0 },
            wake: Arc::new(Notify::new()),
            stop: CancellationToken::new(),
            tasks: tokio_util::task::TaskTracker::new(),
        };
        let stop = maintenance.stop.clone();
        let run = deletes::run(maintenance.stores.clone(), maintenance.wake.clone(), config.deletes_every);
        maintenance.tasks.spawn(async move { stop.run_until_cancelled(run).await });
        let stop = maintenance.stop.clone();
        let run = leftovers::run(maintenance.stores.clone(), config.leftovers_every, config.keep);
        maintenance.tasks.spawn(async move { stop.run_until_cancelled(run).await });
        maintenance
    }

    /// Starts upkeep of layers.
    pub fn start_upkeep(&self, upkeep: Upkeep) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move { stop.run_until_cancelled(upkeep.run()).await });
    }

    /// A deletion of a document or a collection was accepted: carry it out now.
    pub fn nudge(&self) {
        self.wake.notify_one();
    }

    /// Told of each purge that was carried out, by the ticket of its deletion, from now on.
    pub fn purges(&self) -> broadcast::Receiver<(Seq, Purged)> {
        self.stores.purges.subscribe()
    }

    /// Deletes those of `keys` that neither a job nor a published document names. Answers the bytes that it freed.
    pub async fn delete_blobs(&self, keys: Vec<String>) -> u64 {
        leftovers::delete_unnamed(&self.stores, keys).await
    }

    /// Stops the tasks; what they were about is found again at the next start.
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}
