//! Vectors as bytes: each is made 1 long and each component rounded to one of 255 steps, so that a scan reads a quarter of the bytes. How far rounding
//! moved the vector is kept with it: by Cauchy and Schwarz the cosine that was rounded is off by no more than that, so that the best by exact cosine
//! are found among those whose bound reaches them.
//!
//! A block: keys (i64), then steps and errors (f32 each), then components (i8), all of one kind together; little-endian.

use crate::varint::Malformed;

/// Vectors of a block at most.
pub(super) const BLOCK: usize = 256;
/// Bytes of a vector beside its components.
const HEAD: usize = 16;

/// Vectors of one space on their way into a block.
#[derive(Debug, Default)]
pub(super) struct Block {
    keys: Vec<i64>,
    steps: Vec<f32>,
    errors: Vec<f32>,
    codes: Vec<i8>,
}

impl Block {
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Adds a vector as its column has it. One without a direction is left out: it is near to nothing.
    pub(super) fn push(&mut self, key: i64, column: &[u8]) {
        let (components, _) = column.as_chunks::<4>();
        let vector: Vec<f64> = components.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect();
        let Some((codes, step, error)) = rounded(&vector, 127.0) else { return };
        self.keys.push(key);
        self.steps.push(step as f32);
        // The step as f32 is what the scan multiplies by; its own rounding is far below this margin.
        self.errors.push((error + 1e-6) as f32);
        self.codes.extend(codes.into_iter().map(|code| code as i8));
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.len() * HEAD + self.codes.len());
        self.keys.iter().for_each(|key| out.extend_from_slice(&key.to_le_bytes()));
        self.steps.iter().for_each(|step| out.extend_from_slice(&step.to_le_bytes()));
        self.errors.iter().for_each(|error| out.extend_from_slice(&error.to_le_bytes()));
        out.extend(self.codes.iter().map(|code| code.cast_unsigned()));
        out
    }

    pub(super) fn keys(&self) -> &[i64] {
        &self.keys
    }

    /// Leaves out vectors for which `keep` has `false`.
    pub(super) fn retain(&mut self, keep: &[bool]) {
        let dimension = self.codes.len().checked_div(self.len()).unwrap_or(0);
        let kept: Vec<usize> = (0..self.len()).filter(|i| keep[*i]).collect();
        self.codes = kept.iter().flat_map(|i| self.codes[i * dimension..(i + 1) * dimension].iter().copied()).collect();
        self.keys = kept.iter().map(|i| self.keys[*i]).collect();
        self.steps = kept.iter().map(|i| self.steps[*i]).collect();
        self.errors = kept.iter().map(|i| self.errors[*i]).collect();
    }

    /// Reads what [`Block::encode`] wrote.
    pub(super) fn decode(bytes: &[u8], vectors: usize) -> Result<Self, Malformed> {
        let view = BlockView::new(bytes, vectors)?;
        let mut block = Self::default();
        for i in 0..vectors {
            block.keys.push(view.key(i));
            block.steps.push(view.step(i));
            block.errors.push(view.error(i));
        }
        block.codes = view.codes.iter().map(|code| code.cast_signed()).collect();
        Ok(block)
    }
}

/// A block that is read in place.
pub(super) struct BlockView<'a> {
    keys: &'a [[u8; 8]],
    steps: &'a [[u8; 4]],
    errors: &'a [[u8; 4]],
    codes: &'a [u8],
    dimension: usize,
}

impl<'a> BlockView<'a> {
    pub(super) fn new(bytes: &'a [u8], vectors: usize) -> Result<Self, Malformed> {
        let (head, codes) = bytes.split_at_checked(vectors * HEAD).ok_or(Malformed)?;
        if vectors == 0 || codes.len() % vectors != 0 {
            return Err(Malformed);
        }
        let (keys, rest) = head.split_at(vectors * 8);
        let (steps, errors) = rest.split_at(vectors * 4);
        Ok(Self {
            keys: keys.as_chunks().0,
            steps: steps.as_chunks().0,
            errors: errors.as_chunks().0,
            codes,
            dimension: codes.len() / vectors,
        })
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = i64> {
        self.keys.iter().map(|key| i64::from_le_bytes(*key))
    }

    fn key(&self, i: usize) -> i64 {
        i64::from_le_bytes(self.keys[i])
    }

    fn step(&self, i: usize) -> f32 {
        f32::from_le_bytes(self.steps[i])
    }

    fn error(&self, i: usize) -> f32 {
        f32::from_le_bytes(self.errors[i])
    }

    /// Calls `each` with each key and the most that its cosine with the query can be.
    pub(super) fn bounds(&self, query: &Query, mut each: impl FnMut(f64, i64)) -> Result<(), Malformed> {
        if self.dimension != query.codes.len() {
            return Err(Malformed);
        }
        for (i, codes) in self.codes.chunks_exact(self.dimension).enumerate() {
            let product = f64::from(dot(&query.codes, codes)) * query.step * f64::from(self.step(i));
            let error = f64::from(self.error(i));
            each(product + error + query.error * (1.0 + error), self.key(i));
        }
        Ok(())
    }
}

/// A query as a scan multiplies it.
pub(super) struct Query {
    codes: Vec<i16>,
    step: f64,
    error: f64,
}

impl Query {
    /// `None` for a vector without a direction.
    pub(super) fn new(vector: &[f32]) -> Option<Self> {
        let vector: Vec<f64> = vector.iter().map(|x| f64::from(*x)).collect();
        // As fine as the sums of products of 127 allow.
        let finest = (f64::from(i32::MAX) / (127.0 * vector.len().max(1) as f64)).floor().min(32_767.0);
        let (codes, step, error) = rounded(&vector, finest)?;
        Some(Self { codes: codes.into_iter().map(|code| code as i16).collect(), step, error: error + 1e-9 })
    }
}

/// The vector made 1 long, in whole steps of which the largest component has `most`; the step; how far that is from the vector.
fn rounded(vector: &[f64], most: f64) -> Option<(Vec<i32>, f64, f64)> {
    let norm = vector.iter().map(|x| x * x).sum::<f64>().sqrt();
    if norm <= 0.0 || !norm.is_finite() {
        return None;
    }
    let largest = vector.iter().fold(0.0f64, |most, x| most.max(x.abs())) / norm;
    // The step as readers have it.
    let step = f64::from((largest / most) as f32);
    if step <= 0.0 {
        return None;
    }
    let mut squares = 0.0;
    let mut codes = Vec::with_capacity(vector.len());
    for x in vector {
        let code = (x / norm / step).round().clamp(-most, most);
        squares += (x / norm - code * step).powi(2);
        codes.push(code as i32);
    }
    Some((codes, step, squares.sqrt()))
}

/// Written so that the compiler makes vector instructions of it.
#[inline]
fn dot(query: &[i16], codes: &[u8]) -> i32 {
    query.iter().zip(codes).map(|(x, y)| i32::from(*x) * i32::from(y.cast_signed() as i16)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cosine(a: &[f32], b: &[f32]) -> f64 {
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
        dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
    }

    fn column(vector: &[f32]) -> Vec<u8> {
        vector.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    proptest::proptest! {
        #[test]
        fn the_bound_is_never_below_the_cosine(
            pairs in proptest::collection::vec((-1e3f32..1e3, -1f32..1.0), 1..80),
            large in 0usize..80,
        ) {
            let (mut vector, query): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            // One component above all others leaves few steps to the rest.
            let at = large % vector.len();
            vector[at] *= 1e4;
            let mut block = Block::default();
            block.push(7, &column(&vector));
            let (Some(query_codes), 1) = (Query::new(&query), block.len()) else { return Ok(()) };
            let bytes = block.encode();
            let exact = cosine(&vector, &query);
            BlockView::new(&bytes, 1).unwrap().bounds(&query_codes, |bound, key| {
                assert_eq!(key, 7);
                assert!(bound >= exact, "{bound} {exact}");
                assert!(bound - exact < 0.2, "{bound} {exact}");
            }).unwrap();
        }

        #[test]
        fn damaged_bytes_never_panic(bytes: Vec<u8>, vectors in 0usize..5) {
            let _ = Block::decode(&bytes, vectors);
        }
    }

    #[test]
    fn blocks_grow_and_keep_what_they_had() {
        let mut block = Block::default();
        block.push(1, &column(&[1.0, 2.0, -3.0]));
        block.push(2, &column(&[0.0; 3]));
        let mut again = Block::decode(&block.encode(), 1).unwrap();
        again.push(3, &column(&[5.0, 0.5, 1.0]));
        assert_eq!(
            (again.len(), again.keys.as_slice()),
            (2, [1, 3].as_slice()),
            "a vector without a direction is left out"
        );
        assert!(Block::decode(&again.encode(), 3).is_err());
    }
}
