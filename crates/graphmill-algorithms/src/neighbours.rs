//! Nearest neighbours by cosine, exact.
//!
//! The matrix product of two blocks is made in `f32`; its error is bounded (Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., eq. 3.5),
//! so that a pair that could belong to a result is never missed. Such pairs are computed anew in `f64`, with sums in a fixed order, and rounded to
//! millionths: this is the score. Equal scores go by key.

mod best;
mod row;
mod rows;
mod search;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use row::Row;
pub use rows::Rows;
pub use search::Search;

use crate::{Error, Result};

/// Rows of a block when one matrix is compared with itself.
const BLOCK: usize = 2_048;

/// A cosine in millionths, −1,000,000 to 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(i32);

impl Score {
    /// The nearest millionth; what is out of range is brought into it.
    pub fn new(cosine: f64) -> Self {
        Self((cosine.clamp(-1.0, 1.0) * 1e6).round() as i32)
    }

    /// As a number from −1 to 1.
    pub fn value(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Wanted {
    /// Most neighbours of a row.
    pub neighbours: usize,
    /// Least score of a neighbour.
    pub threshold: Score,
}

/// The neighbours of each row of a matrix among the others: `numbers` holds rows of `dimension` components one after another; keys are row numbers. A
/// row is never its own neighbour; a zero row has none and is nobody's. Memory: the matrix twice and what is answered.
pub fn neighbours(numbers: &[f32], dimension: usize, wanted: Wanted, stop: &AtomicBool) -> Result<Vec<Row<u32>>> {
    if dimension == 0 || !numbers.len().is_multiple_of(dimension) {
        return Err(Error::Length { length: numbers.len(), dimension });
    }
    let mut blocks = Vec::new();
    for (block, part) in numbers.chunks(BLOCK * dimension).enumerate() {
        let mut rows = Rows::new(dimension);
        for (i, vector) in part.chunks_exact(dimension).enumerate() {
            let number = block * BLOCK + i;
            rows.push(number as u32, vector).map_err(|e| e.in_row(number))?;
        }
        blocks.push(Arc::new(rows));
    }
    let mut found = Vec::with_capacity(numbers.len() / dimension);
    for block in &blocks {
        let mut search = Search::new(block.clone(), wanted);
        for other in &blocks {
            search.compare(other, stop)?;
        }
        found.extend(search.finish());
    }
    Ok(found)
}

impl Error {
    /// The same error, of another row.
    fn in_row(mut self, number: usize) -> Self {
        if let Self::NotFinite { row, .. } | Self::Dimension { row, .. } = &mut self {
            *row = number;
        }
        self
    }
}
