//! Chance that is the same on every machine and in every version: SplitMix64 (Steele, Lea, Flood 2014, doi 10.1145/2660193.2660195) and an
//! exponential function made of IEEE operations alone, since that of the system differs from system to system.

/// A seeded sequence of numbers.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end` (at least 1), by the high half of the product (Lemire 2019); its bias is below 2^-32 for any graph that fits.
    pub(super) fn below(&mut self, end: usize) -> usize {
        let product = u128::from(self.next()) * end as u128;
        (product >> 64) as usize
    }

    /// From 0 (included) to 1 (not included).
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Fisher and Yates.
    pub(super) fn shuffle(&mut self, items: &mut [u32]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// `e` to the power of `x` for `x` ≤ 0, to about 1e-15.
pub(super) fn exp(x: f64) -> f64 {
    if x < -700.0 {
        return 0.0;
    }
    let (mut term, mut sum) = (1.0, 1.0);
    // e^x = (e^(x/1024))^1024, and the series of the small power ends soon.
    let small = x / 1024.0;
    for n in 1..20 {
        term *= small / f64::from(n);
        sum += term;
    }
    for _ in 0..10 {
        sum *= sum;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_that_of_the_paper() {
        let mut random = Random::new(1_234_567);
        assert_eq!([random.next(), random.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn exp_is_exp() {
        for x in [0.0, -1e-9, -0.5, -1.0, -3.7, -50.0, -699.0] {
            let error = (exp(x) - f64::exp(x)).abs() / f64::exp(x);
            assert!(error < 1e-11, "{x}: {error}");
        }
        assert_eq!(exp(-1e300), 0.0);
    }

    #[test]
    fn a_shuffle_keeps_everything() {
        let mut items: Vec<u32> = (0..100).collect();
        Random::new(7).shuffle(&mut items);
        assert_ne!(items, (0..100).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
