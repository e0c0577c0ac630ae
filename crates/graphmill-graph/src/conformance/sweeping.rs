//! Chunks that are not placed, and tombstones.

use std::time::Duration;

use graphmill_core::Seq;

use super::Backend;
use super::fixtures::{Draft, assert_whole, export_default, sweep_all};
use crate::records::PublishOutcome;

/// A sweep takes what is not placed and nothing else.
pub async fn what_is_placed_is_never_swept(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let first = Draft::new("a.md", &["A>B", "B>C", "C"]);
    first.put(store, 1).await;
    assert_eq!(store.sweep_document(first.id()).await.expect("it is swept"), 0);
    let second = Draft::new("a.md", &["A>B", "D"]);
    second.stage(store).await;
    let before = export_default(store).await;
    assert_eq!(store.unplaced_documents(10).await.expect("they are listed"), [first.id()]);
    assert_eq!(store.sweep_document(first.id()).await.expect("it is swept"), 1);
    assert_eq!(export_default(store).await, before);
    second.put(store, 2).await;
    assert_eq!(store.sweep_document(first.id()).await.expect("it is swept"), 2);
    assert!(store.unplaced_documents(10).await.expect("they are listed").is_empty());
    assert_whole(store).await;
}

/// A sweep of one document leaves what another staged.
pub async fn other_documents_are_not_swept(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let (a, b) = (Draft::new("a.md", &["A>B"]), Draft::new("b.md", &["A>B", "C"]));
    a.stage(store).await;
    b.stage(store).await;
    let mut listed = store.unplaced_documents(10).await.expect("they are listed");
    listed.sort_unstable();
    let mut both = [a.id(), b.id()];
    both.sort_unstable();
    assert_eq!(listed, both);
    assert_eq!(store.unplaced_documents(1).await.expect("they are listed").len(), 1);
    assert_eq!(store.sweep_document(a.id()).await.expect("it is swept"), 1);
    assert!(matches!(b.publish(store, 1).await, PublishOutcome::Published(_)));
    assert_eq!(store.stats(None).await.expect("stats are read").unplaced_chunks, 0);
}

/// A tombstone goes when it is old enough and the caller says so.
pub async fn tombstones_are_forgotten_when_old(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let day = Duration::from_secs(24 * 3600);
    let draft = Draft::new("a.md", &["A>B"]);
    draft.put(store, 1).await;
    store.remove(&draft.collection, draft.id(), Seq(2)).await.expect("it is removed");
    assert!(store.old_tombstones(day, 10).await.expect("they are listed").is_empty());
    graph.clock.advance(day);
    assert_eq!(store.old_tombstones(day, 10).await.expect("they are listed"), [draft.id()]);
    store.forget_tombstones(&[draft.id()]).await.expect("it is forgotten");
    assert!(store.published_seq(draft.id()).await.expect("a ticket is read").is_none());
    assert!(store.old_tombstones(day, 10).await.expect("they are listed").is_empty());
    assert_eq!(
        store.unplaced_documents(10).await.expect("they are listed"),
        [draft.id()],
        "its chunks wait for their sweep"
    );
    sweep_all(store).await;
    let published = Draft::new("b.md", &["A"]);
    published.put(store, 3).await;
    store.forget_tombstones(&[published.id()]).await.expect("a published document has no tombstone");
    assert!(store.document(published.id()).await.expect("a document is read").is_some());
    assert_whole(store).await;
}

/// The count in a publication catches a sweep that came in between.
pub async fn a_sweep_between_stage_and_publish_is_noticed(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let draft = Draft::new("a.md", &["A>B", "C"]);
    draft.stage(store).await;
    store.sweep_document(draft.id()).await.expect("it is swept");
    assert!(matches!(draft.publish(store, 1).await, PublishOutcome::Incomplete(missing) if missing.len() == 2));
    assert!(matches!(draft.upload(store, 1).await, PublishOutcome::Published(_)));
    assert_whole(store).await;
}
