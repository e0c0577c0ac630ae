//! Entities of a document, with how often it mentions each.

use graphmill_core::DocumentId;
use rusqlite::{Connection, params};

use super::collections::document_row;
use super::ids::entity_id;
use super::{documents, entity_rows};
use crate::Result;
use crate::cursor::{Cursor, Rank};
use crate::listing::{DocumentEntity, Page, PageStart};

/// Name of the order, for cursors.
const ORDER: &str = "entities of a document";

/// A page of them, the most mentioned first, then by id; `None` when the document is not published.
pub(super) fn document_entities(
    conn: &Connection,
    document: DocumentId,
    start: &PageStart,
    limit: u32,
) -> Result<Option<Page<DocumentEntity>>> {
    let (offset, after) = match start {
        PageStart::Offset(rows) => (i64::try_from(*rows).unwrap_or(i64::MAX), None),
        PageStart::Cursor(cursor) => (0, Some(Cursor::decode(cursor, ORDER)?)),
    };
    if documents::document(conn, document)?.is_none() {
        return Ok(None);
    }
    let Some(row) = document_row(conn, document)? else { return Ok(None) };
    let (rank, id) = match after {
        Some(Cursor { rank: Rank::Number(rank), id }) => (rank, id),
        _ => (i64::MAX, Vec::new()),
    };
    // The document's links are walked once, in the order of their key; of the sorted groups only the page is kept.
    let sql = "SELECT g.entity, e.id, g.mentions, g.chunks FROM (SELECT entity, sum(mentions) AS mentions, count(*) AS chunks \
               FROM contains WHERE document = ?1 GROUP BY entity) g CROSS JOIN entity e ON e.key = g.entity \
               WHERE g.mentions < ?2 OR (g.mentions = ?2 AND e.id > ?3) \
               ORDER BY g.mentions DESC, e.id LIMIT ?4 OFFSET ?5";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params![row.key, rank, id, i64::from(limit) + 1, offset])?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        let (key, id) = (row.get(0)?, entity_id(row, 1)?);
        items.push(DocumentEntity {
            entity: entity_rows::record_of(conn, key, id)?,
            mentions_here: row.get::<_, i64>(2)?.cast_unsigned(),
            chunks_here: row.get::<_, i64>(3)?.cast_unsigned(),
        });
    }
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let place = |last: &DocumentEntity| Cursor {
        rank: Rank::Number(last.mentions_here.cast_signed()),
        id: last.entity.id.as_bytes().to_vec(),
    };
    let next_cursor = items.last().filter(|_| more).map(|last| place(last).encode(ORDER));
    Ok(Some(Page { items, total: row.entity_count.cast_unsigned(), total_capped: false, next_cursor }))
}
