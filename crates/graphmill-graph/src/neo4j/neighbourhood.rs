//! Entities around others.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use graphmill_core::{CollectionId, EntityId};

use super::entity_rows::{COLUMNS, record};
use super::{Neo4jConnection, Params, Row, Transaction, ids, lock};
use crate::Result;
use crate::records::{Neighbourhood, RelationRecord};

/// See [`crate::GraphStore::expand`].
pub(super) async fn expand(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    ids: &[EntityId],
    hops: u32,
    limit: u32,
) -> Result<Neighbourhood> {
    let wanted: BTreeSet<EntityId> = ids.iter().copied().collect();
    let read = || async {
        let (collection, wanted) = (collection.clone(), wanted.clone());
        neo4j.read_many(move |tx| read(tx, &collection, &wanted, hops, limit as usize)).await
    };
    lock::of_one_moment(neo4j, collection, read).await
}

fn listed<'a>(ids: impl IntoIterator<Item = &'a EntityId>) -> Params {
    Params::new().set("ids", ids.into_iter().map(ToString::to_string).collect::<Vec<_>>())
}

fn read(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    wanted: &BTreeSet<EntityId>,
    hops: u32,
    limit: usize,
) -> Result<Neighbourhood> {
    let query = "MATCH (o:GmCollection {name: $collection}) WHERE o.removing IS NULL \
                 UNWIND $ids AS id MATCH (e:GmEntity {id: id}) WHERE e.collection = $collection RETURN e.id AS id";
    let mut frontier: Vec<EntityId> = Vec::new();
    tx.each_row(query, listed(wanted).set("collection", collection.as_str()), |mut row| {
        frontier.push(ids::take(&mut row, "id")?);
        Ok(())
    })?;
    frontier.sort_unstable();
    let (mut seen, mut truncated) = (BTreeSet::new(), false);
    for hop in 0..=hops {
        for id in &frontier {
            if seen.len() < limit {
                seen.insert(*id);
            } else {
                truncated = true;
            }
        }
        if hop == hops || truncated || frontier.is_empty() {
            break;
        }
        frontier = next_hop(tx, &frontier, &seen)?;
    }
    let query = format!("UNWIND $ids AS id MATCH (e:GmEntity {{id: id}}) RETURN {COLUMNS}");
    let rows = tx.rows(&query, listed(&seen))?.into_iter().map(|mut row| record(&mut row));
    let mut entities = rows.collect::<Result<Vec<_>>>()?;
    entities.sort_unstable_by_key(|entity| entity.id);
    Ok(Neighbourhood { entities, relations: relations_among(tx, &seen)?, truncated })
}

/// Entities one relation further, those that the strongest relations lead to first, then by id.
fn next_hop(tx: &mut Transaction<'_, '_>, frontier: &[EntityId], seen: &BTreeSet<EntityId>) -> Result<Vec<EntityId>> {
    let query = "UNWIND $ids AS id MATCH (:GmEntity {id: id})-[r:RELATED_TO]-(o:GmEntity) \
                 RETURN o.id AS id, sum(r.strength_millionths) AS strength";
    let mut next: Vec<(Reverse<i64>, EntityId)> = Vec::new();
    tx.each_row(query, listed(frontier), |mut row| {
        let id: EntityId = ids::take(&mut row, "id")?;
        if !seen.contains(&id) {
            next.push((Reverse(row.take("strength")?), id));
        }
        Ok(())
    })?;
    next.sort_unstable();
    Ok(next.into_iter().map(|(_, id)| id).collect())
}

fn relations_among(tx: &mut Transaction<'_, '_>, entities: &BTreeSet<EntityId>) -> Result<Vec<RelationRecord>> {
    let query = "UNWIND $ids AS id MATCH (s:GmEntity {id: id})-[r:RELATED_TO]->(t:GmEntity) WHERE t.id IN $ids \
                 RETURN s.id AS source, t.id AS target, r.type AS type, r.description AS description, \
                 r.strength AS strength, r.support AS support";
    let relation = |mut row: Row| {
        Ok(RelationRecord {
            source: ids::take(&mut row, "source")?,
            target: ids::take(&mut row, "target")?,
            relation_type: row.take("type")?,
            description: row.take("description")?,
            strength: row.take("strength")?,
            support: row.take("support")?,
        })
    };
    let mut relations: Vec<RelationRecord> =
        tx.rows(query, listed(entities))?.into_iter().map(relation).collect::<Result<_>>()?;
    relations.sort_unstable_by_key(|r| (r.source, r.target));
    Ok(relations)
}
