//! Alias evidence of placed chunks: which entity is the short form of which, and where a text says so.

use graphmill_core::EntityId;
use rusqlite::{Connection, params};

use super::ids::entity_id;
use super::{entity_detail, entity_rows};
use crate::Result;
use crate::listing::{AliasRole, ChunkPlace, EntityAlias, EntityDetail};

/// Adds rows of (short, long, chunk).
pub(super) fn link(conn: &Connection, rows: &[[i64; 3]]) -> Result<()> {
    let mut add = conn.prepare_cached("INSERT OR IGNORE INTO alias (short, long, chunk) VALUES (?1, ?2, ?3)")?;
    for row in rows {
        add.execute(*row)?;
    }
    Ok(())
}

/// Takes rows out.
pub(super) fn unlink(conn: &Connection, rows: &[[i64; 3]]) -> Result<()> {
    let mut remove = conn.prepare_cached("DELETE FROM alias WHERE short = ?1 AND long = ?2 AND chunk = ?3")?;
    for row in rows {
        remove.execute(*row)?;
    }
    Ok(())
}

/// Another entity that a text defines as a name of this one.
struct Other {
    key: i64,
    id: EntityId,
    role: AliasRole,
    count: i64,
}

/// Aliases of an entity, most evidence first, then by id; and how many there are.
pub(super) fn of_entity(conn: &Connection, entity: i64) -> Result<(Vec<EntityAlias>, u64)> {
    let sql = "SELECT a.other, a.n, e.id, a.role FROM \
               (SELECT long AS other, count(*) AS n, 1 AS role FROM alias WHERE short = ?1 GROUP BY long \
                UNION ALL SELECT short, count(*), 0 FROM alias WHERE long = ?1 GROUP BY short) a \
               CROSS JOIN entity e ON e.key = a.other ORDER BY a.n DESC, e.id, a.role";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([entity])?;
    let (mut others, mut total) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        total += 1;
        if others.len() < EntityDetail::ALIASES {
            let role = if row.get::<_, i64>(3)? == 0 { AliasRole::ShortForm } else { AliasRole::LongForm };
            others.push(Other { key: row.get(0)?, count: row.get(1)?, id: entity_id(row, 2)?, role });
        }
    }
    let aliases = others.iter().map(|other| alias(conn, entity, other)).collect::<Result<_>>()?;
    Ok((aliases, total))
}

fn alias(conn: &Connection, entity: i64, other: &Other) -> Result<EntityAlias> {
    let (short, long) = match other.role {
        AliasRole::ShortForm => (other.key, entity),
        AliasRole::LongForm => (entity, other.key),
    };
    Ok(EntityAlias {
        entity: other.id,
        name: entity_rows::record_of(conn, other.key, other.id)?.name,
        role: other.role,
        evidence_count: other.count.cast_unsigned(),
        evidence: evidence(conn, short, long)?,
    })
}

fn evidence(conn: &Connection, short: i64, long: i64) -> Result<Vec<ChunkPlace>> {
    let sql = format!(
        "SELECT {} FROM alias a {} WHERE a.short = ?1 AND a.long = ?2 ORDER BY a.chunk LIMIT ?3",
        entity_detail::PLACE_COLUMNS,
        entity_detail::place_joins("a.chunk"),
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let found =
        statement.query_map(params![short, long, EntityDetail::EVIDENCE as i64], |row| entity_detail::place(row, 0))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}
