//! Layers: similarities, communities, embedding spaces.

use futures::TryStreamExt;
use graphmill_core::{ChunkId, CommunityId, Seq};
use serde_json::{Map, Value, json};

use super::Backend;
use super::fixtures::{DIMENSION, Draft, assert_whole, entity, export_default, sweep_all, vector_of};
use crate::records::{CommunityRow, Layer, SimilarityRow, SpaceState};
use crate::{Error, GraphStore};

fn parameters(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn row(chunk: ChunkId, neighbours: &[(ChunkId, f32)]) -> SimilarityRow {
    SimilarityRow { chunk, neighbours: neighbours.to_vec(), cut_at: Some(0.1) }
}

async fn similarities(store: &dyn GraphStore) -> u64 {
    store.stats(None).await.expect("stats are read").similarities
}

async fn three_chunks(store: &dyn GraphStore) -> (Draft, Vec<ChunkId>) {
    let draft = Draft::new("a.md", &["A>B", "B>C", "C>A"]);
    draft.put(store, 1).await;
    let chunks = draft.staged().into_iter().map(|c| c.id).collect();
    (draft, chunks)
}

/// Rows of a full run are seen when it ends, and not before; only live ends count; no more than were asked for are shown.
pub async fn similarities_are_seen_when_their_run_ends(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let (draft, c) = three_chunks(store).await;
    let run = store.begin_run(&draft.collection, Layer::Similarities, true).await.expect("a run begins");
    let rows = vec![row(c[0], &[(c[1], 0.75), (c[2], 0.5)]), row(c[1], &[(c[0], 0.75)])];
    store.put_similarities(&run, rows).await.expect("rows are written");
    assert_eq!(similarities(store).await, 0);
    let asked = parameters(json!({"top_k": 2, "threshold": 0.2}));
    store.finish_run(&run, 1, asked.clone()).await.expect("the run ends");
    store.finish_run(&run, 1, asked.clone()).await.expect("ending it again changes nothing");
    let state = store.layer(&draft.collection, Layer::Similarities).await.expect("a layer is read");
    assert_eq!((state.run, state.generation, state.stands_at), (run.number, run.number, 1));
    assert_eq!(state.parameters, asked);
    assert_eq!(similarities(store).await, 3);
    assert_eq!(export_default(store).await.matches("\"kind\":\"similarity\"").count(), 2);
    assert!(matches!(store.put_similarities(&run, vec![row(c[2], &[])]).await, Err(Error::Invalid(_))), "it has ended");
    let next = store.begin_run(&draft.collection, Layer::Similarities, true).await.expect("a run begins");
    store.put_similarities(&next, vec![row(c[0], &[(c[1], 0.5), (c[2], 0.25)])]).await.expect("rows are written");
    assert_eq!(similarities(store).await, 3, "the old generation stands until the new one is whole");
    store.finish_run(&next, 1, parameters(json!({"top_k": 1}))).await.expect("the run ends");
    assert_eq!(similarities(store).await, 1, "one was asked for; the second is kept in reserve");
    let shown = format!("{{\"kind\":\"similarity\",\"chunk\":\"{}\",\"neighbours\":[[\"{}\",0.5]]}}", c[0], c[1]);
    assert!(export_default(store).await.contains(&shown), "the export shows no reserve either");
    let shorter = Draft::new("a.md", &["A>B", "C>A"]);
    shorter.put(store, 2).await;
    assert_eq!(similarities(store).await, 1, "the reserve takes the place of a neighbour that is gone");
    store.remove(&draft.collection, draft.id(), Seq(3)).await.expect("it is removed");
    assert_eq!(similarities(store).await, 0);
    sweep_all(store).await;
    assert_whole(store).await;
}

/// A delta's rows take the place of the old ones when it ends; a delta that was given up leaves nothing.
pub async fn a_delta_replaces_rows(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let (draft, c) = three_chunks(store).await;
    let full = store.begin_run(&draft.collection, Layer::Similarities, true).await.expect("a run begins");
    let rows = vec![row(c[0], &[(c[1], 0.75), (c[2], 0.5)]), row(c[1], &[(c[0], 0.75)])];
    store.put_similarities(&full, rows).await.expect("rows are written");
    store.finish_run(&full, 1, Map::new()).await.expect("the run ends");
    let before = export_default(store).await;
    let given_up = store.begin_run(&draft.collection, Layer::Similarities, false).await.expect("a run begins");
    store.put_similarities(&given_up, vec![row(c[0], &[])]).await.expect("rows are written");
    assert_eq!(export_default(store).await, before);
    let delta = store.begin_run(&draft.collection, Layer::Similarities, false).await.expect("a run begins");
    let rows = vec![row(c[0], &[(c[2], 0.5)]), row(c[2], &[(c[0], 0.5), (c[1], 0.25)])];
    store.put_similarities(&delta, rows).await.expect("rows are written");
    assert_eq!(export_default(store).await, before);
    store.finish_run(&delta, 2, Map::new()).await.expect("the run ends");
    let state = store.layer(&draft.collection, Layer::Similarities).await.expect("a layer is read");
    assert_eq!((state.generation, state.stands_at), (full.number, 2), "a delta keeps the generation");
    assert_eq!(similarities(store).await, 4);
    let export = export_default(store).await;
    assert!(export.contains(&format!("\"chunk\":\"{}\",\"neighbours\":[[\"{}\",0.5]]", c[0], c[2])), "{export}");
}

fn community(draft: &Draft, level: u32, key: &str, parent: Option<CommunityId>, members: &[&str]) -> CommunityRow {
    CommunityRow {
        id: CommunityId::new(&draft.collection, level, key.as_bytes()),
        level,
        parent,
        title: format!("Community {}", members.join(" ")),
        summary: String::new(),
        modularity_share_millionths: 250_000,
        members: members.iter().map(|name| entity(name)).collect(),
    }
}

/// Communities are seen when their run ends, count live members, are named by them, and go when none is left.
pub async fn communities_follow_their_members(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let draft = Draft::new("a.md", &["A>B", "C>D"]);
    let other = Draft::new("b.md", &["E>F"]);
    draft.put(store, 1).await;
    other.put(store, 2).await;
    let mut exports = Vec::new();
    for salt in ["one", "two"] {
        let run = store.begin_run(&draft.collection, Layer::Communities, true).await.expect("a run begins");
        let top = community(&draft, 1, &format!("{salt} top"), None, &["A", "B", "C", "D"]);
        let below = |key: &str, members: &[&str]| community(&draft, 0, &format!("{salt} {key}"), Some(top.id), members);
        let rows =
            vec![below("ab", &["A", "B"]), below("cd", &["D", "C"]), community(&draft, 0, salt, None, &["E", "F"])];
        store.put_communities(&run, rows).await.expect("communities are written");
        store.put_communities(&run, vec![top]).await.expect("communities are written");
        store.finish_run(&run, 2, Map::new()).await.expect("the run ends");
        assert_eq!(store.stats(None).await.expect("stats are read").communities, 4);
        exports.push(export_default(store).await);
    }
    assert_eq!(exports[0], exports[1], "names come from members, not from a run's ids");
    assert_eq!(exports[0].matches("\"parent\":").count(), 2);
    assert!(exports[0].contains("\"modularity_share\":0.25"));
    store.remove(&other.collection, other.id(), Seq(3)).await.expect("it is removed");
    assert_eq!(store.stats(None).await.expect("stats are read").communities, 3);
    assert_eq!(export_default(store).await.matches("\"kind\":\"community\"").count(), 3);
    let unfinished = store.begin_run(&draft.collection, Layer::Communities, true).await.expect("a run begins");
    store.put_communities(&unfinished, vec![community(&draft, 0, "x", None, &["A"])]).await.expect("it is written");
    assert_eq!(store.stats(None).await.expect("stats are read").communities, 3);
}

/// The communities of the present generation come back as they were written, live members alone; nothing of an unfinished run is among them.
pub async fn present_communities_are_whole(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let draft = Draft::new("a.md", &["A>B", "C>D"]);
    let other = Draft::new("b.md", &["E>F"]);
    assert!(present(store, &draft).await.is_empty(), "a collection that does not exist has none");
    draft.put(store, 1).await;
    other.put(store, 2).await;
    assert!(present(store, &draft).await.is_empty());
    let top = community(&draft, 1, "top", None, &["A", "B", "C", "D"]);
    let mut rows = vec![
        community(&draft, 0, "ab", Some(top.id), &["A", "B"]),
        community(&draft, 0, "cd", Some(top.id), &["C", "D"]),
        community(&draft, 0, "ef", None, &["E", "F"]),
        top,
    ];
    rows.iter_mut().for_each(|row| row.members.sort_unstable());
    let run = store.begin_run(&draft.collection, Layer::Communities, true).await.expect("a run begins");
    store.put_communities(&run, rows.clone()).await.expect("communities are written");
    assert!(present(store, &draft).await.is_empty(), "the run has not ended");
    store.finish_run(&run, 2, Map::new()).await.expect("the run ends");
    rows.sort_by_key(|row| (row.level, row.id));
    assert_eq!(present(store, &draft).await, rows);
    let next = store.begin_run(&draft.collection, Layer::Communities, true).await.expect("a run begins");
    store.put_communities(&next, vec![community(&draft, 0, "x", None, &["A"])]).await.expect("it is written");
    store.remove(&other.collection, other.id(), Seq(3)).await.expect("it is removed");
    rows.retain(|row| row.title != "Community E F");
    assert_eq!(present(store, &draft).await, rows);
}

async fn present(store: &dyn GraphStore, draft: &Draft) -> Vec<CommunityRow> {
    let pages = store.present_communities(&draft.collection).await.expect("communities are read");
    pages.try_concat().await.expect("communities are read to their end")
}

/// Spaces: the first is active, the next is built, and the switch needs a vector of every placed chunk.
pub async fn vectors_and_spaces(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let mut draft = Draft::new("a.md", &["A>B", "B>C"]);
    let one = store.ensure_space(&draft.collection, "model one", DIMENSION).await.expect("a space is made");
    assert_eq!(one.state, SpaceState::Active);
    assert_eq!(store.ensure_space(&draft.collection, "model one", DIMENSION).await.expect("it is known"), one);
    draft.spaces = vec![one.id];
    let mut quarantined = draft.staged();
    quarantined[1].vectors.clear();
    store.stage(&draft.collection, draft.id(), quarantined.clone()).await.expect("chunks are staged");
    assert!(
        matches!(draft.publish(store, 1).await, crate::records::PublishOutcome::Incomplete(missing) if missing == [quarantined[1].id]),
        "a chunk without its vector is not whole"
    );
    draft.put(store, 1).await;
    let two = store.ensure_space(&draft.collection, "model two", DIMENSION).await.expect("a space is made");
    assert_eq!(two.state, SpaceState::Building);
    let delta = store.space_delta(&draft.collection, two.id, None, 10).await.expect("the delta is read");
    let mut ids: Vec<ChunkId> = draft.staged().into_iter().map(|c| c.id).collect();
    ids.sort_unstable();
    assert_eq!(delta.iter().map(|(id, _)| *id).collect::<Vec<_>>(), ids);
    let rest = store.space_delta(&draft.collection, two.id, Some(ids[0]), 10).await.expect("the delta is read");
    assert_eq!(rest.len(), 1);
    let run = store.begin_run(&draft.collection, Layer::Embeddings, false).await.expect("a run begins");
    let number = store.stats(None).await.expect("stats are read").publish_number;
    let gone = Draft::new("gone.md", &["X"]).staged()[0].id;
    let rows = vec![(ids[0], vector_of("x").to_vec()), (gone, vector_of("y").to_vec())];
    store.put_vectors(&run, two.id, rows).await.expect("vectors are written, of what is there");
    assert!(store.stats(None).await.expect("stats are read").publish_number > number);
    assert!(!store.activate_space(&run, two.id).await.expect("it is answered"), "one chunk has no vector");
    assert_eq!(store.spaces(&draft.collection).await.expect("spaces are read")[1].state, SpaceState::Building);
    store.put_vectors(&run, two.id, vec![(ids[1], vector_of("z").to_vec())]).await.expect("vectors are written");
    assert!(store.activate_space(&run, two.id).await.expect("it is answered"));
    assert!(store.activate_space(&run, two.id).await.expect("it is answered"), "it is active already");
    store.finish_run(&run, number, Map::new()).await.expect("the run ends");
    let states: Vec<_> =
        store.spaces(&draft.collection).await.expect("spaces are read").iter().map(|s| s.state).collect();
    assert_eq!(states, [SpaceState::Retired, SpaceState::Active]);
    retired_vectors_go(store, &draft, one.id).await;
    quarantine(store, &draft, two.id).await;
    let wrong = store.put_vectors(&run, two.id, vec![(ids[0], vec![1.0; 3])]).await;
    assert!(matches!(wrong, Err(Error::Invalid(_))), "{wrong:?}");
    assert_whole(store).await;
}

/// Vectors of a retired space are swept; it can be built again.
async fn retired_vectors_go(store: &dyn GraphStore, draft: &Draft, retired: crate::records::SpaceId) {
    let all = || store.vectors(&draft.collection, retired, 0..u64::MAX, 10);
    assert!(!all().await.expect("vectors are read").heads.is_empty());
    while store.sweep_retired_spaces(&draft.collection).await.expect("a retired space is swept") > 0 {}
    assert!(all().await.expect("vectors are read").heads.is_empty());
    assert!(store.space_delta(&draft.collection, retired, None, 10).await.expect("the delta is read").len() >= 2);
    let stats = store.stats(None).await.expect("stats are read");
    assert_eq!(stats.chunks_without_vector, 0, "the active space keeps its own");
}

/// A chunk whose embedding was set aside is whole, counted, and mended by staging it again.
async fn quarantine(store: &dyn GraphStore, like: &Draft, space: crate::records::SpaceId) {
    let mut draft = Draft::new("quarantined.md", &["Q>R"]);
    draft.spaces = vec![space];
    let mut chunks = draft.staged();
    chunks[0].vectors.clear();
    chunks[0].embedding_quarantined = true;
    store.stage(&like.collection, draft.id(), chunks).await.expect("chunks are staged");
    assert!(matches!(draft.publish(store, 5).await, crate::records::PublishOutcome::Published(_)));
    let stats = store.stats(None).await.expect("stats are read");
    assert_eq!((stats.quarantined_chunks, stats.chunks_without_vector), (1, 0));
    assert!(store.space_delta(&like.collection, space, None, 10).await.expect("the delta is read").is_empty());
    assert_whole(store).await;
    draft.stage(store).await;
    let mended = store.stats(None).await.expect("stats are read");
    assert_eq!((mended.quarantined_chunks, mended.chunks_without_vector), (0, 0));
    assert!(mended.publish_number > stats.publish_number, "a vector of a placed chunk is news to the layers");
    assert!(!store.chunks(draft.id(), 0, 1).await.expect("chunks are read")[0].embedding_quarantined);
}
