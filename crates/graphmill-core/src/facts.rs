//! What a chunk says: mentions, statements, alias evidence. Facts belong to a chunk and never change; folds are counted from them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{ContentHash, EntityName, IdHasher};

/// One spelling and type of an entity in a chunk. A chunk has at most one mention for each (entity, type, spelling).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Mention {
    /// The entity as the text spells it; [`EntityName::new`] of it is the entity's key.
    pub spelling: String,
    /// Type of the entity, lower case (`organization`, `product`, …).
    pub entity_type: String,
    /// What the chunk says about it; may be empty.
    pub description: String,
    /// Where it stands, as character ranges within the chunk's text, rising; empty when the model only inferred it.
    pub spans: Vec<(u32, u32)>,
}

impl Mention {
    /// How often it counts: once a span, at least once.
    pub fn count(&self) -> u64 {
        self.spans.len().max(1) as u64
    }
}

/// A relation that a chunk states. Both ends are spellings of mentions of the same chunk.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Statement {
    /// Spelling of the source entity.
    pub source: String,
    /// Spelling of the target entity.
    pub target: String,
    /// Kind of relation, lower case with underscores; `related_to` when nothing better is known.
    pub relation_type: String,
    /// What the chunk says; may be empty.
    pub description: String,
    /// Strength in millionths (1,000,000 = 1.0), 0 to 10,000,000.
    pub strength_millionths: u64,
}

/// The text itself defines a short form: `Central Processing Unit (CPU)`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AliasEvidence {
    /// Spelling of the short form, a mention of the chunk.
    pub short: String,
    /// Spelling of the long form, a mention of the chunk.
    pub long: String,
}

/// All facts of a chunk, in canonical order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkFacts {
    /// Sorted, distinct by (spelling, type).
    pub mentions: Vec<Mention>,
    /// Sorted, distinct by (source, target, type).
    pub statements: Vec<Statement>,
    /// Sorted, distinct.
    pub aliases: Vec<AliasEvidence>,
    /// The chunk could not be processed: it has no facts until it is retried, and its document is never "unchanged".
    pub quarantined: bool,
}

impl ChunkFacts {
    /// Facts in canonical order. Dropped and counted: spellings that cannot name an entity, statements and aliases whose ends are not mentions,
    /// relations from an entity to itself, repetitions (of a repeated mention the spans are joined, of all repetitions the longer
    /// description is kept). Returns the facts and how many were dropped.
    pub fn canonical(
        mentions: Vec<Mention>,
        statements: Vec<Statement>,
        aliases: Vec<AliasEvidence>,
    ) -> (Self, DroppedFacts) {
        let mut dropped = DroppedFacts::default();
        let mut kept: Vec<Mention> = Vec::with_capacity(mentions.len());
        for mention in mentions {
            if EntityName::new(&mention.spelling).is_ok() { kept.push(mention) } else { dropped.mentions += 1 }
        }
        kept.sort();
        kept.dedup_by(|next, first| {
            let same = next.spelling == first.spelling && next.entity_type == first.entity_type;
            if same {
                first.spans.append(&mut next.spans);
                keep_longer(&mut first.description, &mut next.description);
            }
            same
        });
        for mention in &mut kept {
            mention.spans.sort_unstable();
            mention.spans.dedup();
        }
        let known: std::collections::HashMap<&str, EntityName> =
            kept.iter().filter_map(|m| Some((m.spelling.as_str(), EntityName::new(&m.spelling).ok()?))).collect();
        let differ = |a: &str, b: &str| matches!((known.get(a), known.get(b)), (Some(a), Some(b)) if a != b);
        let mut statements: Vec<Statement> = statements
            .into_iter()
            .filter(|s| {
                let ok = differ(&s.source, &s.target);
                dropped.statements += u64::from(!ok);
                ok
            })
            .collect();
        statements.sort();
        statements.dedup_by(|next, first| {
            let same = (&next.source, &next.target, &next.relation_type)
                == (&first.source, &first.target, &first.relation_type);
            if same {
                first.strength_millionths = first.strength_millionths.max(next.strength_millionths);
                keep_longer(&mut first.description, &mut next.description);
            }
            same
        });
        let mut aliases: Vec<AliasEvidence> = aliases.into_iter().filter(|a| differ(&a.short, &a.long)).collect();
        aliases.sort();
        aliases.dedup();
        (Self { mentions: kept, statements, aliases, quarantined: false }, dropped)
    }

    /// The facts of a chunk that was set aside.
    pub fn quarantined() -> Self {
        Self { quarantined: true, ..Self::default() }
    }

    /// Hash of the facts in canonical order; part of the chunk's id.
    pub fn hash(&self) -> ContentHash {
        let mut h = IdHasher::new("facts").field(&[u8::from(self.quarantined)]);
        for m in &self.mentions {
            h = h.field(b"m").field(m.spelling.as_bytes()).field(m.entity_type.as_bytes());
            h = h.field(m.description.as_bytes());
            let spans: Vec<u8> =
                m.spans.iter().flat_map(|(a, b)| [a.to_le_bytes(), b.to_le_bytes()]).flatten().collect();
            h = h.field(&spans);
        }
        for s in &self.statements {
            h = h.field(b"s").field(s.source.as_bytes()).field(s.target.as_bytes());
            h = h.field(s.relation_type.as_bytes()).field(s.description.as_bytes());
            h = h.field(&s.strength_millionths.to_le_bytes());
        }
        for a in &self.aliases {
            h = h.field(b"a").field(a.short.as_bytes()).field(a.long.as_bytes());
        }
        ContentHash::from_bytes(h.finish32())
    }
}

/// How many facts [`ChunkFacts::canonical`] left out because they lead nowhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DroppedFacts {
    /// Mentions whose spelling cannot name an entity.
    pub mentions: u64,
    /// Statements with an end that is no mention of the chunk, or from an entity to itself.
    pub statements: u64,
}

fn keep_longer(kept: &mut String, other: &mut String) {
    if (other.len(), &*kept) > (kept.len(), other) {
        std::mem::swap(kept, other);
    }
}

/// What is embedded of a chunk, or sent to a model: its context, if it has any, on lines of its own before the text.
pub fn text_in_context<'a>(context: Option<&str>, text: &'a str) -> Cow<'a, str> {
    match context {
        Some(context) => format!("{context}\n{}", text.trim_start_matches(['\r', '\n'])).into(),
        None => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mention(spelling: &str, spans: &[(u32, u32)]) -> Mention {
        Mention {
            spelling: spelling.into(),
            entity_type: "product".into(),
            description: String::new(),
            spans: spans.into(),
        }
    }

    fn statement(source: &str, target: &str) -> Statement {
        Statement {
            source: source.into(),
            target: target.into(),
            relation_type: "related_to".into(),
            description: String::new(),
            strength_millionths: 1_000_000,
        }
    }

    #[test]
    fn order_of_the_answer_does_not_matter() {
        let a = ChunkFacts::canonical(
            vec![mention("A", &[(0, 1)]), mention("B", &[(4, 5)]), mention("A", &[(8, 9)])],
            vec![statement("A", "B"), statement("B", "A")],
            vec![],
        );
        let b = ChunkFacts::canonical(
            vec![mention("A", &[(8, 9)]), mention("A", &[(0, 1)]), mention("B", &[(4, 5)])],
            vec![statement("B", "A"), statement("A", "B")],
            vec![],
        );
        assert_eq!(a.0.hash(), b.0.hash());
        assert_eq!(a.0.mentions[0].spans, [(0, 1), (8, 9)]);
    }

    #[test]
    fn what_leads_nowhere_is_dropped_and_counted() {
        let (facts, dropped) = ChunkFacts::canonical(
            vec![mention("A", &[]), mention("a", &[]), mention(" ", &[])],
            vec![statement("A", "a"), statement("A", "Nobody")],
            vec![],
        );
        assert_eq!(facts.mentions.len(), 2);
        assert_eq!(dropped, DroppedFacts { mentions: 1, statements: 2 });
    }

    #[test]
    fn a_quarantined_chunk_is_another_chunk() {
        assert_ne!(ChunkFacts::quarantined().hash(), ChunkFacts::default().hash());
    }
}
