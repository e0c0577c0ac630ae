//! Leiden over a file of edges, for comparison with other implementations (`benches/leiden`):
//! `leiden_speed EDGES NODES SEED [MEMBERSHIP]`. Edges are three little-endian numbers of 32 bits each: source, target, weight. Prints a JSON line of
//! what it took without the reading of files; writes the community of each node (32 bits) to MEMBERSHIP.

use std::sync::atomic::AtomicBool;
use std::time::Instant;

use graphmill_algorithms::leiden::{Graph, Options, leiden};

/// Weights become millionths, as those of the job `clustering`.
const UNIT: u64 = 1_000_000;

fn main() {
    let mut args = std::env::args().skip(1);
    let file = args.next().expect("a file of edges");
    let nodes: u32 = args.next().and_then(|n| n.parse().ok()).expect("a number of nodes");
    let seed: u64 = args.next().and_then(|n| n.parse().ok()).expect("a seed");
    let bytes = std::fs::read(file).expect("the file opens");
    let numbers: Vec<u32> = bytes.as_chunks::<4>().0.iter().map(|number| u32::from_le_bytes(*number)).collect();
    let edges = numbers.as_chunks::<3>().0.iter().map(|[a, b, weight]| (*a, *b, u64::from(*weight) * UNIT));

    let begun = Instant::now();
    let graph = Graph::new(nodes, edges);
    let built = begun.elapsed();
    let (begun, cpu) = (Instant::now(), cpu_seconds());
    let found =
        leiden(&graph, &Options { seed, ..Options::default() }, &AtomicBool::new(false)).expect("nobody stops it");
    let (wall, cpu) = (begun.elapsed(), cpu_seconds() - cpu);
    let coarsest = found.levels.last().expect("there always is a level");
    println!(
        r#"{{"graph_seconds":{},"wall_seconds":{},"cpu_seconds":{cpu},"modularity":{},"communities":{},"levels":{}}}"#,
        built.as_secs_f64(),
        wall.as_secs_f64(),
        found.modularity,
        coarsest.communities,
        found.levels.len()
    );
    if let Some(file) = args.next() {
        let membership: Vec<u8> = coarsest.community_of.iter().flat_map(|community| community.to_le_bytes()).collect();
        std::fs::write(file, membership).expect("the file is written");
    }
}

/// What this thread has used; the algorithm has no other.
fn cpu_seconds() -> f64 {
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells");
    let nanoseconds =
        line.split_whitespace().next().and_then(|n| n.parse::<f64>().ok()).expect("a number of nanoseconds");
    nanoseconds / 1e9
}
