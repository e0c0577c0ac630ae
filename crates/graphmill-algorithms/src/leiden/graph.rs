//! The graph as Leiden walks it: undirected, weighted, in compact rows.

/// Sum of all degrees that a graph may have: above it weights are halved until they fit, so that no product of the algorithm overflows 128 bits.
const MOST_DEGREE: u128 = 1 << 49;

/// An undirected graph with whole weights. Made once from edges in any order and direction: the same edges give the same graph.
///
/// Memory: 24 bytes a node, and 24 bytes a pair of nodes that has an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Graph {
    /// Where each node's row begins, and where the last ends.
    offsets: Vec<usize>,
    neighbours: Vec<u32>,
    weights: Vec<u64>,
    /// Weight of each node's edge to itself; it counts twice in the degree.
    loops: Vec<u64>,
    degrees: Vec<u64>,
    /// Sum of the degrees: twice the sum of all weights.
    total: u64,
}

impl Graph {
    /// The graph of `nodes` nodes and these edges (source, target, weight). Directions are folded, edges between the same nodes are added up, an edge of
    /// weight 0 is none. Takes 16 bytes an edge while it is made.
    ///
    /// # Panics
    /// When an edge names a node that is not below `nodes`.
    pub fn new(nodes: u32, edges: impl IntoIterator<Item = (u32, u32, u64)>) -> Self {
        let mut loops = vec![0u64; nodes as usize];
        let mut pairs: Vec<(u32, u32, u64)> = Vec::new();
        for (a, b, weight) in edges {
            assert!(a < nodes && b < nodes, "the edge {a}-{b} leads out of a graph of {nodes} nodes");
            if a == b {
                loops[a as usize] = loops[a as usize].saturating_add(weight);
            } else if weight > 0 {
                pairs.push((a.min(b), a.max(b), weight));
            }
        }
        pairs.sort_unstable();
        pairs.dedup_by(|next, kept| {
            let same = (next.0, next.1) == (kept.0, kept.1);
            if same {
                kept.2 = kept.2.saturating_add(next.2);
            }
            same
        });
        shrink(&mut pairs, &mut loops);
        Self::from_pairs(&pairs, loops)
    }

    fn from_pairs(pairs: &[(u32, u32, u64)], loops: Vec<u64>) -> Self {
        let nodes = loops.len();
        let mut offsets = vec![0usize; nodes + 1];
        for (a, b, _) in pairs {
            offsets[*a as usize + 1] += 1;
            offsets[*b as usize + 1] += 1;
        }
        for node in 0..nodes {
            offsets[node + 1] += offsets[node];
        }
        let mut next = offsets.clone();
        let (mut neighbours, mut weights) = (vec![0; pairs.len() * 2], vec![0; pairs.len() * 2]);
        let mut put = |from: u32, to: u32, weight: u64| {
            let at = next[from as usize];
            next[from as usize] += 1;
            neighbours[at] = to;
            weights[at] = weight;
        };
        // Pairs are sorted, so each row rises: first its lower neighbours, then its higher ones.
        for (a, b, weight) in pairs {
            put(*b, *a, *weight);
        }
        for (a, b, weight) in pairs {
            put(*a, *b, *weight);
        }
        Self::from_rows(offsets, neighbours, weights, loops)
    }

    pub(super) fn from_rows(offsets: Vec<usize>, neighbours: Vec<u32>, weights: Vec<u64>, loops: Vec<u64>) -> Self {
        let degrees: Vec<u64> = (0..loops.len())
            .map(|node| weights[offsets[node]..offsets[node + 1]].iter().sum::<u64>() + 2 * loops[node])
            .collect();
        let total = degrees.iter().sum();
        Self { offsets, neighbours, weights, loops, degrees, total }
    }

    /// Number of nodes.
    pub fn nodes(&self) -> usize {
        self.loops.len()
    }

    /// Number of pairs of different nodes that have an edge.
    pub fn edges(&self) -> usize {
        self.neighbours.len() / 2
    }

    /// Neighbours of a node, rising, with the weights.
    pub fn row(&self, node: u32) -> impl Iterator<Item = (u32, u64)> + '_ {
        let row = self.offsets[node as usize]..self.offsets[node as usize + 1];
        self.neighbours[row.clone()].iter().copied().zip(self.weights[row].iter().copied())
    }

    /// Sum of a node's weights; an edge to itself counts twice.
    pub fn degree(&self, node: u32) -> u64 {
        self.degrees[node as usize]
    }

    /// Sum of all degrees.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Weight of a node's edge to itself.
    pub fn self_loop(&self, node: u32) -> u64 {
        self.loops[node as usize]
    }
}

/// Halves all weights (none below 1) until the sum of degrees fits.
fn shrink(pairs: &mut [(u32, u32, u64)], loops: &mut [u64]) {
    let sum: u128 = pairs.iter().map(|p| u128::from(p.2)).chain(loops.iter().map(|w| u128::from(*w))).sum();
    let mut bits = 0;
    // Each of the rows may be rounded up by 1.
    while ((sum >> bits) + (pairs.len() + loops.len()) as u128) * 2 > MOST_DEGREE {
        bits += 1;
    }
    if bits > 0 {
        let halved = |weight: u64| if weight == 0 { 0 } else { (weight.checked_shr(bits).unwrap_or(0)).max(1) };
        pairs.iter_mut().for_each(|p| p.2 = halved(p.2));
        loops.iter_mut().for_each(|w| *w = halved(*w));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_and_repetitions_are_folded() {
        let one = Graph::new(4, [(0, 1, 2), (1, 0, 3), (2, 2, 5), (1, 2, 0), (3, 1, 1)]);
        let two = Graph::new(4, [(1, 3, 1), (2, 2, 2), (0, 1, 5), (2, 2, 3)]);
        assert_eq!(one, two);
        assert_eq!(one.row(1).collect::<Vec<_>>(), [(0, 5), (3, 1)]);
        assert_eq!((one.degree(2), one.degree(1), one.total(), one.edges()), (10, 6, 22, 2));
    }

    #[test]
    fn huge_weights_are_made_to_fit() {
        let graph = Graph::new(3, [(0, 1, u64::MAX), (0, 1, u64::MAX), (1, 2, u64::MAX / 2), (0, 2, 1)]);
        assert!(u128::from(graph.total()) <= MOST_DEGREE);
        assert!(graph.row(0).all(|(_, weight)| weight > 0));
    }
}
