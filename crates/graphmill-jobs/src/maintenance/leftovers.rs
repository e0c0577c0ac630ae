//! Removes what a kill, a failed job or a vanished client left: staged chunks, blobs that nothing names, old tombstones.

use std::collections::HashSet;
use std::time::Duration;

use graphmill_core::DocumentId;

use super::Stores;
use crate::unnamed_blobs;

/// Rows looked at in one step.
const BATCH: u32 = 500;

pub(super) async fn run(stores: Stores, every: Duration, keep: Duration) {
    let (mut rounds, mut next_compaction) = (0_u32, 0_u32);
    loop {
        if rounds == next_compaction {
            if let Err(error) = sweep_retired_spaces(&stores).await {
                tracing::warn!(%error, "vectors of retired models could not be swept");
            }
            compact_searches(&stores).await;
            next_compaction = rounds.wrapping_add(rounds_in(keep, every));
        }
        rounds = rounds.wrapping_add(1);
        if let Err(error) = sweep_staged(&stores).await {
            tracing::warn!(%error, "staged chunks could not be swept");
        }
        if let Err(error) = sweep_blobs(&stores, keep).await {
            tracing::warn!(%error, "unnamed blobs could not be swept");
        }
        if let Err(error) = forget_tombstones(&stores, keep).await {
            tracing::warn!(%error, "old tombstones could not be forgotten");
        }
        tokio::time::sleep(every).await;
    }
}

/// At least one.
fn rounds_in(time: Duration, every: Duration) -> u32 {
    let rounds = time.as_millis().checked_div(every.as_millis()).unwrap_or(1);
    u32::try_from(rounds).unwrap_or(u32::MAX).max(1)
}

/// A model that was given up may come back within a round, so its vectors go no sooner than the searches are compacted.
async fn sweep_retired_spaces(stores: &Stores) -> Result<(), Error> {
    for collection in stores.graph.collections().await? {
        while stores.graph.sweep_retired_spaces(&collection).await? > 0 {}
    }
    Ok(())
}

/// Words and vectors of documents that were deleted without a purge go with the first round and then as often as tombstones do.
async fn compact_searches(stores: &Stores) {
    let compacted = async {
        for collection in stores.graph.collections().await? {
            stores.graph.compact_search(&collection).await?;
        }
        Ok::<_, graphmill_graph::Error>(())
    };
    if let Err(error) = compacted.await {
        tracing::warn!(%error, "what searches keep of deleted documents could not be removed");
    }
}

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Jobs(#[from] graphmill_store::Error),
    #[error(transparent)]
    Graph(#[from] graphmill_graph::Error),
}

/// Those of `documents` that no unended job can still need.
async fn settled(stores: &Stores, documents: Vec<DocumentId>) -> Result<Vec<DocumentId>, Error> {
    let unended: HashSet<DocumentId> = stores.jobs.unended_among(&documents).await?.into_iter().collect();
    Ok(documents.into_iter().filter(|d| !unended.contains(d)).collect())
}

async fn sweep_staged(stores: &Stores) -> Result<(), Error> {
    let documents = stores.graph.unplaced_documents(BATCH).await?;
    for document in settled(stores, documents).await? {
        let swept = stores.graph.sweep_document(document).await?;
        tracing::info!(%document, swept, "staged chunks of an ended job were swept");
    }
    Ok(())
}

async fn forget_tombstones(stores: &Stores, keep: Duration) -> Result<(), Error> {
    let documents = stores.graph.old_tombstones(keep, BATCH).await?;
    let settled = settled(stores, documents).await?;
    if !settled.is_empty() {
        stores.graph.forget_tombstones(&settled).await?;
    }
    Ok(())
}

/// A blob may be a day old before the row that names it stands (a slow upload), so younger ones are left alone.
async fn sweep_blobs(stores: &Stores, keep: Duration) -> Result<(), Error> {
    let mut after = None;
    loop {
        let keys = stores.blobs.list_older_than(keep, after.as_deref(), BATCH as usize).await?;
        let Some(last) = keys.last().cloned() else { return Ok(()) };
        delete_unnamed(stores, keys).await;
        after = Some(last);
    }
}

/// Deletes those of `keys` that neither a job nor a published document names.
pub(super) async fn delete_unnamed(stores: &Stores, keys: Vec<String>) -> u64 {
    unnamed_blobs::delete_unnamed(&*stores.jobs, &*stores.graph, &stores.blobs, keys).await
}
