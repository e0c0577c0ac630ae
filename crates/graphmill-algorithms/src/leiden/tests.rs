use super::*;
use std::collections::BTreeMap;

use proptest::prelude::*;

const UNIT: u64 = 1_000_000;

fn run(graph: &Graph, options: &Options) -> Communities {
    leiden(graph, options, &AtomicBool::new(false)).unwrap()
}

fn seeded(graph: &Graph, seed: u64) -> Communities {
    run(graph, &Options { seed, ..Options::default() })
}

fn unit_graph(nodes: u32, edges: &[(u32, u32)]) -> Graph {
    Graph::new(nodes, edges.iter().map(|(a, b)| (*a, *b, UNIT)))
}

/// Modularity by its definition, over all pairs of nodes.
fn modularity_by_definition(graph: &Graph, partition: &[u32], resolution: f64) -> f64 {
    let total = graph.total() as f64;
    if total == 0.0 {
        return 0.0;
    }
    let nodes = graph.nodes() as u32;
    let mut sum = 0.0;
    for a in 0..nodes {
        let row: BTreeMap<u32, u64> = graph.row(a).collect();
        for b in (0..nodes).filter(|b| partition[*b as usize] == partition[a as usize]) {
            let weight = if a == b { 2 * graph.self_loop(a) } else { row.get(&b).copied().unwrap_or(0) };
            sum += weight as f64 - resolution * graph.degree(a) as f64 * graph.degree(b) as f64 / total;
        }
    }
    sum / total
}

/// A partition by a simple rule that always betters: join the two communities whose union gains most (Clauset, Newman, Moore 2004).
fn greedy(graph: &Graph, resolution: f64) -> f64 {
    let mut partition: Vec<u32> = (0..graph.nodes() as u32).collect();
    let mut best = modularity_by_definition(graph, &partition, resolution);
    loop {
        let mut step = None;
        for a in 0..graph.nodes() as u32 {
            for (b, _) in graph.row(a) {
                let (from, to) = (partition[a as usize], partition[b as usize]);
                if from != to {
                    let joined: Vec<u32> = partition.iter().map(|c| if *c == from { to } else { *c }).collect();
                    let worth = modularity_by_definition(graph, &joined, resolution);
                    if worth > best + 1e-12 {
                        best = worth;
                        step = Some(joined);
                    }
                }
            }
        }
        match step {
            Some(joined) => partition = joined,
            None => return best,
        }
    }
}

/// Numbers in use are 0, 1, 2 … in the order of their first nodes; each community is connected; levels nest; shares add up.
fn check(graph: &Graph, found: &Communities, resolution: f64) {
    assert!(!found.levels.is_empty());
    for level in &found.levels {
        assert_eq!(level.community_of.len(), graph.nodes());
        assert_eq!(level.shares_millionths.len(), level.communities);
        let mut next = 0;
        for community in &level.community_of {
            assert!(*community <= next, "communities are numbered by their first node");
            next = next.max(community + 1);
        }
        assert_eq!(next as usize, level.communities);
        check_connected(graph, &level.community_of);
        let worth = modularity_by_definition(graph, &level.community_of, resolution);
        let shares: f64 = level.shares_millionths.iter().map(|s| *s as f64 / 1e6).sum();
        assert!((shares - worth).abs() < 1e-6 * (level.communities + 1) as f64, "{shares} {worth}");
    }
    for pair in found.levels.windows(2) {
        assert!(pair[0].communities > pair[1].communities);
        let mut above = BTreeMap::new();
        for (fine, coarse) in pair[0].community_of.iter().zip(&pair[1].community_of) {
            assert_eq!(above.entry(fine).or_insert(coarse), &coarse, "levels nest");
        }
    }
    let coarsest = found.levels.last().unwrap();
    let worth = modularity_by_definition(graph, &coarsest.community_of, resolution);
    assert!((found.modularity - worth).abs() < 1e-9, "{} {worth}", found.modularity);
}

fn check_connected(graph: &Graph, partition: &[u32]) {
    let mut seen = vec![false; graph.nodes()];
    let mut entered = std::collections::HashSet::new();
    for start in 0..graph.nodes() as u32 {
        if seen[start as usize] {
            continue;
        }
        assert!(entered.insert(partition[start as usize]), "community {} is in pieces", partition[start as usize]);
        let mut stack = vec![start];
        seen[start as usize] = true;
        while let Some(node) = stack.pop() {
            for (other, _) in graph.row(node) {
                if partition[other as usize] == partition[node as usize] && !seen[other as usize] {
                    seen[other as usize] = true;
                    stack.push(other);
                }
            }
        }
    }
}

/// Zachary 1977, doi 10.1086/jar.33.4.3629752: who met whom outside of the club; members from 1.
const KARATE: &[(u32, &[u32])] = &[
    (1, &[2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 18, 20, 22, 32]),
    (2, &[3, 4, 8, 14, 18, 20, 22, 31]),
    (3, &[4, 8, 9, 10, 14, 28, 29, 33]),
    (4, &[8, 13, 14]),
    (5, &[7, 11]),
    (6, &[7, 11, 17]),
    (7, &[17]),
    (9, &[31, 33, 34]),
    (10, &[34]),
    (14, &[34]),
    (15, &[33, 34]),
    (16, &[33, 34]),
    (19, &[33, 34]),
    (20, &[34]),
    (21, &[33, 34]),
    (23, &[33, 34]),
    (24, &[26, 28, 30, 33, 34]),
    (25, &[26, 28, 32]),
    (26, &[32]),
    (27, &[30, 34]),
    (28, &[34]),
    (29, &[32, 34]),
    (30, &[33, 34]),
    (31, &[33, 34]),
    (32, &[33, 34]),
    (33, &[34]),
];

#[test]
fn the_karate_club() {
    let edges: Vec<(u32, u32)> =
        KARATE.iter().flat_map(|(a, others)| others.iter().map(move |b| (a - 1, b - 1))).collect();
    assert_eq!(edges.len(), 78);
    let graph = unit_graph(34, &edges);
    let mut best: f64 = 0.0;
    for seed in 0..50 {
        let found = seeded(&graph, seed);
        check(&graph, &found, 1.0);
        assert!(found.modularity > 0.41, "seed {seed}: {}", found.modularity);
        best = best.max(found.modularity);
    }
    // The optimum (Brandes et al. 2008), found with the default seed too.
    assert!((best - 0.419_79).abs() < 1e-5, "{best}");
    let found = seeded(&graph, Options::default().seed);
    assert!((found.modularity - 0.419_79).abs() < 1e-5, "{}", found.modularity);
    assert_eq!(found.levels.last().unwrap().communities, 4);
}

fn clique(from: u32, size: u32) -> Vec<(u32, u32)> {
    (0..size).flat_map(|a| (a + 1..size).map(move |b| (from + a, from + b))).collect()
}

#[test]
fn a_ring_of_cliques_is_its_cliques() {
    let mut edges = Vec::new();
    for n in 0..10 {
        edges.extend(clique(n * 5, 5));
        edges.push((n * 5, (n * 5 + 6) % 50));
    }
    let graph = unit_graph(50, &edges);
    for seed in 0..20 {
        let found = seeded(&graph, seed);
        check(&graph, &found, 1.0);
        let expected: Vec<u32> = (0..50).map(|node| node / 5).collect();
        assert_eq!(found.levels.last().unwrap().community_of, expected, "seed {seed}");
    }
}

#[test]
fn two_cliques_with_a_bridge() {
    let edges = [clique(0, 6), clique(6, 6), vec![(0, 6)]].concat();
    let found = seeded(&unit_graph(12, &edges), 1);
    assert_eq!(found.levels.last().unwrap().community_of, [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
}

#[test]
fn a_star_is_one_and_a_higher_resolution_takes_it_apart() {
    let edges: Vec<(u32, u32)> = (1..10).map(|leaf| (0, leaf)).collect();
    let graph = unit_graph(10, &edges);
    let found = seeded(&graph, 3);
    assert_eq!((found.levels.last().unwrap().communities, found.modularity), (1, 0.0));
    let fine = run(&graph, &Options { resolution_millionths: 3 * UNIT, ..Options::default() });
    check(&graph, &fine, 3.0);
    assert!(fine.levels.last().unwrap().communities > 1);
    let coarse = run(&graph, &Options { resolution_millionths: 1, ..Options::default() });
    assert_eq!(coarse.levels.last().unwrap().communities, 1);
}

#[test]
fn a_complete_bipartite_graph_is_one() {
    let edges: Vec<(u32, u32)> = (0..4).flat_map(|a| (4..8).map(move |b| (a, b))).collect();
    let graph = unit_graph(8, &edges);
    let found = seeded(&graph, 3);
    check(&graph, &found, 1.0);
    assert!(found.modularity >= 0.0);
}

#[test]
fn nothing_one_node_and_lonely_nodes() {
    let empty = run(&Graph::new(0, []), &Options::default());
    assert_eq!((empty.levels.len(), empty.levels[0].communities, empty.modularity), (1, 0, 0.0));
    let one = run(&Graph::new(1, []), &Options::default());
    assert_eq!((one.levels[0].communities, one.modularity), (1, 0.0));
    let lonely = run(&Graph::new(3, [(0, 0, 5)]), &Options::default());
    assert_eq!(lonely.levels[0].community_of, [0, 1, 2]);
}

/// The case c29 and its kind: islands, a node with an edge to itself alone, edges in any order and direction.
#[test]
fn islands_and_the_order_of_edges() {
    let mut edges = [clique(0, 5), clique(5, 5), vec![(0, 5), (10, 11), (12, 12)]].concat();
    let expected = [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 3];
    for seed in 0..50 {
        let mut random = Random::new(seed);
        for i in (1..edges.len()).rev() {
            edges.swap(i, random.below(i + 1));
        }
        edges.iter_mut().for_each(|(a, b)| {
            if random.below(2) == 0 {
                std::mem::swap(a, b);
            }
        });
        let found = seeded(&unit_graph(13, &edges), seed);
        assert_eq!(found.levels.last().unwrap().community_of, expected, "seed {seed}");
    }
}

#[test]
fn max_levels_keeps_the_coarsest() {
    let mut edges = Vec::new();
    for n in 0..40 {
        edges.extend(clique(n * 6, 6));
        edges.push((n * 6, (n * 6 + 7) % 240));
    }
    let graph = unit_graph(240, &edges);
    let all = run(&graph, &Options { max_levels: 100, ..Options::default() });
    check(&graph, &all, 1.0);
    assert!(all.levels.len() >= 2, "{}", all.levels.len());
    let one = run(&graph, &Options { max_levels: 1, ..Options::default() });
    assert_eq!(one.levels[..], all.levels[all.levels.len() - 1..]);
    assert_eq!(one.modularity, all.modularity);
}

#[test]
fn it_stops_when_told() {
    let edges: Vec<(u32, u32)> = (0..5_000).map(|n| (n, (n * 7 + 1) % 5_000)).collect();
    let graph = unit_graph(5_000, &edges);
    assert_eq!(leiden(&graph, &Options::default(), &AtomicBool::new(true)), Err(Error::Stopped));
}

type Edges = Vec<(u32, u32, u64)>;

fn graphs() -> impl Strategy<Value = (u32, Edges, u64, u64)> {
    (1u32..14).prop_flat_map(|nodes| {
        let edge = (0..nodes, 0..nodes, prop_oneof![Just(UNIT), 0..3 * UNIT]);
        (Just(nodes), prop::collection::vec(edge, 0..40), any::<u64>(), prop_oneof![Just(UNIT), 1..4 * UNIT])
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn guarantees((nodes, edges, seed, resolution_millionths) in graphs()) {
        let graph = Graph::new(nodes, edges.iter().copied());
        let resolution = resolution_millionths as f64 / 1e6;
        let found = run(&graph, &Options { seed, resolution_millionths, ..Options::default() });
        check(&graph, &found, resolution);
        let alone: Vec<u32> = (0..nodes).collect();
        prop_assert!(found.modularity >= modularity_by_definition(&graph, &alone, resolution) - 1e-9);
        let mut backwards: Edges = edges.iter().map(|(a, b, w)| (*b, *a, *w)).collect();
        backwards.reverse();
        let again = run(&Graph::new(nodes, backwards), &Options { seed, resolution_millionths, ..Options::default() });
        prop_assert_eq!(again, found);
    }

    /// What the paper promises of a partition that has come to rest: moving a node, or joining two communities, betters nothing.
    #[test]
    fn no_single_step_betters_it((nodes, edges, seed, resolution_millionths) in graphs()) {
        let graph = Graph::new(nodes, edges);
        let resolution = resolution_millionths as f64 / 1e6;
        let found = run(&graph, &Options { seed, resolution_millionths, ..Options::default() });
        let partition = &found.levels.last().unwrap().community_of;
        for node in 0..nodes as usize {
            for community in 0..=nodes {
                let mut moved = partition.clone();
                moved[node] = community;
                let worth = modularity_by_definition(&graph, &moved, resolution);
                prop_assert!(worth <= found.modularity + 1e-9, "{node} to {community}");
            }
        }
        for (a, b) in (0..nodes).flat_map(|a| (0..a).map(move |b| (a, b))) {
            let joined: Vec<u32> = partition.iter().map(|c| if *c == a { b } else { *c }).collect();
            let worth = modularity_by_definition(&graph, &joined, resolution);
            prop_assert!(worth <= found.modularity + 1e-9, "{a} and {b}");
        }
    }
}

/// Over many graphs it is worth more than the simple rule, and on none much less.
#[test]
fn not_below_a_simple_rule() {
    let mut random = Random::new(20_261_125);
    let (mut sum, mut simple_sum) = (0.0, 0.0);
    for _ in 0..150 {
        let nodes = 6 + random.below(14) as u32;
        let any = |random: &mut Random| random.below(nodes as usize) as u32;
        let edges: Edges = (0..nodes * 2).map(|_| (any(&mut random), any(&mut random), UNIT)).collect();
        let graph = Graph::new(nodes, edges);
        let (found, simple) = (seeded(&graph, 42).modularity, greedy(&graph, 1.0));
        assert!(found >= simple - 0.05, "{found} {simple}");
        sum += found;
        simple_sum += simple;
    }
    assert!(sum > simple_sum, "{sum} {simple_sum}");
}
