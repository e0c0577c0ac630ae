//! Deleting a collection, in steps that can each be repeated.

use graphmill_core::CollectionId;
use rusqlite::{Connection, OptionalExtension, params};

use super::accept::cancel_held;
use super::collections::{deletion, ensure};
use super::documents::next_ticket;
use super::housekeeping::{blobs_named_by, delete_rows};
use super::journal::JobsTx;
use super::row::{Held, signed, word};
use crate::collection_store::{CancelledForDelete, CollectionDeletion};
use crate::{Error, Result};

/// Said in the jobs that it cancels.
const MESSAGE: &str = "Overtaken: the collection was deleted";

pub(crate) fn accept(
    tx: &mut JobsTx<'_>,
    collection: &CollectionId,
    graph_items: u64,
) -> Result<Option<CollectionDeletion>> {
    if let Some(open) = open(tx.conn, collection)? {
        return Ok(Some(open));
    }
    let jobs: i64 = tx
        .conn
        .prepare_cached("SELECT count(*) FROM job WHERE collection = ?1")?
        .query_row([collection.as_str()], |row| row.get(0))?;
    let known = tx.conn.prepare_cached("SELECT 1 FROM collection WHERE name = ?1")?.exists([collection.as_str()])?;
    if !known {
        return Ok(None);
    }
    let seq = next_ticket(tx.conn)?;
    let (accepted_at, total) = (tx.now(), graph_items.saturating_add(jobs.unsigned_abs()));
    tx.conn
        .prepare_cached("UPDATE collection SET delete_seq = ?2, delete_at = ?3, delete_total = ?4 WHERE name = ?1")?
        .execute(params![collection.as_str(), signed(seq.0), accepted_at.as_millis(), signed(total)])?;
    // A key that outlived its collection would see the next one of that name.
    tx.conn.prepare_cached("DELETE FROM api_key WHERE collection = ?1")?.execute([collection.as_str()])?;
    // As many as there are workers; those that wait are cancelled by the task, some at a time.
    for held in Held::running(tx.conn)? {
        if held.collection == *collection && !held.intent {
            cancel_held(tx, held, MESSAGE, "overtaken")?;
        }
    }
    Ok(Some(CollectionDeletion { seq, accepted_at, total }))
}

fn open(conn: &Connection, collection: &CollectionId) -> Result<Option<CollectionDeletion>> {
    let mut statement =
        conn.prepare_cached("SELECT delete_seq, delete_at, delete_total FROM collection WHERE name = ?1")?;
    let row = statement.query_row([collection.as_str()], |row| deletion(row, 0));
    Ok(row.optional()?.flatten())
}

/// A step may only touch a collection whose deletion was accepted.
fn must_be_open(conn: &Connection, collection: &CollectionId) -> Result<()> {
    match open(conn, collection)? {
        Some(_) => Ok(()),
        None => Err(Error::NoCollection(collection.clone())),
    }
}

pub(crate) fn all_open(conn: &Connection) -> Result<Vec<(CollectionId, CollectionDeletion)>> {
    let mut statement = conn.prepare_cached(
        "SELECT delete_seq, delete_at, delete_total, name FROM collection WHERE delete_seq IS NOT NULL ORDER BY delete_seq",
    )?;
    let rows = statement.query_map([], |row| Ok((word(row, 3)?, deletion(row, 0)?)))?;
    let rows = rows.collect::<rusqlite::Result<Vec<(CollectionId, Option<CollectionDeletion>)>>>()?;
    Ok(rows.into_iter().filter_map(|(name, open)| Some((name, open?))).collect())
}

pub(crate) fn cancel_some(tx: &mut JobsTx<'_>, collection: &CollectionId, limit: u32) -> Result<CancelledForDelete> {
    must_be_open(tx.conn, collection)?;
    tx.conn.prepare_cached("DELETE FROM document_delete WHERE collection = ?1")?.execute([collection.as_str()])?;
    let keys = unended(tx.conn, collection, limit)?;
    let full = keys.len() == limit as usize;
    let mut done = CancelledForDelete { left: u64::from(full), ..CancelledForDelete::default() };
    for key in keys {
        let held = Held::by_key(tx.conn, key)?;
        if held.intent && held.lease_until.is_some() {
            done.publishing += 1;
            continue;
        }
        cancel_held(tx, held, MESSAGE, "overtaken")?;
        done.cancelled += 1;
    }
    Ok(done)
}

/// Pending ones first: the few that publish stand at the end.
fn unended(conn: &Connection, collection: &CollectionId, limit: u32) -> Result<Vec<i64>> {
    // The types are spelt out so that the index by collection is used.
    let mut statement = conn.prepare_cached(
        "SELECT key FROM job WHERE collection = ?1 AND job_type IN ('ingestion', 'reindex', 'clustering') \
         AND status IN ('pending', 'running') ORDER BY status, key LIMIT ?2",
    )?;
    let keys = statement.query_map(params![collection.as_str(), limit], |row| row.get(0))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

/// The jobs that are deleted next: those at the head of the index.
fn next_jobs(conn: &Connection, collection: &CollectionId, limit: u32) -> Result<Vec<i64>> {
    let mut statement = conn.prepare_cached("SELECT key FROM job WHERE collection = ?1 LIMIT ?2")?;
    let keys = statement.query_map(params![collection.as_str(), limit], |row| row.get(0))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

pub(crate) fn next_blobs(conn: &Connection, collection: &CollectionId, limit: u32) -> Result<Vec<String>> {
    let mut blobs = Vec::new();
    for key in next_jobs(conn, collection, limit)? {
        blobs.extend(blobs_named_by(conn, key, false)?);
    }
    blobs.sort_unstable();
    blobs.dedup();
    Ok(blobs)
}

/// Removes some rows; answers whether none is left.
pub(crate) fn delete_some(tx: &mut JobsTx<'_>, collection: &CollectionId, limit: u32) -> Result<bool> {
    must_be_open(tx.conn, collection)?;
    let keys = next_jobs(tx.conn, collection, limit)?;
    let jobs = keys.iter().map(|key| Held::by_key(tx.conn, *key)).collect::<Result<Vec<_>>>()?;
    if let Some(active) = jobs.iter().find(|job| !job.status.is_ended()) {
        return Err(Error::Invalid(format!("{} has not ended; cancel the jobs of {collection} first", active.id)));
    }
    if !jobs.is_empty() {
        delete_rows(tx, &jobs)?;
        return Ok(false);
    }
    let sql = "DELETE FROM charge WHERE document IN (SELECT document FROM charge WHERE collection = ?1 LIMIT ?2)";
    let charges = tx.conn.prepare_cached(sql)?.execute(params![collection.as_str(), limit])?;
    Ok(charges < limit as usize)
}

/// Finishing twice changes nothing.
pub(crate) fn finish(tx: &mut JobsTx<'_>, collection: &CollectionId) -> Result<()> {
    if open(tx.conn, collection)?.is_none() {
        return Ok(());
    }
    for sql in [
        "DELETE FROM document_delete WHERE collection = ?1",
        "DELETE FROM charge WHERE collection = ?1",
        "DELETE FROM job_count WHERE collection = ?1 AND n = 0",
        "DELETE FROM collection WHERE name = ?1",
    ] {
        tx.conn.prepare_cached(sql)?.execute([collection.as_str()])?;
    }
    if *collection == CollectionId::default() {
        ensure(tx.conn, collection, tx.now())?;
    }
    Ok(())
}
