//! How often each word was said: types and spellings of an entity, types of a relation.

use std::cmp::Reverse;

use super::{DamagedFold, Underflow};
use crate::varint::{self, Reader};

/// Votes by word, in the order of the words' bytes. No word has 0 votes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Votes(Vec<(Box<str>, u64)>);

impl Votes {
    /// Gives `count` votes to `word`.
    pub fn add(&mut self, word: &str, count: u64) {
        if count == 0 {
            return;
        }
        match self.find(word) {
            Ok(at) => self.0[at].1 += count,
            Err(at) => self.0.insert(at, (word.into(), count)),
        }
    }

    /// Adds all votes of `other`.
    pub fn merge(&mut self, other: &Self) {
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        for (word, count) in &other.0 {
            self.add(word, *count);
        }
    }

    /// Takes all votes of `other` away.
    pub fn subtract(&mut self, other: &Self) -> Result<(), Underflow> {
        for (word, count) in &other.0 {
            let at = self.find(word).map_err(|_| Underflow)?;
            self.0[at].1 = self.0[at].1.checked_sub(*count).ok_or(Underflow)?;
        }
        self.0.retain(|(_, count)| *count > 0);
        Ok(())
    }

    /// The word with most votes; ties go to the lower `rank`, then to the lower bytes.
    pub fn winner(&self, rank: impl Fn(&str) -> usize) -> Option<&str> {
        self.0
            .iter()
            .min_by_key(|(word, count)| (Reverse(*count), rank(word), word.as_bytes()))
            .map(|(word, _)| word.as_ref())
    }

    /// Words with their votes, by bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(word, count)| (word.as_ref(), *count))
    }

    /// Sum of all votes.
    pub fn total(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        varint::put(out, self.0.len() as u64);
        for (word, count) in &self.0 {
            varint::put_str(out, word);
            varint::put(out, *count);
        }
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Self, DamagedFold> {
        let len = reader.index()?;
        let mut votes = Vec::with_capacity(len.min(64));
        for _ in 0..len {
            let word = reader.str()?.into();
            votes.push((word, reader.int()?));
        }
        Ok(Self(votes))
    }

    fn find(&self, word: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(known, _)| known.as_bytes().cmp(word.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use graphmill_core::entity_type_rank;

    use super::*;

    #[test]
    fn ties_go_by_schema_then_bytes() {
        let mut votes = Votes::default();
        for word in ["concept", "person", "zebra", "ant"] {
            votes.add(word, 2);
        }
        assert_eq!(votes.winner(entity_type_rank), Some("person"));
        assert_eq!(votes.winner(|_| 0), Some("ant"));
        votes.add("zebra", 1);
        assert_eq!(votes.winner(entity_type_rank), Some("zebra"));
    }

    #[test]
    fn more_than_there_is_cannot_be_taken() {
        let mut votes = Votes::default();
        votes.add("a", 1);
        let mut other = Votes::default();
        other.add("a", 2);
        assert_eq!(votes.clone().subtract(&other), Err(Underflow));
        other.add("b", 1);
        assert_eq!(votes.subtract(&other), Err(Underflow));
    }
}
