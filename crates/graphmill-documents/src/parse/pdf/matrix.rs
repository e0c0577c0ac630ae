//! Transformations of the plane, as PDF writes them: six numbers, row vectors.

/// `[a b c d e f]`: a point (x, y) goes to (ax + cy + e, bx + dy + f).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Matrix {
    pub a: f32,
    pub b: f32,
    pub c: f32,
    pub d: f32,
    pub e: f32,
    pub f: f32,
}

impl Matrix {
    pub(super) const IDENTITY: Self = Self::new([1.0, 0.0, 0.0, 1.0, 0.0, 0.0]);

    pub(super) const fn new([a, b, c, d, e, f]: [f32; 6]) -> Self {
        Self { a, b, c, d, e, f }
    }

    /// This transformation first, the other after it.
    pub(super) fn then(self, other: Self) -> Self {
        Self {
            a: self.a * other.a + self.b * other.c,
            b: self.a * other.b + self.b * other.d,
            c: self.c * other.a + self.d * other.c,
            d: self.c * other.b + self.d * other.d,
            e: self.e * other.a + self.f * other.c + other.e,
            f: self.e * other.b + self.f * other.d + other.f,
        }
    }

    /// A shift by (x, y) before this transformation.
    pub(super) fn shifted(self, x: f32, y: f32) -> Self {
        Self { e: self.a * x + self.c * y + self.e, f: self.b * x + self.d * y + self.f, ..self }
    }

    pub(super) fn is_finite(self) -> bool {
        [self.a, self.b, self.c, self.d, self.e, self.f].iter().all(|number| number.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::Matrix;

    #[test]
    fn products_apply_from_the_left() {
        let double = Matrix::new([2.0, 0.0, 0.0, 2.0, 0.0, 0.0]);
        let shift = Matrix::new([1.0, 0.0, 0.0, 1.0, 5.0, 7.0]);
        assert_eq!(double.then(shift), Matrix::new([2.0, 0.0, 0.0, 2.0, 5.0, 7.0]));
        assert_eq!(shift.then(double), Matrix::new([2.0, 0.0, 0.0, 2.0, 10.0, 14.0]));
        assert_eq!(double.shifted(5.0, 7.0), shift.then(double));
    }
}
