//! The removal of a collection: gone for readers at once, its rows in short steps, and nothing of it in what comes after.

use futures::TryStreamExt;
use graphmill_core::{CollectionId, CommunityId, EntityId, EntityName, Seq};
use serde_json::Map;

use super::fixtures::{DIMENSION, Draft, assert_whole, export_default, export_text};
use super::{Backend, TestGraph};
use crate::listing::{DocumentQuery, EntityQuery, PageStart};
use crate::records::{
    CommunityRow, Layer, PublishOutcome, PublishedSeq, RemoveOutcome, SearchFilter, SimilarityRow, Touch, TouchOutcome,
};
use crate::{Error, GraphStore};

const FIRST: PageStart = PageStart::Offset(0);

fn team() -> CollectionId {
    "team".parse().expect("a valid name")
}

/// The same document of the collection `team`.
fn of_team(draft: &Draft) -> Draft {
    Draft { collection: team(), ..draft.clone() }
}

/// A graph with something in every layer of two collections.
pub async fn two_full_collections(backend: &dyn Backend) -> TestGraph {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    for collection in [CollectionId::default(), team()] {
        let base = if collection == team() { 100 } else { 0 };
        let space = store.ensure_space(&collection, "model-1", DIMENSION).await.expect("a space is made");
        let of = |draft: Draft| Draft { collection: collection.clone(), spaces: vec![space.id], ..draft };
        let first = of(Draft::new("a.md", &["A>B", "B>C", "C>A and text"]));
        first.put(store, base + 1).await;
        of(Draft::new("b.md", &["A>B", "D"])).put(store, base + 2).await;
        let gone = of(Draft::new("gone.md", &["E>F"]));
        gone.put(store, base + 3).await;
        store.remove(&collection, gone.id(), Seq(base + 4)).await.expect("it is removed");
        of(Draft::new("staged.md", &["G>H", "I"])).stage(store).await;
        let chunks = first.staged();
        let run = store.begin_run(&collection, Layer::Similarities, true).await.expect("a run begins");
        let row = SimilarityRow { chunk: chunks[0].id, neighbours: vec![(chunks[1].id, 0.9)], cut_at: None };
        store.put_similarities(&run, vec![row]).await.expect("rows are written");
        store.finish_run(&run, 2, Map::new()).await.expect("the run ends");
        let run = store.begin_run(&collection, Layer::Communities, true).await.expect("a run begins");
        let entity = EntityId::new(&collection, &EntityName::new("A").expect("a name"));
        let community = CommunityRow {
            id: CommunityId::new(&collection, 0, b"k"),
            level: 0,
            parent: None,
            title: "Title".into(),
            summary: "Summary".into(),
            modularity_share_millionths: 1,
            members: vec![entity],
        };
        store.put_communities(&run, vec![community]).await.expect("communities are written");
        store.finish_run(&run, 2, Map::new()).await.expect("the run ends");
    }
    graph
}

/// Sweeps until nothing is left; answers in how many steps.
pub async fn sweep_whole(store: &dyn GraphStore, collection: &CollectionId) -> u64 {
    for step in 1..100_000 {
        if store.sweep_collection(collection).await.expect("it is swept") {
            return step;
        }
    }
    panic!("the removal of {collection} does not end");
}

/// Another collection is untouched; one made again under the name begins with nothing.
pub async fn a_removed_collection_leaves_nothing(backend: &dyn Backend) {
    let graph = two_full_collections(backend).await;
    let store = graph.store.as_ref();
    let kept = export_default(store).await;
    let stats = store.stats(Some(&CollectionId::default())).await.expect("stats are read");
    let old_space = store.spaces(&team()).await.expect("spaces are read")[0].id;
    store.begin_collection_removal(&team(), Seq(200)).await.expect("it begins");
    assert_eq!(store.highest_seq().await.expect("a ticket is read"), Seq(200), "later tickets stand above the removal");
    sweep_whole(store, &team()).await;
    assert!(store.sweep_collection(&team()).await.expect("twice is once"));
    assert_eq!(store.collection_removal(&team()).await.expect("progress is read"), None);
    assert_eq!(store.collections().await.expect("names are read"), [CollectionId::default()]);
    assert_eq!(export_default(store).await, kept);
    assert_eq!(store.stats(None).await.expect("stats are read"), stats);
    assert_whole(store).await;
    // The same documents once more, under the tickets that come next.
    let draft = of_team(&Draft::new("a.md", &["A>B", "B>C"]));
    assert_eq!(store.published_seq(draft.id()).await.expect("a ticket is read"), None);
    draft.put(store, 201).await;
    assert!(store.check(&team(), 10).await.expect("the check ends").is_empty());
    let new = store.stats(Some(&team())).await.expect("stats are read");
    assert_eq!((new.documents, new.chunks, new.similarities, new.communities), (1, 2, 0, 0));
    assert_eq!(store.layer(&team(), Layer::Similarities).await.expect("a layer is read").run, 0);
    assert!(store.spaces(&team()).await.expect("spaces are read").is_empty());
    let space = store.ensure_space(&team(), "model-1", DIMENSION).await.expect("a space is made");
    assert_ne!(space.id, old_space, "numbers of spaces are never used again");
}

/// From the mark on, before anything was swept.
pub async fn a_collection_under_removal_is_not_there(backend: &dyn Backend) {
    let graph = two_full_collections(backend).await;
    let store = graph.store.as_ref();
    let empty = export_text(store, &"never".parse().expect("a valid name")).await.lines().count();
    let space = store.spaces(&team()).await.expect("spaces are read")[0].id;
    let document = of_team(&Draft::new("a.md", &[])).id();
    store.begin_collection_removal(&team(), Seq(200)).await.expect("it begins");
    store.begin_collection_removal(&team(), Seq(300)).await.expect("it has begun");
    let none = SearchFilter::default();
    assert_eq!(store.document(document).await.expect("it is read"), None);
    assert!(store.chunks(document, 0, 10).await.expect("they are read").is_empty());
    let stands = store.published_seq(document).await.expect("a ticket is read");
    assert_eq!(stands, Some(PublishedSeq { seq: Seq(200), deleted: true }));
    let listed = async |query: DocumentQuery| store.documents(&query, &FIRST, 10).await.expect("they are listed");
    assert_eq!(listed(DocumentQuery::default()).await.total, 2);
    assert_eq!(listed(DocumentQuery { q: Some("md".into()), ..DocumentQuery::default() }).await.total, 2);
    assert_eq!(listed(DocumentQuery { collection: Some(team()), ..DocumentQuery::default() }).await.total, 0);
    let entities = store.entities(&team(), &EntityQuery::default(), &FIRST, 10).await.expect("they are listed");
    assert_eq!((entities.total, entities.items), (0, Vec::new()));
    assert!(store.document_entities(document, &FIRST, 10).await.expect("they are read").is_none());
    let theirs = graphmill_core::EntityId::new(&team(), &graphmill_core::EntityName::new("A").expect("a name"));
    assert!(store.entity(theirs, &FIRST, 10).await.expect("it is read").is_none());
    assert_eq!(store.layer_report(&team()).await.expect("layers are read"), Default::default());
    assert_eq!(store.stats(Some(&team())).await.expect("stats are read").chunks, 0);
    assert!(store.fulltext(&team(), "text", 10, &none).await.expect("a search").is_empty());
    assert!(store.nearest(&team(), space, &[1.0; DIMENSION as usize], 10, &none).await.expect("a search").is_empty());
    assert_eq!(export_text(store, &team()).await.lines().count(), empty);
    let pages: Vec<_> = store.projection(&team()).await.expect("it begins").try_collect().await.expect("it ends");
    assert!(pages.concat().is_empty());
    assert_eq!(store.collections().await.expect("names are read"), [CollectionId::default()]);
}

/// The progress falls to nothing, a page of blobs after the other, and the steps can be taken after a restart of the caller.
pub async fn a_removal_is_carried_out_in_steps(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    store.begin_collection_removal(&team(), Seq(1)).await.expect("one that does not exist is not made");
    assert!(store.collections().await.expect("names are read").is_empty());
    assert!(store.sweep_collection(&team()).await.expect("there is nothing"));
    let words: Vec<String> = (0..3_000).map(|n| format!("N{n}>M{}", n % 700)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for (n, chunks) in words.chunks(1_000).enumerate() {
        of_team(&Draft::new(&format!("{n}.md"), chunks)).put(store, n as u64 + 1).await;
    }
    assert!(store.sweep_collection(&team()).await.expect("an answer"), "a collection without a mark is left alone");
    assert_eq!(store.stats(Some(&team())).await.expect("stats are read").chunks, 3_000);
    store.begin_collection_removal(&team(), Seq(10)).await.expect("it begins");
    let begun = store.collection_removal(&team()).await.expect("progress is read").expect("it is under way");
    assert!(begun.total == begun.left && begun.total > 6_000, "{begun:?}");
    let (mut after, mut blobs) = (0, Vec::new());
    while let Some((cursor, page)) = store.blobs_under_removal(&team(), after, 2).await.expect("blobs are read") {
        assert!(page.len() <= 4);
        after = cursor;
        blobs.extend(page);
    }
    blobs.sort();
    assert_eq!(blobs.len(), 6);
    assert_eq!((blobs[0].as_str(), blobs[5].as_str()), ("original/0.md", "page_text/2.md"));
    let (mut last, mut steps) = (begun.left, 1);
    while !store.sweep_collection(&team()).await.expect("it is swept") {
        let now = store.collection_removal(&team()).await.expect("progress is read").expect("it is under way");
        assert!(now.left <= last && now.total == begun.total, "{now:?} after {last}");
        (last, steps) = (now.left, steps + 1);
    }
    assert!(steps > 5, "no step is long: {steps}");
}

/// Whoever writes to it is told so, and makes nothing.
pub async fn publications_end_as_overtaken_by_a_removal(backend: &dyn Backend) {
    let graph = two_full_collections(backend).await;
    let store = graph.store.as_ref();
    let draft = of_team(&Draft::new("late.md", &["A>B"]));
    draft.stage(store).await;
    let unknown = of_team(&Draft::new("unknown.md", &["A>B"]));
    store.begin_collection_removal(&team(), Seq(200)).await.expect("it begins");
    let overtaken = PublishOutcome::Overtaken { by: Seq(200), deleted: true };
    assert_eq!(draft.publish(store, 150).await, overtaken);
    assert_eq!(unknown.publish(store, 151).await, overtaken);
    let p = draft.properties();
    let touch = Touch {
        collection: team(),
        document: draft.id(),
        seq: Seq(152),
        content_hash: p.content_hash,
        settings_hash: p.settings_hash,
        filename: p.filename,
        mime_type: p.mime_type,
    };
    let touched = store.touch(&touch).await.expect("a touch is answered");
    assert_eq!(touched, TouchOutcome::Overtaken { by: Seq(200), deleted: true });
    let removed = store.remove(&team(), draft.id(), Seq(153)).await.expect("a removal is answered");
    assert_eq!(removed, RemoveOutcome::Removed { existed: false });
    let refused = |what: &str, answer: Result<(), Error>| {
        assert!(matches!(answer, Err(Error::CollectionRemoved(name)) if name == team()), "{what}");
    };
    refused("staging", store.stage(&team(), draft.id(), draft.staged()).await);
    refused("making it", store.ensure_collection(&team()).await);
    refused("a space", store.ensure_space(&team(), "model-2", DIMENSION).await.map(drop));
    refused("a run", store.begin_run(&team(), Layer::Similarities, true).await.map(drop));
    assert_eq!(store.sweep_document(draft.id()).await.expect("a sweep is answered"), 0, "it goes with its collection");
    sweep_whole(store, &team()).await;
}
