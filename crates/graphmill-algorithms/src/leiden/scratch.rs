//! Sums by community, for one node at a time.

/// Weights by community; clearing costs only what was touched.
pub(super) struct Weights {
    sums: Vec<u64>,
    touched: Vec<u32>,
}

impl Weights {
    pub(super) fn new(communities: usize) -> Self {
        Self { sums: vec![0; communities], touched: Vec::new() }
    }

    /// Adds a weight above 0.
    pub(super) fn add(&mut self, community: u32, weight: u64) {
        let sum = &mut self.sums[community as usize];
        if *sum == 0 {
            self.touched.push(community);
        }
        *sum += weight;
    }

    pub(super) fn of(&self, community: u32) -> u64 {
        self.sums[community as usize]
    }

    /// Communities with a weight, in the order in which they were met.
    pub(super) fn touched(&self) -> impl Iterator<Item = u32> + '_ {
        self.touched.iter().copied()
    }

    pub(super) fn sort(&mut self) {
        self.touched.sort_unstable();
    }

    pub(super) fn clear(&mut self) {
        for community in self.touched.drain(..) {
            self.sums[community as usize] = 0;
        }
    }
}
