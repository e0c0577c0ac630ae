//! Modularity with a resolution (Reichardt and Bornholdt 2006, doi 10.1103/PhysRevE.74.016110; Newman's at resolution 1), in whole numbers: equal
//! inputs decide equally on every machine, ties are ties, and no rounding can make a node move for ever.

use super::Graph;

/// Steps of a resolution.
const MILLION: i128 = 1_000_000;

/// What is made as large as possible: the sum over communities of `inside / m − γ (degrees / 2m)²`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Objective {
    /// 2m · 10⁶
    scale: i128,
    /// γ · 10⁶
    gamma: i128,
    total: i128,
    /// Mean weight of an edge, for the refinement's theta.
    mean: f64,
}

impl Objective {
    pub(super) fn new(graph: &Graph, resolution_millionths: u64) -> Self {
        let total = i128::from(graph.total());
        let loops = (0..graph.nodes() as u32).filter(|node| graph.self_loop(*node) > 0).count();
        let mean = graph.total() as f64 / 2.0 / (graph.edges() + loops).max(1) as f64;
        Self { scale: total * MILLION, gamma: i128::from(resolution_millionths), total, mean: mean.max(1.0) }
    }

    /// What joining two disjoint sets of nodes is worth: `weight` between them, sums of their degrees. Above 0: joined is better.
    pub(super) fn gain(&self, weight: u64, degrees_a: u64, degrees_b: u64) -> i128 {
        i128::from(weight) * self.scale - self.gamma * (i128::from(degrees_a) * i128::from(degrees_b))
    }

    /// A gain in units of the mean edge.
    pub(super) fn in_edges(&self, gain: i128) -> f64 {
        if self.scale == 0 { 0.0 } else { gain as f64 / self.scale as f64 / self.mean }
    }

    /// Share of a community: (numerator, denominator) of its part of the modularity.
    fn share(&self, inside: u64, degrees: u64) -> i128 {
        2 * i128::from(inside) * self.scale - self.gamma * (i128::from(degrees) * i128::from(degrees))
    }

    fn whole(&self) -> i128 {
        self.scale * self.total
    }

    /// Part of each community in the modularity, as numerators over one denominator, and their sum.
    pub(super) fn shares(&self, graph: &Graph, partition: &[u32], communities: usize) -> Shares {
        let (mut inside, mut degrees) = (vec![0u64; communities], vec![0u64; communities]);
        for node in 0..graph.nodes() as u32 {
            let community = partition[node as usize];
            degrees[community as usize] += graph.degree(node);
            inside[community as usize] += graph.self_loop(node);
            for (other, weight) in graph.row(node) {
                if other > node && partition[other as usize] == community {
                    inside[community as usize] += weight;
                }
            }
        }
        let parts = inside.into_iter().zip(degrees).map(|(i, d)| self.share(i, d)).collect();
        Shares { parts, whole: self.whole() }
    }
}

/// See [`Objective::shares`].
pub(super) struct Shares {
    parts: Vec<i128>,
    whole: i128,
}

impl Shares {
    /// The sum, exactly.
    pub(super) fn sum(&self) -> i128 {
        self.parts.iter().sum()
    }

    /// The modularity.
    pub(super) fn modularity(&self) -> f64 {
        if self.whole == 0 { 0.0 } else { self.sum() as f64 / self.whole as f64 }
    }

    /// Part of each community, in millionths.
    pub(super) fn millionths(&self) -> Vec<i64> {
        let one = |part: &i128| if self.whole == 0 { 0.0 } else { *part as f64 / self.whole as f64 };
        self.parts.iter().map(|part| (one(part) * 1e6).round() as i64).collect()
    }
}
