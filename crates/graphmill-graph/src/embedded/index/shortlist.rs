//! The best of many candidates, as many as a fixed memory holds: at most twice `size` are kept, and the best score of those that fell out is known, so
//! that whoever needs more than these can tell.

/// Scores and keys, best first, and the best score of what fell out.
pub(super) type Candidates = (Vec<(f64, i64)>, Option<f64>);

/// Candidates with scores; higher is better.
pub(super) struct Shortlist {
    size: usize,
    items: Vec<(f64, i64)>,
    /// Nothing below this can be among the best any more.
    floor: f64,
    dropped: Option<f64>,
}

impl Shortlist {
    pub(super) fn new(size: usize) -> Self {
        Self { size: size.max(1), items: Vec::new(), floor: f64::NEG_INFINITY, dropped: None }
    }

    #[inline]
    pub(super) fn push(&mut self, score: f64, key: i64) {
        if score < self.floor {
            self.dropped = Some(self.dropped.map_or(score, |best| best.max(score)));
            return;
        }
        self.items.push((score, key));
        if self.items.len() >= 2 * self.size {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.items.select_nth_unstable_by(self.size - 1, |a, b| b.0.total_cmp(&a.0));
        let out = self.items[self.size..].iter().map(|(score, _)| *score).fold(f64::NEG_INFINITY, f64::max);
        self.dropped = Some(self.dropped.map_or(out, |best| best.max(out)));
        self.items.truncate(self.size);
        self.floor = self.items.iter().map(|(score, _)| *score).fold(f64::INFINITY, f64::min);
    }

    /// What is kept.
    pub(super) fn into_sorted(mut self) -> Candidates {
        self.items.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        (self.items, self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_falls_out_is_never_better_than_what_stays() {
        let mut list = Shortlist::new(10);
        let scores: Vec<f64> = (0..997i32).map(|i| f64::from((i * 7919) % 997)).collect();
        for (key, score) in (0i64..).zip(&scores) {
            list.push(*score, key);
        }
        let (items, dropped) = list.into_sorted();
        assert!(items.len() >= 10 && items.is_sorted_by(|a, b| a.0 >= b.0));
        assert_eq!(
            items[..10].iter().map(|i| i.0).collect::<Vec<_>>(),
            (987..997).rev().map(f64::from).collect::<Vec<_>>()
        );
        let (dropped, worst) = (dropped.unwrap(), items[9].0);
        assert!(dropped <= worst && items.iter().all(|(score, key)| scores[*key as usize] == *score));
    }

    #[test]
    fn a_short_list_drops_nothing() {
        let mut list = Shortlist::new(5);
        (0..9).for_each(|i| list.push(f64::from(i), i64::from(i)));
        let (items, dropped) = list.into_sorted();
        assert_eq!((items.len(), dropped), (9, None));
    }
}
