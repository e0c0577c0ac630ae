//! Whatever happened on the way, a graph is what its last documents say.

use std::collections::BTreeMap;

use graphmill_core::{CollectionId, Seq};

use super::Backend;
use super::fixtures::{Draft, Numbers, assert_whole, export_default, random_draft, random_edit, sweep_all};
use crate::GraphStore;
use crate::folds::{EntityFold, RelationFold};
use crate::records::RemoveOutcome;

/// What was accepted for a document.
#[derive(Debug, Clone)]
enum Accepted {
    Upload(Draft),
    Removal,
}

/// Upload A, upload B, A again, a removal, a retry of B, accepted in this order and finishing in every order, end as accepted last.
pub async fn all_orders_of_finishing_end_as_accepted(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    Draft::new("neighbour.md", &["A>B", "C"]).put(store, 1).await;
    let (mut case, mut seq) = (0, 1);
    let mut live: Vec<Draft> = vec![Draft::new("neighbour.md", &["A>B", "C"])];
    for length in 1..=5 {
        for order in permutations(length) {
            let source = format!("case-{case}.md");
            let a = Draft::new(&source, &["A>B", "B>C", "A"]);
            let b = Draft::new(&source, &["B>C", "C>A", "A"]);
            let all = [
                Accepted::Upload(a.clone()),
                Accepted::Upload(b.clone()),
                Accepted::Upload(a.clone()),
                Accepted::Removal,
                Accepted::Upload(b.clone()),
            ];
            finish_in_order(store, &a, &all[..length], &order, seq).await;
            if let Accepted::Upload(last) = &all[length - 1] {
                live.push(last.clone());
            }
            (case, seq) = (case + 1, seq + length as u64);
        }
    }
    assert_ends_as(backend, store, &live).await;
}

/// All of `accepted` stage first, so that each finds what the others left.
async fn finish_in_order(store: &dyn GraphStore, of: &Draft, accepted: &[Accepted], order: &[usize], seq: u64) {
    for step in accepted {
        if let Accepted::Upload(draft) = step {
            draft.stage(store).await;
        }
    }
    for at in order {
        let ticket = seq + 1 + *at as u64;
        match &accepted[*at] {
            Accepted::Upload(draft) => drop(draft.upload(store, ticket).await),
            Accepted::Removal => {
                store.remove(&of.collection, of.id(), Seq(ticket)).await.expect("a removal is answered");
            }
        }
        store.sweep_document(of.id()).await.expect("a document is swept");
    }
    let stands = store.published_seq(of.id()).await.expect("a ticket is read").expect("something was accepted");
    assert_eq!(stands.seq, Seq(seq + accepted.len() as u64), "finishing in the order {order:?}");
    assert_eq!(stands.deleted, matches!(accepted.last(), Some(Accepted::Removal)));
}

fn permutations(length: usize) -> Vec<Vec<usize>> {
    if length == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for shorter in permutations(length - 1) {
        for at in 0..length {
            let mut longer = shorter.clone();
            longer.insert(at, length - 1);
            all.push(longer);
        }
    }
    all
}

async fn assert_ends_as(backend: &dyn Backend, store: &dyn GraphStore, live: &[Draft]) {
    sweep_all(store).await;
    assert_whole(store).await;
    assert_eq!(store.stats(None).await.expect("stats are read").unplaced_chunks, 0);
    let fresh = backend.empty().await;
    fresh.store.ensure_collection(&CollectionId::default()).await.expect("a collection is made");
    for (i, draft) in live.iter().rev().enumerate() {
        draft.put(fresh.store.as_ref(), i as u64 + 1).await;
    }
    assert_same(&export_default(store).await, &export_default(fresh.store.as_ref()).await);
}

/// That two exports are equal; says the first line that is not.
fn assert_same(left: &str, right: &str) {
    for (i, (l, r)) in left.lines().zip(right.lines()).enumerate() {
        assert_eq!(l, r, "line {} differs", i + 1);
    }
    assert_eq!(left.lines().count(), right.lines().count());
}

/// 200 random uploads, replacements, removals, late publications and sweeps over 12 documents that share entities end as a fresh graph
/// with the documents that are left.
pub async fn random_histories_end_as_a_fresh_graph(backend: &dyn Backend) {
    for seed in 0..4 {
        random_history(backend, seed, 200).await;
    }
}

async fn random_history(backend: &dyn Backend, seed: u64, steps: usize) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let mut numbers = Numbers(seed);
    let mut live: BTreeMap<String, Draft> = BTreeMap::new();
    let mut late: Vec<(Draft, u64)> = Vec::new();
    for step in 1..=steps {
        let (seq, source) = (step as u64, format!("document-{}.md", numbers.below(12)));
        let next = match live.get(&source) {
            Some(draft) if numbers.below(3) > 0 => random_edit(draft, &mut numbers),
            _ => random_draft(&source, &mut numbers),
        };
        match numbers.below(10) {
            0 | 1 => {
                let outcome = store.remove(&next.collection, next.id(), Seq(seq)).await.expect("it is answered");
                let existed = live.remove(&source).is_some();
                assert_eq!(outcome, RemoveOutcome::Removed { existed }, "seed {seed}, step {step}");
            }
            2 => {
                // An upload that will be overtaken, if anything else of its document comes first.
                next.stage(store).await;
                late.push((next, seq));
            }
            3 if !late.is_empty() => {
                let (draft, ticket) = late.swap_remove(numbers.below(late.len()));
                let stands = store.published_seq(draft.id()).await.expect("a ticket is read").map_or(0, |s| s.seq.0);
                drop(draft.upload(store, ticket).await);
                if stands < ticket {
                    live.insert(draft.source.clone(), draft);
                }
            }
            4 => drop(store.sweep_document(next.id()).await.expect("it is swept")),
            _ => {
                next.put(store, seq).await;
                live.insert(source, next);
            }
        }
        if step % 50 == 0 {
            assert_whole(store).await;
        }
    }
    let live: Vec<Draft> = live.into_values().collect();
    assert_ends_as(backend, store, &live).await;
}

/// Eight publishers of documents that share entities, at the same time.
pub async fn concurrent_publishers_end_as_one_after_the_other(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let mut publishers = Vec::new();
    let mut live = Vec::new();
    for publisher in 0..8u64 {
        let mut numbers = Numbers(100 + publisher);
        let mut versions = Vec::new();
        for document in 0..3 {
            let first = random_draft(&format!("{publisher}-{document}.md"), &mut numbers);
            let second = random_edit(&first, &mut numbers);
            live.push(second.clone());
            versions.extend([first, second]);
        }
        let store = std::sync::Arc::clone(&graph.store);
        publishers.push(tokio::spawn(async move {
            for (i, draft) in versions.iter().enumerate() {
                draft.put(store.as_ref(), publisher * 100 + i as u64 + 1).await;
                store.sweep_document(draft.id()).await.expect("a document is swept");
            }
        }));
    }
    for publisher in publishers {
        publisher.await.expect("a publisher ends well");
    }
    assert_ends_as(backend, graph.store.as_ref(), &live).await;
}

/// The lines of entities and relations are the folds of the facts, computed here from the documents themselves.
pub async fn folds_equal_folds_computed_anew(backend: &dyn Backend) {
    let graph = backend.empty().await;
    let store = graph.store.as_ref();
    let mut numbers = Numbers(77);
    let mut live: BTreeMap<String, Draft> = BTreeMap::new();
    for seq in 1..=60u64 {
        let draft = random_draft(&format!("document-{}.md", numbers.below(9)), &mut numbers);
        draft.put(store, seq).await;
        live.insert(draft.source.clone(), draft);
    }
    let (entities, relations) = folds_of(live.values());
    let around: Vec<_> = entities.keys().copied().collect();
    let read = store.expand(&CollectionId::default(), &around, 0, 10_000).await.expect("entities are read");
    let computed: Vec<_> = entities.iter().map(|(id, fold)| fold.record(*id)).collect();
    assert_eq!(read.entities, computed);
    let computed: Vec<_> = relations.iter().map(|((s, t), fold)| fold.record(*s, *t)).collect();
    assert_eq!(read.relations, computed);
}

type Folds = (
    BTreeMap<graphmill_core::EntityId, EntityFold>,
    BTreeMap<(graphmill_core::EntityId, graphmill_core::EntityId), RelationFold>,
);

fn folds_of<'a>(documents: impl Iterator<Item = &'a Draft>) -> Folds {
    let mut folds = Folds::default();
    for draft in documents {
        let mut mentioned = std::collections::BTreeSet::new();
        for (_, facts) in &draft.chunks {
            for mention in &facts.mentions {
                let id = super::fixtures::entity(&mention.spelling);
                folds.0.entry(id).or_default().add(mention);
                mentioned.insert(id);
            }
            for s in &facts.statements {
                let ends = (super::fixtures::entity(&s.source), super::fixtures::entity(&s.target));
                folds.1.entry(ends).or_default().add(s);
            }
        }
        for id in mentioned {
            folds.0.entry(id).or_default().documents += 1;
        }
    }
    folds
}
