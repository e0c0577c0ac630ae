//! The best few distinct descriptions. Their order is fixed in the fact itself, so that it does not matter which came first.

use std::cmp::Reverse;

use super::DamagedFold;
use crate::varint::{self, Reader};

/// How many descriptions a fold keeps.
pub const BEST_TEXTS: usize = 3;

/// A description and its rank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RankedText {
    /// Higher is better: mentions in its chunk (entity) or strength in millionths (relation).
    pub rank: u64,
    /// See [`text_hash`]; the lower one wins among equal ranks.
    pub hash: u64,
    /// The description. Never empty.
    pub text: Box<str>,
}

impl RankedText {
    fn key(&self) -> (Reverse<u64>, u64) {
        (Reverse(self.rank), self.hash)
    }
}

/// The first eight bytes of a description's BLAKE3 hash: equal hashes count as equal texts.
pub fn text_hash(text: &str) -> u64 {
    let hash = blake3::hash(text.as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_be_bytes(first)
}

/// At most [`BEST_TEXTS`] distinct descriptions, the best first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BestTexts(Vec<RankedText>);

impl BestTexts {
    /// Offers a description; an empty one says nothing.
    pub fn offer(&mut self, rank: u64, text: &str) {
        if !text.is_empty() {
            self.offer_ranked(rank, text_hash(text), text);
        }
    }

    /// Offers a description whose hash is known.
    pub fn offer_ranked(&mut self, rank: u64, hash: u64, text: &str) {
        let key = (Reverse(rank), hash);
        if let Some(at) = self.0.iter().position(|known| known.hash == hash) {
            if self.0[at].key() <= key {
                return;
            }
            self.0.remove(at);
        }
        let at = self.0.partition_point(|known| known.key() < key);
        if at < BEST_TEXTS {
            self.0.insert(at, RankedText { rank, hash, text: text.into() });
            self.0.truncate(BEST_TEXTS);
        }
    }

    /// Offers all of `other`.
    pub fn merge(&mut self, other: &Self) {
        for known in &other.0 {
            self.offer_ranked(known.rank, known.hash, &known.text);
        }
    }

    /// Whether one of `removed` (the best of the removed facts) is among these, so that the list must be read anew from the facts that are
    /// left. When none is, the list stands as it is: what is best among all is also best among those removed, if it was one of them.
    pub fn loses(&self, removed: &Self) -> bool {
        removed.0.iter().any(|gone| self.0.iter().any(|known| known.key() == gone.key()))
    }

    /// The descriptions, the best first.
    pub fn iter(&self) -> impl Iterator<Item = &RankedText> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As one text, a line each.
    pub fn joined(&self) -> String {
        let texts: Vec<&str> = self.0.iter().map(|known| known.text.as_ref()).collect();
        texts.join("\n")
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        varint::put(out, self.0.len() as u64);
        for known in &self.0 {
            varint::put(out, known.rank);
            out.extend_from_slice(&known.hash.to_be_bytes());
            varint::put_str(out, &known.text);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DamagedFold> {
        let len = reader.index()?;
        let mut texts = Vec::with_capacity(len.min(BEST_TEXTS));
        for _ in 0..len {
            let rank = reader.int()?;
            let hash = u64::from_be_bytes(reader.bytes(8)?.try_into().map_err(|_| DamagedFold)?);
            texts.push(RankedText { rank, hash, text: reader.str()?.into() });
        }
        Ok(Self(texts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_counts_once_with_its_best_rank() {
        let mut best = BestTexts::default();
        for (rank, text) in [(1, "a"), (3, "b"), (2, "a"), (1, "b"), (1, ""), (1, "c"), (9, "d")] {
            best.offer(rank, text);
        }
        let shown: Vec<(u64, &str)> = best.iter().map(|t| (t.rank, t.text.as_ref())).collect();
        assert_eq!(shown, [(9, "d"), (3, "b"), (2, "a")]);
        assert_eq!(best.joined(), "d\nb\na");
    }
}
