//! Folds, `CONTAINS_ENTITY`, `RELATED_TO` and alias evidence, changed by a document's difference. Everything is found by an index: what a document
//! costs does not grow with the hubs that it mentions.

use foldhash::{HashMap, HashMapExt};
use graphmill_core::{ChunkId, CollectionId, EntityId, EntityName};

use super::best_texts;
use super::difference::{Difference, EntityChange, RelationChange};
use super::placements::{ROWS, in_slices};
use super::{Params, Transaction, communities, ids};
use crate::folds::{EntityFold, RelationFold, STRENGTH_UNIT, importance};
use crate::{Error, Result};

/// By how much the collection's entities and relations change.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct FoldChange {
    pub(super) entities: i64,
    pub(super) relations: i64,
}

/// Applies a difference. `removed`: the chunks that go.
pub(super) fn apply(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    removed: &[ChunkId],
    difference: Difference,
) -> Result<FoldChange> {
    let mut change = FoldChange::default();
    unlink(tx, removed)?;
    let Difference { entities, relations, contains, aliases, .. } = difference;
    let mut entities: Vec<(EntityId, EntityChange)> = entities.into_iter().collect();
    entities.sort_unstable_by_key(|(id, _)| *id);
    let mut relations: Vec<((EntityId, EntityId), RelationChange)> = relations.into_iter().collect();
    relations.sort_unstable_by_key(|(ends, _)| *ends);
    let Written { gone, stale } = write_entities(tx, collection, &entities, &mut change)?;
    link(tx, contains)?;
    link_aliases(tx, collection, aliases)?;
    let stale_relations = write_relations(tx, collection, &relations, &mut change)?;
    // Descriptions are read anew when all that says them now is in place.
    for id in stale {
        best_texts::mend_entity(tx, id)?;
    }
    for ends in stale_relations {
        best_texts::mend_relation(tx, ends)?;
    }
    communities::forget_members(tx, &gone)?;
    let query = "UNWIND $rows AS row MATCH (e:GmEntity {id: row.id}) DETACH DELETE e";
    let rows = gone.into_iter().map(|id| Params::new().set("id", id.to_string())).collect();
    in_slices(tx, query, &Params::new(), rows)?;
    Ok(change)
}

/// Takes away what stands for the facts of chunks.
fn unlink(tx: &mut Transaction<'_, '_>, chunks: &[ChunkId]) -> Result<()> {
    let rows = || chunks.iter().map(|chunk| Params::new().set("chunk", chunk.to_string())).collect::<Vec<_>>();
    let query = "UNWIND $rows AS row MATCH (:GmChunk {id: row.chunk})-[r:CONTAINS_ENTITY]->(:GmEntity) DELETE r";
    in_slices(tx, query, &Params::new(), rows())?;
    let query = "UNWIND $rows AS row MATCH (:GmEntity)-[a:GM_ALIAS {chunk: row.chunk}]->(:GmEntity) DELETE a";
    in_slices(tx, query, &Params::new(), rows())
}

/// Entities that need something more.
#[derive(Default)]
struct Written {
    /// Nobody mentions them any more.
    gone: Vec<EntityId>,
    /// One of their best descriptions went.
    stale: Vec<EntityId>,
}

/// Writes what entities are now.
fn write_entities(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    entities: &[(EntityId, EntityChange)],
    change: &mut FoldChange,
) -> Result<Written> {
    let find = "UNWIND $ids AS id MATCH (e:GmEntity {id: id}) \
                RETURN e.id AS id, e.mention_count AS mentions, e.document_count AS documents, e.fold AS fold";
    let write = "UNWIND $rows AS row MERGE (e:GmEntity {id: row.id}) SET e:Entity, e += row.properties";
    let mut written = Written::default();
    for part in entities.chunks(ROWS) {
        let ids: Vec<String> = part.iter().map(|(id, _)| id.to_string()).collect();
        let mut known: HashMap<EntityId, EntityFold> = HashMap::with_capacity(part.len());
        tx.each_row(find, Params::new().set("ids", ids), |mut row| {
            let fold: Vec<u8> = row.take("fold")?;
            let fold = EntityFold::decode(row.take("mentions")?, row.take("documents")?, &fold)?;
            known.insert(ids::take(&mut row, "id")?, fold);
            Ok(())
        })?;
        let mut rows = Vec::with_capacity(part.len());
        for (id, entity) in part {
            let found = known.remove(id);
            let is_new = found.is_none();
            let mut fold = found.unwrap_or_default();
            fold.merge(&entity.added);
            let is_stale = fold.subtract(&entity.removed)?;
            if fold.mentions == 0 {
                change.entities -= i64::from(!is_new);
                written.gone.push(*id);
                continue;
            }
            written.stale.extend(is_stale.then_some(*id));
            let mut properties = entity_properties(&fold);
            if is_new {
                change.entities += 1;
                properties = properties
                    .set("collection", collection.as_str())
                    .set("gm_order", ids::order(id.as_bytes()))
                    .set("normalised", normalised(&entity.spelling)?);
            }
            rows.push(Params::new().set("id", id.to_string()).set("properties", properties));
        }
        in_slices(tx, write, &Params::new(), rows)?;
    }
    Ok(written)
}

fn normalised(spelling: &str) -> Result<String> {
    let name = EntityName::new(spelling);
    let name = name.map_err(|e| Error::Invalid(format!("{spelling:?} cannot name an entity: {e}")))?;
    Ok(name.as_str().to_owned())
}

/// What importance is made of: exact, so that lists sort by it.
pub(super) fn weight(fold: &EntityFold) -> i64 {
    i64::try_from(fold.mentions.saturating_mul(fold.documents)).unwrap_or(i64::MAX)
}

/// What follows from an entity's fold.
pub(super) fn entity_properties(fold: &EntityFold) -> Params {
    Params::new()
        .set("name", fold.name())
        .set("type", fold.entity_type())
        .set("description", fold.texts.joined())
        .set("importance", importance(fold.mentions, fold.documents))
        .set("mention_count", fold.mentions)
        .set("document_count", fold.documents)
        .set("gm_by_weight", -weight(fold))
        .set("gm_by_mentions", -fold.mentions.cast_signed())
        .set("fold", fold.encode())
}

/// What follows from a relation's fold.
pub(super) fn relation_properties(fold: &RelationFold) -> Params {
    Params::new()
        .set("type", fold.relation_type())
        .set("description", fold.texts.joined())
        .set("strength", fold.strength_millionths as f64 / STRENGTH_UNIT as f64)
        .set("strength_millionths", fold.strength_millionths)
        .set("support", fold.support)
        .set("fold", fold.encode())
}

/// Key of a relation in the index of relationships.
pub(super) fn relation_key((source, target): (EntityId, EntityId)) -> String {
    format!("{source}>{target}")
}

fn write_relations(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    relations: &[((EntityId, EntityId), RelationChange)],
    change: &mut FoldChange,
) -> Result<Vec<(EntityId, EntityId)>> {
    let find = "UNWIND $keys AS key MATCH ()-[r:RELATED_TO {gm_key: key}]->() \
                RETURN r.gm_key AS key, r.support AS support, r.strength_millionths AS strength, r.fold AS fold";
    let create = "UNWIND $rows AS row MATCH (s:GmEntity {id: row.source}), (t:GmEntity {id: row.target}) \
                  CREATE (s)-[r:RELATED_TO]->(t) SET r = row.properties";
    let update = "UNWIND $rows AS row MATCH ()-[r:RELATED_TO {gm_key: row.key}]->() SET r += row.properties";
    let delete = "UNWIND $rows AS row MATCH ()-[r:RELATED_TO {gm_key: row.key}]->() DELETE r";
    let mut stale = Vec::new();
    for part in relations.chunks(ROWS) {
        let keys: Vec<String> = part.iter().map(|(ends, _)| relation_key(*ends)).collect();
        let mut known: HashMap<String, RelationFold> = HashMap::with_capacity(part.len());
        tx.each_row(find, Params::new().set("keys", keys), |mut row| {
            let fold: Vec<u8> = row.take("fold")?;
            let fold = RelationFold::decode(row.take("support")?, row.take("strength")?, &fold)?;
            known.insert(row.take("key")?, fold);
            Ok(())
        })?;
        let (mut created, mut updated, mut deleted) = (Vec::new(), Vec::new(), Vec::new());
        for (ends, relation) in part {
            let key = relation_key(*ends);
            let found = known.remove(&key);
            let is_new = found.is_none();
            let mut fold = found.unwrap_or_default();
            fold.merge(&relation.added);
            let is_stale = fold.subtract(&relation.removed)?;
            let row = Params::new().set("key", &key);
            if fold.support == 0 {
                change.relations -= i64::from(!is_new);
                deleted.push(row);
                continue;
            }
            stale.extend(is_stale.then_some(*ends));
            if is_new {
                change.relations += 1;
                let properties = relation_properties(&fold).set("gm_key", &key).set("collection", collection.as_str());
                let row = row.set("source", ends.0.to_string()).set("target", ends.1.to_string());
                created.push(row.set("properties", properties));
            } else {
                updated.push(row.set("properties", relation_properties(&fold)));
            }
        }
        in_slices(tx, create, &Params::new(), created)?;
        in_slices(tx, update, &Params::new(), updated)?;
        in_slices(tx, delete, &Params::new(), deleted)?;
    }
    Ok(stale)
}

fn link(tx: &mut Transaction<'_, '_>, contains: Vec<super::difference::Contains>) -> Result<()> {
    let query = "UNWIND $rows AS row MATCH (c:GmChunk {id: row.chunk}), (e:GmEntity {id: row.properties.gm_entity}) \
                 CREATE (c)-[r:CONTAINS_ENTITY]->(e) SET r = row.properties, r.gm_position = c.position";
    let row = |c: super::difference::Contains| {
        let properties = Params::new()
            .set("type", c.entity_type)
            .set("description", (!c.description.is_empty()).then_some(c.description))
            .set("mention_count", c.mentions)
            .set("spans", c.spans)
            .set("gm_entity", c.entity.to_string())
            .set("gm_rank", (c.rank > 0).then_some(c.rank));
        Params::new().set("chunk", c.chunk.to_string()).set("properties", properties)
    };
    in_slices(tx, query, &Params::new(), contains.into_iter().map(row).collect())
}

fn link_aliases(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    aliases: Vec<(EntityId, EntityId, ChunkId)>,
) -> Result<()> {
    let query = "UNWIND $rows AS row MATCH (s:GmEntity {id: row.short}), (l:GmEntity {id: row.long}) \
                 CREATE (s)-[a:GM_ALIAS]->(l) SET a = row, a.collection = $collection";
    let row = |(short, long, chunk): (EntityId, EntityId, ChunkId)| {
        Params::new().set("short", short.to_string()).set("long", long.to_string()).set("chunk", chunk.to_string())
    };
    let params = Params::new().set("collection", collection.as_str());
    in_slices(tx, query, &params, aliases.into_iter().map(row).collect())
}
