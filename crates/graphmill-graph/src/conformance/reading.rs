//! What readers see: counts, lists, pages, the export.

use std::time::Duration;

use futures::StreamExt;
use graphmill_core::{ChunkFacts, CollectionId, ContentHash, Seq};

use super::Backend;
use super::fixtures::{Draft, export_default, export_text};
use crate::GraphStore;
use crate::listing::{DocumentQuery, PageStart};
use crate::records::DocumentRecord;

/// Counts are of live data, staged chunks apart.
pub async fn stats_count_live_data(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    assert_eq!(store.stats(None).await.expect("stats are read"), Default::default());
    let other: CollectionId = "other".parse().expect("a collection name");
    Draft::new("a.md", &["A>B", "B>C"]).put(store, 1).await;
    let mut bad = Draft::new("b.md", &["A>B"]);
    bad.chunks.push(("unreadable".into(), ChunkFacts::quarantined()));
    bad.put(store, 2).await;
    Draft { collection: other.clone(), ..Draft::new("a.md", &["X"]) }.put(store, 3).await;
    Draft::new("c.md", &["Z>A", "Y"]).stage(store).await;
    let ours = store.stats(Some(&CollectionId::default())).await.expect("stats are read");
    assert_eq!((ours.documents, ours.chunks, ours.entities, ours.relations), (2, 4, 3, 2));
    assert_eq!((ours.unplaced_chunks, ours.quarantined_chunks, ours.publish_number), (2, 1, 2));
    let all = store.stats(None).await.expect("stats are read");
    assert_eq!((all.documents, all.chunks, all.entities, all.publish_number), (3, 5, 4, 2));
    assert_eq!(store.stats(Some(&"none".parse().expect("a name"))).await.expect("stats are read"), Default::default());
    let chunks = store.chunks(bad.id(), 0, 5).await.expect("chunks are read");
    assert_eq!(chunks.iter().map(|c| c.facts_quarantined).collect::<Vec<_>>(), [false, true]);
}

/// Newest first, then by id; pages and the total.
pub async fn documents_are_listed_newest_first(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let drafts: Vec<Draft> = (0..5).map(|i| Draft::new(&format!("{i}.md"), &["A"])).collect();
    for (i, draft) in drafts.iter().enumerate() {
        if i % 2 == 0 {
            graph.clock.advance(Duration::from_secs(1));
        }
        draft.put(store, i as u64 + 1).await;
    }
    graph.clock.advance(Duration::from_secs(1));
    drafts[1].put(store, 9).await;
    store.remove(&drafts[4].collection, drafts[4].id(), Seq(10)).await.expect("it is removed");
    Draft::new("staged.md", &["A"]).stage(store).await;
    let (listed, total) = listed_of(store, None, 0, 50).await;
    assert_eq!((listed.len(), total), (4, 4));
    let order = |d: &DocumentRecord| (std::cmp::Reverse(d.updated_at), d.id);
    assert!(listed.is_sorted_by_key(order));
    assert_eq!(listed[0].id, drafts[1].id());
    assert!(listed[0].created_at < listed[0].updated_at, "a replacement keeps the day of birth");
    let (page, total) = listed_of(store, Some(&drafts[0].collection), 1, 2).await;
    assert_eq!((page.as_slice(), total), (&listed[1..3], 4));
    let none = listed_of(store, Some(&"none".parse().expect("a name")), 0, 5).await;
    assert_eq!(none, (Vec::new(), 0));
}

async fn listed_of(
    store: &dyn GraphStore,
    collection: Option<&CollectionId>,
    offset: u64,
    limit: u32,
) -> (Vec<DocumentRecord>, u64) {
    let query = DocumentQuery { collection: collection.cloned(), ..DocumentQuery::default() };
    let page = store.documents(&query, &PageStart::Offset(offset), limit).await.expect("documents are listed");
    (page.items, page.total)
}

/// Pages of chunks by their index.
pub async fn chunks_are_paged(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let words: Vec<String> = (0..700).map(|i| format!("word{i}")).collect();
    let draft = Draft::new("long.md", &words.iter().map(String::as_str).collect::<Vec<_>>());
    let counts = draft.put(store, 1).await;
    assert_eq!((counts.chunks, counts.entities, counts.relations), (700, 700, 0));
    let mut seen = Vec::new();
    while let Some(page) =
        Some(store.chunks(draft.id(), seen.len() as u32, 300).await.expect("chunks are read")).filter(|p| !p.is_empty())
    {
        seen.extend(page);
    }
    assert!(
        seen.iter()
            .enumerate()
            .all(|(i, c)| c.chunk_index == i as u32 && c.text == words[i] && c.document == draft.id())
    );
    assert_eq!(seen.len(), 700);
    assert_eq!(store.sweep_document(draft.id()).await.expect("it is swept"), 0);
    store.remove(&draft.collection, draft.id(), Seq(2)).await.expect("it is removed");
    assert_eq!(store.sweep_document(draft.id()).await.expect("it is swept"), 700);
}

/// Blobs live while a published document names them.
pub async fn blobs_that_nobody_names(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let draft = Draft::new("a.md", &["A"]);
    draft.put(store, 1).await;
    let keys = ["original/a.md".to_owned(), "page_text/a.md".to_owned(), "nobody's".to_owned()];
    assert_eq!(store.blobs_unnamed_among(&keys).await.expect("keys are read"), ["nobody's"]);
    store.remove(&draft.collection, draft.id(), Seq(2)).await.expect("it is removed");
    assert_eq!(store.blobs_unnamed_among(&keys).await.expect("keys are read"), keys);
    assert!(store.blobs_unnamed_among(&[]).await.expect("keys are read").is_empty());
}

/// Sorted lines, a last one that proves the rest, and nothing that tells one history from another.
pub async fn the_export_is_canonical(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    for (i, source) in ["b.md", "a.md", "c.md"].iter().enumerate() {
        graph.clock.advance(Duration::from_secs(3));
        Draft::new(source, &["Pump>Valve", "Basin>Pump", "Valve"]).put(store, 40 + i as u64).await;
    }
    let export = export_default(store).await;
    let lines: Vec<serde_json::Value> =
        export.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    let (last, before) = lines.split_last().expect("there is a last line");
    assert_eq!((&last["kind"], &last["documents"], &last["chunks"]), (&"end".into(), &3.into(), &9.into()));
    assert_eq!((&last["entities"], &last["relations"]), (&3.into(), &2.into()));
    let body = &export[..export.trim_end().rfind('\n').expect("there is more than one line") + 1];
    assert_eq!(last["hash"], ContentHash::of(body.as_bytes()).to_string());
    assert_eq!(before[0]["kind"], "collection");
    for kind in ["document", "chunk", "entity"] {
        let ids: Vec<&str> = before.iter().filter(|l| l["kind"] == kind).filter_map(|l| l["id"].as_str()).collect();
        let mut sorted: Vec<[u8; 16]> = ids.iter().map(|id| id_bytes(id)).collect();
        assert!(sorted.is_sorted() && !sorted.is_empty(), "{kind} lines are sorted by the bytes of their ids");
        sorted.dedup();
        assert_eq!(sorted.len(), ids.len());
    }
    for hidden in ["seq", "created_at", "updated_at", "original/", "page_text/", "publish", "run\"", "embedding_"] {
        assert!(!export.contains(hidden), "{hidden} tells one history from another");
    }
    let empty = export_text(store, &"none".parse().expect("a name")).await;
    assert_eq!(empty.lines().count(), 2);
}

fn id_bytes(id: &str) -> [u8; 16] {
    let bytes = |id: &str| match id.split_once('-').map(|(prefix, _)| prefix) {
        Some("doc") => id.parse::<graphmill_core::DocumentId>().map(|id| *id.as_bytes()),
        Some("chk") => id.parse::<graphmill_core::ChunkId>().map(|id| *id.as_bytes()),
        _ => id.parse::<graphmill_core::EntityId>().map(|id| *id.as_bytes()),
    };
    bytes(id).expect("ids of the export are ids")
}

/// Documents that come and go while an export is read do not tear it.
pub async fn an_export_is_of_one_moment(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    for i in 0..40u64 {
        Draft::new(&format!("{i}.md"), &["Pump>Valve", "Basin>Pump"]).put(store, i + 1).await;
    }
    let whole = export_default(store).await;
    let mut stream = store.export(&CollectionId::default()).await.expect("the export begins");
    let mut read = Vec::new();
    let mut seq = 100;
    loop {
        for i in 0..3u64 {
            seq += 1;
            Draft::new(&format!("{}.md", (seq + i) % 50), &["Gate>Pump"]).upload(store, seq).await;
        }
        match stream.next().await {
            Some(piece) => read.extend_from_slice(&piece.expect("the export goes on")),
            None => break,
        }
    }
    let torn = String::from_utf8(read).expect("the export is UTF-8");
    // A backend may take up documents that changed while it read; it must be one state all the same: its own counts and folds.
    if torn != whole {
        let last: serde_json::Value =
            torn.lines().last().and_then(|l| serde_json::from_str(l).ok()).expect("a last line");
        let count = |kind: &str| torn.matches(&format!("\"kind\":\"{kind}\"")).count() as u64;
        assert_eq!(
            (last["documents"].as_u64(), last["chunks"].as_u64()),
            (Some(count("document")), Some(count("chunk")))
        );
    }
}
