//! Aggregation: each refined set becomes a node.

use super::Graph;
use super::scratch::Weights;

/// Numbers communities by their first node: 0, 1, 2 …; answers how many there are.
pub(super) fn renumber(partition: &mut [u32]) -> usize {
    let mut numbers = vec![u32::MAX; partition.len()];
    let mut next = 0;
    for community in partition {
        let number = &mut numbers[*community as usize];
        if *number == u32::MAX {
            *number = next;
            next += 1;
        }
        *community = *number;
    }
    next as usize
}

/// The graph whose nodes are the `count` sets of a renumbered partition.
pub(super) fn aggregate(graph: &Graph, sets: &[u32], count: usize) -> Graph {
    let (starts, members) = members_of(sets, count);
    let mut weights = Weights::new(count);
    let mut offsets = Vec::with_capacity(count + 1);
    offsets.push(0);
    let (mut neighbours, mut row_weights, mut loops) = (Vec::new(), Vec::new(), Vec::with_capacity(count));
    for set in 0..count {
        let (mut own_loop, mut inside_twice) = (0, 0);
        for node in &members[starts[set]..starts[set + 1]] {
            own_loop += graph.self_loop(*node);
            for (other, weight) in graph.row(*node) {
                match sets[other as usize] {
                    other if other as usize == set => inside_twice += weight,
                    other => weights.add(other, weight),
                }
            }
        }
        loops.push(own_loop + inside_twice / 2);
        weights.sort();
        for other in weights.touched() {
            neighbours.push(other);
            row_weights.push(weights.of(other));
        }
        weights.clear();
        offsets.push(neighbours.len());
    }
    Graph::from_rows(offsets, neighbours, row_weights, loops)
}

/// Nodes by set: where each set begins, and the nodes, rising within a set.
pub(super) fn members_of(sets: &[u32], count: usize) -> (Vec<usize>, Vec<u32>) {
    let mut starts = vec![0usize; count + 1];
    for set in sets {
        starts[*set as usize + 1] += 1;
    }
    for set in 0..count {
        starts[set + 1] += starts[set];
    }
    let mut next = starts.clone();
    let mut members = vec![0; sets.len()];
    for (node, set) in (0u32..).zip(sets) {
        members[next[*set as usize]] = node;
        next[*set as usize] += 1;
    }
    (starts, members)
}
