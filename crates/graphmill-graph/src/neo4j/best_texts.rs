//! Descriptions of a fold, read anew from the facts that are left when one of the best went with its chunk.

use graphmill_core::EntityId;

use super::folding::{entity_properties, relation_key, relation_properties};
use super::{Params, Transaction};
use crate::Result;
use crate::facts_column::FactsView;
use crate::folds::{BEST_TEXTS, BestTexts, EntityFold, RelationFold};

/// Chunks whose facts are looked at in one step.
const STEP: usize = 50;

/// Reads an entity's best descriptions anew.
pub(super) fn mend_entity(tx: &mut Transaction<'_, '_>, id: EntityId) -> Result<()> {
    let find = "MATCH (e:GmEntity {id: $id}) RETURN e.mention_count AS mentions, e.document_count AS documents, e.fold AS fold";
    let Some(mut row) = tx.first(find, Params::new().set("id", id.to_string()))? else { return Ok(()) };
    let property: Vec<u8> = row.take("fold")?;
    let mut fold = EntityFold::decode(row.take("mentions")?, row.take("documents")?, &property)?;
    fold.texts = texts_of_entity(tx, id)?;
    let write = "MATCH (e:GmEntity {id: $id}) SET e += $properties";
    tx.run(write, Params::new().set("id", id.to_string()).set("properties", entity_properties(&fold)))
}

/// By falling rank, from the index over (entity, rank): no more of a hub's chunks are read than are needed.
fn texts_of_entity(tx: &mut Transaction<'_, '_>, id: EntityId) -> Result<BestTexts> {
    let query = "MATCH (c:GmChunk)-[r:CONTAINS_ENTITY]->() USING INDEX SEEK r:CONTAINS_ENTITY(gm_entity, gm_rank) \
                 WHERE r.gm_entity = $id AND r.gm_rank > 0 \
                 RETURN c.facts AS facts, r.gm_rank AS rank ORDER BY r.gm_entity DESC, r.gm_rank DESC SKIP $skip LIMIT $limit";
    let mut best = BestTexts::default();
    let mut skip = 0;
    loop {
        let params = Params::new().set("id", id.to_string()).set("skip", skip).set("limit", STEP);
        let rows = tx.rows(query, params)?;
        let count = rows.len();
        for mut row in rows {
            let rank: u64 = row.take("rank")?;
            // Below the third best nothing can enter.
            if best.iter().count() == BEST_TEXTS && best.iter().all(|known| known.rank > rank) {
                return Ok(best);
            }
            let facts: Vec<u8> = row.take("facts")?;
            let view = FactsView::read(&facts)?;
            for mention in view.mentions.iter().filter(|m| view.entities[m.entity] == id) {
                best.offer(mention.count(), mention.description);
            }
        }
        if count < STEP {
            return Ok(best);
        }
        skip += STEP;
    }
}

/// Reads a relation's best descriptions anew.
pub(super) fn mend_relation(tx: &mut Transaction<'_, '_>, ends: (EntityId, EntityId)) -> Result<()> {
    let find = "MATCH ()-[r:RELATED_TO {gm_key: $key}]->() \
                RETURN r.support AS support, r.strength_millionths AS strength, r.fold AS fold";
    let key = relation_key(ends);
    let Some(mut row) = tx.first(find, Params::new().set("key", &key))? else { return Ok(()) };
    let property: Vec<u8> = row.take("fold")?;
    let mut fold = RelationFold::decode(row.take("support")?, row.take("strength")?, &property)?;
    fold.texts = texts_of_relation(tx, ends)?;
    let write = "MATCH ()-[r:RELATED_TO {gm_key: $key}]->() SET r += $properties";
    tx.run(write, Params::new().set("key", &key).set("properties", relation_properties(&fold)))
}

/// From the chunks that mention both ends, found from the end that fewer mention.
fn texts_of_relation(tx: &mut Transaction<'_, '_>, (source, target): (EntityId, EntityId)) -> Result<BestTexts> {
    let degrees = "MATCH (s:GmEntity {id: $source}), (t:GmEntity {id: $target}) \
                   RETURN COUNT { (s)<-[:CONTAINS_ENTITY]-() } AS s, COUNT { (t)<-[:CONTAINS_ENTITY]-() } AS t";
    let ends = Params::new().set("source", source.to_string()).set("target", target.to_string());
    let mut row = tx.one(degrees, ends)?;
    let (of_source, of_target): (u64, u64) = (row.take("s")?, row.take("t")?);
    let (few, many) = if of_source <= of_target { (source, target) } else { (target, source) };
    let query = "MATCH (:GmEntity {id: $few})<-[:CONTAINS_ENTITY]-(c:GmChunk) \
                 WHERE $few = $many OR EXISTS { (c)-[:CONTAINS_ENTITY {gm_entity: $many}]->() } RETURN c.facts AS facts";
    let mut best = BestTexts::default();
    let params = Params::new().set("few", few.to_string()).set("many", many.to_string());
    tx.each_row(query, params, |mut row| {
        let facts: Vec<u8> = row.take("facts")?;
        let view = FactsView::read(&facts)?;
        for s in &view.statements {
            let (from, to) = view.ends(s);
            if (view.entities[from], view.entities[to]) == (source, target) {
                best.offer(s.strength_millionths, s.description);
            }
        }
        Ok(())
    })?;
    Ok(best)
}
