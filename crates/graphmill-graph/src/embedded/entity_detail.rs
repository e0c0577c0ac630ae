//! An entity with the evidence for what is said of it: votes, aliases, communities, and the chunks that mention it.

use graphmill_core::{CollectionId, EntityId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::ids::{chunk_id, document_id};
use super::sql_error::DAMAGED_HINT;
use super::{aliases, communities, entity_rows};
use crate::cursor::{Cursor, Rank};
use crate::facts_column::FactsView;
use crate::folds::Votes;
use crate::listing::{ChunkPlace, EntityDetail, MentionRecord, Page, PageStart, Vote};
use crate::{Error, Result};

/// Name of the order of mentions, for cursors.
const ORDER: &str = "mentions of an entity";

/// Columns of [`place`]; the tables are joined by [`place_joins`].
pub(super) const PLACE_COLUMNS: &str = "pc.id, pd.id, pd.filename, pp.chunk_index, pp.page_start, pp.page_end";

/// Joins chunk, placement and document of the chunk that `chunk` names.
pub(super) fn place_joins(chunk: &str) -> String {
    format!(
        "CROSS JOIN placement pp ON pp.chunk = {chunk} CROSS JOIN chunk pc ON pc.key = pp.chunk \
         CROSS JOIN document pd ON pd.key = pp.document"
    )
}

/// Reads a place from columns from `at` on.
pub(super) fn place(row: &Row<'_>, at: usize) -> rusqlite::Result<ChunkPlace> {
    Ok(ChunkPlace {
        chunk: chunk_id(row, at)?,
        document: document_id(row, at + 1)?,
        filename: row.get(at + 2)?,
        chunk_index: row.get(at + 3)?,
        page_start: row.get(at + 4)?,
        page_end: row.get(at + 5)?,
    })
}

/// Key of an entity, and its collection with key.
pub(super) fn find(conn: &Connection, id: EntityId) -> Result<Option<(i64, i64, CollectionId)>> {
    // One step a collection: an id is unique over all of them, but its index begins with the collection.
    let sql = "SELECT e.key, c.key, c.name FROM collection c CROSS JOIN entity e INDEXED BY entity_id \
               ON e.collection = c.key AND e.id = ?1 WHERE c.removing IS NULL";
    let found = conn
        .prepare_cached(sql)?
        .query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?)));
    let Some((entity, collection, name)) = found.optional()? else { return Ok(None) };
    Ok(Some((entity, collection, collection_of(&name)?)))
}

/// A collection's name as it stands in its row.
pub(super) fn collection_of(name: &str) -> Result<CollectionId> {
    name.parse().map_err(|e| {
        Error::Unusable(format!("graph.db is damaged (a collection is called {name:?}: {e}); {DAMAGED_HINT}"))
    })
}

/// An entity of any collection.
pub(super) fn entity(conn: &Connection, id: EntityId, start: &PageStart, limit: u32) -> Result<Option<EntityDetail>> {
    let start = Start::read(start)?;
    let Some((key, collection_key, collection)) = find(conn, id)? else { return Ok(None) };
    let fold = entity_rows::fold_of(conn, key, id)?;
    let (aliases, alias_total) = aliases::of_entity(conn, key)?;
    let spelling_total = fold.spellings.iter().count() as u64;
    Ok(Some(EntityDetail {
        collection,
        entity: fold.record(id),
        type_votes: votes(&fold.types, usize::MAX),
        spelling_votes: votes(&fold.spellings, EntityDetail::SPELLINGS),
        spelling_total,
        relations_out: count(conn, "SELECT count(*) FROM relation WHERE source = ?1", key)?,
        relations_in: count(conn, "SELECT count(*) FROM relation WHERE target = ?1", key)?,
        aliases,
        alias_total,
        communities: communities::of_entity(conn, collection_key, key)?,
        mentions: mentions(conn, key, id, &start, limit)?,
    }))
}

fn count(conn: &Connection, sql: &str, key: i64) -> Result<u64> {
    Ok(conn.prepare_cached(sql)?.query_row([key], |row| row.get::<_, i64>(0))?.cast_unsigned())
}

fn votes(votes: &Votes, most: usize) -> Vec<Vote> {
    let mut sorted: Vec<Vote> = votes.iter().map(|(value, votes)| Vote { value: value.to_owned(), votes }).collect();
    sorted.sort_by(|a, b| b.votes.cmp(&a.votes).then_with(|| a.value.as_bytes().cmp(b.value.as_bytes())));
    sorted.truncate(most);
    sorted
}

/// Where a page of mentions begins: after a document and chunk (their keys).
struct Start {
    document: i64,
    chunk: i64,
    offset: i64,
}

impl Start {
    fn read(start: &PageStart) -> Result<Self> {
        match start {
            PageStart::Offset(rows) => {
                Ok(Self { document: -1, chunk: -1, offset: i64::try_from(*rows).unwrap_or(i64::MAX) })
            }
            PageStart::Cursor(text) => {
                let cursor = Cursor::decode(text, ORDER)?;
                match (cursor.rank, <[u8; 8]>::try_from(cursor.id)) {
                    (Rank::Number(document), Ok(chunk)) => {
                        Ok(Self { document, chunk: i64::from_be_bytes(chunk), offset: 0 })
                    }
                    _ => Err(Error::Invalid(format!("cursor {text:?} is none of ours; leave it out"))),
                }
            }
        }
    }
}

/// Chunks that mention the entity, by document (the one that was known first comes first), then in the order in which they were made.
fn mentions(conn: &Connection, key: i64, id: EntityId, start: &Start, limit: u32) -> Result<Page<MentionRecord>> {
    let total = count(conn, "SELECT count(*) FROM contains INDEXED BY contains_entity WHERE entity = ?1", key)?;
    let sql = format!(
        "SELECT x.document, x.chunk, pc.facts, pp.start_char, {PLACE_COLUMNS} FROM (SELECT document, chunk FROM contains \
         INDEXED BY contains_entity WHERE entity = ?1 AND (document, chunk) > (?2, ?3) ORDER BY document, chunk \
         LIMIT ?4 OFFSET ?5) x {} ORDER BY x.document, x.chunk",
        place_joins("x.chunk")
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![key, start.document, start.chunk, i64::from(limit) + 1, start.offset])?;
    let (mut items, mut last, mut more) = (Vec::new(), None, false);
    while let Some(row) = rows.next()? {
        if items.len() == limit as usize {
            more = true;
            break;
        }
        let (document, chunk): (i64, i64) = (row.get(0)?, row.get(1)?);
        last = Some(Cursor { rank: Rank::Number(document), id: chunk.to_be_bytes().to_vec() });
        let view = FactsView::read(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?;
        items.push(MentionRecord {
            said: view.mentions_of(&id)?,
            start_char: row.get::<_, i64>(3)?.cast_unsigned(),
            place: place(row, 4)?,
        });
    }
    let next_cursor = last.filter(|_| more).map(|last| last.encode(ORDER));
    Ok(Page { items, total, total_capped: false, next_cursor })
}
