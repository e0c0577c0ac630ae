//! Time of a full comparison, cut as the job `reindex` cuts it: units of rows on some threads, each shown pages of all rows (`benches/neighbours`).
//!
//! `neighbours_speed make VECTORS ROWS DIMENSION` writes rows of length 1, 32-bit floats. `neighbours_speed find VECTORS DIMENSION NEIGHBOURS THRESHOLD
//! THREADS RESULT` finds the neighbours of each, prints a JSON line of what it took without the reading of files, and writes the numbers of the rows
//! (32 bits), NEIGHBOURS a row, best first; where there are fewer, 4294967295 fills the place.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use graphmill_algorithms::neighbours::{Row, Rows, Score, Search, Wanted};

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
        let vector: Vec<f32> = centre.iter().map(|x| x + 0.8 * next()).collect();
        let length = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        matrix.extend(vector.iter().map(|x| x / length));
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

fn find(matrix: &[f32], dimension: usize, wanted: Wanted, threads: usize) -> Vec<Row<u32>> {
    let rows = matrix.len() / dimension;
    let (unit, go_on) = (AtomicUsize::new(0), AtomicBool::new(false));
    let found = Mutex::new(vec![Row::default(); rows]);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let from = unit.fetch_add(UNIT, Ordering::Relaxed);
                    if from >= rows {
                        return;
                    }
                    let to = (from + UNIT).min(rows);
                    let ours = rows_of(&matrix[from * dimension..to * dimension], from, dimension);
                    let mut search = Search::new(Arc::new(ours), wanted);
                    for (page, part) in matrix.chunks(PAGE * dimension).enumerate() {
                        search.compare(&rows_of(part, page * PAGE, dimension), &go_on).expect("never stopped");
                    }
                    found.lock().expect("no thread panicked")[from..to].clone_from_slice(&search.finish());
                }
            });
        }
    });
    found.into_inner().expect("no thread panicked")
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["make", file, rows, dimension] => {
            let bytes: Vec<u8> = matrix(number(rows), number(dimension)).iter().flat_map(|x| x.to_le_bytes()).collect();
            std::fs::write(file, bytes).expect("the file is written");
        }
        ["find", file, dimension, neighbours, threshold, threads, result] => {
            let bytes = std::fs::read(file).expect("the file opens");
            let matrix: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|x| f32::from_le_bytes(*x)).collect();
            let threshold = Score::new(threshold.parse().expect("a threshold"));
            let wanted = Wanted { neighbours: number(neighbours), threshold };
            let (begun, cpu) = (Instant::now(), cpu_seconds());
            let found = find(&matrix, number(dimension), wanted, number(threads));
            let (wall, cpu) = (begun.elapsed().as_secs_f64(), cpu_seconds() - cpu);
            println!(r#"{{"wall_seconds":{wall},"cpu_seconds":{cpu}}}"#);
            write(Path::new(result), &found, wanted.neighbours);
        }
        _ => panic!("make VECTORS ROWS DIMENSION, or find VECTORS DIMENSION NEIGHBOURS THRESHOLD THREADS RESULT"),
    }
}

fn number(arg: &str) -> usize {
    arg.parse().expect("a number")
}

fn write(file: &Path, found: &[Row<u32>], places: usize) {
    let mut bytes = Vec::new();
    for row in found {
        let keys = row.neighbours.iter().map(|(key, _)| *key).chain(std::iter::repeat(u32::MAX));
        keys.take(places).for_each(|key| bytes.extend(key.to_le_bytes()));
    }
    std::fs::write(file, bytes).expect("the file is written");
}

/// What the process has used, its ended threads included, in ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let line = std::fs::read_to_string("/proc/self/stat").expect("Linux tells");
    let (_, fields) = line.rsplit_once(')').expect("the name is in parentheses");
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().expect("ticks")).sum();
    ticks as f64 / 100.0
}
