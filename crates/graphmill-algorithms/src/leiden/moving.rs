//! Fast local moving (Algorithm A.2 `MoveNodesFast` of the paper): nodes wait in a queue; one that moves puts its neighbours of other communities
//! back into it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use super::objective::Objective;
use super::random::Random;
use super::scratch::Weights;
use super::{Graph, LOOK_EVERY};
use crate::Error;

/// Moves nodes between communities until none can be bettered by moving alone. `partition` holds numbers below the number of nodes.
pub(super) fn move_nodes(
    graph: &Graph,
    objective: &Objective,
    partition: &mut [u32],
    random: &mut Random,
    stop: &AtomicBool,
) -> Result<(), Error> {
    let nodes = graph.nodes();
    let mut communities = Communities::new(graph, partition);
    let mut order: Vec<u32> = (0..nodes as u32).collect();
    random.shuffle(&mut order);
    let mut waiting = vec![true; nodes];
    let mut queue: VecDeque<u32> = order.into();
    let mut weights = Weights::new(nodes);
    let mut looked = 0usize;
    while let Some(node) = queue.pop_front() {
        looked += 1;
        if looked.is_multiple_of(LOOK_EVERY) && stop.load(Ordering::Relaxed) {
            return Err(Error::Stopped);
        }
        waiting[node as usize] = false;
        for (other, weight) in graph.row(node) {
            weights.add(partition[other as usize], weight);
        }
        let old = partition[node as usize];
        let new = communities.best_for(objective, graph.degree(node), old, &weights);
        weights.clear();
        if new == old {
            continue;
        }
        communities.moved(graph.degree(node), old, new);
        partition[node as usize] = new;
        for (other, _) in graph.row(node) {
            if partition[other as usize] != new && !std::mem::replace(&mut waiting[other as usize], true) {
                queue.push_back(other);
            }
        }
    }
    Ok(())
}

/// Sums of the communities.
struct Communities {
    degrees: Vec<u64>,
    sizes: Vec<u32>,
    /// Numbers that no node has.
    empty: Vec<u32>,
}

impl Communities {
    fn new(graph: &Graph, partition: &[u32]) -> Self {
        let (mut degrees, mut sizes) = (vec![0; graph.nodes()], vec![0u32; graph.nodes()]);
        for (node, community) in (0u32..).zip(partition) {
            degrees[*community as usize] += graph.degree(node);
            sizes[*community as usize] += 1;
        }
        // The lowest is taken first.
        let empty = (0..graph.nodes() as u32).rev().filter(|c| sizes[*c as usize] == 0).collect();
        Self { degrees, sizes, empty }
    }

    /// The community in which a node is worth most; the old one when no other is worth more, of equal ones the lowest number.
    fn best_for(&self, objective: &Objective, degree: u64, old: u32, weights: &Weights) -> u32 {
        let mut best = old;
        let mut most = objective.gain(weights.of(old), degree, self.degrees[old as usize] - degree);
        for community in weights.touched() {
            if community == old {
                continue;
            }
            let gain = objective.gain(weights.of(community), degree, self.degrees[community as usize]);
            if gain > most || (gain == most && best != old && community < best) {
                (best, most) = (community, gain);
            }
        }
        match self.empty.last() {
            Some(empty) if most < 0 && self.sizes[old as usize] > 1 => *empty,
            _ => best,
        }
    }

    fn moved(&mut self, degree: u64, old: u32, new: u32) {
        if self.sizes[new as usize] == 0 {
            self.empty.pop();
        }
        self.degrees[old as usize] -= degree;
        self.sizes[old as usize] -= 1;
        self.degrees[new as usize] += degree;
        self.sizes[new as usize] += 1;
        if self.sizes[old as usize] == 0 {
            self.empty.push(old);
        }
    }
}
