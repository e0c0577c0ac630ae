//! A block of vectors, ready to be compared.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use super::Score;
use crate::{Error, Result};

/// Vectors of one length, each with a key. Memory: 4 bytes a component and about 50 a row.
#[derive(Debug, Clone)]
pub struct Rows<K> {
    dimension: usize,
    keys: Vec<K>,
    /// Each row times a power of two that brings its length to between 1/2 and 1: no product overflows, and no digit is lost.
    scaled: Vec<f32>,
    /// Lengths of the scaled rows; 0 for a row without a direction.
    lengths: Vec<f64>,
    /// 1 / length; 0 for a row without a direction.
    inverse_lengths: Vec<f32>,
    /// Number of the first row of this block that is equal.
    twins: Vec<u32>,
    first_of: HashMap<u64, Vec<u32>>,
}

impl<K: Copy + Ord> Rows<K> {
    /// No rows, for vectors of `dimension` components.
    pub fn new(dimension: usize) -> Self {
        Self {
            dimension,
            keys: Vec::new(),
            scaled: Vec::new(),
            lengths: Vec::new(),
            inverse_lengths: Vec::new(),
            twins: Vec::new(),
            first_of: HashMap::new(),
        }
    }

    /// Adds a row. Refuses another length and what is no finite number.
    pub fn push(&mut self, key: K, vector: &[f32]) -> Result<()> {
        let row = self.keys.len();
        if vector.len() != self.dimension {
            return Err(Error::Dimension { row, found: vector.len(), wanted: self.dimension });
        }
        if let Some(component) = vector.iter().position(|x| !x.is_finite()) {
            return Err(Error::NotFinite { row, component, value: vector[component] });
        }
        let squares: f64 = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum();
        // The exponent is read from the bits: the same on every machine.
        let scale = if squares > 0.0 { power_of_two(-exponent(squares.sqrt())) } else { 0.0 };
        let at = self.scaled.len();
        self.scaled.extend(vector.iter().map(|x| (f64::from(*x) * scale) as f32));
        let length = exact_dot(&self.scaled[at..], &self.scaled[at..]).sqrt();
        self.keys.push(key);
        self.lengths.push(length);
        self.inverse_lengths.push(if length > 0.0 { (1.0 / length) as f32 } else { 0.0 });
        let twin = self.find_twin(row);
        self.twins.push(twin);
        Ok(())
    }

    /// The first row that is equal to the newest one.
    fn find_twin(&mut self, row: usize) -> u32 {
        let mut hasher = DefaultHasher::new();
        self.scaled(row).iter().for_each(|x| hasher.write_u32(x.to_bits()));
        let (dimension, scaled) = (self.dimension, &self.scaled);
        let of = |n: usize| &scaled[n * dimension..(n + 1) * dimension];
        let firsts = self.first_of.entry(hasher.finish()).or_default();
        if let Some(first) = firsts.iter().find(|first| of(**first as usize) == of(row)) {
            return *first;
        }
        firsts.push(row as u32);
        row as u32
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Their keys, as they were added.
    pub fn keys(&self) -> &[K] {
        &self.keys
    }

    /// Components of a row.
    pub fn dimension(&self) -> usize {
        self.dimension
    }

    pub(super) fn scaled(&self, row: usize) -> &[f32] {
        &self.scaled[row * self.dimension..(row + 1) * self.dimension]
    }

    pub(super) fn all_scaled(&self) -> &[f32] {
        &self.scaled
    }

    pub(super) fn length(&self, row: usize) -> f64 {
        self.lengths[row]
    }

    pub(super) fn inverse_lengths(&self) -> &[f32] {
        &self.inverse_lengths
    }

    pub(super) fn twin(&self, row: usize) -> u32 {
        self.twins[row]
    }

    /// The score of a row and a row of another block; `None` when one of them has no direction.
    pub(super) fn score(&self, row: usize, other: &Self, other_row: usize) -> Option<Score> {
        let lengths = self.lengths[row] * other.lengths[other_row];
        (lengths > 0.0).then(|| Score::new(exact_dot(self.scaled(row), other.scaled(other_row)) / lengths))
    }
}

/// Sum of the products in `f64`, in an order that is the same for both directions, on every machine and in every block.
fn exact_dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0f64; 8];
    let (a_parts, a_rest) = a.as_chunks::<8>();
    let (b_parts, b_rest) = b.as_chunks::<8>();
    for (x, y) in a_parts.iter().zip(b_parts) {
        for i in 0..8 {
            sums[i] += f64::from(x[i]) * f64::from(y[i]);
        }
    }
    for (i, (x, y)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[i] += f64::from(*x) * f64::from(*y);
    }
    sums.iter().sum()
}

/// The power e with 2^(e-1) ≤ `value` < 2^e, of a positive normal number (the length of an f32 vector always is one in f64).
fn exponent(value: f64) -> i32 {
    ((value.to_bits() >> 52) & 0x7ff) as i32 - 1022
}

fn power_of_two(exponent: i32) -> f64 {
    f64::from_bits(((exponent + 1023) as u64) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_brought_between_a_half_and_one() {
        let mut rows = Rows::new(2);
        for (key, vector) in [[3e38f32, 3e38], [1e-45, 0.0], [1.0, 0.0], [0.75, -0.1]].iter().enumerate() {
            rows.push(key, vector).unwrap();
            assert!((0.5..1.0).contains(&rows.length(key)), "{vector:?}: {}", rows.length(key));
        }
        rows.push(9, &[0.0, -0.0]).unwrap();
        assert_eq!(rows.length(4), 0.0);
    }

    #[test]
    fn equal_rows_are_known_as_twins() {
        let mut rows = Rows::new(1);
        for x in [1.0, 2.0, 1.0, 3.0, 2.0] {
            rows.push(0, &[x]).unwrap();
        }
        // 2 is 1 times a power of two: the same direction, the same scaled row.
        assert_eq!((0..5).map(|i| rows.twin(i)).collect::<Vec<_>>(), [0, 0, 0, 3, 0]);
    }
}
