//! Reciprocal rank fusion: Cormack, Clarke, Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods", SIGIR 2009.
//! A chunk's score is the sum of 1 / (k + rank) over the lists that have it; k = 60 is the paper's. Scores of the lists themselves, which no common
//! scale has, do not matter.

use std::collections::HashMap;

use graphmill_core::ChunkId;
use graphmill_graph::records::SearchHit;

const K: f64 = 60.0;

/// A chunk of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Fused {
    pub(super) chunk: ChunkId,
    pub(super) score: f64,
    pub(super) text: Option<f64>,
    pub(super) vector: Option<f64>,
}

pub(super) fn only_text(hits: Vec<SearchHit>) -> Vec<Fused> {
    let fused = |hit: SearchHit| Fused { chunk: hit.chunk, score: hit.score, text: Some(hit.score), vector: None };
    hits.into_iter().map(fused).collect()
}

pub(super) fn only_vector(hits: Vec<SearchHit>) -> Vec<Fused> {
    let fused = |hit: SearchHit| Fused { chunk: hit.chunk, score: hit.score, text: None, vector: Some(hit.score) };
    hits.into_iter().map(fused).collect()
}

/// Both lists as one, best first, ties by id, at most `limit`.
pub(super) fn fuse(text: Vec<SearchHit>, vector: Vec<SearchHit>, limit: usize) -> Vec<Fused> {
    let mut by_chunk: HashMap<ChunkId, Fused> = HashMap::with_capacity(text.len() + vector.len());
    for list in [only_text(text), only_vector(vector)] {
        for (rank, found) in (1u32..).zip(list) {
            let score = 1.0 / (K + f64::from(rank));
            let fused = by_chunk.entry(found.chunk).or_insert(Fused { score: 0.0, ..found });
            fused.score += score;
            fused.text = fused.text.or(found.text);
            fused.vector = fused.vector.or(found.vector);
        }
    }
    let mut all: Vec<Fused> = by_chunk.into_values().collect();
    all.sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.chunk.cmp(&b.chunk)));
    all.truncate(limit);
    all
}

#[cfg(test)]
mod tests {
    use graphmill_core::{CollectionId, DocumentId};

    use super::*;

    #[test]
    fn ranks_count_and_scores_do_not() {
        let document = DocumentId::new(&CollectionId::default(), "a");
        let hit = |n: u8, score: f64| SearchHit { chunk: ChunkId::from_bytes([n; 16]), document, score };
        let text = vec![hit(1, 99.0), hit(2, 1.0), hit(3, 0.5)];
        let vector = vec![hit(2, 0.9), hit(4, 0.8)];
        let fused = fuse(text, vector, 3);
        let expected: [(u8, f64); 3] = [(2, 1.0 / 62.0 + 1.0 / 61.0), (1, 1.0 / 61.0), (4, 1.0 / 62.0)];
        for (found, (n, score)) in fused.iter().zip(expected) {
            assert_eq!(found.chunk, ChunkId::from_bytes([n; 16]));
            assert!((found.score - score).abs() < 1e-12);
        }
        assert_eq!((fused[0].text, fused[0].vector, fused[1].vector), (Some(1.0), Some(0.9), None));
        assert_eq!(fused.len(), 3);
    }
}
