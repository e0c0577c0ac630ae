//! Cosines, exact and the same on every machine; whatever the backend.

/// Length of a query.
pub(crate) fn norm(query: &[f32]) -> f64 {
    dot(query.iter().copied(), query).sqrt()
}

fn dot(a: impl Iterator<Item = f32>, b: &[f32]) -> f64 {
    // Eight sums side by side, in an order that is the same on every machine.
    let mut sums = [0f64; 8];
    for (i, (x, y)) in a.zip(b).enumerate() {
        sums[i % 8] += f64::from(x) * f64::from(*y);
    }
    sums.iter().sum()
}

/// Cosine of a stored vector and the query; `None` for a vector without a direction.
pub(crate) fn cosine(vector: impl Iterator<Item = f32> + Clone, query: &[f32], query_norm: f64) -> Option<f64> {
    let mut squares = [0f64; 8];
    vector.clone().enumerate().for_each(|(i, x)| squares[i % 8] += f64::from(x) * f64::from(x));
    let norm = squares.iter().sum::<f64>().sqrt();
    (norm > 0.0).then(|| dot(vector, query) / (norm * query_norm))
}
