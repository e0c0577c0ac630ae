//! Vectors and their spaces.

use graphmill_core::{ChunkId, CollectionId, text_in_context};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::collections::{CounterChange, collection_key, ensure_collection};
use super::ids::chunk_id;
use super::staging::{EMBEDDING_QUARANTINED, FACTS_QUARANTINED};
use crate::records::{Space, SpaceId, SpaceState};
use crate::{Error, Result};

/// Bits of a vector's key that hold the chunk's; those above hold the space's.
const CHUNK_BITS: u32 = 40;

/// Vectors that one transaction sweeps.
const SWEEP_VECTORS: i64 = 2_000;

/// Key of a chunk's vector in a space.
pub(super) fn vector_key(space: SpaceId, chunk: i64) -> i64 {
    (i64::from(space.0) << CHUNK_BITS) | chunk
}

/// The keys of a space, as a range without its end.
pub(super) fn keys_of(space: SpaceId) -> (i64, i64) {
    (vector_key(space, 0), vector_key(SpaceId(space.0 + 1), 0))
}

/// A vector as it stands in its column. Refuses what is no number: it would spoil every comparison.
pub(super) fn to_column(space: SpaceId, vector: &[f32]) -> Result<Vec<u8>> {
    if let Some(at) = vector.iter().position(|x| !x.is_finite()) {
        return Err(Error::Invalid(format!(
            "component {at} of a vector of space {} is {}; only finite numbers can be compared",
            space.0, vector[at]
        )));
    }
    Ok(vector.iter().flat_map(|x| x.to_le_bytes()).collect())
}

fn space_from(row: &rusqlite::Row<'_>) -> rusqlite::Result<Space> {
    let state = match row.get::<_, i64>(3)? {
        0 => SpaceState::Building,
        1 => SpaceState::Active,
        _ => SpaceState::Retired,
    };
    Ok(Space { id: SpaceId(row.get(0)?), model: row.get(1)?, dimension: row.get(2)?, state })
}

/// The spaces of a collection, by id.
pub(super) fn spaces_of(conn: &Connection, collection: i64) -> Result<Vec<Space>> {
    let sql = "SELECT id, model, dimension, state FROM space WHERE collection = ?1 ORDER BY id";
    let mut statement = conn.prepare_cached(sql)?;
    let spaces = statement.query_map([collection], space_from)?.collect::<rusqlite::Result<_>>()?;
    Ok(spaces)
}

/// Finds or makes a space. One that was retired is built again; what vectors it still has are as good as ever.
pub(super) fn ensure_space(conn: &Connection, collection: &CollectionId, model: &str, dimension: u32) -> Result<Space> {
    let key = ensure_collection(conn, collection)?;
    let spaces = spaces_of(conn, key)?;
    let state =
        if spaces.iter().any(|s| s.state == SpaceState::Active) { SpaceState::Building } else { SpaceState::Active };
    let code = i64::from(state == SpaceState::Active);
    match spaces.into_iter().find(|s| s.model == model && s.dimension == dimension) {
        Some(known) if known.state != SpaceState::Retired => Ok(known),
        Some(known) => {
            conn.execute("UPDATE space SET state = ?2 WHERE id = ?1", [i64::from(known.id.0), code])?;
            Ok(Space { state, ..known })
        }
        None => {
            let sql = "INSERT INTO space (collection, model, dimension, state) VALUES (?1, ?2, ?3, ?4)";
            conn.prepare_cached(sql)?.execute(params![key, model, dimension, code])?;
            let id = u32::try_from(conn.last_insert_rowid())
                .map_err(|_| Error::Invalid("this graph has had too many embedding spaces".into()))?;
            Ok(Space { id: SpaceId(id), model: model.to_owned(), dimension, state })
        }
    }
}

/// Refuses a vector that is not of the collection's space.
pub(super) fn check_dimension(spaces: &[Space], space: SpaceId, bytes: usize) -> Result<()> {
    let known = spaces.iter().find(|s| s.id == space).ok_or_else(|| {
        Error::Invalid(format!("the collection has no embedding space {}; ask for it by ensure_space", space.0))
    })?;
    if bytes == known.dimension as usize * 4 {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "a vector of {} components does not fit the space {} of {:?}, which has {}",
        bytes / 4,
        space.0,
        known.model,
        known.dimension
    )))
}

pub(super) fn exists(conn: &Connection, space: SpaceId, chunk: i64) -> Result<bool> {
    Ok(conn.prepare_cached("SELECT 1 FROM vector WHERE key = ?1")?.exists([vector_key(space, chunk)])?)
}

pub(super) fn put(conn: &Connection, space: SpaceId, chunk: i64, column: &[u8]) -> Result<()> {
    conn.prepare_cached("INSERT OR REPLACE INTO vector (key, vector) VALUES (?1, ?2)")?
        .execute(params![vector_key(space, chunk), column])?;
    Ok(())
}

pub(super) fn remove(conn: &Connection, space: SpaceId, chunk: i64) -> Result<()> {
    conn.prepare_cached("DELETE FROM vector WHERE key = ?1")?.execute([vector_key(space, chunk)])?;
    Ok(())
}

/// Counts placed chunks that gained (or lost) a vector of the space.
pub(super) fn count_live(conn: &Connection, space: SpaceId, change: i64) -> Result<()> {
    if change != 0 {
        conn.prepare_cached("UPDATE space SET live_vectors = live_vectors + ?2 WHERE id = ?1")?
            .execute([i64::from(space.0), change])?;
    }
    Ok(())
}

/// Removes some vectors of retired spaces; answers how many.
pub(super) fn sweep_retired(conn: &Connection, collection: &CollectionId) -> Result<u64> {
    let Some(collection) = collection_key(conn, collection)? else { return Ok(0) };
    let sql = "DELETE FROM vector WHERE key IN (SELECT key FROM vector WHERE key >= ?1 AND key < ?2 LIMIT ?3) \
               RETURNING EXISTS (SELECT 1 FROM placement p WHERE p.chunk = key - ?1)";
    let mut swept = 0;
    for space in spaces_of(conn, collection)?.into_iter().filter(|space| space.state == SpaceState::Retired) {
        let (first, end) = keys_of(space.id);
        let mut delete = conn.prepare_cached(sql)?;
        let placed: Vec<bool> = delete
            .query_map([first, end, SWEEP_VECTORS - swept], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        count_live(conn, space.id, -(placed.iter().filter(|placed| **placed).count() as i64))?;
        swept += placed.len() as i64;
    }
    Ok(swept.cast_unsigned())
}

/// After a new vector: when its chunk is placed, writes the publish number on it and counts it. Answers whether it was placed.
pub(super) fn note_on_placed(
    conn: &Connection,
    space: SpaceId,
    chunk: i64,
    number: &mut dyn FnMut() -> Result<u64>,
) -> Result<bool> {
    if !conn.prepare_cached("SELECT 1 FROM placement WHERE chunk = ?1")?.exists([chunk])? {
        return Ok(false);
    }
    conn.prepare_cached("UPDATE placement SET published_at = ?2 WHERE chunk = ?1")?
        .execute([chunk, number()?.cast_signed()])?;
    count_live(conn, space, 1)?;
    Ok(true)
}

/// The chunk has a vector after all.
pub(super) fn clear_quarantine(conn: &Connection, collection: i64, chunk: i64, flags: i64) -> Result<()> {
    conn.prepare_cached("UPDATE chunk SET flags = ?2 WHERE key = ?1")?
        .execute([chunk, flags & !EMBEDDING_QUARANTINED])?;
    if conn.prepare_cached("SELECT 1 FROM placement WHERE chunk = ?1")?.exists([chunk])? {
        let whole = i64::from(flags & FACTS_QUARANTINED == 0);
        CounterChange { quarantined_embedding: -1, quarantined_chunks: -whole, ..CounterChange::default() }
            .apply(conn, collection)?;
    }
    Ok(())
}

/// The vector of a placed chunk could not be made.
pub(super) fn set_quarantine(conn: &Connection, collection: i64, chunk: i64, flags: i64) -> Result<()> {
    if flags & EMBEDDING_QUARANTINED != 0 {
        return Ok(());
    }
    conn.prepare_cached("UPDATE chunk SET flags = ?2 WHERE key = ?1")?
        .execute([chunk, flags | EMBEDDING_QUARANTINED])?;
    let whole = i64::from(flags & FACTS_QUARANTINED == 0);
    CounterChange { quarantined_embedding: 1, quarantined_chunks: whole, ..CounterChange::default() }
        .apply(conn, collection)
}

fn text_to_embed(row: &Row<'_>) -> rusqlite::Result<(ChunkId, String)> {
    let (text, context): (String, Option<String>) = (row.get(1)?, row.get(2)?);
    Ok((chunk_id(row, 0)?, text_in_context(context.as_deref(), &text).into_owned()))
}

/// Placed chunks with what is embedded of them, by id.
pub(super) fn chunk_texts(
    conn: &Connection,
    collection: i64,
    after: Option<ChunkId>,
    limit: u32,
) -> Result<Vec<(ChunkId, String)>> {
    let sql = "SELECT c.id, c.text, c.context FROM chunk c WHERE c.collection = ?1 AND c.id > ?2 \
               AND EXISTS (SELECT 1 FROM placement p WHERE p.chunk = c.key) ORDER BY c.id LIMIT ?3";
    let after: &[u8] = after.as_ref().map_or(&[], |id| id.as_bytes());
    let mut statement = conn.prepare_cached(sql)?;
    let rows =
        statement.query_map(params![collection, after, limit], text_to_embed)?.collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

/// Placed, not quarantined chunks without a vector in the space, by id.
pub(super) fn space_delta(
    conn: &Connection,
    collection: i64,
    space: SpaceId,
    after: Option<ChunkId>,
    limit: u32,
) -> Result<Vec<(ChunkId, String)>> {
    let sql = "SELECT c.id, c.text, c.context FROM chunk c WHERE c.collection = ?1 AND c.id > ?2 AND c.flags & ?3 = 0 \
               AND EXISTS (SELECT 1 FROM placement p WHERE p.chunk = c.key) \
               AND NOT EXISTS (SELECT 1 FROM vector v WHERE v.key = ?4 + c.key) ORDER BY c.id LIMIT ?5";
    let after: &[u8] = after.as_ref().map_or(&[], |id| id.as_bytes());
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement
        .query_map(params![collection, after, EMBEDDING_QUARANTINED, vector_key(space, 0), limit], text_to_embed)?
        .collect::<rusqlite::Result<_>>()?;
    Ok(rows)
}

/// How many chunks the delta of a space has, from counters; too few while chunks that are set aside have a vector here all the same.
pub(super) fn delta_size(conn: &Connection, collection: i64, space: SpaceId) -> Result<i64> {
    let sql = "SELECT c.chunks - c.quarantined_embedding - s.live_vectors FROM collection c, space s \
               WHERE c.key = ?1 AND s.id = ?2 AND s.collection = c.key";
    let found = conn.prepare_cached(sql)?.query_row(params![collection, space.0], |row| row.get(0)).optional()?;
    found.ok_or_else(|| Error::Invalid(format!("the collection has no embedding space {}", space.0)))
}
