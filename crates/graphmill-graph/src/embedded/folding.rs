//! Folds and `CONTAINS_ENTITY` of the chunks that a publication places or takes away, by difference, in slices of bounded memory.

use foldhash::{HashMap, HashMapExt};
use graphmill_core::EntityId;
use rusqlite::{Connection, params};

use super::collections::DocumentRow;
use super::{aliases, entity_rows, relation_rows};
use crate::Result;
use crate::facts_column::FactsView;
use crate::folds::{EntityFold, RelationFold};

/// Chunks that are folded in memory before their entities and relations are written.
const SLICE_CHUNKS: usize = 2_048;

/// By how much counters change.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FoldChange {
    /// Entities of the collection.
    pub(super) entities: i64,
    /// Relations of the collection.
    pub(super) relations: i64,
    /// Distinct entities of the document.
    pub(super) document_entities: i64,
    /// Distinct relations of the document.
    pub(super) document_relations: i64,
}

/// A description of a fact of a chunk, by its rank and hash.
#[derive(Debug, Clone, Copy)]
pub(super) struct TextPlace {
    pub(super) rank: i64,
    pub(super) hash: i64,
    pub(super) chunk: i64,
}

impl TextPlace {
    /// Ranks are negated so that the best comes first.
    fn new((rank, hash): (u64, u64), chunk: i64) -> Self {
        // Order of hashes as unsigned numbers is kept by flipping the sign bit.
        Self { rank: -rank.cast_signed(), hash: (hash ^ (1 << 63)).cast_signed(), chunk }
    }

    /// The hash as [`crate::folds::text_hash`] gives it.
    pub(super) fn text_hash(hash: i64) -> u64 {
        hash.cast_unsigned() ^ (1 << 63)
    }
}

/// What a slice says of an entity.
#[derive(Debug, Default)]
pub(super) struct EntitySlice {
    pub(super) id: Option<EntityId>,
    /// A spelling, of which the normalised name is made if the entity is new.
    pub(super) spelling: Box<str>,
    pub(super) fold: EntityFold,
    /// Chunks that mention it, rising, and how often each does.
    pub(super) chunks: Vec<(i64, u64)>,
    pub(super) texts: Vec<TextPlace>,
    /// Its row; known once it was written.
    pub(super) key: i64,
}

/// What a slice says of a relation.
#[derive(Debug, Default)]
pub(super) struct RelationSlice {
    pub(super) fold: RelationFold,
    pub(super) texts: Vec<TextPlace>,
}

/// Facts of some chunks, folded.
#[derive(Debug, Default)]
pub(super) struct Slice {
    pub(super) entities: Vec<EntitySlice>,
    /// By places of source and target in `entities`.
    pub(super) relations: HashMap<(u32, u32), RelationSlice>,
    /// Alias evidence: places of short and long form in `entities`, and the chunk.
    pub(super) aliases: Vec<(u32, u32, i64)>,
}

impl Slice {
    fn read(conn: &Connection, chunks: &[i64]) -> Result<Self> {
        let mut facts = conn.prepare_cached("SELECT facts FROM chunk WHERE key = ?1")?;
        let mut places: HashMap<EntityId, u32> = HashMap::new();
        let mut slice = Self::default();
        let mut local = Vec::new();
        for chunk in chunks {
            let mut rows = facts.query([chunk])?;
            let Some(row) = rows.next()? else { return Err(rusqlite::Error::QueryReturnedNoRows.into()) };
            let view = FactsView::read(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
            slice.add(&view, *chunk, &mut places, &mut local);
        }
        Ok(slice)
    }

    fn add(&mut self, view: &FactsView<'_>, chunk: i64, places: &mut HashMap<EntityId, u32>, local: &mut Vec<u32>) {
        local.clear();
        for id in &view.entities {
            let place = *places.entry(*id).or_insert_with(|| {
                self.entities.push(EntitySlice { id: Some(*id), ..EntitySlice::default() });
                (self.entities.len() - 1) as u32
            });
            self.entities[place as usize].chunks.push((chunk, 0));
            local.push(place);
        }
        for mention in &view.mentions {
            let entity = &mut self.entities[local[mention.entity] as usize];
            if entity.spelling.is_empty() {
                entity.spelling = mention.spelling.into();
            }
            let (m, count) = (mention, mention.count());
            if let Some((_, mentions)) = entity.chunks.last_mut() {
                *mentions += count;
            }
            let text = entity.fold.add_mention(m.spelling, m.entity_type, m.description, count);
            entity.texts.extend(text.map(|text| TextPlace::new(text, chunk)));
        }
        for s in &view.statements {
            let (source, target) = view.ends(s);
            let relation = self.relations.entry((local[source], local[target])).or_default();
            let text = relation.fold.add_statement(s.relation_type, s.description, s.strength_millionths);
            relation.texts.extend(text.map(|text| TextPlace::new(text, chunk)));
        }
        self.aliases.extend(view.aliases().map(|(short, long)| (local[short], local[long], chunk)));
    }

    /// Alias evidence by rows, sorted.
    fn aliases_by_key(&self) -> Vec<[i64; 3]> {
        let key = |i: u32| self.entities[i as usize].key;
        let mut rows: Vec<[i64; 3]> = self.aliases.iter().map(|(s, l, chunk)| [key(*s), key(*l), *chunk]).collect();
        rows.sort_unstable();
        rows
    }

    /// Entities in the order of their ids, in which their index is walked.
    fn by_id(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.entities.len() as u32).collect();
        order.sort_unstable_by_key(|i| self.entities[*i as usize].id);
        order
    }

    /// Relations in the order of their rows.
    fn relations_by_key(&mut self) -> Vec<(i64, i64, RelationSlice)> {
        let key = |i: u32| self.entities[i as usize].key;
        let mut relations: Vec<(i64, i64, RelationSlice)> =
            self.relations.drain().map(|((s, t), relation)| (key(s), key(t), relation)).collect();
        relations.sort_unstable_by_key(|(source, target, _)| (*source, *target));
        relations
    }
}

/// Folds chunks that are placed newly. `had_chunks`: the document had others before, which may say the same.
pub(super) fn add_chunks(
    conn: &Connection,
    document: &DocumentRow,
    chunks: &[i64],
    had_chunks: bool,
    change: &mut FoldChange,
) -> Result<()> {
    for (at, part) in chunks.chunks(SLICE_CHUNKS).enumerate() {
        let mut slice = Slice::read(conn, part)?;
        // Without earlier chunks and slices no entity can be in the document yet.
        let may_be_known = had_chunks || at > 0;
        for i in slice.by_id() {
            entity_rows::add(conn, document, &mut slice.entities[i as usize], may_be_known, change)?;
        }
        for (source, target, relation) in &slice.relations_by_key() {
            let is_new = relation_rows::link(conn, document.key, *source, *target, relation.fold.support)?;
            change.document_relations += i64::from(is_new);
            relation_rows::add(conn, *source, *target, relation, change)?;
        }
        aliases::link(conn, &slice.aliases_by_key())?;
        // Last: it puts the entities into another order.
        link_entities(conn, document.key, &mut slice)?;
    }
    Ok(())
}

/// Takes chunks out of the folds. `keeps_chunks`: others of the document stay, which may say the same.
pub(super) fn remove_chunks(
    conn: &Connection,
    document: &DocumentRow,
    chunks: &[i64],
    keeps_chunks: bool,
    change: &mut FoldChange,
) -> Result<()> {
    for part in chunks.chunks(SLICE_CHUNKS) {
        let mut slice = Slice::read(conn, part)?;
        let may_stay = keeps_chunks || part.last() != chunks.last();
        for i in slice.by_id() {
            let entity = &mut slice.entities[i as usize];
            entity.key = entity_rows::key_of(conn, document.collection, entity.id)?;
        }
        unlink_entities(conn, document.key, &slice)?;
        aliases::unlink(conn, &slice.aliases_by_key())?;
        for i in slice.by_id() {
            entity_rows::subtract(conn, document, &slice.entities[i as usize], may_stay, change)?;
        }
        for (source, target, relation) in &slice.relations_by_key() {
            let is_gone = relation_rows::unlink(conn, document.key, *source, *target, relation.fold.support)?;
            change.document_relations -= i64::from(is_gone);
            relation_rows::subtract(conn, *source, *target, relation, change)?;
        }
    }
    Ok(())
}

/// Writes `CONTAINS_ENTITY` in the order of its key.
fn link_entities(conn: &Connection, document: i64, slice: &mut Slice) -> Result<()> {
    slice.entities.sort_unstable_by_key(|entity| entity.key);
    let mut link =
        conn.prepare_cached("INSERT INTO contains (document, entity, chunk, mentions) VALUES (?1, ?2, ?3, ?4)")?;
    for entity in &slice.entities {
        for (chunk, mentions) in &entity.chunks {
            link.execute(params![document, entity.key, chunk, mentions.cast_signed()])?;
        }
    }
    Ok(())
}

fn unlink_entities(conn: &Connection, document: i64, slice: &Slice) -> Result<()> {
    let mut unlink = conn.prepare_cached("DELETE FROM contains WHERE document = ?1 AND entity = ?2 AND chunk = ?3")?;
    for entity in &slice.entities {
        for (chunk, _) in &entity.chunks {
            unlink.execute(params![document, entity.key, chunk])?;
        }
    }
    Ok(())
}
