//! Carries out accepted document deletions, and a step of those of collections in between.

use std::sync::Arc;
use std::time::Duration;

use graphmill_graph::records::RemoveOutcome;
use graphmill_store::records::DocumentDelete;
use tokio::sync::Notify;

use super::Stores;
use super::collections::{Deletions, Round};
use super::leftovers::delete_unnamed;

/// Deletions looked at in one round.
const BATCH: u32 = 100;
/// Between two looks whether the last jobs of a collection have ended.
const JOB_ENDS: Duration = Duration::from_millis(20);

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
    let mut failed = false;
    for delete in open {
        failed |= carry_out(stores, &delete).await.is_err();
    }
    if failed { Err(()) } else { Ok(full) }
}

async fn carry_out(stores: &Stores, delete: &DocumentDelete) -> Result<(), ()> {
    let document = delete.document;
    // Its original and page text go with it, unless a job still names them; what a kill leaves of them, the sweep finds.
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
    graphmill_core::fault_point!("document_delete.after_remove");
    // What the cancelled jobs had staged.
    if let Err(error) = stores.graph.sweep_document(document).await {
        tracing::warn!(%document, %error, "staged chunks could not be swept; the periodic sweep will do it");
    }
    delete_unnamed(stores, blobs).await;
    stores.jobs.finish_document_delete(delete).await.map_err(|error| {
        tracing::warn!(%document, %error, "a carried out deletion could not be noted; it is carried out again");
    })
}
