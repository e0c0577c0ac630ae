//! Carries out accepted deletions of collections, in short steps that can each be repeated: a mark in the graph by which nothing of it is seen or
//! published any more, the end of its jobs, its files, its rows in the graph, its cached answers, its jobs. The phase is kept in memory alone: a new
//! process begins with the mark again, and finds each phase that was done to have nothing left.

use std::collections::HashMap;

use graphmill_core::CollectionId;
use graphmill_store::collection_store::CollectionDeletion;

use super::Stores;
use super::deletes::{PurgeError, settle};

/// Jobs cancelled in one step.
const CANCEL: u32 = 500;
/// Documents whose files go in one step.
const DOCUMENTS: u32 = 100;
/// Jobs deleted in one step.
const JOBS: u32 = 50;

/// What is done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Mark,
    Cancel,
    /// Files of documents with keys above this cursor.
    Files(u64),
    Graph,
    Cache,
    Jobs,
    /// Nothing of it is left in a file.
    Settle,
    Finish,
}

/// How a round over all deletions ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Round {
    /// Nothing is to be done.
    Idle,
    /// Something failed; it is tried again after a pause.
    Failed,
    /// All that is left waits for a job that is ending.
    Waiting,
    /// There is more to do at once.
    More,
}

/// The deletions under way and their phases.
#[derive(Debug, Default)]
pub(super) struct Deletions(HashMap<CollectionId, (CollectionDeletion, Phase)>);

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Jobs(#[from] graphmill_store::Error),
    #[error(transparent)]
    Graph(#[from] graphmill_graph::Error),
    #[error(transparent)]
    Cache(#[from] graphmill_core::CacheError),
    #[error(transparent)]
    Settling(#[from] PurgeError),
}

impl Deletions {
    /// One step of each deletion.
    pub(super) async fn round(&mut self, stores: &Stores) -> Round {
        let open = match stores.jobs.deleting_collections().await {
            Ok(open) => open,
            Err(error) => {
                tracing::warn!(%error, "accepted deletions of collections could not be read");
                return Round::Failed;
            }
        };
        self.0.retain(|name, _| open.iter().any(|(other, _)| other == name));
        let mut round = Round::Idle;
        for (name, deletion) in open {
            // A later deletion of a collection that was made again begins anew.
            let known = self.0.get(&name).filter(|(known, _)| known.seq == deletion.seq);
            let phase = known.map_or(Phase::Mark, |(_, phase)| *phase);
            let done = match step(stores, &name, &deletion, phase).await {
                Ok(Some(next)) => {
                    let waits = next == phase && matches!(next, Phase::Cancel | Phase::Settle);
                    self.0.insert(name, (deletion, next));
                    if waits { Round::Waiting } else { Round::More }
                }
                Ok(None) => {
                    tracing::info!(collection = %name, "collection deleted");
                    self.0.remove(&name);
                    Round::More
                }
                Err(error) => {
                    tracing::warn!(collection = %name, %error, "a collection could not be deleted yet; it is tried again");
                    Round::Failed
                }
            };
            round = round.max(done);
        }
        round
    }
}

/// One step; the phase that comes next (the same one while it has more to do), `None` when the collection is gone.
async fn step(
    stores: &Stores,
    name: &CollectionId,
    deletion: &CollectionDeletion,
    phase: Phase,
) -> Result<Option<Phase>, Error> {
    let next = match phase {
        Phase::Mark => {
            graphmill_core::fault_point!("collection_delete.before_mark");
            stores.graph.begin_collection_removal(name, deletion.seq).await?;
            Phase::Cancel
        }
        Phase::Cancel => {
            let done = stores.jobs.cancel_for_collection_delete(name, CANCEL).await?;
            let ended = done.left == 0 && done.publishing == 0;
            // Who still works on it, though its job has ended, may have a write under way.
            if done.publishing > 0 {
                // Of a process that died: without a worker nobody else looks for it.
                stores.jobs.requeue_lost().await?;
            }
            if !ended || stores.occupancy.is_occupied(name) {
                return Ok(Some(Phase::Cancel));
            }
            graphmill_core::fault_point!("collection_delete.after_cancel");
            Phase::Files(0)
        }
        Phase::Files(after) => match stores.graph.blobs_under_removal(name, after, DOCUMENTS).await? {
            Some((cursor, blobs)) => {
                delete_files(stores, blobs).await?;
                graphmill_core::fault_point!("collection_delete.after_files");
                Phase::Files(cursor)
            }
            None => Phase::Graph,
        },
        Phase::Graph if stores.graph.sweep_collection(name).await? => Phase::Cache,
        Phase::Graph => Phase::Graph,
        Phase::Cache => {
            stores.cache.delete_collection(name).await?;
            graphmill_core::fault_point!("collection_delete.after_cache");
            Phase::Jobs
        }
        Phase::Jobs => {
            delete_files(stores, stores.jobs.next_blobs_of_collection(name, JOBS).await?).await?;
            if stores.jobs.delete_jobs_of_collection(name, JOBS).await? { Phase::Settle } else { Phase::Jobs }
        }
        Phase::Settle if settle(stores).await? => Phase::Finish,
        Phase::Settle => Phase::Settle,
        Phase::Finish => {
            stores.jobs.finish_collection_delete(name).await?;
            return Ok(None);
        }
    };
    Ok(Some(next))
}

/// Blobs are of one collection alone: whoever names them goes too.
async fn delete_files(stores: &Stores, keys: Vec<String>) -> Result<(), graphmill_store::Error> {
    for key in keys {
        stores.blobs.delete(&key).await?;
    }
    Ok(())
}
