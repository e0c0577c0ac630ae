//! Public ids in columns.

use std::collections::HashSet;

use graphmill_core::{ChunkId, ContentHash, DocumentId, EntityId};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::Result;
use crate::records::SearchFilter;

pub(super) fn chunk_id(row: &Row<'_>, at: usize) -> rusqlite::Result<ChunkId> {
    Ok(ChunkId::from_bytes(row.get(at)?))
}

pub(super) fn document_id(row: &Row<'_>, at: usize) -> rusqlite::Result<DocumentId> {
    Ok(DocumentId::from_bytes(row.get(at)?))
}

pub(super) fn entity_id(row: &Row<'_>, at: usize) -> rusqlite::Result<EntityId> {
    Ok(EntityId::from_bytes(row.get(at)?))
}

pub(super) fn content_hash(row: &Row<'_>, at: usize) -> rusqlite::Result<ContentHash> {
    Ok(ContentHash::from_bytes(row.get(at)?))
}

/// Keys of the documents that a filter names (empty = all); `None` when it names some and none of them exists.
pub(super) fn document_keys(conn: &Connection, filter: &SearchFilter) -> Result<Option<HashSet<i64>>> {
    let mut keys = HashSet::new();
    let mut find = conn.prepare_cached("SELECT key FROM document WHERE id = ?1")?;
    for document in &filter.documents {
        keys.extend(find.query_row([document.as_bytes()], |row| row.get::<_, i64>(0)).optional()?);
    }
    Ok((filter.documents.is_empty() || !keys.is_empty()).then_some(keys))
}
