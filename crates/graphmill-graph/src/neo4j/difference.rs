//! What the facts of chunks that come and go change: counted in memory, from a document's facts alone.

use foldhash::{HashMap, HashSet, HashSetExt};
use graphmill_core::{ChunkId, EntityId};

use super::{Params, Transaction, ids};
use crate::Result;
use crate::facts_column::FactsView;
use crate::folds::{EntityFold, RelationFold};

/// Chunks whose facts are read at once.
const SLICE: usize = 500;

/// What changes about an entity.
#[derive(Debug, Default)]
pub(super) struct EntityChange {
    /// A spelling, of which the normalised name is made if the entity is new.
    pub(super) spelling: Box<str>,
    pub(super) added: EntityFold,
    pub(super) removed: EntityFold,
    before: bool,
    after: bool,
}

/// What changes about a relation.
#[derive(Debug, Default)]
pub(super) struct RelationChange {
    pub(super) added: RelationFold,
    pub(super) removed: RelationFold,
    before: bool,
    after: bool,
}

/// A `CONTAINS_ENTITY` that is to be made.
#[derive(Debug)]
pub(super) struct Contains {
    pub(super) chunk: ChunkId,
    pub(super) entity: EntityId,
    pub(super) entity_type: String,
    pub(super) description: String,
    pub(super) mentions: u64,
    /// Character ranges within the chunk's text, start and end in turn.
    pub(super) spans: Vec<u32>,
    /// The best rank of a description; 0 = there is none.
    pub(super) rank: u64,
}

/// The difference between two states of a document.
#[derive(Debug, Default)]
pub(super) struct Difference {
    pub(super) entities: HashMap<EntityId, EntityChange>,
    pub(super) relations: HashMap<(EntityId, EntityId), RelationChange>,
    pub(super) contains: Vec<Contains>,
    /// Alias evidence that comes: short form, long form, chunk.
    pub(super) aliases: Vec<(EntityId, EntityId, ChunkId)>,
    /// By how many the document's distinct entities and relations change.
    pub(super) document_entities: i64,
    pub(super) document_relations: i64,
}

/// Which way a chunk goes.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    Comes,
    Goes,
    Stays,
}

impl Difference {
    /// Reads the facts of the chunks that come, go and stay.
    pub(super) fn read(
        tx: &mut Transaction<'_, '_>,
        added: &[ChunkId],
        removed: &[ChunkId],
        kept: &[ChunkId],
    ) -> Result<Self> {
        let mut difference = Self::default();
        difference.read_chunks(tx, added, Way::Comes)?;
        difference.read_chunks(tx, removed, Way::Goes)?;
        if !added.is_empty() || !removed.is_empty() {
            // Only for whether the document says the same elsewhere.
            difference.read_chunks(tx, kept, Way::Stays)?;
        }
        difference.close();
        Ok(difference)
    }

    fn read_chunks(&mut self, tx: &mut Transaction<'_, '_>, chunks: &[ChunkId], way: Way) -> Result<()> {
        let query = "UNWIND $ids AS id MATCH (c:GmChunk {id: id}) RETURN c.id AS id, c.facts AS facts";
        for part in chunks.chunks(SLICE) {
            let ids: Vec<String> = part.iter().map(ToString::to_string).collect();
            tx.each_row(query, Params::new().set("ids", ids), |mut row| {
                let facts: Vec<u8> = row.take("facts")?;
                self.add(ids::take(&mut row, "id")?, &FactsView::read(&facts)?, way)
            })?;
        }
        Ok(())
    }

    fn add(&mut self, chunk: ChunkId, view: &FactsView<'_>, way: Way) -> Result<()> {
        for id in &view.entities {
            // What stays says nothing of an entity that nothing else touches.
            if way == Way::Stays {
                if let Some(entity) = self.entities.get_mut(id) {
                    (entity.before, entity.after) = (true, true);
                }
                continue;
            }
            let entity = self.entities.entry(*id).or_default();
            entity.before |= way == Way::Goes;
            entity.after |= way == Way::Comes;
        }
        for s in &view.statements {
            let (source, target) = view.ends(s);
            let key = (view.entities[source], view.entities[target]);
            if way == Way::Stays {
                if let Some(relation) = self.relations.get_mut(&key) {
                    (relation.before, relation.after) = (true, true);
                }
                continue;
            }
            let relation = self.relations.entry(key).or_default();
            let fold = if way == Way::Comes { &mut relation.added } else { &mut relation.removed };
            relation.before |= way == Way::Goes;
            relation.after |= way == Way::Comes;
            fold.add_statement(s.relation_type, s.description, s.strength_millionths);
        }
        if way == Way::Stays {
            return Ok(());
        }
        for mention in &view.mentions {
            let entity = self.entities.entry(view.entities[mention.entity]).or_default();
            if entity.spelling.is_empty() {
                entity.spelling = mention.spelling.into();
            }
            let fold = if way == Way::Comes { &mut entity.added } else { &mut entity.removed };
            fold.add_mention(mention.spelling, mention.entity_type, mention.description, mention.count());
        }
        if way == Way::Comes {
            for id in &view.entities {
                self.contains.push(contains(chunk, *id, view)?);
            }
            let named = |place: usize| view.entities[place];
            self.aliases.extend(view.aliases().map(|(short, long)| (named(short), named(long), chunk)));
        }
        Ok(())
    }

    /// Documents are counted once all is read.
    fn close(&mut self) {
        for entity in self.entities.values_mut() {
            entity.added.documents = u64::from(entity.after && !entity.before);
            entity.removed.documents = u64::from(entity.before && !entity.after);
            self.document_entities += i64::from(entity.after) - i64::from(entity.before);
        }
        for relation in self.relations.values() {
            self.document_relations += i64::from(relation.after) - i64::from(relation.before);
        }
        let mut seen = HashSet::new();
        self.aliases.retain(|alias| seen.insert(*alias));
    }
}

/// What a chunk says of an entity, as people see it on the relationship; facts stay the source.
fn contains(chunk: ChunkId, entity: EntityId, view: &FactsView<'_>) -> Result<Contains> {
    let mut fold = EntityFold::default();
    let (mut spans, mut rank) = (Vec::new(), 0);
    for mention in view.mentions_of(&entity)? {
        fold.add(&mention);
        if !mention.description.is_empty() {
            rank = rank.max(mention.count());
        }
        spans.extend(mention.spans.iter().flat_map(|(start, end)| [*start, *end]));
    }
    let (entity_type, description) = (fold.entity_type().to_owned(), fold.texts.joined());
    Ok(Contains { chunk, entity, entity_type, description, mentions: fold.mentions, spans, rank })
}
