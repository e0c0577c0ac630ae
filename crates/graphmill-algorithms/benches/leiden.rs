//! Time of Leiden over graphs with planted communities: `cargo bench -p graphmill-algorithms --bench leiden`. The peers: `benches/leiden`.

use std::hint::black_box;
use std::sync::atomic::AtomicBool;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use graphmill_algorithms::leiden::{Graph, Options, leiden};

/// Nodes of a planted community.
const COMMUNITY: u64 = 50;
/// Edges that begin at each node.
const EDGES: u64 = 10;

/// SplitMix64: the same at each run.
fn sequence() -> impl FnMut(u64) -> u64 {
    let mut state = 1u64;
    move |end| {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }
}

/// Seven of ten edges stay in their community.
fn edges(nodes: u64) -> Vec<(u32, u32, u64)> {
    let mut below = sequence();
    let mut edges = Vec::new();
    for node in 0..nodes {
        for _ in 0..EDGES {
            let other = if below(10) < 7 { node / COMMUNITY * COMMUNITY + below(COMMUNITY) } else { below(nodes) };
            edges.push((node as u32, other as u32, (1 + below(10)) * 1_000_000));
        }
    }
    edges
}

fn benches(criterion: &mut Criterion) {
    for nodes in [1_000, 10_000, 100_000u64] {
        let edges = edges(nodes);
        let mut group = criterion.benchmark_group("leiden");
        group.sample_size(10).throughput(Throughput::Elements(edges.len() as u64));
        group.bench_with_input(BenchmarkId::new("graph", nodes), &edges, |bencher, edges| {
            bencher.iter(|| Graph::new(nodes as u32, black_box(edges).iter().copied()));
        });
        let graph = Graph::new(nodes as u32, edges);
        group.bench_with_input(BenchmarkId::new("communities", nodes), &graph, |bencher, graph| {
            bencher.iter(|| leiden(black_box(graph), &Options::default(), &AtomicBool::new(false)));
        });
        group.finish();
    }
}

criterion_group!(all, benches);
criterion_main!(all);
