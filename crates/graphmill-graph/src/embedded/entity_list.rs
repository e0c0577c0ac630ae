//! Pages of entities. Few that match are all read and sorted; many are found by walking the order itself, since then the page is near. So neither a
//! rare nor a common part of a name reads much of a large collection.

use graphmill_core::EntityId;
use rusqlite::types::Value;
use rusqlite::{Connection, Row};

use super::document_list::Conditions;
use super::entity_rows;
use super::ids::entity_id;
use super::names::NameFilter;
use crate::Result;
use crate::cursor::{Cursor, Rank};
use crate::listing::{EntityQuery, EntitySort, Page, PageStart, TOTAL_CAP};
use crate::records::EntityRecord;

/// A row of the list before it is read whole.
pub(super) struct Listed {
    key: i64,
    id: EntityId,
    rank: Rank,
}

/// An order and the index that has it.
#[derive(Clone, Copy)]
pub(super) struct Ordering {
    column: &'static str,
    index: &'static str,
    falling: bool,
    /// Name, for cursors.
    name: &'static str,
}

impl Ordering {
    pub(super) const IMPORTANCE: Self =
        Self { column: "e.weight", index: "entity_weighed", falling: true, name: "entities importance" };

    fn of(query: &EntityQuery) -> Self {
        match query.sort {
            EntitySort::Importance if query.entity_type.is_some() => {
                Self { index: "entity_of_type", ..Self::IMPORTANCE }
            }
            EntitySort::Importance => Self::IMPORTANCE,
            EntitySort::MentionCount => {
                Self { column: "e.mentions", index: "entity_mentioned", falling: true, name: "entities mention_count" }
            }
            EntitySort::Name => {
                Self { column: "e.normalised", index: "entity_named", falling: false, name: "entities name" }
            }
        }
    }

    fn listed(self, row: &Row<'_>) -> rusqlite::Result<Listed> {
        let rank = match row.get(2)? {
            Value::Text(text) => Rank::Text(text),
            Value::Integer(number) => Rank::Number(number),
            _ => Rank::Number(0),
        };
        Ok(Listed { key: row.get(0)?, id: entity_id(row, 1)?, rank })
    }

    fn compare(self, a: &Listed, b: &Listed) -> std::cmp::Ordering {
        let by_rank = match (&a.rank, &b.rank) {
            (Rank::Number(a), Rank::Number(b)) => a.cmp(b),
            (Rank::Text(a), Rank::Text(b)) => a.cmp(b),
            (Rank::Number(_), Rank::Text(_)) => std::cmp::Ordering::Less,
            (Rank::Text(_), Rank::Number(_)) => std::cmp::Ordering::Greater,
        };
        let by_rank = if self.falling { by_rank.reverse() } else { by_rank };
        by_rank.then(a.id.cmp(&b.id))
    }

    pub(super) fn cursor(self, start: &PageStart) -> Result<Option<Cursor>> {
        match start {
            PageStart::Offset(_) => Ok(None),
            PageStart::Cursor(cursor) => Cursor::decode(cursor, self.name).map(Some),
        }
    }
}

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
        let listed = walk(conn, &filter, order, start, after, limit)?;
        return page(conn, listed, order, limit, (total.cast_unsigned(), false));
    }
    match few(conn, &filter, order)? {
        Some(found) => page_of_few(conn, found, order, start, after, limit),
        None => {
            let listed = walk(conn, &filter, order, start, after, limit)?;
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

    /// Where the few are found, and what else the query then needs.
    fn source(&self, conditions: &mut Conditions) -> &'static str {
        let Some(names) = &self.names else { return "entity e INDEXED BY entity_of_type" };
        match names.match_expression() {
            Some(expression) => {
                conditions.with("w.entity_words MATCH :match", ":match", expression);
                "entity_words w CROSS JOIN entity e ON e.key = w.rowid"
            }
            None => "entity e INDEXED BY entity_named",
        }
    }
}

/// All that match, when there are no more than the cap.
fn few(conn: &Connection, filter: &Filter, order: Ordering) -> Result<Option<Vec<Listed>>> {
    let mut conditions = filter.conditions();
    let source = filter.source(&mut conditions);
    let sql = format!(
        "SELECT e.key, e.id, {} FROM {source} WHERE {} LIMIT {}",
        order.column,
        conditions.text(),
        TOTAL_CAP + 1
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let found = statement.query_map(&conditions.values()[..], |row| order.listed(row))?;
    let found: Vec<Listed> = found.collect::<rusqlite::Result<_>>()?;
    Ok((found.len() as u64 <= TOTAL_CAP).then_some(found))
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

/// A page in the order of the index, and one row more.
fn walk(
    conn: &Connection,
    filter: &Filter,
    order: Ordering,
    start: &PageStart,
    after: Option<Cursor>,
    limit: u32,
) -> Result<Vec<Listed>> {
    order.walk(conn, filter.conditions(), "", start, after, limit)
}

impl Ordering {
    /// Rows that fulfil the conditions, in the order of the index: a page and one more. `join`: a further table that the conditions name.
    pub(super) fn walk(
        self,
        conn: &Connection,
        mut conditions: Conditions,
        join: &str,
        start: &PageStart,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Vec<Listed>> {
        let Self { column, index, falling, .. } = self;
        if let Some(cursor) = after {
            let (sign, rank) = (if falling { '<' } else { '>' }, cursor.rank);
            conditions.with(format!("{column} {sign}= :rank AND ({column} {sign} :rank OR e.id > :id)"), ":rank", rank);
            conditions.value(":id", cursor.id);
        }
        let offset = match start {
            PageStart::Offset(offset) => i64::try_from(*offset).unwrap_or(i64::MAX),
            PageStart::Cursor(_) => 0,
        };
        conditions.value(":limit", i64::from(limit) + 1);
        conditions.value(":offset", offset);
        // A name is one entity's, so that it needs no id to decide.
        let by = if falling { format!("{column} DESC, e.id") } else { column.to_owned() };
        let sql = format!(
            "SELECT e.key, e.id, {column} FROM entity e INDEXED BY {index} {join} WHERE {} ORDER BY {by} \
             LIMIT :limit OFFSET :offset",
            conditions.text()
        );
        let mut statement = conn.prepare_cached(&sql)?;
        let found = statement.query_map(&conditions.values()[..], |row| self.listed(row))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    /// The rows of `keys` that are there.
    pub(super) fn read(self, conn: &Connection, keys: &[i64]) -> Result<Vec<Listed>> {
        let mut one =
            conn.prepare_cached(&format!("SELECT e.key, e.id, {} FROM entity e WHERE e.key = ?1", self.column))?;
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            for row in one.query_map([key], |row| self.listed(row))? {
                found.push(row?);
            }
        }
        Ok(found)
    }
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
        cursor.encode(order.name)
    });
    Ok(Page { items, total, total_capped, next_cursor })
}
