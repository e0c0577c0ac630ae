//! Keys of the API.

use async_trait::async_trait;
use graphmill_core::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::open::SqliteJobStore;
use super::quota::refuse_deleting;
use super::row::{optional_time, time, word};
use super::writer::Kind;
use crate::Result;
use crate::keys::{CreatedKey, KeyId, KeyName, KeyRecord, KeyStore, MOST_KEYS, NewKey, SecretHash};

const CREATE: Kind =
    Kind { durable: true, reserve: false, fault: Some(("store.key.before_commit", "store.key.after_commit")) };
/// A key must be taken away on a full disk too.
const REVOKE: Kind =
    Kind { durable: true, reserve: true, fault: Some(("store.revoke.before_commit", "store.revoke.after_commit")) };
const USED: Kind = Kind { durable: false, reserve: false, fault: None };

const COLUMNS: &str = "id, name, secret_hash, read_only, collection, created_at, last_used_at";

#[async_trait]
impl KeyStore for SqliteJobStore {
    async fn create_key(&self, key: NewKey) -> Result<CreatedKey> {
        self.writer.write(CREATE, move |tx| create(tx.conn, &key, tx.state.clock.now())).await
    }

    async fn keys(&self) -> Result<Vec<KeyRecord>> {
        self.readers.read(all).await
    }

    async fn revoke_key(&self, name: &KeyName) -> Result<Option<KeyRecord>> {
        let name = name.clone();
        self.writer.write(REVOKE, move |tx| revoke(tx.conn, &name)).await
    }

    async fn note_key_used(&self, id: KeyId) -> Result<()> {
        let note = move |tx: &mut super::journal::JobsTx<'_>| {
            let now = tx.state.clock.now().as_millis();
            tx.conn
                .prepare_cached("UPDATE api_key SET last_used_at = max(coalesce(last_used_at, 0), ?2) WHERE id = ?1")?
                .execute(params![id.as_bytes(), now])?;
            Ok(())
        };
        self.writer.write(USED, note).await
    }
}

fn create(conn: &Connection, key: &NewKey, now: Timestamp) -> Result<CreatedKey> {
    let (count, taken): (u64, bool) = conn
        .prepare_cached("SELECT count(*), coalesce(max(name = ?1), 0) FROM api_key")?
        .query_row([key.name.as_str()], |row| Ok((super::row::unsigned(row, 0)?, row.get(1)?)))?;
    if taken {
        return Ok(CreatedKey::NameTaken);
    }
    if count >= MOST_KEYS {
        return Ok(CreatedKey::TooMany);
    }
    if let Some(collection) = &key.collection {
        refuse_deleting(conn, collection)?; // it would outlive the collection and see the next one of that name
    }
    conn.prepare_cached(
        "INSERT INTO api_key (id, name, secret_hash, read_only, collection, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        key.id.as_bytes(),
        key.name.as_str(),
        key.secret_hash.as_bytes(),
        key.read_only,
        key.collection.as_ref().map(graphmill_core::CollectionId::as_str),
        now.as_millis()
    ])?;
    Ok(CreatedKey::Created(KeyRecord {
        id: key.id,
        secret_hash: key.secret_hash,
        name: key.name.clone(),
        read_only: key.read_only,
        collection: key.collection.clone(),
        created_at: now,
        last_used_at: None,
    }))
}

fn all(conn: &Connection) -> Result<Vec<KeyRecord>> {
    let mut statement = conn.prepare_cached(&format!("SELECT {COLUMNS} FROM api_key ORDER BY name"))?;
    let rows = statement.query_map([], record)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn revoke(conn: &Connection, name: &KeyName) -> Result<Option<KeyRecord>> {
    let mut statement = conn.prepare_cached(&format!("DELETE FROM api_key WHERE name = ?1 RETURNING {COLUMNS}"))?;
    Ok(statement.query_row([name.as_str()], record).optional()?)
}

fn record(row: &Row<'_>) -> rusqlite::Result<KeyRecord> {
    let collection = match row.get_ref(4)? {
        rusqlite::types::ValueRef::Null => None,
        _ => Some(word(row, 4)?),
    };
    Ok(KeyRecord {
        id: KeyId::from_bytes(row.get(0)?),
        name: word(row, 1)?,
        secret_hash: SecretHash::from_bytes(row.get(2)?),
        read_only: row.get(3)?,
        collection,
        created_at: time(row, 5)?,
        last_used_at: optional_time(row, 6)?,
    })
}
