//! What documents count in the quota of their collection. Decided and counted in the transactions that accept, end and delete.

use graphmill_core::{CollectionId, DocumentId};
use rusqlite::{Connection, OptionalExtension, params};

use super::row::signed;
use crate::requests::DocumentTicket;
use crate::{Error, Result};

/// A collection's row as far as accepting looks at it.
struct Room {
    documents: u64,
    bytes: u64,
    quota_documents: Option<u64>,
    quota_bytes: Option<u64>,
    deleting: bool,
}

fn room(conn: &Connection, collection: &CollectionId) -> Result<Option<Room>> {
    let mut statement = conn.prepare_cached(
        "SELECT documents, bytes, quota_documents, quota_bytes, delete_seq IS NOT NULL FROM collection WHERE name = ?1",
    )?;
    let row = statement.query_row([collection.as_str()], |row| {
        let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
        let limit = |at| row.get::<_, Option<i64>>(at).map(|n| n.map(i64::unsigned_abs));
        Ok(Room {
            documents: count(0)?,
            bytes: count(1)?,
            quota_documents: limit(2)?,
            quota_bytes: limit(3)?,
            deleting: row.get(4)?,
        })
    });
    Ok(row.optional()?)
}

/// Refuses what is for a collection that is being deleted. Answers whether the collection is there.
pub(crate) fn refuse_deleting(conn: &Connection, collection: &CollectionId) -> Result<bool> {
    match room(conn, collection)? {
        Some(room) if room.deleting => Err(Error::CollectionDeleting(collection.clone())),
        found => Ok(found.is_some()),
    }
}

/// Whether a job about this document may be accepted. Nothing is written.
pub(crate) fn check(conn: &Connection, collection: &CollectionId, document: DocumentId, bytes: u64) -> Result<()> {
    let Some(room) = room(conn, collection)? else { return Ok(()) };
    let counted = charged(conn, document)?;
    let refuse =
        |what, wanted, quota, used| Error::QuotaExceeded { collection: collection.clone(), what, wanted, quota, used };
    if let (None, Some(quota)) = (counted, room.quota_documents)
        && room.documents >= quota
    {
        return Err(refuse("documents", room.documents + 1, quota, room.documents));
    }
    let more = bytes.saturating_sub(counted.unwrap_or(0));
    match room.quota_bytes {
        Some(quota) if more > 0 && room.bytes.saturating_add(more) > quota => {
            Err(refuse("bytes", room.bytes.saturating_add(more), quota, room.bytes))
        }
        _ => Ok(()),
    }
}

fn charged(conn: &Connection, document: DocumentId) -> Result<Option<u64>> {
    let mut statement = conn.prepare_cached("SELECT bytes FROM charge WHERE document = ?1")?;
    let found: Option<i64> = statement.query_row([document.as_bytes()], |row| row.get(0)).optional()?;
    Ok(found.map(i64::unsigned_abs))
}

/// Keeps what a new job was given.
pub(crate) fn note_job(conn: &Connection, job: i64, ticket: &DocumentTicket) -> Result<()> {
    conn.prepare_cached("INSERT INTO job_bytes (job, bytes) VALUES (?1, ?2)")?
        .execute(params![job, signed(ticket.bytes)])?;
    Ok(())
}

/// What a job was given; 0 for one of an older version.
pub(crate) fn bytes_of_job(conn: &Connection, job: i64) -> Result<u64> {
    let mut statement = conn.prepare_cached("SELECT bytes FROM job_bytes WHERE job = ?1")?;
    let found: Option<i64> = statement.query_row([job], |row| row.get(0)).optional()?;
    Ok(found.unwrap_or(0).unsigned_abs())
}

/// The document is published under this ticket; a lower one than the known changes nothing.
pub(crate) fn note_published(
    conn: &Connection,
    collection: &CollectionId,
    document: DocumentId,
    seq: i64,
    bytes: u64,
) -> Result<()> {
    conn.prepare_cached("INSERT OR IGNORE INTO charge (document, collection, bytes) VALUES (?1, ?2, 0)").and_then(
        |mut insert| {
            let new = insert.execute(params![document.as_bytes(), collection.as_str()])?;
            if new == 1 { count(conn, collection, 1, 0) } else { Ok(()) }
        },
    )?;
    conn.prepare_cached(
        "UPDATE charge SET published_seq = ?2, published_bytes = ?3 WHERE document = ?1 AND coalesce(published_seq, 0) <= ?2",
    )?
    .execute(params![document.as_bytes(), seq, signed(bytes)])?;
    recharge(conn, collection, document)
}

/// The document was deleted under this ticket.
pub(crate) fn note_deleted(conn: &Connection, collection: &CollectionId, document: DocumentId, seq: i64) -> Result<()> {
    conn.prepare_cached(
        "UPDATE charge SET published_seq = NULL, published_bytes = NULL WHERE document = ?1 AND published_seq <= ?2",
    )?
    .execute(params![document.as_bytes(), seq])?;
    recharge(conn, collection, document)
}

/// Counts the document anew, after any of its jobs was accepted, ended or taken up again.
pub(crate) fn recharge(conn: &Connection, collection: &CollectionId, document: DocumentId) -> Result<()> {
    let known: Option<(i64, Option<i64>)> = conn
        .prepare_cached("SELECT bytes, published_bytes FROM charge WHERE document = ?1")?
        .query_row([document.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let claimed: Option<i64> = conn
        .prepare_cached(
            "SELECT max(coalesce(b.bytes, 0)) FROM job j LEFT JOIN job_bytes b ON b.job = j.key \
             WHERE j.document = ?1 AND j.status IN ('pending', 'running')",
        )?
        .query_row([document.as_bytes()], |row| row.get(0))?;
    let published = known.and_then(|(_, published)| published);
    match (known, claimed.max(published)) {
        (None, None) => Ok(()),
        (None, Some(bytes)) => {
            conn.prepare_cached("INSERT INTO charge (document, collection, bytes) VALUES (?1, ?2, ?3)")?
                .execute(params![document.as_bytes(), collection.as_str(), bytes])?;
            Ok(count(conn, collection, 1, bytes)?)
        }
        (Some((before, _)), None) => {
            conn.prepare_cached("DELETE FROM charge WHERE document = ?1")?.execute([document.as_bytes()])?;
            Ok(count(conn, collection, -1, -before)?)
        }
        (Some((before, _)), Some(bytes)) if before == bytes => Ok(()),
        (Some((before, _)), Some(bytes)) => {
            conn.prepare_cached("UPDATE charge SET bytes = ?2 WHERE document = ?1")?
                .execute(params![document.as_bytes(), bytes])?;
            Ok(count(conn, collection, 0, bytes - before)?)
        }
    }
}

fn count(conn: &Connection, collection: &CollectionId, documents: i64, bytes: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("UPDATE collection SET documents = documents + ?2, bytes = bytes + ?3 WHERE name = ?1")?
        .execute(params![collection.as_str(), documents, bytes])?;
    Ok(())
}
