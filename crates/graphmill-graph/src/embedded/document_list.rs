//! Pages of documents: filters, orders, totals.

use graphmill_core::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, ToSql};

use super::collections::collection_key;
use super::documents;
use crate::Result;
use crate::cursor::{Cursor, Rank};
use crate::listing::{DocumentPage, DocumentQuery, DocumentSort, Order, Page, PageStart, TOTAL_CAP};
use crate::records::DocumentRecord;

/// Conditions with their parameters. What is absent is not in the text, so that the index of what is there is used.
#[derive(Clone, Default)]
pub(super) struct Conditions {
    sql: Vec<String>,
    values: Vec<(&'static str, Value)>,
}

impl Conditions {
    pub(super) fn add(&mut self, sql: impl Into<String>) {
        self.sql.push(sql.into());
    }

    pub(super) fn with(&mut self, sql: impl Into<String>, name: &'static str, value: impl Into<Value>) {
        self.sql.push(sql.into());
        self.values.push((name, value.into()));
    }

    /// A parameter that stands elsewhere in the text.
    pub(super) fn value(&mut self, name: &'static str, value: impl Into<Value>) {
        self.values.push((name, value.into()));
    }

    /// A number that was given by this name.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.values.iter().find_map(|(of, value)| match value {
            Value::Integer(number) if *of == name => Some(*number),
            _ => None,
        })
    }

    pub(super) fn text(&self) -> String {
        self.sql.join(" AND ")
    }

    pub(super) fn values(&self) -> Vec<(&str, &dyn ToSql)> {
        self.values.iter().map(|(name, value)| (*name, value as &dyn ToSql)).collect()
    }
}

fn column(sort: DocumentSort) -> &'static str {
    match sort {
        DocumentSort::UpdatedAt => "d.updated_at",
        DocumentSort::CreatedAt => "d.created_at",
        DocumentSort::Filename => "d.folded",
        DocumentSort::FileSize => "d.file_size",
        DocumentSort::ChunkCount => "d.chunk_count",
    }
}

/// Name of the order, for cursors.
fn order_name(query: &DocumentQuery) -> String {
    format!("documents {} {}", query.sort.as_str(), query.order.as_str())
}

fn filters(query: &DocumentQuery, collection: Option<i64>) -> Conditions {
    let mut conditions = Conditions::default();
    conditions.add("d.updated_at IS NOT NULL AND c.removing IS NULL");
    if let Some(key) = collection {
        conditions.with("d.collection = :collection", ":collection", key);
    }
    if let Some(q) = &query.q {
        conditions.with("instr(d.folded, :q) > 0", ":q", crate::listing::lower(q));
    }
    if let Some(mime_type) = &query.mime_type {
        conditions.with("d.mime_type = :mime", ":mime", mime_type.clone());
    }
    if let Some(prefix) = &query.source_prefix {
        conditions.with("substr(d.source, 1, length(:prefix)) = :prefix", ":prefix", prefix.clone());
    }
    if let Some(after) = query.updated_after {
        conditions.with("d.updated_at >= :after", ":after", after.as_millis());
    }
    if let Some(before) = query.updated_before {
        conditions.with("d.updated_at < :before", ":before", before.as_millis());
    }
    conditions
}

/// A page of published documents.
pub(super) fn documents(
    conn: &Connection,
    query: &DocumentQuery,
    start: &PageStart,
    limit: u32,
) -> Result<DocumentPage> {
    let collection = match &query.collection {
        None => None,
        Some(name) => match collection_key(conn, name)? {
            Some(key) => Some(key),
            None => {
                if let PageStart::Cursor(cursor) = start {
                    Cursor::decode(cursor, &order_name(query))?;
                }
                return Ok(Page::default());
            }
        },
    };
    let (total, total_capped) = total(conn, query, collection)?;
    let mut items = rows(conn, query, collection, start, limit)?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next_cursor = items.last().filter(|_| more).map(|last| place(query.sort, last).encode(&order_name(query)));
    Ok(Page { items, total, total_capped, next_cursor })
}

fn place(sort: DocumentSort, document: &DocumentRecord) -> Cursor {
    let number = |n: u64| Rank::Number(i64::try_from(n).unwrap_or(i64::MAX));
    let time = |t: Timestamp| Rank::Number(t.as_millis());
    let rank = match sort {
        DocumentSort::UpdatedAt => time(document.updated_at),
        DocumentSort::CreatedAt => time(document.created_at),
        DocumentSort::Filename => {
            Rank::Text(crate::listing::folded(&document.properties.filename, &document.properties.source))
        }
        DocumentSort::FileSize => number(document.properties.file_size),
        DocumentSort::ChunkCount => number(document.chunk_count),
    };
    Cursor { rank, id: document.id.as_bytes().to_vec() }
}

impl From<Rank> for Value {
    fn from(rank: Rank) -> Self {
        match rank {
            Rank::Number(number) => Self::Integer(number),
            Rank::Text(text) => Self::Text(text),
        }
    }
}

/// One row more than asked, to see whether something follows.
fn rows(
    conn: &Connection,
    query: &DocumentQuery,
    collection: Option<i64>,
    start: &PageStart,
    limit: u32,
) -> Result<Vec<DocumentRecord>> {
    let (mut conditions, column) = (filters(query, collection), column(query.sort));
    // The one is the exact reverse of the other, so that one index does for both.
    let (by, before, after) = match query.order {
        Order::Desc => (format!("{column} DESC, d.id"), "<", ">"),
        Order::Asc => (format!("{column}, d.id DESC"), ">", "<"),
    };
    let mut offset = 0;
    match start {
        PageStart::Offset(rows) => offset = i64::try_from(*rows).unwrap_or(i64::MAX),
        PageStart::Cursor(cursor) => {
            let cursor = Cursor::decode(cursor, &order_name(query))?;
            conditions.with(
                format!("{column} {before}= :rank AND ({column} {before} :rank OR d.id {after} :id)"),
                ":rank",
                cursor.rank,
            );
            conditions.value(":id", cursor.id);
        }
    }
    conditions.value(":limit", i64::from(limit) + 1);
    conditions.value(":offset", offset);
    let sql = format!(
        "SELECT {} FROM document d CROSS JOIN collection c ON c.key = d.collection WHERE {} ORDER BY {by} \
         LIMIT :limit OFFSET :offset",
        documents::COLUMNS,
        conditions.text()
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(&conditions.values()[..])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(documents::record(row)?);
    }
    Ok(found)
}

/// How many match: by the counters when nothing is filtered, else counted up to the cap.
fn total(conn: &Connection, query: &DocumentQuery, collection: Option<i64>) -> Result<(u64, bool)> {
    let unfiltered = DocumentQuery {
        collection: query.collection.clone(),
        sort: query.sort,
        order: query.order,
        ..DocumentQuery::default()
    };
    if *query == unfiltered {
        let sql =
            "SELECT coalesce(sum(documents), 0) FROM collection WHERE removing IS NULL AND (?1 IS NULL OR key = ?1)";
        let total: i64 = conn.prepare_cached(sql)?.query_row([collection], |row| row.get(0))?;
        return Ok((total.cast_unsigned(), false));
    }
    let conditions = filters(query, collection);
    let sql = format!(
        "SELECT count(*) FROM (SELECT 1 FROM document d CROSS JOIN collection c ON c.key = d.collection WHERE {} LIMIT {})",
        conditions.text(),
        TOTAL_CAP + 1
    );
    let counted: i64 = conn.prepare_cached(&sql)?.query_row(&conditions.values()[..], |row| row.get(0))?;
    let counted = counted.cast_unsigned();
    Ok((counted.min(TOTAL_CAP), counted > TOTAL_CAP))
}
