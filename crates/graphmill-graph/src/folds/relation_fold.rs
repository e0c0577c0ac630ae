//! The fold of a relation.

use graphmill_core::{EntityId, Statement};

use super::{BestTexts, DamagedFold, Underflow, Votes, text_hash};
use crate::records::RelationRecord;
use crate::varint::Reader;

/// Millionths in a strength of 1.
pub const STRENGTH_UNIT: u64 = 1_000_000;

/// What is known of a relation (source, target) from all live chunks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelationFold {
    /// Number of statements.
    pub support: u64,
    /// Sum of their strengths, in millionths.
    pub strength_millionths: u64,
    /// Votes for its type, one a statement.
    pub types: Votes,
    /// Its best descriptions.
    pub texts: BestTexts,
}

impl RelationFold {
    /// Counts a statement; returns rank and hash of its description, if it has one.
    pub fn add_statement(
        &mut self,
        relation_type: &str,
        description: &str,
        strength_millionths: u64,
    ) -> Option<(u64, u64)> {
        self.support += 1;
        self.strength_millionths += strength_millionths;
        self.types.add(relation_type, 1);
        if description.is_empty() {
            return None;
        }
        let hash = text_hash(description);
        self.texts.offer_ranked(strength_millionths, hash, description);
        Some((strength_millionths, hash))
    }

    /// Counts a fact.
    pub fn add(&mut self, statement: &Statement) {
        self.add_statement(&statement.relation_type, &statement.description, statement.strength_millionths);
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.support += other.support;
        self.strength_millionths += other.strength_millionths;
        self.types.merge(&other.types);
        self.texts.merge(&other.texts);
    }

    /// Takes away what `other` counted. Answers whether the descriptions must be read anew ([`BestTexts::loses`]).
    pub fn subtract(&mut self, other: &Self) -> Result<bool, Underflow> {
        self.support = self.support.checked_sub(other.support).ok_or(Underflow)?;
        self.strength_millionths = self.strength_millionths.checked_sub(other.strength_millionths).ok_or(Underflow)?;
        self.types.subtract(&other.types)?;
        Ok(self.texts.loses(&other.texts))
    }

    /// The most voted type.
    pub fn relation_type(&self) -> &str {
        self.types.winner(|_| 0).unwrap_or_default()
    }

    /// As readers see it.
    pub fn record(&self, source: EntityId, target: EntityId) -> RelationRecord {
        RelationRecord {
            source,
            target,
            relation_type: self.relation_type().to_owned(),
            description: self.texts.joined(),
            strength: self.strength_millionths as f64 / STRENGTH_UNIT as f64,
            support: self.support,
        }
    }

    /// Votes and descriptions as one compact property.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32);
        self.types.encode(&mut out);
        self.texts.encode(&mut out);
        out
    }

    /// From the counts and the compact property.
    pub fn decode(support: u64, strength_millionths: u64, property: &[u8]) -> Result<Self, DamagedFold> {
        let mut reader = Reader::new(property);
        let types = Votes::decode(&mut reader)?;
        let texts = BestTexts::decode(&mut reader)?;
        if reader.is_empty() { Ok(Self { support, strength_millionths, types, texts }) } else { Err(DamagedFold) }
    }
}
