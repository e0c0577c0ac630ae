//! Folds: what readers see of an entity or a relation. Pure functions of facts, made of integers and strings alone, so that neither the order
//! of documents nor the way in which they came and went can matter. No backend is known here; every backend uses these.

mod best_texts;
mod entity_fold;
mod relation_fold;
mod votes;

pub use best_texts::{BEST_TEXTS, BestTexts, RankedText, text_hash};
pub use entity_fold::{EntityFold, importance};
pub use relation_fold::{RelationFold, STRENGTH_UNIT};
pub use votes::Votes;

/// A difference takes away more than there is: what is stored is not the fold of the facts. `check` names such places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fold holds less than the facts that are to be taken from it")]
pub struct Underflow;

/// A compact property holds bytes that this version never writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the compact property of a fold is damaged")]
pub struct DamagedFold;

impl From<crate::varint::Malformed> for DamagedFold {
    fn from(_: crate::varint::Malformed) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests;
