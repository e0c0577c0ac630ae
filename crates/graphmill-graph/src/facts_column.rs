//! The facts of a chunk as one compact column: written once when the chunk is staged, read whole when it is placed, taken away or exported.
//! Ids of the entities stand in it, so that nothing has to be normalised again under the writer's lock.

use std::collections::HashMap;

use graphmill_core::{AliasEvidence, ChunkFacts, CollectionId, EntityId, EntityName, Mention, Statement};

use crate::varint::{Malformed, Reader, put, put_str};
use crate::{Error, Result};

const VERSION: u64 = 1;

/// Mention as it stands in the column.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MentionView<'a> {
    /// Which of the view's entities.
    pub(crate) entity: usize,
    pub(crate) entity_type: &'a str,
    pub(crate) spelling: &'a str,
    pub(crate) description: &'a str,
    span_count: usize,
    spans: Reader<'a>,
}

impl MentionView<'_> {
    /// See [`Mention::count`].
    pub(crate) fn count(&self) -> u64 {
        self.span_count.max(1) as u64
    }

    fn mention(&self) -> Result<Mention, Malformed> {
        Ok(Mention {
            spelling: self.spelling.to_owned(),
            entity_type: self.entity_type.to_owned(),
            description: self.description.to_owned(),
            spans: self.spans()?,
        })
    }

    fn spans(&self) -> Result<Vec<(u32, u32)>, Malformed> {
        let (mut reader, mut at) = (self.spans, 0u64);
        let mut spans = Vec::with_capacity(self.span_count.min(1024));
        let narrow = |value: u64| u32::try_from(value).map_err(|_| Malformed);
        for _ in 0..self.span_count {
            let start = narrow(at.saturating_add(reader.int()?))?;
            let end = narrow(u64::from(start).saturating_add(reader.int()?))?;
            at = u64::from(start);
            spans.push((start, end));
        }
        Ok(spans)
    }
}

/// Statement as it stands in the column; its ends are mentions of the view.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StatementView<'a> {
    pub(crate) source: usize,
    pub(crate) target: usize,
    pub(crate) relation_type: &'a str,
    pub(crate) description: &'a str,
    pub(crate) strength_millionths: u64,
}

/// A column that is read in place.
#[derive(Debug, Clone, Default)]
pub(crate) struct FactsView<'a> {
    pub(crate) quarantined: bool,
    pub(crate) entities: Vec<EntityId>,
    pub(crate) mentions: Vec<MentionView<'a>>,
    pub(crate) statements: Vec<StatementView<'a>>,
    aliases: Vec<(usize, usize)>,
}

/// Writes facts; refuses those that are not in canonical order or lead nowhere.
pub(crate) fn encode(collection: &CollectionId, facts: &ChunkFacts) -> Result<Vec<u8>> {
    let mut by_spelling: HashMap<&str, usize> = HashMap::with_capacity(facts.mentions.len());
    let mut entities: Vec<EntityId> = Vec::with_capacity(facts.mentions.len());
    let mut entity_of: HashMap<EntityId, usize> = HashMap::with_capacity(facts.mentions.len());
    let mut mentioned = Vec::with_capacity(facts.mentions.len());
    for (i, mention) in facts.mentions.iter().enumerate() {
        let previous = by_spelling.get(mention.spelling.as_str()).map(|first| mentioned[*first]);
        let entity = match previous {
            Some(entity) => entity,
            None => {
                let id = EntityId::new(collection, &name_of(&mention.spelling)?);
                *entity_of.entry(id).or_insert_with(|| {
                    entities.push(id);
                    entities.len() - 1
                })
            }
        };
        mentioned.push(entity);
        by_spelling.entry(&mention.spelling).or_insert(i);
    }
    let mut out = Vec::with_capacity(64 + facts.mentions.len() * 48 + facts.statements.len() * 24);
    put(&mut out, VERSION << 1 | u64::from(facts.quarantined));
    put(&mut out, entities.len() as u64);
    entities.iter().for_each(|id| out.extend_from_slice(id.as_bytes()));
    put(&mut out, facts.mentions.len() as u64);
    for (mention, entity) in facts.mentions.iter().zip(mentioned) {
        put_mention(&mut out, mention, entity);
    }
    let end = |spelling: &str| {
        by_spelling.get(spelling).map(|i| *i as u64).ok_or_else(|| {
            Error::Invalid(format!("a statement or alias names {spelling:?}, which its chunk does not mention; make facts by ChunkFacts::canonical"))
        })
    };
    put(&mut out, facts.statements.len() as u64);
    for statement in &facts.statements {
        put(&mut out, end(&statement.source)?);
        put(&mut out, end(&statement.target)?);
        put_str(&mut out, &statement.relation_type);
        put_str(&mut out, &statement.description);
        put(&mut out, statement.strength_millionths);
    }
    put(&mut out, facts.aliases.len() as u64);
    for alias in &facts.aliases {
        put(&mut out, end(&alias.short)?);
        put(&mut out, end(&alias.long)?);
    }
    Ok(out)
}

fn name_of(spelling: &str) -> Result<EntityName> {
    EntityName::new(spelling).map_err(|e| {
        let shown: String = spelling.chars().take(80).collect();
        Error::Invalid(format!("{shown:?} cannot name an entity: {e}; make facts by ChunkFacts::canonical"))
    })
}

fn put_mention(out: &mut Vec<u8>, mention: &Mention, entity: usize) {
    put(out, entity as u64);
    put_str(out, &mention.entity_type);
    put_str(out, &mention.spelling);
    put_str(out, &mention.description);
    put(out, mention.spans.len() as u64);
    let mut at = 0;
    for (start, end) in &mention.spans {
        // Starts rise in canonical facts; an end is written from its start.
        put(out, u64::from(start.saturating_sub(at)));
        put(out, u64::from(end.saturating_sub(*start)));
        at = *start;
    }
}

impl<'a> FactsView<'a> {
    /// Reads a column.
    pub(crate) fn read(column: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(column);
        let head = reader.int()?;
        if head >> 1 != VERSION {
            return Err(Malformed);
        }
        let mut view = Self { quarantined: head & 1 == 1, ..Self::default() };
        let entities = reader.index()?;
        for id in reader.bytes(entities.checked_mul(16).ok_or(Malformed)?)?.chunks_exact(16) {
            view.entities.push(EntityId::from_bytes(id.try_into().map_err(|_| Malformed)?));
        }
        for _ in 0..reader.index()? {
            let mention = read_mention(&mut reader)?;
            if mention.entity >= view.entities.len() {
                return Err(Malformed);
            }
            view.mentions.push(mention);
        }
        let mentions = view.mentions.len();
        let end = |reader: &mut Reader<'a>| {
            let i = reader.index()?;
            if i < mentions { Ok(i) } else { Err(Malformed) }
        };
        for _ in 0..reader.index()? {
            view.statements.push(StatementView {
                source: end(&mut reader)?,
                target: end(&mut reader)?,
                relation_type: reader.str()?,
                description: reader.str()?,
                strength_millionths: reader.int()?,
            });
        }
        for _ in 0..reader.index()? {
            view.aliases.push((end(&mut reader)?, end(&mut reader)?));
        }
        if reader.is_empty() { Ok(view) } else { Err(Malformed) }
    }

    /// The entities at both ends of a statement, as places in `entities`.
    pub(crate) fn ends(&self, statement: &StatementView<'_>) -> (usize, usize) {
        (self.mentions[statement.source].entity, self.mentions[statement.target].entity)
    }

    /// Alias evidence as places in `entities`: (short form, long form).
    pub(crate) fn aliases(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.aliases.iter().map(|(short, long)| (self.mentions[*short].entity, self.mentions[*long].entity))
    }

    /// What the chunk says of an entity, one a spelling and type.
    pub(crate) fn mentions_of(&self, entity: &EntityId) -> Result<Vec<Mention>, Malformed> {
        let of_entity = self.mentions.iter().filter(|m| self.entities[m.entity] == *entity);
        of_entity.map(MentionView::mention).collect()
    }

    /// The facts as they were staged.
    pub(crate) fn to_facts(&self) -> Result<ChunkFacts, Malformed> {
        let spelling = |i: usize| self.mentions[i].spelling.to_owned();
        let mut mentions = Vec::with_capacity(self.mentions.len());
        for m in &self.mentions {
            mentions.push(m.mention()?);
        }
        let statement = |s: &StatementView<'_>| Statement {
            source: spelling(s.source),
            target: spelling(s.target),
            relation_type: s.relation_type.to_owned(),
            description: s.description.to_owned(),
            strength_millionths: s.strength_millionths,
        };
        let alias = |(short, long): &(usize, usize)| AliasEvidence { short: spelling(*short), long: spelling(*long) };
        Ok(ChunkFacts {
            mentions,
            statements: self.statements.iter().map(statement).collect(),
            aliases: self.aliases.iter().map(alias).collect(),
            quarantined: self.quarantined,
        })
    }
}

fn read_mention<'a>(reader: &mut Reader<'a>) -> Result<MentionView<'a>, Malformed> {
    let entity = reader.index()?;
    let (entity_type, spelling, description) = (reader.str()?, reader.str()?, reader.str()?);
    let span_count = reader.index()?;
    let spans = *reader;
    for _ in 0..span_count {
        reader.int()?;
        reader.int()?;
    }
    Ok(MentionView { entity, entity_type, spelling, description, span_count, spans })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mention(spelling: &str, entity_type: &str, spans: &[(u32, u32)]) -> Mention {
        let description = format!("about {spelling}");
        Mention { spelling: spelling.into(), entity_type: entity_type.into(), description, spans: spans.into() }
    }

    #[test]
    fn facts_survive_their_column() {
        let (facts, _) = ChunkFacts::canonical(
            vec![
                mention("`tick` \"gauge\"", "product", &[(3, 9), (70, 75), (72, 90)]),
                mention("line\nbreak", "concept", &[]),
                mention("LINE BREAK", "person", &[(0, 4_000_000_000)]),
            ],
            vec![Statement {
                source: "`tick` \"gauge\"".into(),
                target: "LINE BREAK".into(),
                relation_type: "part_of".into(),
                description: String::new(),
                strength_millionths: 2_500_000,
            }],
            vec![AliasEvidence { short: "LINE BREAK".into(), long: "`tick` \"gauge\"".into() }],
        );
        let column = encode(&CollectionId::default(), &facts).unwrap();
        let view = FactsView::read(&column).unwrap();
        assert_eq!(view.entities.len(), 2, "two spellings of one entity");
        assert_eq!(view.to_facts().unwrap(), facts);
        let column = encode(&CollectionId::default(), &ChunkFacts::quarantined()).unwrap();
        assert!(FactsView::read(&column).unwrap().quarantined);
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        let mut facts = ChunkFacts { mentions: vec![mention("\0", "x", &[])], ..ChunkFacts::default() };
        assert!(encode(&CollectionId::default(), &facts).unwrap_err().to_string().contains("cannot name an entity"));
        facts.mentions.clear();
        facts.aliases = vec![AliasEvidence { short: "A".into(), long: "B".into() }];
        assert!(encode(&CollectionId::default(), &facts).unwrap_err().to_string().contains("does not mention"));
    }

    proptest::proptest! {
        #[test]
        fn a_damaged_column_never_panics(bytes: Vec<u8>) {
            if let Ok(view) = FactsView::read(&bytes) {
                let _ = view.to_facts();
            }
        }
    }
}
