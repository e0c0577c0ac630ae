//! A row of neighbours that is kept, and how it is brought up to date without being computed anew.

use super::Score;

/// The neighbours of something: the best few of all that reach the threshold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<K> {
    /// By falling score, ties by rising key. Nothing that is missing is better than any of them.
    pub neighbours: Vec<(K, Score)>,
    /// What is missing has at most this score; `None` when nothing is missing.
    pub cut_at: Option<Score>,
}

impl<K> Default for Row<K> {
    fn default() -> Self {
        Self { neighbours: Vec::new(), cut_at: None }
    }
}

impl<K: Copy + Ord> Row<K> {
    /// Whether the row is known to have its best `asked` neighbours (or all that there are).
    pub fn answers(&self, asked: usize) -> bool {
        self.cut_at.is_none() || self.neighbours.len() >= asked
    }

    /// Lets `offered` (in the order of neighbours; the best `keep` + 1 of them are enough) into the row and keeps the best `keep`. What was in the row and
    /// is offered again, or is gone, must have been taken out before ([`Row::retain`]). What cannot be told from what is missing is left out, so that the
    /// promise of `neighbours` holds.
    #[must_use]
    pub fn with(mut self, offered: &[(K, Score)], keep: usize) -> Self {
        let last = self.neighbours.last().copied();
        for &(key, score) in offered {
            let is_sure = self.cut_at.is_none_or(|cut| score > cut)
                || last.is_some_and(|(last_key, last_score)| is_better((key, score), (last_key, last_score)));
            if is_sure {
                let at = self.neighbours.partition_point(|other| is_better(*other, (key, score)));
                self.neighbours.insert(at, (key, score));
            }
        }
        if let Some(&(_, dropped)) = self.neighbours.get(keep) {
            self.cut_at = self.cut_at.max(Some(dropped));
            self.neighbours.truncate(keep);
        }
        self
    }

    /// Takes out the neighbours that do not fit.
    pub fn retain(&mut self, fits: impl Fn(&K) -> bool) {
        self.neighbours.retain(|(key, _)| fits(key));
    }
}

fn is_better<K: Ord>(a: (K, Score), b: (K, Score)) -> bool {
    a.1 > b.1 || (a.1 == b.1 && a.0 < b.0)
}
