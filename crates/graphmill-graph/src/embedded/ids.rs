//! Public ids in columns.

use graphmill_core::{ChunkId, ContentHash, DocumentId, EntityId};
use rusqlite::Row;

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
