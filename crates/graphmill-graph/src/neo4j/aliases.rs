//! Alias evidence of placed chunks: which entity is the short form of which, and where a text says so.

use graphmill_core::EntityId;

use super::entity_detail::{PLACE, place};
use super::{Params, Row, Transaction, ids};
use crate::Result;
use crate::listing::{AliasRole, EntityAlias, EntityDetail};

/// Aliases of an entity, most evidence first, then by id; and how many there are.
pub(super) fn of_entity(tx: &mut Transaction<'_, '_>, entity: EntityId) -> Result<(Vec<EntityAlias>, u64)> {
    let query = "MATCH (e:GmEntity {id: $id}) CALL { \
                 WITH e MATCH (e)-[a:GM_ALIAS]->(o:GmEntity) RETURN o, count(a) AS evidence, true AS long \
                 UNION ALL WITH e MATCH (e)<-[a:GM_ALIAS]-(o:GmEntity) RETURN o, count(a) AS evidence, false AS long } \
                 RETURN o.id AS id, o.name AS name, evidence, long ORDER BY evidence DESC, o.gm_order, long";
    let (mut aliases, mut total) = (Vec::new(), 0);
    tx.each_row(query, Params::new().set("id", entity.to_string()), |row| {
        total += 1;
        if aliases.len() < EntityDetail::ALIASES {
            aliases.push(alias(row)?);
        }
        Ok(())
    })?;
    add_evidence(tx, entity, &mut aliases)?;
    Ok((aliases, total))
}

fn alias(mut row: Row) -> Result<EntityAlias> {
    let role = if row.take("long")? { AliasRole::LongForm } else { AliasRole::ShortForm };
    Ok(EntityAlias {
        entity: ids::take(&mut row, "id")?,
        name: row.take("name")?,
        role,
        evidence_count: row.take("evidence")?,
        evidence: Vec::new(),
    })
}

/// The chunks that were made first.
fn add_evidence(tx: &mut Transaction<'_, '_>, entity: EntityId, aliases: &mut [EntityAlias]) -> Result<()> {
    let query = format!(
        "UNWIND $rows AS row CALL {{ WITH row MATCH (:GmEntity {{id: row.short}})-[a:GM_ALIAS]->(:GmEntity {{id: row.long}}) \
         MATCH (c:GmChunk {{id: a.chunk}})<-[h:HAS_CHUNK]-(d:GmDocument) RETURN c, h, d ORDER BY c.position LIMIT $limit }} \
         RETURN row.n AS n, {PLACE} ORDER BY n, c.position"
    );
    let row = |(n, alias): (usize, &EntityAlias)| {
        let (short, long) = match alias.role {
            AliasRole::ShortForm => (alias.entity, entity),
            AliasRole::LongForm => (entity, alias.entity),
        };
        Params::new().set("n", n).set("short", short.to_string()).set("long", long.to_string())
    };
    let rows: Vec<Params> = aliases.iter().enumerate().map(row).collect();
    tx.each_row(&query, Params::new().set("rows", rows).set("limit", EntityDetail::EVIDENCE), |mut row| {
        if let Some(alias) = aliases.get_mut(row.take::<usize>("n")?) {
            alias.evidence.push(place(&mut row)?);
        }
        Ok(())
    })
}
