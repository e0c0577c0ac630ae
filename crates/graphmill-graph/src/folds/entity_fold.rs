//! The fold of an entity.

use graphmill_core::{EntityId, Mention, entity_type_rank};

use super::{BestTexts, DamagedFold, Underflow, Votes, text_hash};
use crate::records::EntityRecord;
use crate::varint::Reader;

/// What is known of an entity from all live chunks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntityFold {
    /// How often it is mentioned.
    pub mentions: u64,
    /// Distinct documents that mention it.
    pub documents: u64,
    /// Votes for its type, one a mention.
    pub types: Votes,
    /// Votes for its spelling, one a mention.
    pub spellings: Votes,
    /// Its best descriptions.
    pub texts: BestTexts,
}

impl EntityFold {
    /// Counts a mention; returns rank and hash of its description, if it has one. Documents are counted by the caller.
    pub fn add_mention(
        &mut self,
        spelling: &str,
        entity_type: &str,
        description: &str,
        count: u64,
    ) -> Option<(u64, u64)> {
        self.mentions += count;
        self.types.add(entity_type, count);
        self.spellings.add(spelling, count);
        if description.is_empty() {
            return None;
        }
        let hash = text_hash(description);
        self.texts.offer_ranked(count, hash, description);
        Some((count, hash))
    }

    /// Counts a fact.
    pub fn add(&mut self, mention: &Mention) {
        self.add_mention(&mention.spelling, &mention.entity_type, &mention.description, mention.count());
    }

    /// Adds what `other` counted.
    pub fn merge(&mut self, other: &Self) {
        self.mentions += other.mentions;
        self.documents += other.documents;
        self.types.merge(&other.types);
        self.spellings.merge(&other.spellings);
        self.texts.merge(&other.texts);
    }

    /// Takes away what `other` counted. Answers whether the descriptions must be read anew ([`BestTexts::loses`]).
    pub fn subtract(&mut self, other: &Self) -> Result<bool, Underflow> {
        self.mentions = self.mentions.checked_sub(other.mentions).ok_or(Underflow)?;
        self.documents = self.documents.checked_sub(other.documents).ok_or(Underflow)?;
        self.types.subtract(&other.types)?;
        self.spellings.subtract(&other.spellings)?;
        Ok(self.texts.loses(&other.texts))
    }

    /// The most voted spelling.
    pub fn name(&self) -> &str {
        self.spellings.winner(|_| 0).unwrap_or_default()
    }

    /// The most voted type.
    pub fn entity_type(&self) -> &str {
        self.types.winner(entity_type_rank).unwrap_or_default()
    }

    /// As readers see it.
    pub fn record(&self, id: EntityId) -> EntityRecord {
        EntityRecord {
            id,
            name: self.name().to_owned(),
            entity_type: self.entity_type().to_owned(),
            description: self.texts.joined(),
            importance: importance(self.mentions, self.documents),
            mention_count: self.mentions,
            document_count: self.documents,
        }
    }

    /// Votes and descriptions as one compact property.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        self.types.encode(&mut out);
        self.spellings.encode(&mut out);
        self.texts.encode(&mut out);
        out
    }

    /// From the counts and the compact property.
    pub fn decode(mentions: u64, documents: u64, property: &[u8]) -> Result<Self, DamagedFold> {
        let mut reader = Reader::new(property);
        let types = Votes::decode(&mut reader)?;
        let spellings = Votes::decode(&mut reader)?;
        let texts = BestTexts::decode(&mut reader)?;
        if reader.is_empty() { Ok(Self { mentions, documents, types, spellings, texts }) } else { Err(DamagedFold) }
    }
}

/// Importance from 0 to 1: s / (s + 4), s the geometric mean of mentions and documents. Exact on every machine (IEEE 754 rounds square roots
/// and quotients correctly), and it grows with spread as with frequency.
pub fn importance(mentions: u64, documents: u64) -> f64 {
    let s = (mentions as f64 * documents as f64).sqrt();
    s / (s + 4.0)
}
