//! Leiden over a file of edges (`source target weight` a line, whole numbers), for comparison with other implementations:
//! `cargo run --release -p graphmill-algorithms --example leiden_speed -- FILE NODES`.

use std::io::{BufRead, BufReader};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use graphmill_algorithms::leiden::{Graph, Options, leiden};

fn main() {
    let mut args = std::env::args().skip(1);
    let file = args.next().expect("a file of edges");
    let nodes: u32 = args.next().and_then(|n| n.parse().ok()).expect("a number of nodes");
    let lines = BufReader::new(std::fs::File::open(file).expect("the file opens")).lines();
    let edges: Vec<(u32, u32, u64)> = lines
        .map(|line| {
            let line = line.expect("the file is read");
            let mut numbers = line.split_whitespace().map(|n| n.parse::<u64>().expect("a whole number"));
            let mut next = || numbers.next().expect("three numbers a line");
            (next() as u32, next() as u32, next() * 1_000_000)
        })
        .collect();
    let begun = Instant::now();
    let graph = Graph::new(nodes, edges);
    println!("graph of {} nodes and {} edges in {:.2?}", graph.nodes(), graph.edges(), begun.elapsed());
    for seed in 0..3 {
        let begun = Instant::now();
        let found =
            leiden(&graph, &Options { seed, ..Options::default() }, &AtomicBool::new(false)).expect("nobody stops it");
        let counts: Vec<usize> = found.levels.iter().map(|level| level.communities).collect();
        println!("seed {seed}: modularity {:.6}, communities {counts:?}, {:.2?}", found.modularity, begun.elapsed());
    }
}
