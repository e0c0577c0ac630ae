//! Blocks of rows against blocks of rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2};

use super::best::Best;
use super::row::Row;
use super::{Rows, Score, Wanted};
use crate::{Error, Result};

/// Rows of each side of one matrix product; its result is 1 MB.
const TILE: usize = 512;
/// Products that are looked at together.
const LANES: usize = 16;

/// Finds neighbours of the rows of a block in as many other blocks as it is shown. The order of the blocks does not matter.
pub struct Search<K> {
    rows: Arc<Rows<K>>,
    wanted: Wanted,
    best: Vec<Best<K>>,
    products: Array2<f32>,
}

/// A part of the rows of a block.
#[derive(Clone, Copy)]
struct Tile {
    from: usize,
    to: usize,
}

impl<K: Copy + Ord> Search<K> {
    /// A search for these rows that has seen nothing yet.
    pub fn new(rows: Arc<Rows<K>>, wanted: Wanted) -> Self {
        // One more than wanted: its score is where the row was cut.
        let best = vec![Best::new(wanted.neighbours + 1); rows.len()];
        Self { rows, wanted, best, products: Array2::zeros((0, 0)) }
    }

    /// Looks through a block. A row with the same key is passed over. Stops with [`Error::Stopped`] soon after `stop` is set.
    pub fn compare(&mut self, others: &Rows<K>, stop: &AtomicBool) -> Result<()> {
        if others.dimension() != self.rows.dimension() {
            return Err(Error::Dimension { row: 0, found: others.dimension(), wanted: self.rows.dimension() });
        }
        for theirs in tiles(others.len()) {
            for ours in tiles(self.rows.len()) {
                if stop.load(Ordering::Relaxed) {
                    return Err(Error::Stopped);
                }
                self.multiply(ours, others, theirs)?;
                self.scan(ours, others, theirs);
            }
        }
        Ok(())
    }

    /// The row of each of the rows, in their order.
    pub fn finish(self) -> Vec<Row<K>> {
        let wanted = self.wanted.neighbours;
        let row = |best: Best<K>| {
            let mut kept = best.into_kept();
            let cut_at = kept.get(wanted).map(|(score, _)| *score);
            kept.truncate(wanted);
            Row { neighbours: kept.into_iter().map(|(score, key)| (key, score)).collect(), cut_at }
        };
        self.best.into_iter().map(row).collect()
    }

    fn multiply(&mut self, ours: Tile, others: &Rows<K>, theirs: Tile) -> Result<()> {
        let (a, b) = (view(&self.rows, ours)?, view(others, theirs)?);
        let shape = (ours.to - ours.from, theirs.to - theirs.from);
        if self.products.dim() != shape {
            self.products = Array2::zeros(shape);
        }
        general_mat_mul(1.0, &a, &b.t(), 0.0, &mut self.products);
        Ok(())
    }

    fn scan(&mut self, ours: Tile, others: &Rows<K>, theirs: Tile) {
        let products = std::mem::replace(&mut self.products, Array2::zeros((0, 0)));
        let inverse = &others.inverse_lengths()[theirs.from..theirs.to];
        for (row, products) in (ours.from..ours.to).zip(products.rows()) {
            if self.rows.length(row) > 0.0 {
                let products = products.to_slice().unwrap_or_default();
                self.scan_row(row, products, inverse, others, theirs.from);
            }
        }
        self.products = products;
    }

    fn scan_row(&mut self, row: usize, products: &[f32], inverse: &[f32], others: &Rows<K>, from: usize) {
        let mut limit = self.limit(row);
        let mut last_twin = None;
        for (group, (products, inverse)) in products.chunks(LANES).zip(inverse.chunks(LANES)).enumerate() {
            // Nearly all groups end here; without a branch inside, this is a few vector instructions.
            let best = products.iter().zip(inverse).fold(f32::NEG_INFINITY, |best, (p, i)| best.max(p * i));
            if best < limit {
                continue;
            }
            for (i, product) in products.iter().enumerate() {
                if product * inverse[i] >= limit {
                    let other = from + group * LANES + i;
                    if self.consider(row, others, other, &mut last_twin) {
                        limit = self.limit(row);
                    }
                }
            }
        }
    }

    /// The least product with a row of length 1 that can change the result: the least score, less the half millionth that rounding can add and the error
    /// that the product in `f32` can have.
    fn limit(&self, row: usize) -> f32 {
        let least = self.best[row].least().unwrap_or(self.wanted.threshold).max(self.wanted.threshold);
        // n·u/(1−n·u) with u = 2^-24 for n products of rows no longer than 1, doubled for what follows; n + 16 covers scaling and lengths.
        let error = (self.rows.dimension() + 16) as f64 * f64::from(f32::EPSILON);
        ((least.value() - 0.6e-6 - error) * self.rows.length(row) - f64::from(f32::EPSILON)) as f32
    }

    /// Computes the score of a candidate and offers it; answers whether it was offered.
    fn consider(&mut self, row: usize, others: &Rows<K>, other: usize, last: &mut Option<(u32, Score)>) -> bool {
        let key = others.keys()[other];
        if key == self.rows.keys()[row] {
            return false;
        }
        // Among many equal rows the score is computed once.
        let twin = others.twin(other);
        let score = match *last {
            Some((known, score)) if known == twin => score,
            _ => {
                let Some(score) = self.rows.score(row, others, other) else { return false };
                *last = Some((twin, score));
                score
            }
        };
        if score < self.wanted.threshold {
            return false;
        }
        self.best[row].offer(score, key);
        true
    }
}

fn tiles(rows: usize) -> impl Iterator<Item = Tile> {
    (0..rows).step_by(TILE).map(move |from| Tile { from, to: (from + TILE).min(rows) })
}

fn view<K: Copy + Ord>(rows: &Rows<K>, tile: Tile) -> Result<ArrayView2<'_, f32>> {
    let dimension = rows.dimension();
    let numbers = &rows.all_scaled()[tile.from * dimension..tile.to * dimension];
    ArrayView2::from_shape((tile.to - tile.from, dimension), numbers)
        .map_err(|_| Error::Length { length: numbers.len(), dimension })
}
