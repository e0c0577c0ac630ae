//! What a reindex reads of the graph, and how its runs stand.

use graphmill_core::{ChunkId, Seq};
use serde_json::Map;

use super::Backend;
use super::fixtures::{DIMENSION, Draft, assert_whole, export_default, sweep_all, vector_of};
use crate::GraphStore;
use crate::records::{Layer, RunStanding, SimilarityRow, SpaceId};

async fn with_vectors(store: &dyn GraphStore, source: &str, texts: &[&str], seq: u64) -> (Draft, SpaceId) {
    let mut draft = Draft::new(source, texts);
    let space = store.ensure_space(&draft.collection, "model", DIMENSION).await.expect("a space is made").id;
    draft.spaces = vec![space];
    draft.put(store, seq).await;
    (draft, space)
}

/// Live chunks alone are read, whole, each once, at a position that stays; a range and a list of positions read the same.
pub async fn vectors_are_paged_by_position(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let (first, space) = with_vectors(store, "a.md", &["A", "B", "C"], 1).await;
    let (second, _) = with_vectors(store, "b.md", &["D", "E"], 2).await;
    Draft::new("staged.md", &["not placed"]).stage(store).await;
    let collection = &first.collection;
    let all = store.vectors(collection, space, 0..u64::MAX, 100).await.expect("vectors are read");
    assert_eq!((all.heads.len(), all.components.len()), (5, 5 * DIMENSION as usize));
    assert!(all.heads.is_sorted_by(|a, b| a.position < b.position));
    let texts: Vec<(ChunkId, String)> =
        [&first, &second].iter().flat_map(|d| d.staged()).map(|c| (c.id, c.text)).collect();
    for (head, vector) in all.heads.iter().zip(all.components.chunks(DIMENSION as usize)) {
        let (_, text) = texts.iter().find(|(id, _)| *id == head.chunk).expect("it is a placed chunk");
        assert_eq!(vector, &*vector_of(text));
    }
    let mut paged = Vec::new();
    while let Some(last) = {
        let from = paged.last().map_or(0, |head: &crate::records::VectorHead| head.position + 1);
        let page = store.vectors(collection, space, from..u64::MAX, 2).await.expect("vectors are read");
        assert!(page.heads.len() <= 2);
        paged.extend(page.heads.iter().copied());
        page.heads.last().copied()
    } {
        assert!(paged.len() <= 5, "{last:?}");
    }
    assert_eq!(paged, all.heads);
    let (from, to) = (all.heads[1].position, all.heads[3].position);
    let part = store.vectors(collection, space, from..to, 100).await.expect("vectors are read");
    assert_eq!(part.heads, all.heads[1..3]);
    store.remove(collection, second.id(), Seq(3)).await.expect("it is removed");
    sweep_all(store).await;
    let positions: Vec<u64> = all.heads.iter().map(|head| head.position).collect();
    let left = store.vectors_at(collection, space, &positions).await.expect("vectors are read");
    assert_eq!(left, store.vectors(collection, space, 0..u64::MAX, 100).await.expect("vectors are read"));
    assert_eq!(left.heads, all.heads[..3]);
    let texts = store.chunk_texts(collection, None, 2).await.expect("texts are read");
    let rest = store.chunk_texts(collection, Some(texts[1].0), 100).await.expect("texts are read");
    let mut whole: Vec<(ChunkId, String)> = first.staged().into_iter().map(|c| (c.id, c.text)).collect();
    whole.sort_unstable();
    assert_eq!([texts, rest].concat(), whole);
}

/// What a delta has to look at: when a chunk was published, how many live neighbours its row has, and whether it was cut.
pub async fn a_delta_sees_what_has_changed(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let (draft, space) = with_vectors(store, "a.md", &["A", "B", "C"], 1).await;
    let collection = &draft.collection;
    let heads = async || store.similarity_heads(collection, space, 0, 100).await.expect("heads are read");
    assert!(heads().await.iter().all(|head| head.live_neighbours.is_none() && !head.is_cut));
    let all = store.vectors(collection, space, 0..u64::MAX, 100).await.expect("vectors are read").heads;
    let run = store.begin_run(collection, Layer::Similarities, true).await.expect("a run begins");
    let row = SimilarityRow {
        chunk: all[0].chunk,
        neighbours: vec![(all[1].chunk, 0.75), (all[2].chunk, 0.5)],
        cut_at: Some(0.25),
    };
    let gone = SimilarityRow { chunk: Draft::new("gone.md", &["X"]).staged()[0].id, neighbours: vec![], cut_at: None };
    let written = store.put_similarities(&run, vec![row.clone(), gone]).await.expect("rows are written");
    assert_eq!(written, 1, "a chunk that is gone gets no row");
    assert!(heads().await[0].live_neighbours.is_none(), "what readers do not see yet is not seen here");
    store.finish_run(&run, 1, Map::new()).await.expect("the run ends");
    let seen = heads().await;
    assert_eq!((seen[0].live_neighbours, seen[0].is_cut, seen[1].live_neighbours), (Some(2), true, None));
    let rows = store.similarities(collection, 0..u64::MAX, 100).await.expect("rows are read");
    assert_eq!(rows, [(all[0].position, row)]);
    // The text of the last chunk changes: it is gone, and another one is new.
    let (changed, _) = with_vectors(store, "a.md", &["A", "B", "D"], 2).await;
    let seen = heads().await;
    let number = store.publish_number(collection).await.expect("the number is read");
    assert_eq!(seen.iter().map(|head| head.live_neighbours).collect::<Vec<_>>(), [Some(1), None, None]);
    assert_eq!(seen.iter().filter(|head| head.published_at == number).count(), 1);
    let rows = store.similarities(collection, 0..u64::MAX, 100).await.expect("rows are read");
    assert_eq!((rows[0].1.neighbours.as_slice(), rows[0].1.cut_at), (&[(all[1].chunk, 0.75)][..], Some(0.25)));
    assert_eq!(store.publish_number(&"other".parse().expect("a name")).await.expect("it is answered"), 0);
    drop(changed);
}

/// A run says how it stands; one that was given up writes nothing more and leaves nothing, and readers keep what they had.
pub async fn a_run_that_was_given_up_leaves_nothing(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let (draft, space) = with_vectors(store, "a.md", &["A", "B"], 1).await;
    let collection = &draft.collection;
    let all = store.vectors(collection, space, 0..u64::MAX, 100).await.expect("vectors are read").heads;
    let row = |score| SimilarityRow { chunk: all[0].chunk, neighbours: vec![(all[1].chunk, score)], cut_at: None };
    let first = store.begin_run(collection, Layer::Similarities, true).await.expect("a run begins");
    store.put_similarities(&first, vec![row(0.5)]).await.expect("rows are written");
    assert_eq!(store.run_standing(&first).await.expect("it is answered"), RunStanding::Present { rows: 1 });
    store.finish_run(&first, 1, Map::new()).await.expect("the run ends");
    assert_eq!(store.run_standing(&first).await.expect("it is answered"), RunStanding::Finished);
    store.give_up_run(&first).await.expect("an ended run is left alone");
    let before = export_default(store).await;
    assert!(before.contains("\"kind\":\"similarity\""));
    for full in [true, false] {
        let run = store.begin_run(collection, Layer::Similarities, full).await.expect("a run begins");
        assert_eq!(store.run_standing(&first).await.expect("it is answered"), RunStanding::Stale);
        store.put_similarities(&run, vec![row(0.75)]).await.expect("rows are written");
        store.give_up_run(&run).await.expect("it is given up");
        store.give_up_run(&run).await.expect("once more changes nothing");
        assert_eq!(store.run_standing(&run).await.expect("it is answered"), RunStanding::Stale);
        assert!(store.put_similarities(&run, vec![row(0.25)]).await.is_err());
        assert!(store.finish_run(&run, 2, Map::new()).await.is_err());
        assert_eq!(export_default(store).await, before);
    }
    let next = store.begin_run(collection, Layer::Similarities, true).await.expect("a run begins");
    assert_eq!(store.run_standing(&next).await.expect("it is answered"), RunStanding::Present { rows: 0 });
    store.finish_run(&next, 1, Map::new()).await.expect("the run ends");
    assert!(!export_default(store).await.contains("\"kind\":\"similarity\""));
}

/// A chunk whose vector could not be made in a new space holds nothing up; the old space has it still; a vector that comes later clears it.
pub async fn what_is_set_aside_is_of_no_delta(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let (draft, old) = with_vectors(store, "a.md", &["A", "B"], 1).await;
    let collection = &draft.collection;
    let new = store.ensure_space(collection, "another model", DIMENSION).await.expect("a space is made").id;
    let delta = store.space_delta(collection, new, None, 10).await.expect("the delta is read");
    let run = store.begin_run(collection, Layer::Embeddings, false).await.expect("a run begins");
    let vector = |text: &str| vector_of(text).to_vec();
    store.put_vectors(&run, new, vec![(delta[0].0, vector("x"))]).await.expect("vectors are written");
    let gone = Draft::new("gone.md", &["X"]).staged()[0].id;
    for _ in 0..2 {
        store.set_aside_embeddings(&run, vec![delta[1].0, gone]).await.expect("it is set aside");
        assert_eq!(store.stats(None).await.expect("stats are read").quarantined_chunks, 1);
    }
    assert_whole(store).await;
    assert!(store.activate_space(&run, new).await.expect("it is answered"));
    let found =
        |space| async move { store.vectors(collection, space, 0..u64::MAX, 10).await.expect("read").heads.len() };
    assert_eq!((found(old).await, found(new).await), (2, 1));
    // Back to the old model: the chunk that was set aside has its vector there.
    let back = store.ensure_space(collection, "model", DIMENSION).await.expect("it is known");
    assert_eq!(back.id, old);
    assert!(store.activate_space(&run, old).await.expect("it is answered"));
    assert_eq!(store.stats(None).await.expect("stats are read").chunks_without_vector, 0);
    store.put_vectors(&run, new, vec![(delta[1].0, vector("y"))]).await.expect("vectors are written");
    assert_eq!(store.stats(None).await.expect("stats are read").quarantined_chunks, 0);
    assert_whole(store).await;
}
