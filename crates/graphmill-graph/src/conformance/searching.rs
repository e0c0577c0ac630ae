//! Searches and reads of the graph.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::TryStreamExt;
use graphmill_core::{Clock, CollectionId, EntityId, Seq, Timestamp};

use super::Backend;
use super::fixtures::{DIMENSION, Draft, Numbers, entity, random_draft, sweep_all, vector_of};
use crate::records::{Layer, ProjectionRow, SearchFilter, SearchHit};
use crate::{Error, GraphStore};

fn only(documents: &[&Draft]) -> SearchFilter {
    SearchFilter { documents: documents.iter().map(|d| d.id()).collect(), ..SearchFilter::default() }
}

async fn search(store: &dyn GraphStore, query: &str, limit: u32) -> Vec<SearchHit> {
    let all = SearchFilter::default();
    store.fulltext(&CollectionId::default(), query, limit, &all).await.expect("it is searched")
}

/// Words are found whatever their case and accents, in placed chunks and nowhere else; better matches come first.
pub async fn words_are_found_in_live_chunks_alone(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let a = Draft::new("a.md", &["the naïve pump turns and turns", "the valve closes", "pump and valve together"]);
    let b = Draft::new("b.md", &["another pump"]);
    a.put(store, 1).await;
    b.stage(store).await;
    let ids: Vec<_> = a.staged().into_iter().map(|c| c.id).collect();
    let found = |hits: Vec<SearchHit>| hits.into_iter().map(|h| h.chunk).collect::<BTreeSet<_>>();
    assert_eq!(found(search(store, "PUMP", 10).await), BTreeSet::from([ids[0], ids[2]]), "what is staged is not found");
    assert_eq!(found(search(store, "naive", 10).await), BTreeSet::from([ids[0]]));
    let both = search(store, "pump valve", 10).await;
    assert_eq!((both.len(), both[0].chunk, both[0].document), (3, ids[2], a.id()));
    assert!(both.windows(2).all(|pair| pair[0].score >= pair[1].score) && both[0].score > 0.0);
    assert_eq!(search(store, "pump valve", 1).await, both[..1]);
    b.put(store, 2).await;
    assert_eq!(search(store, "pump", 10).await.len(), 3);
    let filtered = store.fulltext(&a.collection, "pump", 10, &only(&[&b])).await.expect("it is searched");
    assert_eq!(filtered.iter().map(|h| h.document).collect::<Vec<_>>(), [b.id()]);
    let nobody = Draft::new("never.md", &[]);
    assert!(store.fulltext(&a.collection, "pump", 10, &only(&[&nobody])).await.expect("it is searched").is_empty());
    for odd in
        ["", "  ", "\"", "pump\"*", "a OR", "NEAR(", "^pump", "pump AND NOT", "-", "col:umn", "\0", "(", "{a b}: c"]
    {
        search(store, odd, 5).await;
    }
    store.remove(&a.collection, a.id(), Seq(3)).await.expect("it is removed");
    assert_eq!(search(store, "pump", 10).await.len(), 1);
    sweep_all(store).await;
    assert_eq!(search(store, "pump valve", 10).await.len(), 1);
}

/// Chinese, Japanese, Korean and Thai have no spaces between words.
pub async fn scripts_without_spaces_are_found(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let texts = [
        "北门泵站由海尔登工厂制造。",
        "ポンプの取扱説明書、第三章。",
        "펌프설명서를읽으십시오",
        "เครื่องสูบน้ำทิศเหนือ",
        "Pump 泵 manual",
    ];
    let draft = Draft::new("手册.md", &texts);
    draft.put(store, 1).await;
    let ids: Vec<_> = draft.staged().into_iter().map(|c| c.id).collect();
    let cases = [
        ("泵站", 0),
        ("海尔登工厂", 0),
        ("造", 0),
        ("説明書", 1),
        ("ポンプ", 1),
        ("설명서", 2),
        ("สูบน้ำ", 3),
        ("manual 泵", 4),
        ("書", 1),
    ];
    for (query, at) in cases {
        let hits = search(store, query, 10).await;
        assert_eq!(hits.first().map(|h| h.chunk), Some(ids[at]), "{query}: {hits:?}");
    }
    assert!(search(store, "站泵", 10).await.is_empty());
}

/// The nearest chunks by cosine, exactly, with ties by id and a filter.
pub async fn nearest_is_exact(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let collection = CollectionId::default();
    let space = store.ensure_space(&collection, "model", DIMENSION).await.expect("a space is made");
    let mut numbers = Numbers(3);
    let mut drafts: Vec<Draft> = (0..6).map(|i| random_draft(&format!("{i}.md"), &mut numbers)).collect();
    for (i, draft) in drafts.iter_mut().enumerate() {
        draft.spaces = vec![space.id];
        draft.put(store, i as u64 + 1).await;
    }
    let gone = drafts.remove(0);
    store.remove(&collection, gone.id(), Seq(50)).await.expect("it is removed");
    let query = vector_of("what is asked");
    let mut expected: Vec<SearchHit> = drafts.iter().flat_map(|d| exact(d, &query)).collect();
    expected.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.chunk.cmp(&b.chunk)));
    for limit in [1, 3, 7, 1_000] {
        let hits = store.nearest(&collection, space.id, &query, limit, &SearchFilter::default()).await;
        assert_close(&hits.expect("it is searched"), &expected[..expected.len().min(limit as usize)]);
    }
    let filter = only(&[&drafts[1], &drafts[2]]);
    let hits = store.nearest(&collection, space.id, &query, 5, &filter).await.expect("it is searched");
    expected.retain(|hit| filter.documents.contains(&hit.document));
    assert_close(&hits, &expected[..expected.len().min(5)]);
    let wrong = store.nearest(&collection, space.id, &[1.0; 3], 5, &SearchFilter::default()).await;
    assert!(matches!(wrong, Err(Error::Invalid(_))), "{wrong:?}");
    let mut bad = drafts[0].staged();
    bad[0].vectors = vec![(space.id, vec![f32::NAN; DIMENSION as usize].into())];
    assert!(
        matches!(store.stage(&collection, drafts[0].id(), bad).await, Err(Error::Invalid(_))),
        "NaN has no direction"
    );
}

/// A vector that is replaced counts from then on; another space has vectors of its own, searched before and after it becomes the active one.
pub async fn nearest_follows_vectors_that_are_made_anew(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let collection = CollectionId::default();
    let one = store.ensure_space(&collection, "model", DIMENSION).await.expect("a space is made");
    let mut draft = Draft::new("a.md", &["first", "second", "third"]);
    draft.spaces = vec![one.id];
    draft.put(store, 1).await;
    let ids: Vec<_> = draft.staged().into_iter().map(|chunk| chunk.id).collect();
    let nearest = async |space, query: &[f32]| {
        let hits = store.nearest(&collection, space, query, 9, &SearchFilter::default()).await.expect("it is searched");
        hits.into_iter().map(|hit| hit.chunk).collect::<Vec<_>>()
    };
    let axis = |n: usize| (0..DIMENSION as usize).map(|i| f32::from(u8::from(i == n))).collect::<Vec<f32>>();
    assert_eq!(nearest(one.id, &axis(0)).await.len(), 3);
    let run = store.begin_run(&collection, Layer::Embeddings, false).await.expect("a run begins");
    // Twice: what was replaced before must not come back.
    for turn in 0..2 {
        let rows = (0..3).map(|n| (ids[n], axis((n + turn) % 3))).collect();
        store.put_vectors(&run, one.id, rows).await.expect("vectors are written");
        for (n, id) in ids.iter().enumerate() {
            let found = nearest(one.id, &axis((n + turn) % 3)).await;
            assert_eq!((found.len(), found[0]), (3, *id), "turn {turn}");
        }
    }
    let two = store.ensure_space(&collection, "other", DIMENSION).await.expect("a space is made");
    assert!(nearest(two.id, &axis(0)).await.is_empty());
    store.put_vectors(&run, two.id, vec![(ids[2], axis(0))]).await.expect("vectors are written");
    assert_eq!(nearest(two.id, &axis(0)).await, [ids[2]], "a space that is being built");
    store.put_vectors(&run, two.id, vec![(ids[0], axis(1)), (ids[1], axis(2))]).await.expect("vectors are written");
    assert!(store.activate_space(&run, two.id).await.expect("it is asked"));
    for (n, id) in [(0, ids[2]), (1, ids[0]), (2, ids[1])] {
        assert_eq!(nearest(two.id, &axis(n)).await[0], id);
    }
}

fn exact(draft: &Draft, query: &[f32]) -> Vec<SearchHit> {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let score = |v: &[f32]| dot(v, query) / (dot(v, v).sqrt() * dot(query, query).sqrt());
    draft
        .staged()
        .into_iter()
        .map(|c| SearchHit { chunk: c.id, document: draft.id(), score: score(&c.vectors[0].1) })
        .collect()
}

fn assert_close(hits: &[SearchHit], expected: &[SearchHit]) {
    let ids = |hits: &[SearchHit]| hits.iter().map(|h| (h.chunk, h.document)).collect::<Vec<_>>();
    assert_eq!(ids(hits), ids(expected));
    assert!(hits.iter().zip(expected).all(|(a, b)| (a.score - b.score).abs() < 1e-9));
}

/// Documents, dates and entities narrow a search before its limit is applied, and all of them hold at once.
pub async fn filters_hold_within_the_search(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let collection = CollectionId::default();
    let space = store.ensure_space(&collection, "model", DIMENSION).await.expect("a space is made");
    let before = graph.clock.now();
    // Many better matches stand before those that pass the filter.
    let mut loud = Draft::new("loud.md", &["pump pump pump Noise"; 40]);
    let mut quiet = Draft::new("quiet.md", &["a long text in which the pump stands once beside the Gauge", "no match"]);
    let mut late = Draft::new("late.md", &["the pump came late and is rarely spoken of by anybody"]);
    for (seq, draft) in [(1, &mut loud), (2, &mut quiet), (3, &mut late)] {
        graph.clock.advance(Duration::from_secs(10));
        draft.spaces = vec![space.id];
        draft.put(store, seq).await;
    }
    let at = |seconds: i64| Some(Timestamp::from_millis(before.as_millis() + seconds * 1_000));
    let all = SearchFilter::default();
    let gauge = SearchFilter { entities: vec![entity("Gauge"), entity("nobody")], ..all.clone() };
    let cases = [
        (only(&[&quiet]), vec![quiet.id()], vec![quiet.id(); 2]),
        (SearchFilter { updated_after: at(30), ..all.clone() }, vec![late.id()], vec![late.id()]),
        (
            SearchFilter { updated_after: at(20), updated_before: at(30), ..all.clone() },
            vec![quiet.id()],
            vec![quiet.id(); 2],
        ),
        (gauge.clone(), vec![quiet.id()], vec![quiet.id()]),
        (SearchFilter { updated_before: at(20), ..gauge.clone() }, vec![], vec![]),
        (SearchFilter { documents: vec![late.id()], ..gauge }, vec![], vec![]),
        (SearchFilter { entities: vec![entity("nobody")], ..all.clone() }, vec![], vec![]),
        (SearchFilter { updated_after: at(31), ..all }, vec![], vec![]),
    ];
    let query = vector_of("pump pump pump Noise");
    for (filter, text, vector) in cases {
        let documents = |hits: Vec<SearchHit>| hits.into_iter().map(|h| h.document).collect::<Vec<_>>();
        let hits = store.fulltext(&collection, "pump", 2, &filter).await.expect("it is searched");
        assert_eq!(documents(hits), text, "{filter:?}");
        let hits = store.nearest(&collection, space.id, &query, 2, &filter).await.expect("it is searched");
        assert_eq!(documents(hits), vector, "{filter:?}");
    }
    let elsewhere = Draft { collection: "elsewhere".parse().expect("a name"), ..Draft::new("e.md", &["pump"]) };
    elsewhere.put(store, 4).await;
    assert!(store.fulltext(&collection, "pump", 9, &only(&[&elsewhere])).await.expect("it is searched").is_empty());
}

/// What an answer shows of its hits: live ones alone, in the order asked, with place, names and entities.
pub async fn found_chunks_are_shown_with_their_place(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let collection = CollectionId::default();
    let draft = Draft::new("folder/a.md", &["Pump>Valve Pump", "Gauge", "nothing"]);
    draft.put(store, 1).await;
    let staged = Draft::new("staged.md", &["unseen"]);
    staged.stage(store).await;
    let ids: Vec<_> = draft.staged().into_iter().map(|c| c.id).collect();
    let asked = [ids[1], staged.staged()[0].id, ids[0]];
    let found = store.found_chunks(&collection, &asked, 8).await.expect("chunks are read");
    assert_eq!(found.iter().map(|f| f.chunk.placement.chunk).collect::<Vec<_>>(), [ids[1], ids[0]]);
    let chunks = store.chunks(draft.id(), 0, 9).await.expect("chunks are read");
    assert_eq!((&found[0].chunk, &found[1].chunk), (&chunks[1], &chunks[0]));
    assert_eq!((found[0].filename.as_str(), found[0].source.as_str()), ("a.md", "folder/a.md"));
    let names: Vec<_> = found[1].entities.iter().map(|e| (e.name.as_str(), e.entity_type.as_str())).collect();
    assert_eq!(names, [("Pump", "product"), ("Valve", "product")], "most mentions first");
    assert_eq!(found[1].entities[0].id, entity("Pump"));
    let one = store.found_chunks(&collection, &asked, 1).await.expect("chunks are read");
    assert_eq!(one[1].entities.len(), 1);
    let elsewhere = "elsewhere".parse().expect("a name");
    assert!(store.found_chunks(&elsewhere, &asked, 8).await.expect("chunks are read").is_empty());
    store.remove(&collection, draft.id(), Seq(2)).await.expect("it is removed");
    assert!(store.found_chunks(&collection, &asked, 8).await.expect("chunks are read").is_empty());
}

/// Hops in both directions, nearest first, cut by the limit and said so.
pub async fn neighbourhoods_grow_by_hops(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    Draft::new("a.md", &["A>B", "B>C", "D>C", "D>E", "F>G"]).put(store, 1).await;
    let around = |hops, limit| async move {
        let ids = [entity("A"), entity("nobody")];
        store.expand(&CollectionId::default(), &ids, hops, limit).await.expect("entities are read")
    };
    let ids = |names: &[&str]| names.iter().map(|n| entity(n)).collect::<BTreeSet<EntityId>>();
    let steps: [&[&str]; 5] =
        [&["A"], &["A", "B"], &["A", "B", "C"], &["A", "B", "C", "D"], &["A", "B", "C", "D", "E"]];
    for (hops, names) in steps.iter().enumerate() {
        let found = around(hops as u32, 100).await;
        assert_eq!(found.entities.iter().map(|e| e.id).collect::<BTreeSet<_>>(), ids(names));
        assert_eq!(found.relations.len(), hops, "relations among them, both ends answered");
        assert!(!found.truncated && found.entities.is_sorted_by_key(|e| e.id));
    }
    let cut = around(9, 3).await;
    assert_eq!(cut.entities.iter().map(|e| e.id).collect::<BTreeSet<_>>(), ids(&["A", "B", "C"]));
    assert!(cut.truncated);
}

/// Each live entity and each live relation once, in id order.
pub async fn the_projection_has_everything_once(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    Draft::new("a.md", &["A>B", "B>C", "Island", "A>B again"]).put(store, 1).await;
    Draft::new("b.md", &["B>A", "Gone>A"]).put(store, 2).await;
    Draft::new("b.md", &["B>A"]).put(store, 3).await;
    let stream = store.projection(&CollectionId::default()).await.expect("the projection begins");
    let rows: Vec<ProjectionRow> = stream.try_concat().await.expect("the projection ends");
    let mut expected: Vec<ProjectionRow> = Vec::new();
    let names: BTreeSet<EntityId> = ["A", "B", "C", "Island", "again"].iter().map(|n| entity(n)).collect();
    expected.extend(names.into_iter().map(ProjectionRow::Entity));
    let relations: BTreeSet<(EntityId, EntityId, u64)> =
        [("A", "B", 2), ("B", "C", 1), ("B", "A", 1)].iter().map(|(s, t, n)| (entity(s), entity(t), *n)).collect();
    expected.extend(relations.into_iter().map(|(source, target, n)| ProjectionRow::Relation {
        source,
        target,
        weight_millionths: n * 1_000_000,
    }));
    assert_eq!(rows, expected);
}
