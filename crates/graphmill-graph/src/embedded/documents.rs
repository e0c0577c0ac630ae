//! Reading documents and their chunks.

use graphmill_core::{CollectionId, DocumentId, Seq, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::ids::{chunk_id, content_hash, document_id};
use super::placements::decode_headings;
use super::sql_error::DAMAGED_HINT;
use super::staging::{EMBEDDING_QUARANTINED, FACTS_QUARANTINED};
use crate::records::{ChunkRecord, DocumentProperties, DocumentRecord, Placement, PublishedSeq};
use crate::{Error, Result};

/// Columns of a document; `d` is the document, `c` its collection.
pub(super) const COLUMNS: &str = "d.id, c.name, d.seq, d.source, d.filename, d.content_hash, d.settings_hash, d.settings, \
    d.file_size, d.page_count, d.mime_type, d.title, d.language, d.original, d.page_text, d.quarantined_chunks, \
    d.chunk_count, d.created_at, d.updated_at";

/// Reads a published document.
pub(super) fn document(conn: &Connection, document: DocumentId) -> Result<Option<DocumentRecord>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM document d JOIN collection c ON c.key = d.collection \
         WHERE d.id = ?1 AND d.deleted = 0 AND d.seq IS NOT NULL AND c.removing IS NULL"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([document.as_bytes()])?;
    rows.next()?.map(record).transpose()
}

/// Reads a document from [`COLUMNS`].
pub(super) fn record(row: &Row<'_>) -> Result<DocumentRecord> {
    let id = document_id(row, 0)?;
    let damaged = |what: &dyn std::fmt::Display| {
        Error::Unusable(format!("graph.db is damaged (the row of {id}: {what}); {DAMAGED_HINT}"))
    };
    let name: String = row.get(1)?;
    let settings: String = row.get(7)?;
    Ok(DocumentRecord {
        id,
        collection: name.parse::<CollectionId>().map_err(|e| damaged(&e))?,
        seq: Seq(row.get::<_, i64>(2)?.cast_unsigned()),
        properties: DocumentProperties {
            source: row.get(3)?,
            filename: row.get(4)?,
            content_hash: content_hash(row, 5)?,
            settings_hash: content_hash(row, 6)?,
            settings: serde_json::from_str(&settings).map_err(|e| damaged(&e))?,
            file_size: row.get::<_, i64>(8)?.cast_unsigned(),
            page_count: row.get(9)?,
            mime_type: row.get(10)?,
            title: row.get(11)?,
            language: row.get(12)?,
            original: row.get(13)?,
            page_text: row.get(14)?,
            quarantined_chunks: row.get(15)?,
        },
        chunk_count: row.get::<_, i64>(16)?.cast_unsigned(),
        created_at: Timestamp::from_millis(row.get(17)?),
        updated_at: Timestamp::from_millis(row.get(18)?),
    })
}

/// The ticket that stands for a document.
pub(super) fn published_seq(conn: &Connection, document: DocumentId) -> Result<Option<PublishedSeq>> {
    let sql = "SELECT coalesce(c.removing, d.seq), d.deleted > 0 OR c.removing IS NOT NULL FROM document d \
               CROSS JOIN collection c ON c.key = d.collection WHERE d.id = ?1 AND d.seq IS NOT NULL";
    let found = conn.prepare_cached(sql)?.query_row([document.as_bytes()], |row| {
        Ok(PublishedSeq { seq: Seq(row.get::<_, i64>(0)?.cast_unsigned()), deleted: row.get(1)? })
    });
    Ok(found.optional()?)
}

/// What [`chunk_record`] reads, of `placement p` and `chunk c`.
pub(super) const CHUNK_COLUMNS: &str = "p.chunk_index, p.start_char, p.end_char, p.page_start, p.page_end, \
    p.heading_path, c.id, c.text, c.token_count, c.flags, c.context";

/// Placed chunks of a document, in order.
pub(super) fn chunks(conn: &Connection, document: DocumentId, from: u32, limit: u32) -> Result<Vec<ChunkRecord>> {
    let sql = format!(
        "SELECT {CHUNK_COLUMNS} FROM document d CROSS JOIN collection o ON o.key = d.collection AND o.removing IS NULL \
         CROSS JOIN placement p ON p.document = d.key CROSS JOIN chunk c ON c.key = p.chunk WHERE d.id = ?1 AND p.chunk_index >= ?2 \
         ORDER BY p.chunk_index LIMIT ?3"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params![document.as_bytes(), from, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(chunk_record(row, document)?);
    }
    Ok(found)
}

/// A placed chunk from a row that begins with [`CHUNK_COLUMNS`].
pub(super) fn chunk_record(row: &Row<'_>, document: DocumentId) -> Result<ChunkRecord> {
    let headings: &[u8] = row.get_ref(5)?.as_blob().map_err(rusqlite::Error::from)?;
    let flags: i64 = row.get(9)?;
    Ok(ChunkRecord {
        document,
        chunk_index: row.get(0)?,
        placement: Placement {
            chunk: chunk_id(row, 6)?,
            start_char: row.get::<_, i64>(1)?.cast_unsigned(),
            end_char: row.get::<_, i64>(2)?.cast_unsigned(),
            page_start: row.get(3)?,
            page_end: row.get(4)?,
            heading_path: decode_headings(headings)?,
        },
        text: row.get(7)?,
        context: row.get(10)?,
        token_count: row.get(8)?,
        facts_quarantined: flags & FACTS_QUARANTINED != 0,
        embedding_quarantined: flags & EMBEDDING_QUARANTINED != 0,
    })
}

/// Those keys that no published document names.
pub(super) fn blobs_unnamed_among(conn: &Connection, keys: Vec<String>) -> Result<Vec<String>> {
    let sql =
        "SELECT 1 FROM document WHERE original = ?1 UNION ALL SELECT 1 FROM document WHERE page_text = ?1 LIMIT 1";
    let mut named = conn.prepare_cached(sql)?;
    let mut unnamed = Vec::new();
    for key in keys {
        if !named.exists([&key])? {
            unnamed.push(key);
        }
    }
    Ok(unnamed)
}
