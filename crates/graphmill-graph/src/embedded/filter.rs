//! What a search may answer with. A filter that leaves few chunks is turned into these chunks, so that none of them is missed and nothing else is
//! looked at; a wide one is asked chunk by chunk, best first.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};

use crate::Result;
use crate::records::SearchFilter;

/// Most chunks that a filter is turned into.
const FEW_CHUNKS: usize = 8_192;

/// A filter with the keys of this store.
#[derive(Debug, Default)]
pub(super) struct Admission {
    /// Published documents that pass; `None` = all.
    documents: Option<HashSet<i64>>,
    /// Entities of which a chunk must mention one; empty = all chunks.
    entities: Vec<i64>,
    /// All placed chunks that pass, when they are few.
    few: Option<HashSet<i64>>,
}

impl Admission {
    /// Looks the filter's ids up; `None` when nothing can pass.
    pub(super) fn resolve(conn: &Connection, collection: i64, filter: &SearchFilter) -> Result<Option<Self>> {
        let mut admission = Self { documents: documents(conn, collection, filter)?, ..Self::default() };
        let mut find = conn.prepare_cached("SELECT key FROM entity WHERE collection = ?1 AND id = ?2")?;
        for entity in &filter.entities {
            admission
                .entities
                .extend(find.query_row(params![collection, entity.as_bytes()], |row| row.get::<_, i64>(0)).optional()?);
        }
        let nobody = admission.documents.as_ref().is_some_and(HashSet::is_empty);
        if nobody || admission.entities.is_empty() != filter.entities.is_empty() {
            return Ok(None);
        }
        admission.few = admission.few_chunks(conn)?;
        Ok(Some(admission))
    }

    /// All placed chunks that pass, when they are few.
    pub(super) fn few(&self) -> Option<&HashSet<i64>> {
        self.few.as_ref()
    }

    /// Whether a placed chunk of this document passes.
    pub(super) fn admits(&self, conn: &Connection, document: i64, chunk: i64) -> Result<bool> {
        if let Some(few) = &self.few {
            return Ok(few.contains(&chunk));
        }
        if self.documents.as_ref().is_some_and(|only| !only.contains(&document)) {
            return Ok(false);
        }
        let mut mentions =
            conn.prepare_cached("SELECT 1 FROM contains WHERE document = ?1 AND entity = ?2 AND chunk = ?3")?;
        for entity in &self.entities {
            if mentions.exists([document, *entity, chunk])? {
                return Ok(true);
            }
        }
        Ok(self.entities.is_empty())
    }

    fn few_chunks(&self, conn: &Connection) -> Result<Option<HashSet<i64>>> {
        let mut few = HashSet::new();
        let mut take = |rows: &mut rusqlite::Rows<'_>| -> Result<bool> {
            while let Some(row) = rows.next()? {
                let document: i64 = row.get(0)?;
                if self.documents.as_ref().is_none_or(|only| only.contains(&document)) {
                    few.insert(row.get(1)?);
                }
                if few.len() > FEW_CHUNKS {
                    return Ok(false);
                }
            }
            Ok(true)
        };
        let mut mentioning = conn.prepare_cached("SELECT document, chunk FROM contains WHERE entity = ?1")?;
        for entity in &self.entities {
            if !take(&mut mentioning.query([entity])?)? {
                return Ok(None);
            }
        }
        if !self.entities.is_empty() {
            return Ok(Some(few));
        }
        let Some(documents) = &self.documents else { return Ok(None) };
        let mut placed = conn.prepare_cached("SELECT document, chunk FROM placement WHERE document = ?1")?;
        for document in documents {
            if !take(&mut placed.query([document])?)? {
                return Ok(None);
            }
        }
        Ok(Some(few))
    }
}

/// Keys of the collection's published documents that pass; `None` = the filter says nothing of documents.
fn documents(conn: &Connection, collection: i64, filter: &SearchFilter) -> Result<Option<HashSet<i64>>> {
    let dated = filter.updated_after.is_some() || filter.updated_before.is_some();
    if filter.documents.is_empty() && !dated {
        return Ok(None);
    }
    let from = filter.updated_after.map_or(i64::MIN, |time| time.as_millis());
    let until = filter.updated_before.map_or(i64::MAX, |time| time.as_millis());
    let mut keys = HashSet::new();
    if filter.documents.is_empty() {
        let sql = "SELECT key FROM document WHERE collection = ?1 AND updated_at IS NOT NULL AND updated_at >= ?2 AND updated_at < ?3";
        let mut statement = conn.prepare_cached(sql)?;
        let mut rows = statement.query([collection, from, until])?;
        while let Some(row) = rows.next()? {
            keys.insert(row.get(0)?);
        }
        return Ok(Some(keys));
    }
    let sql = "SELECT key FROM document WHERE id = ?1 AND collection = ?2 AND updated_at >= ?3 AND updated_at < ?4";
    let mut find = conn.prepare_cached(sql)?;
    for document in &filter.documents {
        let key = find
            .query_row(params![document.as_bytes(), collection, from, until], |row| row.get::<_, i64>(0))
            .optional()?;
        keys.extend(key);
    }
    Ok(Some(keys))
}
