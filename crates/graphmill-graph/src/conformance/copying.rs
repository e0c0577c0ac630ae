//! Copies: the same export, again and again.

use graphmill_core::{CollectionId, CommunityId, DocumentId, Seq, Timestamp};
use serde_json::{Map, json};

use super::Backend;
use super::fixtures::{
    DIMENSION, Draft, Numbers, assert_whole, entity, export_default, random_draft, random_edit, sweep_all,
};
use crate::copy::{Copied, CopyOptions, copy_collection};
use crate::listing::{DocumentQuery, PageStart};
use crate::records::{CommunityRow, DocumentRecord, Layer, SimilarityRow};
use crate::{Error, GraphStore};

async fn copy(from: &dyn GraphStore, to: &dyn GraphStore, vectors: bool) -> Copied {
    let collection = CollectionId::default();
    copy_collection(from, to, &collection, CopyOptions { vectors }, &mut |_| {}).await.expect("a collection is copied")
}

/// Layers over the chunks of a document.
async fn layers(store: &dyn GraphStore, draft: &Draft) {
    let chunks: Vec<_> = draft.staged().into_iter().map(|chunk| chunk.id).collect();
    let run = store.begin_run(&draft.collection, Layer::Similarities, true).await.expect("a run begins");
    let pair =
        |a: usize, b: usize| SimilarityRow { chunk: chunks[a], neighbours: vec![(chunks[b], 0.75)], cut_at: Some(0.5) };
    store.put_similarities(&run, vec![pair(0, 1), pair(1, 0)]).await.expect("rows are written");
    let space = store.spaces(&draft.collection).await.expect("spaces are read")[0].id;
    let parameters = Map::from_iter([("top_k".to_owned(), json!(1)), ("space".to_owned(), json!(space))]);
    let number = store.publish_number(&draft.collection).await.expect("a number is read");
    store.finish_run(&run, number, parameters).await.expect("the run ends");
    let run = store.begin_run(&draft.collection, Layer::Communities, true).await.expect("a run begins");
    let community = |level, key: &[u8], parent, members: &[&str]| CommunityRow {
        id: CommunityId::new(&draft.collection, level, key),
        level,
        parent,
        title: format!("Community {level}"),
        summary: "of pumps".into(),
        modularity_share_millionths: 250_000,
        members: members.iter().map(|name| entity(name)).collect(),
    };
    let top = community(1, b"top", None, &["Lathe", "Gate", "Nobody"]);
    let rows = vec![community(0, b"a", Some(top.id), &["Lathe"]), community(0, b"b", Some(top.id), &["Gate"]), top];
    store.put_communities(&run, rows).await.expect("communities are written");
    store.finish_run(&run, number, Map::new()).await.expect("the run ends");
}

async fn filled(store: &dyn GraphStore, numbers: &mut Numbers) -> Vec<Draft> {
    let space = store.ensure_space(&CollectionId::default(), "model", DIMENSION).await.expect("a space is made");
    let mut drafts: Vec<Draft> = (0..7).map(|n| random_draft(&format!("{n}.md"), numbers)).collect();
    drafts.push(Draft::new("gate.md", &["Lathe>Gate", "Gate>Lathe", "Lathe"]));
    for (n, draft) in drafts.iter_mut().enumerate() {
        draft.spaces = vec![space.id];
        draft.put(store, n as u64 + 1).await;
    }
    layers(store, &drafts[7]).await;
    drafts
}

/// With vectors and without.
pub async fn a_copy_has_the_same_export(backend: &dyn Backend) {
    let from = backend.empty().await;
    let source = from.store.as_ref();
    filled(source, &mut Numbers(5)).await;
    let expected = export_default(source).await;
    assert!(expected.contains("\"similarity\"") && expected.contains("Community 1"), "{expected}");
    for vectors in [false, true] {
        let to = backend.empty().await;
        let target = to.store.as_ref();
        let copied = copy(source, target, vectors).await;
        assert_eq!((copied.documents, copied.similarities, copied.communities), (8, 2, 3));
        assert_eq!(export_default(target).await, expected);
        assert_whole(target).await;
        let collection = CollectionId::default();
        assert_eq!(target.spaces(&collection).await.expect("spaces are read").len(), usize::from(vectors));
        assert_eq!(listed(target).await, listed(source).await);
        let again = copy(source, target, vectors).await;
        assert_eq!((again.documents, again.passed_over), (0, 8));
        assert_eq!(export_default(target).await, expected);
    }
}

/// What of the documents is in no export.
async fn listed(store: &dyn GraphStore) -> Vec<(DocumentId, Seq, Timestamp, Timestamp, String)> {
    let page = store.documents(&DocumentQuery::default(), &PageStart::default(), 50).await.expect("they are listed");
    let row = |d: DocumentRecord| (d.id, d.seq, d.created_at, d.updated_at, d.properties.original);
    let mut rows: Vec<_> = page.items.into_iter().map(row).collect();
    rows.sort();
    rows
}

/// What was replaced, added and deleted since; what the target alone has goes.
pub async fn a_copy_brings_the_difference(backend: &dyn Backend) {
    let (from, to) = (backend.empty().await, backend.empty().await);
    let (source, target) = (from.store.as_ref(), to.store.as_ref());
    let mut numbers = Numbers(6);
    let drafts = filled(source, &mut numbers).await;
    copy(source, target, true).await;
    let mut edited = random_edit(&drafts[1], &mut numbers);
    while edited == drafts[1] {
        edited = random_edit(&edited, &mut numbers);
    }
    edited.put(source, 20).await;
    source.remove(&drafts[2].collection, drafts[2].id(), Seq(21)).await.expect("it is removed");
    Draft::new("late.md", &["Late>Pump"]).put(source, 22).await;
    let copied = copy(source, target, true).await;
    assert_eq!((copied.documents, copied.removed), (2, 1));
    assert_eq!(export_default(target).await, export_default(source).await);
    assert!(target.unplaced_documents(5).await.expect("they are listed").is_empty(), "nothing unplaced is left behind");
    assert_whole(target).await;
    // A graph with a life of its own is no target.
    edited.put(target, 90).await;
    let refused = copy_collection(source, target, &edited.collection, CopyOptions { vectors: true }, &mut |_| {}).await;
    assert!(matches!(&refused, Err(Error::Invalid(why)) if why.contains("90")), "{refused:?}");
}

/// Parts in order, with vectors, of one ticket alone.
pub async fn parts_of_a_document_are_of_one_ticket(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let mut draft = Draft::new("a.md", &["A>B", "B", "C>A"]);
    let space = store.ensure_space(&draft.collection, "model", DIMENSION).await.expect("a space is made");
    draft.spaces = vec![space.id];
    draft.put(store, 1).await;
    let mut read = Vec::new();
    while let Some(part) = store
        .document_part(draft.id(), Seq(1), read.len() as u32, 2)
        .await
        .expect("a part is read")
        .filter(|part| !part.is_empty())
    {
        assert!(part.len() <= 2);
        read.extend(part);
    }
    let (placements, chunks): (Vec<_>, Vec<_>) = read.into_iter().map(|p| (p.placement, p.chunk)).unzip();
    assert_eq!(placements, draft.publication(1).placements);
    assert_eq!(chunks, draft.staged());
    draft.put(store, 2).await;
    for (document, seq) in [(draft.id(), 1), (draft.id(), 3), (DocumentId::new(&draft.collection, "none"), 1)] {
        assert_eq!(store.document_part(document, Seq(seq), 0, 9).await.expect("it is answered"), None);
    }
    assert_eq!(store.document_part(draft.id(), Seq(2), 3, 9).await.expect("it is answered"), Some(Vec::new()));
    store.remove(&draft.collection, draft.id(), Seq(4)).await.expect("it is removed");
    assert_eq!(store.document_part(draft.id(), Seq(4), 0, 9).await.expect("it is answered"), None);
    sweep_all(store).await;
}
