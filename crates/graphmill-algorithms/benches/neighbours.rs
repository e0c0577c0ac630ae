//! Time of exact neighbours on one thread: `cargo bench -p graphmill-algorithms --bench neighbours`. The peer: `benches/neighbours`.

use std::hint::black_box;
use std::sync::atomic::AtomicBool;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use graphmill_algorithms::neighbours::{Score, Wanted, neighbours};

const DIMENSION: usize = 384;
/// Rows lie around so many centres, so that there are neighbours above the threshold.
const CENTRES: usize = 100;

/// The same at each run (SplitMix64).
fn matrix(rows: usize) -> Vec<f32> {
    let mut state = 1u64;
    let mut next = move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u32 << 24) as f32 - 0.5
    };
    let centres: Vec<f32> = (0..CENTRES * DIMENSION).map(|_| next()).collect();
    let mut matrix = Vec::with_capacity(rows * DIMENSION);
    for row in 0..rows {
        let centre = &centres[row % CENTRES * DIMENSION..][..DIMENSION];
        matrix.extend(centre.iter().map(|x| x + 0.8 * next()));
    }
    matrix
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("neighbours");
    group.sample_size(10);
    for rows in [1_000, 4_000, 10_000] {
        let matrix = matrix(rows);
        group.throughput(Throughput::Elements((rows * rows) as u64));
        for (name, threshold) in [("above 0.7", 0.7), ("any", -1.0)] {
            let wanted = Wanted { neighbours: 10, threshold: Score::new(threshold) };
            group.bench_with_input(BenchmarkId::new(name, rows), &matrix, |bencher, matrix| {
                bencher.iter(|| neighbours(black_box(matrix), DIMENSION, wanted, &AtomicBool::new(false)));
            });
        }
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
