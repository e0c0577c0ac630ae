//! Rows of collections: made, read, told.

use graphmill_core::{CollectionId, CollectionSettings, Seq, Timestamp};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::journal::JobsTx;
use super::quota;
use super::row::{signed, time, unsigned, word};
use crate::collection_store::{CollectionDeletion, CollectionMade, CollectionRecord, CollectionUse, PublishedSize};
use crate::{Error, Result};

const COLUMNS: &str = "name, created_at, version, settings, documents, bytes, delete_seq, delete_at, delete_total, \
    (SELECT coalesce(sum(n), 0) FROM job_count j WHERE j.collection = c.name AND j.status IN \
    ('pending', 'running', 'completed', 'failed', 'cancelled'))";

fn record(row: &Row<'_>) -> rusqlite::Result<CollectionRecord> {
    let settings = row.get_ref(3)?.as_str()?;
    let settings: CollectionSettings = serde_json::from_str(settings)
        .map_err(|e| rusqlite::Error::FromSqlConversionFailure(3, Type::Text, Box::new(e)))?;
    Ok(CollectionRecord {
        name: word(row, 0)?,
        created_at: time(row, 1)?,
        version: unsigned(row, 2)?,
        settings,
        usage: CollectionUse { documents: unsigned(row, 4)?, bytes: unsigned(row, 5)? },
        jobs: unsigned(row, 9)?,
        deletion: deletion(row, 6)?,
    })
}

/// Three columns from `first`: ticket, time, total.
pub(crate) fn deletion(row: &Row<'_>, first: usize) -> rusqlite::Result<Option<CollectionDeletion>> {
    let Some(seq) = row.get::<_, Option<i64>>(first)? else { return Ok(None) };
    let (accepted_at, total) = (time(row, first + 1)?, unsigned(row, first + 2)?);
    Ok(Some(CollectionDeletion { seq: Seq(seq.unsigned_abs()), accepted_at, total }))
}

pub(crate) fn find(conn: &Connection, collection: &CollectionId) -> Result<Option<CollectionRecord>> {
    let sql = format!("SELECT {COLUMNS} FROM collection c WHERE name = ?1");
    Ok(conn.prepare_cached(&sql)?.query_row([collection.as_str()], record).optional()?)
}

pub(crate) fn list(conn: &Connection, offset: u64, limit: u32) -> Result<(Vec<CollectionRecord>, u64)> {
    let sql = format!("SELECT {COLUMNS} FROM collection c ORDER BY name LIMIT ?1 OFFSET ?2");
    let mut statement = conn.prepare_cached(&sql)?;
    let page = statement.query_map(params![limit, signed(offset)], record)?.collect::<rusqlite::Result<_>>()?;
    let total = conn.prepare_cached("SELECT count(*) FROM collection")?.query_row([], |row| unsigned(row, 0))?;
    Ok((page, total))
}

/// Makes the row of a collection that comes into being by use.
pub(crate) fn ensure(conn: &Connection, collection: &CollectionId, now: Timestamp) -> Result<()> {
    conn.prepare_cached("INSERT OR IGNORE INTO collection (name, created_at) VALUES (?1, ?2)")?
        .execute(params![collection.as_str(), now.as_millis()])?;
    Ok(())
}

pub(crate) fn create(
    tx: &mut JobsTx<'_>,
    collection: &CollectionId,
    settings: &CollectionSettings,
) -> Result<CollectionMade> {
    if let Some(found) = find(tx.conn, collection)? {
        if found.deletion.is_some() {
            return Err(Error::CollectionDeleting(collection.clone()));
        }
        let same = found.settings == *settings;
        return Ok(if same { CollectionMade::Same(found) } else { CollectionMade::Differs(found) });
    }
    ensure(tx.conn, collection, tx.now())?;
    write_settings(tx.conn, collection, settings, 0)?;
    Ok(CollectionMade::New(existing(tx.conn, collection)?))
}

pub(crate) fn set_settings(
    tx: &mut JobsTx<'_>,
    collection: &CollectionId,
    version: u64,
    settings: &CollectionSettings,
) -> Result<Option<CollectionRecord>> {
    let found = existing(tx.conn, collection)?;
    if found.deletion.is_some() {
        return Err(Error::CollectionDeleting(collection.clone()));
    }
    if found.version != version {
        return Ok(None);
    }
    write_settings(tx.conn, collection, settings, 1)?;
    existing(tx.conn, collection).map(Some)
}

fn existing(conn: &Connection, collection: &CollectionId) -> Result<CollectionRecord> {
    find(conn, collection)?.ok_or_else(|| Error::NoCollection(collection.clone()))
}

fn write_settings(
    conn: &Connection,
    collection: &CollectionId,
    settings: &CollectionSettings,
    raise: i64,
) -> Result<()> {
    let text = serde_json::to_string(settings)
        .map_err(|e| Error::Invalid(format!("the settings of {collection} cannot be written: {e}")))?;
    conn.prepare_cached(
        "UPDATE collection SET settings = ?2, quota_documents = ?3, quota_bytes = ?4, version = version + ?5 WHERE name = ?1",
    )?
    .execute(params![
        collection.as_str(),
        text,
        settings.quota.documents.map(signed),
        settings.quota.bytes.map(signed),
        raise
    ])?;
    Ok(())
}

pub(crate) fn note_published(tx: &mut JobsTx<'_>, documents: &[PublishedSize]) -> Result<()> {
    for known in documents {
        ensure(tx.conn, &known.collection, tx.now())?;
        quota::note_published(tx.conn, &known.collection, known.document, signed(known.seq.0), known.bytes)?;
    }
    Ok(())
}
