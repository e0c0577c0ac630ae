//! The best few of a row.

use super::Score;

/// The best (score, key) pairs so far: falling scores, ties by rising key.
#[derive(Debug, Clone)]
pub(super) struct Best<K> {
    most: usize,
    kept: Vec<(Score, K)>,
}

impl<K: Copy + Ord> Best<K> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, kept: Vec::new() }
    }

    /// The least score that can still change something, if it is more than the threshold says.
    pub(super) fn least(&self) -> Option<Score> {
        (self.kept.len() >= self.most).then(|| self.kept.last().map(|(score, _)| *score)).flatten()
    }

    pub(super) fn offer(&mut self, score: Score, key: K) {
        let at = self.kept.partition_point(|(s, k)| *s > score || (*s == score && *k < key));
        if at < self.most {
            self.kept.insert(at, (score, key));
            self.kept.truncate(self.most);
        }
    }

    pub(super) fn into_kept(self) -> Vec<(Score, K)> {
        self.kept
    }
}
