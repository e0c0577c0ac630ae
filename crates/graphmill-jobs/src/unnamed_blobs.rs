//! Removing files that nothing names any more.

use graphmill_graph::GraphStore;
use graphmill_runtime::JobContext;
use graphmill_store::{Blobs, JobStore};

/// Deletes what a claim wrote and did not come to name: it was stopped between the two. What a kill leaves so is found by the daily sweep.
pub(crate) async fn delete_unnamed_of_claim(context: &JobContext, graph: &dyn GraphStore) {
    let written = context.written_blobs();
    if !written.is_empty() {
        delete_unnamed(context.store(), graph, context.blobs(), written).await;
    }
}

/// Deletes those of `keys` that neither a job nor a published document names; answers the bytes that it freed. What fails is left to the daily sweep.
pub(crate) async fn delete_unnamed(
    jobs: &dyn JobStore,
    graph: &dyn GraphStore,
    blobs: &Blobs,
    keys: Vec<String>,
) -> u64 {
    let keys = match jobs.unnamed_among(&keys).await {
        Ok(keys) => keys,
        Err(error) => {
            tracing::warn!(%error, "unnamed blobs could not be told from the others; the sweep will do it");
            return 0;
        }
    };
    let unnamed = match graph.blobs_unnamed_among(&keys).await {
        Ok(keys) => keys,
        Err(error) => {
            tracing::warn!(%error, "unnamed blobs could not be told from the others; the sweep will do it");
            return 0;
        }
    };
    let mut freed = 0;
    for key in unnamed {
        let size = blobs.size(&key).await.ok().flatten().unwrap_or(0);
        match blobs.delete(&key).await {
            Ok(()) => freed += size,
            Err(error) => tracing::warn!(%key, %error, "a blob could not be removed; the sweep will do it"),
        }
    }
    freed
}
