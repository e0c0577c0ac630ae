//! Collections, the job store that the graph belongs to, and small reads that all other files need.

use graphmill_core::{CollectionId, DocumentId, EntityName, Seq};
use rusqlite::{Connection, OptionalExtension, params};

use super::collection_removal::refuse_removing;
use crate::{Error, Result};

/// Key of a collection, if there is one of that name that is not being removed.
pub(super) fn collection_key(conn: &Connection, collection: &CollectionId) -> Result<Option<i64>> {
    let mut found = conn.prepare_cached("SELECT key FROM collection WHERE name = ?1 AND removing IS NULL")?;
    Ok(found.query_row([collection.as_str()], |row| row.get(0)).optional()?)
}

/// Key of a collection, made if it is new.
pub(super) fn ensure_collection(conn: &Connection, collection: &CollectionId) -> Result<i64> {
    if let Some(key) = collection_key(conn, collection)? {
        return Ok(key);
    }
    refuse_removing(conn, collection)?;
    conn.prepare_cached("INSERT INTO collection (name, normaliser) VALUES (?1, ?2)")?
        .execute(params![collection.as_str(), EntityName::NORMALISER_VERSION])?;
    let key = conn.last_insert_rowid();
    Ok(key)
}

/// Names of all collections that are not being removed.
pub(super) fn names(conn: &Connection) -> Result<Vec<CollectionId>> {
    let mut statement = conn.prepare_cached("SELECT name FROM collection WHERE removing IS NULL ORDER BY name")?;
    let names = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
}

/// The collection's publish number.
pub(super) fn publish_number(conn: &Connection, collection: i64) -> Result<u64> {
    let sql = "SELECT publish_number FROM collection WHERE key = ?1";
    Ok(conn.prepare_cached(sql)?.query_row([collection], |row| row.get::<_, i64>(0))?.cast_unsigned())
}

/// Raises the collection's publish number and returns it.
pub(super) fn raise_publish_number(conn: &Connection, collection: i64) -> Result<u64> {
    let sql = "UPDATE collection SET publish_number = publish_number + 1 WHERE key = ?1 RETURNING publish_number";
    Ok(conn.prepare_cached(sql)?.query_row([collection], |row| row.get::<_, i64>(0))?.cast_unsigned())
}

/// Moves the counters of live data.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CounterChange {
    pub(super) documents: i64,
    pub(super) chunks: i64,
    pub(super) entities: i64,
    pub(super) relations: i64,
    pub(super) unplaced_chunks: i64,
    pub(super) quarantined_chunks: i64,
    pub(super) quarantined_embedding: i64,
}

impl CounterChange {
    pub(super) fn apply(&self, conn: &Connection, collection: i64) -> Result<()> {
        let sql = "UPDATE collection SET documents = documents + ?2, chunks = chunks + ?3, entities = entities + ?4, \
                   relations = relations + ?5, unplaced_chunks = unplaced_chunks + ?6, \
                   quarantined_chunks = quarantined_chunks + ?7, quarantined_embedding = quarantined_embedding + ?8 \
                   WHERE key = ?1";
        conn.prepare_cached(sql)?.execute(params![
            collection,
            self.documents,
            self.chunks,
            self.entities,
            self.relations,
            self.unplaced_chunks,
            self.quarantined_chunks,
            self.quarantined_embedding
        ])?;
        Ok(())
    }
}

/// A document's row, as far as writes look at it.
#[derive(Debug, Clone, Copy)]
pub(super) struct DocumentRow {
    pub(super) key: i64,
    pub(super) collection: i64,
    pub(super) seq: Option<Seq>,
    /// See schema.sql.
    pub(super) deleted: i64,
    pub(super) chunk_count: i64,
    pub(super) entity_count: i64,
    pub(super) relation_count: i64,
    pub(super) publish_number: u64,
    pub(super) created_at: Option<i64>,
}

impl DocumentRow {
    /// Whether readers see the document.
    pub(super) fn is_published(&self) -> bool {
        self.seq.is_some() && self.deleted == 0
    }
}

pub(super) fn document_row(conn: &Connection, document: DocumentId) -> Result<Option<DocumentRow>> {
    let sql = "SELECT key, collection, seq, deleted, chunk_count, entity_count, relation_count, publish_number, created_at \
               FROM document WHERE id = ?1";
    let row = conn.prepare_cached(sql)?.query_row([document.as_bytes()], |row| {
        Ok(DocumentRow {
            key: row.get(0)?,
            collection: row.get(1)?,
            seq: row.get::<_, Option<i64>>(2)?.map(|seq| Seq(seq.cast_unsigned())),
            deleted: row.get(3)?,
            chunk_count: row.get(4)?,
            entity_count: row.get(5)?,
            relation_count: row.get(6)?,
            publish_number: row.get::<_, i64>(7)?.cast_unsigned(),
            created_at: row.get(8)?,
        })
    });
    Ok(row.optional()?)
}

/// A document's row in this collection, made if it is new.
pub(super) fn ensure_document(
    conn: &Connection,
    collection: &CollectionId,
    document: DocumentId,
) -> Result<DocumentRow> {
    let key = ensure_collection(conn, collection)?;
    if let Some(row) = document_row(conn, document)? {
        return in_collection(row, key, collection, document);
    }
    conn.prepare_cached("INSERT INTO document (id, collection) VALUES (?1, ?2)")?
        .execute(params![document.as_bytes(), key])?;
    document_row(conn, document)?.ok_or_else(|| Error::Backend(format!("the row of {document} was not written")))
}

/// Refuses a document under the name of another collection than its own.
pub(super) fn in_collection(
    row: DocumentRow,
    key: i64,
    collection: &CollectionId,
    document: DocumentId,
) -> Result<DocumentRow> {
    if row.collection == key {
        Ok(row)
    } else {
        Err(Error::Invalid(format!("{document} is not a document of the collection {collection}")))
    }
}

/// Binds the graph to its job store.
pub(super) fn bind(conn: &Connection, job_store: [u8; 16]) -> Result<()> {
    let found: Option<Vec<u8>> = conn.query_row("SELECT job_store FROM meta", [], |row| row.get(0))?;
    match found {
        None => {
            conn.execute("UPDATE meta SET job_store = ?1", [job_store])?;
            Ok(())
        }
        Some(found) if found == job_store => Ok(()),
        Some(found) => Err(Error::WrongJobStore { found: hex(&found), ours: hex(&job_store) }),
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The highest ticket of any document or tombstone.
pub(super) fn highest_seq(conn: &Connection) -> Result<Seq> {
    let sql = "SELECT seq FROM document WHERE seq IS NOT NULL ORDER BY seq DESC LIMIT 1";
    let found: Option<i64> = conn.query_row(sql, [], |row| row.get(0)).optional()?;
    let removing: Option<i64> = conn.query_row("SELECT max(removing) FROM collection", [], |row| row.get(0))?;
    Ok(Seq(found.max(removing).unwrap_or(0).cast_unsigned()))
}
