//! A writer that was given up goes on writing, at every step of the one that counts.

use graphmill_core::Seq;
use serde_json::Map;

use super::Backend;
use super::fixtures::{Draft, assert_whole, export_default, sweep_all};
use crate::records::{CommunityRow, Layer, LayerRun, PublishOutcome, SimilarityRow};
use crate::{Error, GraphStore};

/// A step of a job.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Step {
    StageSome,
    StageAll,
    Publish,
    Remove,
    Sweep,
}

/// All ways in which two jobs' steps can fall between each other; `true` is a step of the second.
fn interleavings(first: usize, second: usize) -> Vec<Vec<bool>> {
    if first == 0 || second == 0 {
        return vec![vec![first == 0; first + second]];
    }
    let with = |step: bool, rest: Vec<Vec<bool>>| {
        rest.into_iter().map(move |mut rest| {
            rest.insert(0, step);
            rest
        })
    };
    with(false, interleavings(first - 1, second)).chain(with(true, interleavings(first, second - 1))).collect()
}

async fn run(store: &dyn GraphStore, draft: &Draft, step: Step, seq: u64, restage: bool) {
    match step {
        Step::StageSome => {
            let some = draft.staged().into_iter().take(1).collect();
            store.stage(&draft.collection, draft.id(), some).await.expect("chunks are staged");
        }
        Step::StageAll => draft.stage(store).await,
        Step::Publish => {
            // A stale job that finds its chunks swept is not there any more to stage them again.
            if matches!(draft.publish(store, seq).await, PublishOutcome::Incomplete(_)) && restage {
                draft.put(store, seq).await;
            }
        }
        Step::Remove => {
            store.remove(&draft.collection, draft.id(), Seq(seq)).await.expect("a removal is answered");
        }
        Step::Sweep => {
            store.sweep_document(draft.id()).await.expect("a document is swept");
        }
    }
}

async fn interleave(backend: &dyn Backend, stale: &[Step], last: &[Step], ends_published: bool) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let mut expected = Vec::new();
    for (case, order) in interleavings(stale.len(), last.len()).into_iter().enumerate() {
        let source = format!("case-{case}.md");
        let before = Draft::new(&source, &["A>B", "Old"]);
        let old = Draft::new(&source, &["A>B", "Stale>A", "C"]);
        let new = Draft::new(&source, &["New>B", "A>B", "C"]);
        let seq = case as u64 * 10;
        before.put(store, seq + 1).await;
        let (mut stale_steps, mut last_steps, mut settled) = (stale.iter(), last.iter(), false);
        for is_last in &order {
            if *is_last {
                let step = *last_steps.next().expect("an interleaving has all steps");
                run(store, &new, step, seq + 3, true).await;
                settled |= step == Step::Publish || step == Step::Remove;
            } else {
                run(store, &old, *stale_steps.next().expect("an interleaving has all steps"), seq + 2, false).await;
            }
            if settled {
                assert_settled(store, &new, seq + 3, ends_published, &order).await;
            }
        }
        expected.extend(ends_published.then_some(new));
    }
    sweep_all(store).await;
    assert_whole(store).await;
    let fresh = backend.empty().await;
    fresh.store.ensure_collection(&Draft::new("x", &[]).collection).await.expect("a collection is made");
    for (i, draft) in expected.iter().enumerate() {
        draft.put(fresh.store.as_ref(), i as u64 + 1).await;
    }
    assert_eq!(export_default(store).await, export_default(fresh.store.as_ref()).await);
}

async fn assert_settled(store: &dyn GraphStore, new: &Draft, seq: u64, published: bool, order: &[bool]) {
    let stands = store.published_seq(new.id()).await.expect("a ticket is read").expect("it is settled");
    assert_eq!((stands.seq, stands.deleted), (Seq(seq), !published), "interleaving {order:?}");
    let texts: Vec<String> =
        store.chunks(new.id(), 0, 10).await.expect("chunks are read").into_iter().map(|c| c.text).collect();
    let wanted: Vec<String> = if published { new.chunks.iter().map(|(t, _)| t.clone()).collect() } else { Vec::new() };
    assert_eq!(texts, wanted, "interleaving {order:?}");
}

/// An overtaken upload, at every step of the upload that overtook it.
pub async fn a_stale_upload_is_never_seen(backend: &dyn Backend) {
    let stale = [Step::StageSome, Step::StageAll, Step::Publish, Step::Sweep];
    interleave(backend, &stale, &[Step::StageSome, Step::StageAll, Step::Publish, Step::Sweep], true).await;
    interleave(backend, &[Step::Remove, Step::Sweep], &[Step::StageAll, Step::Publish, Step::Sweep], true).await;
}

/// An overtaken upload, at every step of the removal that overtook it.
pub async fn a_stale_upload_against_a_removal_is_never_seen(backend: &dyn Backend) {
    let stale = [Step::StageSome, Step::StageAll, Step::Publish, Step::Sweep];
    interleave(backend, &stale, &[Step::Remove, Step::Sweep], false).await;
}

/// Every write of a run that was given up is refused, at every step of the run after it, and changes nothing.
pub async fn a_stale_run_changes_nothing(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let draft = Draft::new("a.md", &["A>B", "B>C"]);
    let space =
        store.ensure_space(&draft.collection, "model", super::fixtures::DIMENSION).await.expect("a space is made");
    draft.put(store, 1).await;
    let chunks: Vec<_> = draft.staged().into_iter().map(|c| c.id).collect();
    for layer in [Layer::Embeddings, Layer::Similarities, Layer::Communities] {
        let stale = store.begin_run(&draft.collection, layer, true).await.expect("a run begins");
        let present = store.begin_run(&draft.collection, layer, true).await.expect("a run begins");
        assert!(present.number > stale.number);
        write_stale(store, &stale, &present, &draft, space.id).await;
        if layer == Layer::Similarities {
            let row = SimilarityRow { chunk: chunks[0], neighbours: vec![(chunks[1], 0.5)], cut_at: None };
            store.put_similarities(&present, vec![row]).await.expect("the present run writes");
            write_stale(store, &stale, &present, &draft, space.id).await;
        }
        store.finish_run(&present, 1, Map::new()).await.expect("the present run ends");
        write_stale(store, &stale, &present, &draft, space.id).await;
        let state = store.layer(&draft.collection, layer).await.expect("a layer is read");
        assert_eq!(state.run, present.number);
    }
    let stats = store.stats(None).await.expect("stats are read");
    assert_eq!((stats.similarities, stats.communities, stats.chunks_without_vector), (1, 0, 2));
}

async fn write_stale(
    store: &dyn GraphStore,
    stale: &LayerRun,
    present: &LayerRun,
    draft: &Draft,
    space: crate::records::SpaceId,
) {
    let before = export_default(store).await;
    let chunk = draft.staged()[0].id;
    let refused = |answer: Result<(), Error>| {
        let matches =
            matches!(answer, Err(Error::StaleRun { run, current }) if run == stale.number && current == present.number);
        assert!(matches, "{answer:?}");
    };
    match stale.layer {
        Layer::Embeddings => {
            refused(store.put_vectors(stale, space, vec![(chunk, vec![1.0; 4])]).await);
            refused(store.activate_space(stale, space).await.map(drop));
        }
        Layer::Similarities => {
            let row = SimilarityRow { chunk, neighbours: vec![(chunk, 1.0)], cut_at: None };
            refused(store.put_similarities(stale, vec![row]).await.map(drop));
        }
        Layer::Communities => {
            let id = graphmill_core::CommunityId::new(&draft.collection, 0, b"stale");
            let row = CommunityRow {
                id,
                level: 0,
                parent: None,
                title: "stale".into(),
                summary: String::new(),
                modularity_share_millionths: 0,
                members: vec![super::fixtures::entity("A")],
            };
            refused(store.put_communities(stale, vec![row]).await);
        }
    }
    refused(store.finish_run(stale, 9, Map::new()).await);
    assert_eq!(export_default(store).await, before);
}
