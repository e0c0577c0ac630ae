//! Carries out accepted document deletions, and a step of those of collections in between.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use graphmill_core::{CacheUser, CollectionId};
use graphmill_graph::records::RemoveOutcome;
use graphmill_store::records::DocumentDelete;
use tokio::sync::Notify;

use super::collections::{Deletions, Round};
use super::leftovers::delete_unnamed;
use super::{Purged, Stores};

/// Deletions looked at in one round.
const BATCH: u32 = 100;
/// Between two looks whether the last jobs of a collection have ended.
const JOB_ENDS: Duration = Duration::from_millis(20);
/// Looks for the end of a document's jobs before its purge is put off.
const JOB_ENDS_LOOKS: u32 = 100;
/// Tries to empty the logs before a purge is put off; each waits for a moment itself.
const SETTLE_LOOKS: u32 = 10;

pub(super) async fn run(stores: Stores, wake: Arc<Notify>, every: Duration) {
    let mut collections = Deletions::default();
    loop {
        while let Ok(more) = round(&stores).await {
            if !more {
                break;
            }
        }
        // In the same task, so that no document deletion is under way for a collection whose last step is taken.
        let pause = match collections.round(&stores).await {
            Round::More => continue,
            Round::Waiting => JOB_ENDS.min(every),
            Round::Idle | Round::Failed => every,
        };
        // A nudge that came during the round is kept by `Notify` as one permit: nothing is missed between the round and this line.
        let _ = tokio::time::timeout(pause, wake.notified()).await;
    }
}

/// Carries out what is open; `true` when there may be more, an error when one of them has to wait.
async fn round(stores: &Stores) -> Result<bool, ()> {
    let open = stores.jobs.open_document_deletes(BATCH).await.map_err(|error| {
        tracing::warn!(%error, "open document deletions could not be read");
    })?;
    let full = open.len() == BATCH as usize;
    let (mut failed, mut purges) = (false, Vec::new());
    for delete in open {
        match carry_out(stores, &delete).await {
            Ok(removed) if delete.purge => purges.push((delete, removed)),
            Ok(removed) => failed |= finish(stores, &delete, removed).await.is_err(),
            Err(()) => failed = true,
        }
    }
    failed |= finish_purges(stores, purges).await.is_err();
    if failed { Err(()) } else { Ok(full) }
}

/// What is left to do of a deletion that was carried out.
struct Removed {
    blobs: Vec<String>,
    purged: Option<Purged>,
}

async fn carry_out(stores: &Stores, delete: &DocumentDelete) -> Result<Removed, ()> {
    let document = delete.document;
    // Its original and page text go with it, unless a job still names them; what a kill leaves of them, the sweep finds.
    let turn = stores.turns.take(document).await;
    let published = stores.graph.document(document).await.ok().flatten();
    let blobs = published.map_or_else(Vec::new, |d| vec![d.properties.original, d.properties.page_text]);
    match stores.graph.remove(&delete.collection, document, delete.seq).await {
        Ok(RemoveOutcome::Removed { existed }) => tracing::info!(%document, existed, "document deleted"),
        Ok(RemoveOutcome::Overtaken { by }) => tracing::info!(%document, %by, "deletion overtaken by a later upload"),
        Err(error) => {
            tracing::warn!(%document, %error, "a document could not be deleted yet; it is tried again");
            return Err(());
        }
    }
    drop(turn);
    graphmill_core::fault_point!("document_delete.after_remove");
    // What the cancelled jobs had staged.
    if let Err(error) = stores.graph.sweep_document(document).await {
        tracing::warn!(%document, %error, "staged chunks could not be swept; the periodic sweep will do it");
    }
    let purged = if delete.purge { Some(purge(stores, delete).await?) } else { None };
    Ok(Removed { blobs, purged })
}

/// Purges of a collection share the one look through what its searches keep.
async fn finish_purges(stores: &Stores, purges: Vec<(DocumentDelete, Removed)>) -> Result<(), ()> {
    let collections: BTreeSet<CollectionId> = purges.iter().map(|(delete, _)| delete.collection.clone()).collect();
    let mut kept = BTreeSet::new();
    for collection in collections {
        if let Err(error) = stores.graph.compact_search(&collection).await {
            tracing::warn!(%collection, %error, "searches still keep words of purged documents; it is tried again");
            kept.insert(collection);
        }
    }
    graphmill_core::fault_point!("document_purge.after_index");
    let (done, left): (Vec<_>, Vec<_>) = purges.into_iter().partition(|(delete, _)| !kept.contains(&delete.collection));
    if done.is_empty() {
        return if left.is_empty() { Ok(()) } else { Err(()) };
    }
    // Files go first: their names stand in rows.
    let mut freed = Vec::with_capacity(done.len());
    for (_, removed) in &done {
        freed.push(delete_unnamed(stores, removed.blobs.clone()).await);
    }
    match settle(stores).await {
        Ok(true) => {}
        Ok(false) => {
            tracing::info!("a purge waits for somebody who reads an earlier state (a backup, an export)");
            return Err(());
        }
        Err(error) => {
            tracing::warn!(%error, "a purge cannot empty a write-ahead log yet; it is tried again");
            return Err(());
        }
    }
    graphmill_core::fault_point!("document_purge.after_settling");
    let mut failed = !left.is_empty();
    for ((delete, mut removed), freed) in done.into_iter().zip(freed) {
        if let Some(purged) = &mut removed.purged {
            purged.bytes += freed;
        }
        failed |= finish(stores, &delete, Removed { blobs: Vec::new(), ..removed }).await.is_err();
    }
    if failed { Err(()) } else { Ok(()) }
}

/// Waits a moment until no file of the stores holds anything of what was removed; `false`: somebody still reads an earlier state.
pub(super) async fn settle(stores: &Stores) -> Result<bool, PurgeError> {
    for _ in 0..SETTLE_LOOKS {
        if stores.graph.settle_deletions().await?
            && stores.jobs.settle_deletions().await?
            && stores.cache.settle_deletions().await?
        {
            return Ok(true);
        }
        tokio::time::sleep(JOB_ENDS).await;
    }
    Ok(false)
}

/// The last step of a deletion.
async fn finish(stores: &Stores, delete: &DocumentDelete, removed: Removed) -> Result<(), ()> {
    let (document, Removed { blobs, purged }) = (delete.document, removed);
    let freed = delete_unnamed(stores, blobs).await;
    stores.jobs.finish_document_delete(delete).await.map_err(|error| {
        tracing::warn!(%document, %error, "a carried out deletion could not be noted; it is carried out again");
    })?;
    if let Some(mut purged) = purged {
        purged.bytes += freed;
        tracing::info!(%document, purged.cache_entries, purged.log_lines, purged.bytes, "document purged");
        // Nobody may be waiting for it.
        let _ = stores.purges.send((delete.seq, purged));
    }
    Ok(())
}

/// Waits a moment for the handlers of the document's cancelled jobs: what they still write would outlive the purge.
async fn nobody_writes_for(stores: &Stores, delete: &DocumentDelete) -> bool {
    for _ in 0..JOB_ENDS_LOOKS {
        if !stores.occupancy.is_worked_on(delete.document, delete.seq) {
            return true;
        }
        tokio::time::sleep(JOB_ENDS).await;
    }
    false
}

/// Removes what the document left outside the graph. Files go before the rows that name them, so that a kill in between leaves nothing behind.
async fn purge(stores: &Stores, delete: &DocumentDelete) -> Result<Purged, ()> {
    let document = delete.document;
    if !nobody_writes_for(stores, delete).await {
        tracing::info!(%document, "a purge waits for a job of the document to stop");
        return Err(());
    }
    let work = async {
        let Some(keys) = stores.jobs.purgeable_blobs(delete).await? else { return Ok(None) };
        let mut purged = Purged { bytes: delete_blobs(stores, keys).await?, ..Purged::default() };
        graphmill_core::fault_point!("document_purge.after_blobs");
        purged.log_lines = stores.jobs.purge_document(delete).await?;
        graphmill_core::fault_point!("document_purge.after_rows");
        let answers = stores.cache.purge(CacheUser { document, seq: delete.seq }).await?;
        graphmill_core::fault_point!("document_purge.after_cache");
        (purged.cache_entries, purged.bytes) = (answers.entries, purged.bytes + answers.bytes);
        Ok(Some(purged))
    };
    match work.await {
        Ok(Some(purged)) => Ok(purged),
        Ok(None) => {
            tracing::info!(%document, "a purge waits for a job of the document that is being published");
            Err(())
        }
        Err(error) => {
            let error: PurgeError = error;
            tracing::warn!(%document, %error, "a document could not be purged yet; it is tried again");
            Err(())
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum PurgeError {
    #[error(transparent)]
    Jobs(#[from] graphmill_store::Error),
    #[error(transparent)]
    Graph(#[from] graphmill_graph::Error),
    #[error(transparent)]
    Cache(#[from] graphmill_core::CacheError),
}

/// Deletes those that no published document names; answers the bytes that it freed.
async fn delete_blobs(stores: &Stores, keys: Vec<String>) -> Result<u64, PurgeError> {
    let mut freed = 0;
    for key in stores.graph.blobs_unnamed_among(&keys).await? {
        let size = stores.blobs.size(&key).await?.unwrap_or(0);
        stores.blobs.delete(&key).await?;
        freed += size;
    }
    Ok(freed)
}
