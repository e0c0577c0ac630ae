//! Pages of entities. Few that match are all read and sorted; many are found by walking the order itself, since then the page is near. So neither a
//! rare nor a common part of a name reads much of a large collection.

use graphmill_core::EntityId;
use rusqlite::{Connection, params};

use super::document_list::Conditions;
use super::entity_order::{Listed, Ordering};
use super::entity_rows;
use super::names::{self, NameFilter};
use crate::Result;
use crate::cursor::Cursor;
use crate::listing::{EntityQuery, Page, PageStart, TOTAL_CAP};
use crate::records::EntityRecord;

/// A page of the entities of a collection.
pub(super) fn entities(
    conn: &Connection,
    collection: i64,
    query: &EntityQuery,
    start: &PageStart,
    limit: u32,
) -> Result<Page<EntityRecord>> {
    let order = Ordering::of(query);
    let after = order.cursor(start)?;
    let names = query.q.as_deref().map(|q| NameFilter::new(q, query.name_match));
    let names = match names {
        Some(None) => return Ok(Page::default()),
        other => other.flatten(),
    };
    let filter = Filter { collection, names, entity_type: query.entity_type.clone() };
    if filter.names.is_none() && filter.entity_type.is_none() {
        let sql = "SELECT entities FROM collection WHERE key = ?1";
        let total: i64 = conn.prepare_cached(sql)?.query_row([collection], |row| row.get(0))?;
        let listed = order.walk(conn, &filter.conditions(), "", start, after, limit)?;
        return page(conn, listed, order, limit, (total.cast_unsigned(), false));
    }
    match few(conn, &filter, order)? {
        Some(found) => page_of_few(conn, found, order, start, after, limit),
        None => {
            let listed = order.walk(conn, &filter.conditions(), "", start, after, limit)?;
            page(conn, listed, order, limit, (TOTAL_CAP, true))
        }
    }
}

struct Filter {
    collection: i64,
    names: Option<NameFilter>,
    entity_type: Option<String>,
}

impl Filter {
    fn conditions(&self) -> Conditions {
        let mut conditions = Conditions::default();
        conditions.with("e.collection = :collection", ":collection", self.collection);
        if let Some(names) = &self.names {
            conditions.add(names.condition());
            for (name, form) in [":f0", ":f1"].into_iter().zip(names.forms()) {
                conditions.value(name, form.clone());
            }
        }
        if let Some(entity_type) = &self.entity_type {
            conditions.with("e.type = :type", ":type", entity_type.clone());
        }
        conditions
    }

    /// Whether a type has more entities than the cap, by its index alone.
    fn are_many(&self, conn: &Connection) -> Result<bool> {
        let sql = "SELECT count(*) FROM (SELECT 1 FROM entity INDEXED BY entity_of_type WHERE collection = ?1 AND type = ?2 LIMIT ?3)";
        let bound = params![self.collection, self.entity_type, TOTAL_CAP.cast_signed() + 1];
        let count: i64 = conn.prepare_cached(sql)?.query_row(bound, |row| row.get(0))?;
        Ok(count.cast_unsigned() > TOTAL_CAP)
    }

    /// Where the few are found, with what else the query then needs: places that together have each of them once.
    fn sources(&self, conn: &Connection) -> Result<Vec<(&'static str, Conditions)>> {
        let conditions = self.conditions();
        let Some(names) = &self.names else { return Ok(vec![("entity e INDEXED BY entity_of_type", conditions)]) };
        let Some(expression) = names.match_expression() else {
            return Ok(vec![("entity e INDEXED BY entity_named", conditions)]);
        };
        let (mut indexed, mut newer) = (conditions, self.conditions());
        indexed.with("w.entity_words MATCH :match", ":match", expression);
        newer.with("e.key > :words_to", ":words_to", names::words_to(conn)?);
        Ok(vec![("entity_words w CROSS JOIN entity e ON e.key = w.rowid", indexed), ("entity e NOT INDEXED", newer)])
    }
}

/// All that match, when there are no more than the cap.
fn few(conn: &Connection, filter: &Filter, order: Ordering) -> Result<Option<Vec<Listed>>> {
    if filter.names.is_none() && filter.are_many(conn)? {
        return Ok(None);
    }
    let mut found: Vec<Listed> = Vec::new();
    for (source, conditions) in filter.sources(conn)? {
        let sql = format!(
            "SELECT e.key, e.id, {} FROM {source} WHERE {} LIMIT {}",
            order.column(),
            conditions.text(),
            TOTAL_CAP + 1
        );
        let mut statement = conn.prepare_cached(&sql)?;
        for row in statement.query_map(&conditions.values()[..], Listed::read)? {
            found.push(row?);
        }
        if found.len() as u64 > TOTAL_CAP {
            return Ok(None);
        }
    }
    Ok(Some(found))
}

/// A page of rows that are all known.
pub(super) fn page_of_few(
    conn: &Connection,
    mut found: Vec<Listed>,
    order: Ordering,
    start: &PageStart,
    after: Option<Cursor>,
    limit: u32,
) -> Result<Page<EntityRecord>> {
    found.sort_unstable_by(|a, b| order.compare(a, b));
    let total = found.len() as u64;
    let skip = match (after, start) {
        (Some(cursor), _) => {
            let id = <[u8; 16]>::try_from(cursor.id).unwrap_or([0; 16]);
            let last = Listed { key: 0, id: EntityId::from_bytes(id), rank: cursor.rank };
            found.partition_point(|row| order.compare(row, &last).is_le())
        }
        (None, PageStart::Offset(offset)) => usize::try_from(*offset).unwrap_or(usize::MAX).min(found.len()),
        (None, PageStart::Cursor(_)) => 0,
    };
    found.drain(..skip);
    found.truncate(limit as usize + 1);
    page(conn, found, order, limit, (total, false))
}

/// Reads the rows of a page whole; `listed` has one more when something follows.
pub(super) fn page(
    conn: &Connection,
    mut listed: Vec<Listed>,
    order: Ordering,
    limit: u32,
    (total, total_capped): (u64, bool),
) -> Result<Page<EntityRecord>> {
    let more = listed.len() > limit as usize;
    listed.truncate(limit as usize);
    let items = listed.iter().map(|row| entity_rows::record_of(conn, row.key, row.id)).collect::<Result<_>>()?;
    let next_cursor = listed.pop().filter(|_| more).map(|last| {
        let cursor = Cursor { rank: last.rank, id: last.id.as_bytes().to_vec() };
        cursor.encode(order.name())
    });
    Ok(Page { items, total, total_capped, next_cursor })
}
