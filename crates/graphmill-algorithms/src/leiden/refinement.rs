//! Refinement (Algorithm A.2 `RefinePartition` and `MergeNodesSubset` of the paper): within each community nodes begin alone and are merged at random
//! into sets that are well connected to the rest of their community. A merge needs an edge, so each refined set is connected.

use std::sync::atomic::{AtomicBool, Ordering};

use super::objective::Objective;
use super::random::{Random, exp};
use super::scratch::Weights;
use super::{Graph, LOOK_EVERY};
use crate::Error;

/// How freely a merge is chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Choice {
    /// With probability proportional to `exp(gain / theta)`, the gain in mean edges; staying alone is a gain of 0.
    Random {
        /// θ of the paper.
        theta: f64,
    },
    /// Always the best. Merges at least once in every community of several nodes that local moving left as it is (else one of its nodes would be better
    /// off alone), so that progress is certain.
    Best,
}

/// The refined partition (numbers of nodes: each set is named by one of its nodes) and whether anything was merged.
pub(super) fn refine(
    graph: &Graph,
    objective: &Objective,
    partition: &[u32],
    choice: Choice,
    random: &mut Random,
    stop: &AtomicBool,
) -> Result<(Vec<u32>, bool), Error> {
    let mut refined = Refined::new(graph, partition);
    let mut order: Vec<u32> = (0..graph.nodes() as u32).collect();
    // Communities do not touch each other here, so one order over all nodes is a random order within each.
    random.shuffle(&mut order);
    let mut merged = false;
    for (looked, node) in order.into_iter().enumerate() {
        if looked % LOOK_EVERY == 0 && stop.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        let well_connected = refined.is_well_connected(objective, partition, node);
        if refined.sizes[node as usize] == 1 && refined.set[node as usize] == node && well_connected {
            merged |= refined.merge(graph, objective, partition, node, choice, random);
        }
    }
    Ok((refined.set, merged))
}

struct Refined {
    /// Set of each node.
    set: Vec<u32>,
    sizes: Vec<u32>,
    degrees: Vec<u64>,
    /// Weight from each set to the rest of its community.
    outside: Vec<u64>,
    /// Degrees of each community of the partition.
    community_degrees: Vec<u64>,
    weights: Weights,
    candidates: Vec<(u32, i128)>,
}

impl Refined {
    fn new(graph: &Graph, partition: &[u32]) -> Self {
        let nodes = graph.nodes();
        let mut community_degrees = vec![0; nodes];
        let mut outside = vec![0; nodes];
        for (node, community) in (0u32..).zip(partition) {
            community_degrees[*community as usize] += graph.degree(node);
            let inner = graph.row(node).filter(|(other, _)| partition[*other as usize] == *community);
            outside[node as usize] = inner.map(|(_, weight)| weight).sum();
        }
        Self {
            set: (0..nodes as u32).collect(),
            sizes: vec![1; nodes],
            degrees: (0..nodes as u32).map(|node| graph.degree(node)).collect(),
            outside,
            community_degrees,
            weights: Weights::new(nodes),
            candidates: Vec::new(),
        }
    }

    /// Whether a set has at least the weight to the rest of its community that chance would give it. (A set is named by one of its nodes.)
    fn is_well_connected(&self, objective: &Objective, partition: &[u32], set: u32) -> bool {
        let degrees = self.degrees[set as usize];
        let rest = self.community_degrees[partition[set as usize] as usize] - degrees;
        objective.gain(self.outside[set as usize], degrees, rest) >= 0
    }

    /// Merges a node that is alone into a set of its community; answers whether it did.
    fn merge(
        &mut self,
        graph: &Graph,
        objective: &Objective,
        partition: &[u32],
        node: u32,
        choice: Choice,
        random: &mut Random,
    ) -> bool {
        let community = partition[node as usize];
        for (other, weight) in graph.row(node) {
            if partition[other as usize] == community {
                self.weights.add(self.set[other as usize], weight);
            }
        }
        self.candidates.clear();
        for set in self.weights.touched() {
            let gain = objective.gain(self.weights.of(set), graph.degree(node), self.degrees[set as usize]);
            if gain >= 0 && self.is_well_connected(objective, partition, set) {
                self.candidates.push((set, gain));
            }
        }
        let chosen = choose(objective, &self.candidates, choice, random);
        if let Some(set) = chosen {
            let (from, to) = (node as usize, set as usize);
            let between = self.weights.of(set);
            self.outside[to] = self.outside[to] + self.outside[from] - 2 * between;
            self.degrees[to] += self.degrees[from];
            self.sizes[to] += 1;
            self.sizes[from] = 0;
            self.set[from] = set;
        }
        self.weights.clear();
        chosen.is_some()
    }
}

fn choose(objective: &Objective, candidates: &[(u32, i128)], choice: Choice, random: &mut Random) -> Option<u32> {
    let best = candidates.iter().map(|c| c.1).max()?;
    let Choice::Random { theta } = choice else {
        return candidates.iter().filter(|c| c.1 == best).map(|c| c.0).min();
    };
    // Relative to the best, so that nothing overflows.
    let likelihood = |gain: i128| exp(objective.in_edges(gain - best) / theta);
    let alone = likelihood(0);
    let sum: f64 = alone + candidates.iter().map(|c| likelihood(c.1)).sum::<f64>();
    let mut left = random.unit() * sum - alone;
    if left < 0.0 {
        return None;
    }
    for (set, gain) in candidates {
        left -= likelihood(*gain);
        if left < 0.0 {
            return Some(*set);
        }
    }
    candidates.last().map(|c| c.0)
}
