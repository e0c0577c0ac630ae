//! Removing a collection: first a mark, by which readers see nothing of it and writers are refused, then its rows, some in each transaction.

use graphmill_core::{CollectionId, Seq};
use rusqlite::{Connection, OptionalExtension, params};

use super::remove::give_back_pages;
use super::sql_error::to_sql;
use super::vectors;
use crate::records::CollectionRemoval;
use crate::{Error, Result};

/// Rows that one transaction removes, about.
const ROWS: i64 = 2_000;

/// The ticket of the removal, if the collection is being removed.
pub(super) fn removing(conn: &Connection, collection: &CollectionId) -> Result<Option<Seq>> {
    let mut statement = conn.prepare_cached("SELECT removing FROM collection WHERE name = ?1")?;
    let found: Option<Option<i64>> = statement.query_row([collection.as_str()], |row| row.get(0)).optional()?;
    Ok(found.flatten().map(|seq| Seq(seq.cast_unsigned())))
}

/// Refuses what would write to a collection that is being removed.
pub(super) fn refuse_removing(conn: &Connection, collection: &CollectionId) -> Result<()> {
    match removing(conn, collection)? {
        Some(_) => Err(Error::CollectionRemoved(collection.clone())),
        None => Ok(()),
    }
}

/// Marks the collection. The first ticket stays.
pub(super) fn begin(conn: &Connection, collection: &CollectionId, seq: Seq) -> Result<()> {
    conn.prepare_cached(
        "UPDATE collection SET removing = ?2, removing_total = documents + chunks + unplaced_chunks + entities, \
         removing_left = documents + chunks + unplaced_chunks + entities WHERE name = ?1 AND removing IS NULL",
    )?
    .execute(params![collection.as_str(), to_sql(seq.0, "ticket")?])?;
    Ok(())
}

/// How far a removal is; `None` when none is under way.
pub(super) fn progress(conn: &Connection, collection: &CollectionId) -> Result<Option<CollectionRemoval>> {
    let mut statement = conn.prepare_cached(
        "SELECT removing_total, removing_left FROM collection WHERE name = ?1 AND removing IS NOT NULL",
    )?;
    let found = statement.query_row([collection.as_str()], |row| {
        let count = |at| row.get::<_, i64>(at).map(|n| n.max(0).cast_unsigned());
        Ok(CollectionRemoval { total: count(0)?, left: count(1)? })
    });
    Ok(found.optional()?)
}

/// Blobs that its documents name, those of documents with keys above `after`; with the last key that was looked at.
pub(super) fn blobs(
    conn: &Connection,
    collection: &CollectionId,
    after: u64,
    limit: u32,
) -> Result<Option<(u64, Vec<String>)>> {
    let Some(key) = marked(conn, collection)? else { return Ok(None) };
    let mut statement = conn.prepare_cached(
        "SELECT key, original, page_text FROM document WHERE collection = ?1 AND key > ?2 ORDER BY key LIMIT ?3",
    )?;
    let mut rows = statement.query(params![key, to_sql(after, "cursor")?, limit])?;
    let (mut last, mut blobs) = (None, Vec::new());
    while let Some(row) = rows.next()? {
        last = Some(row.get::<_, i64>(0)?.cast_unsigned());
        blobs.extend(row.get::<_, Option<String>>(1)?);
        blobs.extend(row.get::<_, Option<String>>(2)?);
    }
    Ok(last.map(|last| (last, blobs)))
}

fn marked(conn: &Connection, collection: &CollectionId) -> Result<Option<i64>> {
    let mut statement = conn.prepare_cached("SELECT key FROM collection WHERE name = ?1 AND removing IS NOT NULL")?;
    Ok(statement.query_row([collection.as_str()], |row| row.get(0)).optional()?)
}

/// Removes some rows; answers whether nothing of the collection is left. One that is not marked is left alone.
pub(super) fn sweep(conn: &Connection, collection: &CollectionId) -> Result<bool> {
    let Some(key) = marked(conn, collection)? else { return Ok(true) };
    let mut sweep = Sweep { conn, collection: key, budget: ROWS, counted: 0 };
    let done = sweep.rows()?;
    conn.prepare_cached("UPDATE collection SET removing_left = max(0, removing_left - ?2) WHERE key = ?1")?
        .execute([key, sweep.counted])?;
    if done {
        conn.prepare_cached("DELETE FROM space WHERE collection = ?1")?.execute([key])?;
        conn.prepare_cached("DELETE FROM collection WHERE key = ?1")?.execute([key])?;
    }
    give_back_pages(conn)?;
    Ok(done)
}

/// One transaction's share of a removal.
struct Sweep<'c> {
    conn: &'c Connection,
    collection: i64,
    /// Rows that may still go.
    budget: i64,
    /// Documents, chunks and entities that went: what the progress counts.
    counted: i64,
}

/// Rows of the collection itself: a table and its key.
const BY_COLLECTION: &[(&str, &str)] = &[
    ("similarity", "collection, generation, chunk"),
    ("community", "collection, generation, id"),
    ("community_member", "collection, generation, entity, level"),
    ("layer", "collection, layer"),
];

impl Sweep<'_> {
    /// Whether none is left.
    fn rows(&mut self) -> Result<bool> {
        for space in vectors::spaces_of(self.conn, self.collection)? {
            let (from, to) = vectors::keys_of(space.id);
            let sql = "DELETE FROM vector WHERE key IN (SELECT key FROM vector WHERE key >= ?1 AND key < ?2 LIMIT ?3)";
            if !self.delete(sql, &[from, to])? {
                return Ok(false);
            }
        }
        for (table, key) in BY_COLLECTION {
            let sql = format!(
                "DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE collection = ?1 LIMIT ?2)"
            );
            if !self.delete(&sql, &[self.collection])? {
                return Ok(false);
            }
        }
        Ok(self.documents()? && self.chunks()? && self.entities()?)
    }

    /// Deletes within the budget, which is the last parameter; whether nothing that matches is left.
    fn delete(&mut self, sql: &str, parameters: &[i64]) -> Result<bool> {
        if self.budget <= 0 {
            return Ok(false);
        }
        let mut statement = self.conn.prepare_cached(sql)?;
        let all = parameters.iter().copied().chain([self.budget]);
        let gone = statement.execute(rusqlite::params_from_iter(all))? as i64;
        let finished = gone < self.budget;
        self.budget -= gone;
        Ok(finished)
    }

    /// One after the other, each with what hangs on it, so that no step looks again at what is gone.
    fn documents(&mut self) -> Result<bool> {
        const OF_DOCUMENT: [&str; 4] = [
            "DELETE FROM contains WHERE (document, entity, chunk) IN \
             (SELECT document, entity, chunk FROM contains WHERE document = ?1 LIMIT ?2)",
            "DELETE FROM document_relation WHERE (document, source, target) IN \
             (SELECT document, source, target FROM document_relation WHERE document = ?1 LIMIT ?2)",
            "DELETE FROM unplaced WHERE (document, chunk) IN \
             (SELECT document, chunk FROM unplaced WHERE document = ?1 LIMIT ?2)",
            "DELETE FROM placement WHERE chunk IN (SELECT chunk FROM placement WHERE document = ?1 LIMIT ?2)",
        ];
        self.each(
            "SELECT key FROM document WHERE collection = ?1 LIMIT 1",
            "DELETE FROM document WHERE key = ?1",
            &OF_DOCUMENT,
        )
    }

    fn chunks(&mut self) -> Result<bool> {
        let before = self.budget;
        let sql = "DELETE FROM chunk WHERE key IN (SELECT key FROM chunk WHERE collection = ?1 LIMIT ?2)";
        let finished = self.delete(sql, &[self.collection])?;
        self.counted += before - self.budget;
        Ok(finished)
    }

    fn entities(&mut self) -> Result<bool> {
        const OF_ENTITY: [&str; 5] = [
            "DELETE FROM alias WHERE (short, long, chunk) IN (SELECT short, long, chunk FROM alias WHERE short = ?1 LIMIT ?2)",
            "DELETE FROM entity_words WHERE rowid IN (SELECT ?1 LIMIT ?2)",
            "DELETE FROM relation WHERE (source, target) IN (SELECT source, target FROM relation WHERE source = ?1 LIMIT ?2)",
            "DELETE FROM entity_text WHERE (entity, rank, hash, chunk) IN \
             (SELECT entity, rank, hash, chunk FROM entity_text WHERE entity = ?1 LIMIT ?2)",
            "DELETE FROM relation_text WHERE (source, target, rank, hash, chunk) IN \
             (SELECT source, target, rank, hash, chunk FROM relation_text WHERE source = ?1 LIMIT ?2)",
        ];
        self.each(
            "SELECT key FROM entity WHERE collection = ?1 LIMIT 1",
            "DELETE FROM entity WHERE key = ?1",
            &OF_ENTITY,
        )
    }

    fn each(&mut self, next: &str, delete: &str, hanging: &[&str]) -> Result<bool> {
        loop {
            let key: Option<i64> =
                self.conn.prepare_cached(next)?.query_row([self.collection], |row| row.get(0)).optional()?;
            let Some(key) = key else { return Ok(true) };
            for sql in hanging {
                if !self.delete(sql, &[key])? {
                    return Ok(false);
                }
            }
            if self.budget <= 0 {
                return Ok(false);
            }
            self.conn.prepare_cached(delete)?.execute([key])?;
            self.budget -= 1;
            self.counted += 1;
        }
    }
}
