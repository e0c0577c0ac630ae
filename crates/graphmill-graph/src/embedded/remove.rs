//! Removal of documents, tombstones, and the sweeping of chunks that are not placed.

use std::time::Duration;

use graphmill_core::{CollectionId, DocumentId, Seq, Timestamp};
use rusqlite::{Connection, params};

use super::collection_removal::removing;
use super::collections::{CounterChange, document_row, ensure_document, raise_publish_number};
use super::ids::document_id;
use super::publish::{Ticket, compare, fold};
use super::sql_error::to_sql;
use super::{placements, vectors};
use crate::Result;
use crate::records::RemoveOutcome;

/// Chunks that one transaction of a sweep removes.
const SWEEP_CHUNKS: usize = 256;
/// Free pages are given back to the file system when there are so many and they are a quarter of the file.
const FREE_PAGES: i64 = 1_024;
/// Pages that one transaction gives back.
const GIVE_BACK_PAGES: i64 = 512;

/// Removes a document and leaves its tombstone.
pub(super) fn remove(
    conn: &Connection,
    collection: &CollectionId,
    document: DocumentId,
    seq: Seq,
    now: Timestamp,
) -> Result<RemoveOutcome> {
    if removing(conn, collection)?.is_some() {
        return Ok(RemoveOutcome::Removed { existed: false }); // it goes with its collection
    }
    let row = ensure_document(conn, collection, document)?;
    match compare(&row, seq) {
        Ticket::Overtaken { by, .. } if by > seq => return Ok(RemoveOutcome::Overtaken { by }),
        // This very deletion was carried out before.
        Ticket::Overtaken { .. } => return Ok(RemoveOutcome::Removed { existed: row.deleted == 2 }),
        // A ticket is one upload's or one deletion's, so that this one cannot be both; the deletion is what the caller was told.
        Ticket::Same | Ticket::Higher => {}
    }
    let existed = row.is_published();
    if existed {
        raise_publish_number(conn, row.collection)?;
        let swap = placements::unplace_all(conn, &row)?;
        let change = fold(conn, &row, &swap)?;
        let counters =
            CounterChange { documents: -1, entities: change.entities, relations: change.relations, ..swap.counters };
        counters.apply(conn, row.collection)?;
        for (space, change) in &swap.live_vectors {
            vectors::count_live(conn, *space, *change)?;
        }
    }
    conn.prepare_cached(
        "UPDATE document SET seq = ?2, deleted = ?3, deleted_at = ?4, source = NULL, filename = NULL, \
         content_hash = NULL, settings_hash = NULL, settings = NULL, file_size = NULL, page_count = NULL, \
         mime_type = NULL, title = NULL, language = NULL, original = NULL, page_text = NULL, quarantined_chunks = 0, \
         chunk_count = 0, entity_count = 0, relation_count = 0, publish_number = 0, created_at = NULL, \
         updated_at = NULL, folded = NULL WHERE key = ?1",
    )?
    .execute(params![row.key, to_sql(seq.0, "ticket")?, 1 + i64::from(existed), now.as_millis()])?;
    Ok(RemoveOutcome::Removed { existed })
}

/// Removes some unplaced chunks of a document; answers how many, fewer than a batch when none is left.
pub(super) fn sweep_batch(conn: &Connection, document: DocumentId) -> Result<(u64, bool)> {
    let Some(row) = document_row(conn, document)? else { return Ok((0, true)) };
    let mut is_removing = conn.prepare_cached("SELECT 1 FROM collection WHERE key = ?1 AND removing IS NOT NULL")?;
    if is_removing.exists([row.collection])? {
        return Ok((0, true)); // they go with their collection
    }
    let chunks: Vec<i64> = conn
        .prepare_cached("SELECT chunk FROM unplaced WHERE document = ?1 ORDER BY chunk LIMIT ?2")?
        .query_map(params![row.key, SWEEP_CHUNKS as i64], |r| r.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let spaces = vectors::spaces_of(conn, row.collection)?;
    for chunk in &chunks {
        for space in &spaces {
            vectors::remove(conn, space.id, *chunk)?;
        }
        conn.prepare_cached("DELETE FROM unplaced WHERE document = ?1 AND chunk = ?2")?.execute([row.key, *chunk])?;
        conn.prepare_cached("DELETE FROM chunk WHERE key = ?1")?.execute([chunk])?;
    }
    forget_similarities(conn, row.collection, &chunks)?;
    let done = chunks.len() < SWEEP_CHUNKS;
    if done && row.seq.is_none() {
        conn.prepare_cached("DELETE FROM document WHERE key = ?1")?.execute([row.key])?;
    }
    CounterChange { unplaced_chunks: -(chunks.len() as i64), ..CounterChange::default() }
        .apply(conn, row.collection)?;
    give_back_pages(conn)?;
    Ok((chunks.len() as u64, done))
}

/// Makes the file smaller after much was removed; a few free pages are kept for what comes next.
pub(super) fn give_back_pages(conn: &Connection) -> Result<()> {
    let count = |pragma: &str| conn.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let (free, pages) = (count("PRAGMA freelist_count")?, count("PRAGMA page_count")?);
    if free > FREE_PAGES && free > pages / 4 {
        let mut give_back = conn.prepare(&format!("PRAGMA incremental_vacuum({GIVE_BACK_PAGES})"))?;
        let mut rows = give_back.query([])?;
        while rows.next()?.is_some() {}
    }
    Ok(())
}

fn forget_similarities(conn: &Connection, collection: i64, chunks: &[i64]) -> Result<()> {
    let generations: Vec<i64> = conn
        .prepare_cached("SELECT DISTINCT generation FROM layer WHERE collection = ?1 AND generation > 0")?
        .query_map([collection], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let mut forget =
        conn.prepare_cached("DELETE FROM similarity WHERE collection = ?1 AND generation = ?2 AND chunk = ?3")?;
    for generation in generations {
        for chunk in chunks {
            forget.execute([collection, generation, *chunk])?;
        }
    }
    Ok(())
}

/// Documents that have unplaced chunks.
pub(super) fn unplaced_documents(conn: &Connection, limit: u32) -> Result<Vec<DocumentId>> {
    // One step of the index a document, however many chunks it has.
    let sql = "WITH RECURSIVE one(document) AS (SELECT min(document) FROM unplaced UNION ALL \
               SELECT (SELECT min(u.document) FROM unplaced u WHERE u.document > one.document) FROM one \
               WHERE one.document IS NOT NULL) \
               SELECT d.id FROM one CROSS JOIN document d ON d.key = one.document LIMIT ?1";
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_map([limit], |row| document_id(row, 0))?.collect::<rusqlite::Result<_>>()?)
}

/// Tombstones of at least this age, the oldest first.
pub(super) fn old_tombstones(
    conn: &Connection,
    older_than: Duration,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<DocumentId>> {
    let age = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
    let before = now.as_millis().saturating_sub(age);
    let sql = "SELECT id FROM document WHERE deleted > 0 AND deleted_at <= ?1 ORDER BY deleted_at, key LIMIT ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let found = statement.query_map(params![before, limit], |row| document_id(row, 0))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

/// Forgets tombstones. A row that staged chunks hang on stays, without a ticket, until they are swept.
pub(super) fn forget_tombstones(conn: &Connection, documents: &[DocumentId]) -> Result<()> {
    for document in documents {
        conn.prepare_cached(
            "UPDATE document SET seq = NULL, deleted = 0, deleted_at = NULL WHERE id = ?1 AND deleted > 0",
        )?
        .execute([document.as_bytes()])?;
        conn.prepare_cached(
            "DELETE FROM document WHERE id = ?1 AND seq IS NULL \
             AND NOT EXISTS (SELECT 1 FROM unplaced u WHERE u.document = document.key)",
        )?
        .execute([document.as_bytes()])?;
    }
    Ok(())
}
