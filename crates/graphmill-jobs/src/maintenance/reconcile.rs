//! At the start: collections and documents that the graph has and the job store does not know of (the folder of an older version, a job whose end was
//! lost) are told to it, so that they are listed and count in their quotas.

use graphmill_core::CollectionSettings;
use graphmill_graph::GraphStore;
use graphmill_graph::listing::{DocumentQuery, PageStart};
use graphmill_store::JobStore;
use graphmill_store::collection_store::PublishedSize;

/// Documents told at once.
const PAGE: u32 = 500;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The job store.
    #[error(transparent)]
    Jobs(#[from] graphmill_store::Error),
    /// The graph store.
    #[error(transparent)]
    Graph(#[from] graphmill_graph::Error),
}

/// Tells the job store what it lacks. Looks at the documents of a collection only when the job store counts fewer than the graph has.
pub async fn reconcile_collections(jobs: &dyn JobStore, graph: &dyn GraphStore) -> Result<(), ReconcileError> {
    for name in graph.collections().await? {
        let known = match jobs.collection(&name).await? {
            Some(known) if known.deletion.is_some() => continue,
            Some(known) => known.usage.documents,
            None => {
                jobs.create_collection(&name, &CollectionSettings::default()).await?;
                0
            }
        };
        if graph.stats(Some(&name)).await?.documents <= known {
            continue;
        }
        let query = DocumentQuery { collection: Some(name.clone()), ..DocumentQuery::default() };
        let (mut start, mut told) = (PageStart::default(), 0);
        loop {
            let page = graph.documents(&query, &start, PAGE).await?;
            told += page.items.len();
            let sizes = page.items.into_iter().map(|document| PublishedSize {
                collection: name.clone(),
                document: document.id,
                seq: document.seq,
                bytes: document.properties.file_size,
            });
            jobs.note_published(sizes.collect()).await?;
            match page.next_cursor {
                Some(cursor) => start = PageStart::Cursor(cursor),
                None => break,
            }
        }
        tracing::info!(collection = %name, documents = told, "the documents of a collection were counted for its quota");
    }
    Ok(())
}
