//! Communities by the Leiden algorithm (Traag, Waltman, van Eck 2019, doi 10.1038/s41598-019-41695-z): fast local moving, refinement, aggregation, over
//! modularity with a resolution.
//!
//! The same graph and options give the same partition, whatever the order in which edges were given, on every machine: weights and gains are whole
//! numbers, chance is seeded. Memory beside the [`Graph`]: about 70 bytes a node, and an aggregated graph, which is smaller than the first.

mod aggregation;
mod graph;
mod moving;
mod objective;
mod random;
mod refinement;
mod scratch;
#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicBool;

pub use graph::Graph;

use crate::Error;
use aggregation::{aggregate, renumber};
use objective::Objective;
use random::Random;
use refinement::Choice;

/// Nodes between two looks at the stop flag.
const LOOK_EVERY: usize = 1_024;

/// Rounds over the whole graph, each from the partition of the one before; they end when nothing is gained any more. A
/// graph of hubs without clear communities loses 0.15 % of its modularity when 10 are the most.
const MOST_ROUNDS: usize = 100;

/// What can be chosen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Options {
    /// γ in millionths: above 1,000,000 communities are smaller, below larger. At most 100,000,000.
    pub resolution_millionths: u64,
    /// Decides the order of nodes and the merges of the refinement.
    pub seed: u64,
    /// θ of the refinement, in mean edges: how freely merges that gain less are chosen. The paper takes 0.01.
    pub theta: f64,
    /// At most so many levels are kept, the coarsest; at least 1.
    pub max_levels: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { resolution_millionths: 1_000_000, seed: 42, theta: 0.01, max_levels: 10 }
    }
}

/// One level of the hierarchy: a partition of all nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    /// Community of each node. Communities are numbered by their first node: 0, 1, 2 …
    pub community_of: Vec<u32>,
    /// Number of communities.
    pub communities: usize,
    /// Each community's part of this level's modularity, in millionths.
    pub shares_millionths: Vec<i64>,
}

impl Level {
    /// Nodes of each community, rising.
    pub fn members(&self) -> Members {
        let (starts, nodes) = aggregation::members_of(&self.community_of, self.communities);
        Members { starts, nodes }
    }
}

/// Nodes by community; see [`Level::members`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    starts: Vec<usize>,
    nodes: Vec<u32>,
}

impl Members {
    /// Nodes of a community, rising.
    pub fn of(&self, community: usize) -> &[u32] {
        &self.nodes[self.starts[community]..self.starts[community + 1]]
    }
}

/// What was found. Each community of a level is a union of communities of the level before, and connected.
#[derive(Debug, Clone, PartialEq)]
pub struct Communities {
    /// From the finest to the coarsest; the last is the partition of greatest modularity. Never empty.
    pub levels: Vec<Level>,
    /// Modularity of the coarsest level.
    pub modularity: f64,
}

/// Finds the communities of a graph. Ends with [`Error::Stopped`] soon after `stop` is set.
pub fn leiden(graph: &Graph, options: &Options, stop: &AtomicBool) -> Result<Communities, Error> {
    let objective = Objective::new(graph, options.resolution_millionths);
    let mut random = Random::new(options.seed);
    let mut partition: Vec<u32> = (0..graph.nodes() as u32).collect();
    let mut worth = objective.shares(graph, &partition, graph.nodes()).sum();
    let mut levels = Vec::new();
    for _ in 0..MOST_ROUNDS {
        levels = one_round(graph, &objective, partition, options, &mut random, stop)?;
        let (coarsest, count) = levels.last().cloned().unwrap_or_default();
        partition = coarsest;
        let now = objective.shares(graph, &partition, count).sum();
        if now <= worth {
            break;
        }
        worth = now;
    }
    Ok(describe(graph, &objective, levels, options.max_levels))
}

/// One run of the paper's algorithm from a partition; answers the partitions of its levels (renumbered, with their counts), finest first.
fn one_round(
    graph: &Graph,
    objective: &Objective,
    start: Vec<u32>,
    options: &Options,
    random: &mut Random,
    stop: &AtomicBool,
) -> Result<Vec<(Vec<u32>, usize)>, Error> {
    let mut node_of: Vec<u32> = (0..graph.nodes() as u32).collect();
    let mut levels = Vec::new();
    let mut aggregated: Option<Graph> = None;
    let mut partition = start;
    loop {
        let present = aggregated.as_ref().unwrap_or(graph);
        moving::move_nodes(present, objective, &mut partition, random, stop)?;
        if renumber(&mut partition) == present.nodes() {
            break;
        }
        let choice = Choice::Random { theta: options.theta };
        let (mut sets, merged) = refinement::refine(present, objective, &partition, choice, random, stop)?;
        if !merged {
            (sets, _) = refinement::refine(present, objective, &partition, Choice::Best, random, stop)?;
        }
        let count = renumber(&mut sets);
        let next = aggregate(present, &sets, count);
        let mut above = vec![0; count];
        for (set, community) in sets.iter().zip(&partition) {
            above[*set as usize] = *community;
        }
        partition = above;
        node_of.iter_mut().for_each(|node| *node = sets[*node as usize]);
        levels.push((node_of.clone(), count));
        aggregated = Some(next);
    }
    if levels.is_empty() {
        let count = node_of.len();
        levels.push((node_of, count));
    }
    Ok(levels)
}

/// The levels that are kept, with their shares.
fn describe(
    graph: &Graph,
    objective: &Objective,
    mut levels: Vec<(Vec<u32>, usize)>,
    max_levels: usize,
) -> Communities {
    // A level that merged nothing is the same as the one before.
    levels.dedup_by_key(|level| level.1);
    let surplus = levels.len().saturating_sub(max_levels.max(1));
    let mut modularity = 0.0;
    let levels = levels.drain(surplus..).map(|(mut community_of, communities)| {
        renumber(&mut community_of);
        let shares = objective.shares(graph, &community_of, communities);
        modularity = shares.modularity();
        Level { community_of, communities, shares_millionths: shares.millionths() }
    });
    let levels = levels.collect();
    Communities { levels, modularity }
}
