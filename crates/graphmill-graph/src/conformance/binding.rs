//! A graph belongs to one job store.

use graphmill_core::{CollectionId, DocumentId, Seq};

use super::Backend;
use super::fixtures::Draft;
use crate::Error;

/// Another job store is refused, the same one is welcome again.
pub async fn a_graph_has_one_job_store(backend: &dyn Backend) {
    let graph = backend.empty().await;
    graph.store.bind([1; 16]).await.expect("an empty graph is bound");
    graph.store.bind([1; 16]).await.expect("its own job store binds it again");
    let refused = graph.store.bind([2; 16]).await;
    assert!(matches!(&refused, Err(e @ Error::WrongJobStore { .. }) if !e.is_retryable()), "{refused:?}");
}

/// The ticket counter of the job store is raised above this at each start.
pub async fn the_highest_ticket_counts_tombstones(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    assert_eq!(store.highest_seq().await.expect("the ticket is read"), Seq(0));
    Draft::new("a.md", &["A>B"]).put(store, 7).await;
    let gone = DocumentId::new(&CollectionId::default(), "never-there.md");
    store.remove(&CollectionId::default(), gone, Seq(9)).await.expect("a removal is answered");
    assert_eq!(store.highest_seq().await.expect("the ticket is read"), Seq(9));
}
