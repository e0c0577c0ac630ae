//! Time of a full comparison, cut as the job `reindex` cuts it: units of rows on some threads, each shown pages of all rows.
//!
//! `cargo run --release -p graphmill-algorithms --example neighbours_speed -- ROWS DIMENSION THREADS`

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use graphmill_algorithms::neighbours::{Rows, Score, Search, Wanted};

const UNIT: usize = 4_096;
const PAGE: usize = 1_024;

/// Rows around a few hundred centres, so that there are neighbours above the threshold; the same at each run (SplitMix64).
fn matrix(rows: usize, dimension: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut next = move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32 - 0.5
    };
    let centres: Vec<f32> = (0..400 * dimension).map(|_| next()).collect();
    let mut matrix = Vec::with_capacity(rows * dimension);
    for row in 0..rows {
        let centre = &centres[(row % 400) * dimension..][..dimension];
        matrix.extend(centre.iter().map(|x| x + 0.8 * next()));
    }
    matrix
}

fn rows_of(part: &[f32], from: usize, dimension: usize) -> Rows<u32> {
    let mut rows = Rows::new(dimension);
    for (i, vector) in part.chunks_exact(dimension).enumerate() {
        rows.push((from + i) as u32, vector).expect("made of finite numbers");
    }
    rows
}

fn main() {
    let mut args = std::env::args().skip(1).map(|arg| arg.parse::<usize>().expect("a number"));
    let mut arg = |default| args.next().unwrap_or(default);
    let (rows, dimension, threads) = (arg(10_000), arg(384), arg(2));
    let matrix = matrix(rows, dimension);
    let wanted = Wanted { neighbours: 17, threshold: Score::new(0.7) };
    let (unit, found, go_on) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicBool::new(false));
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let from = unit.fetch_add(UNIT, Ordering::Relaxed);
                    if from >= rows {
                        return;
                    }
                    let part = &matrix[from * dimension..(from + UNIT).min(rows) * dimension];
                    let mut search = Search::new(Arc::new(rows_of(part, from, dimension)), wanted);
                    for (page, part) in matrix.chunks(PAGE * dimension).enumerate() {
                        search.compare(&rows_of(part, page * PAGE, dimension), &go_on).expect("never stopped");
                    }
                    let count: usize = search.finish().iter().map(|row| row.neighbours.len()).sum();
                    found.fetch_add(count, Ordering::Relaxed);
                }
            });
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    let products = (rows as f64).powi(2) * dimension as f64 * 2.0 / 1e9 / seconds;
    println!(
        "{rows} x {dimension}, {threads} threads: {seconds:.2} s, {products:.1} GFLOP/s, {:.1} neighbours a row",
        found.load(Ordering::Relaxed) as f64 / rows as f64
    );
}
