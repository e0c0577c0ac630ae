//! Parts of a published document as they can be staged and published elsewhere.

use std::sync::Arc;

use graphmill_core::{DocumentId, Seq};
use rusqlite::{Connection, OptionalExtension, params};

use super::documents::{CHUNK_COLUMNS, chunk_record};
use super::ids::content_hash;
use super::sql_error::to_sql;
use super::vectors;
use crate::Result;
use crate::facts_column::FactsView;
use crate::records::{PlacedChunk, SpaceId, StagedChunk};

/// See [`crate::GraphStore::document_part`].
pub(super) fn document_part(
    conn: &Connection,
    document: DocumentId,
    seq: Seq,
    from: u32,
    limit: u32,
) -> Result<Option<Vec<PlacedChunk>>> {
    let sql = "SELECT d.key, d.collection FROM document d CROSS JOIN collection c ON c.key = d.collection \
               WHERE d.id = ?1 AND d.seq = ?2 AND d.deleted = 0 AND c.removing IS NULL";
    let found = conn.prepare_cached(sql)?.query_row(params![document.as_bytes(), to_sql(seq.0, "ticket")?], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
    });
    let Some((key, collection)) = found.optional()? else { return Ok(None) };
    let spaces: Vec<SpaceId> = vectors::spaces_of(conn, collection)?.into_iter().map(|space| space.id).collect();
    let sql = format!(
        "SELECT {CHUNK_COLUMNS}, c.content_hash, c.facts, c.key FROM placement p CROSS JOIN chunk c ON c.key = p.chunk \
         WHERE p.document = ?1 AND p.chunk_index >= ?2 ORDER BY p.chunk_index LIMIT ?3"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![key, from, limit])?;
    let mut part = Vec::new();
    while let Some(row) = rows.next()? {
        let record = chunk_record(row, document)?;
        let facts = FactsView::read(row.get_ref(12)?.as_blob().map_err(rusqlite::Error::from)?)?.to_facts()?;
        let chunk = StagedChunk {
            id: record.placement.chunk,
            text: record.text,
            context: record.context,
            content_hash: content_hash(row, 11)?,
            token_count: record.token_count,
            facts,
            vectors: vectors_of(conn, &spaces, row.get(13)?)?,
            embedding_quarantined: record.embedding_quarantined,
        };
        part.push(PlacedChunk { placement: record.placement, chunk });
    }
    Ok(Some(part))
}

fn vectors_of(conn: &Connection, spaces: &[SpaceId], chunk: i64) -> Result<Vec<(SpaceId, Arc<[f32]>)>> {
    let mut find = conn.prepare_cached("SELECT vector FROM vector WHERE key = ?1")?;
    let mut found = Vec::with_capacity(spaces.len());
    for space in spaces {
        let vector = find.query_row([vectors::vector_key(*space, chunk)], |row| {
            let (components, _) = row.get_ref(0)?.as_blob()?.as_chunks::<4>();
            Ok(components.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect::<Arc<[f32]>>())
        });
        found.extend(vector.optional()?.map(|vector| (*space, vector)));
    }
    Ok(found)
}
