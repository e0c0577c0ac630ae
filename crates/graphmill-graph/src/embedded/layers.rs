//! Layers: runs, generations behind a pointer, similarities and communities.

use std::collections::HashSet;

use graphmill_core::{ChunkId, CommunityId, EntityId};
use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Map, Value};

use super::collections::{collection_key, ensure_collection, raise_publish_number};
use super::sql_error::{DAMAGED_HINT, to_sql};
use super::staging::EMBEDDING_QUARANTINED;
use super::vectors;
use crate::records::{CommunityRow, Layer, LayerRun, LayerState, RunStanding, SimilarityRow, SpaceId};
use crate::varint::{Malformed, Reader, put};
use crate::{Error, Result};

/// Rows of a generation that one transaction sweeps.
const SWEEP_ROWS: i64 = 2_000;

pub(super) fn code(layer: Layer) -> i64 {
    match layer {
        Layer::Embeddings => 0,
        Layer::Similarities => 1,
        Layer::Communities => 2,
    }
}

/// The table of a layer's generations.
fn table(layer: Layer) -> Option<&'static str> {
    match layer {
        Layer::Embeddings => None,
        Layer::Similarities => Some("similarity"),
        Layer::Communities => Some("community"),
    }
}

/// A layer's row.
#[derive(Debug, Clone)]
pub(super) struct LayerRow {
    pub(super) run: i64,
    pub(super) finished: i64,
    pub(super) generation: i64,
    pub(super) stands_at: i64,
    parameters: String,
}

impl LayerRow {
    pub(super) fn parameters(&self) -> Result<Map<String, Value>> {
        serde_json::from_str(&self.parameters)
            .map_err(|e| Error::Unusable(format!("graph.db is damaged (parameters of a layer: {e}); {DAMAGED_HINT}")))
    }

    /// How many neighbours of a row readers see; rows hold a few more.
    pub(super) fn top_k(&self) -> Result<usize> {
        let top_k = self.parameters()?.get("top_k").and_then(Value::as_u64);
        Ok(top_k.and_then(|k| usize::try_from(k).ok()).unwrap_or(usize::MAX))
    }
}

pub(super) fn row(conn: &Connection, collection: i64, layer: Layer) -> Result<Option<LayerRow>> {
    let sql = "SELECT run, finished, generation, stands_at, parameters FROM layer WHERE collection = ?1 AND layer = ?2";
    let found = conn.prepare_cached(sql)?.query_row([collection, code(layer)], |row| {
        Ok(LayerRow {
            run: row.get(0)?,
            finished: row.get(1)?,
            generation: row.get(2)?,
            stands_at: row.get(3)?,
            parameters: row.get(4)?,
        })
    });
    Ok(found.optional()?)
}

/// Where a layer stands.
pub(super) fn state(row: Option<LayerRow>) -> Result<LayerState> {
    let Some(row) = row else { return Ok(LayerState::default()) };
    Ok(LayerState {
        run: row.run.cast_unsigned(),
        generation: row.generation.cast_unsigned(),
        stands_at: row.stands_at.cast_unsigned(),
        parameters: row.parameters()?,
    })
}

/// Begins a run; answers its number.
pub(super) fn begin_run(conn: &Connection, run: &LayerRun) -> Result<u64> {
    let collection = ensure_collection(conn, &run.collection)?;
    let sql = "INSERT INTO layer (collection, layer, run) VALUES (?1, ?2, 1) \
               ON CONFLICT (collection, layer) DO UPDATE SET run = run + 1 RETURNING run";
    let number: i64 = conn.prepare_cached(sql)?.query_row([collection, code(run.layer)], |row| row.get(0))?;
    Ok(number.cast_unsigned())
}

/// How a run stands.
pub(super) fn standing(conn: &Connection, run: &LayerRun) -> Result<RunStanding> {
    let Some(collection) = collection_key(conn, &run.collection)? else { return Ok(RunStanding::Stale) };
    match row(conn, collection, run.layer)? {
        Some(row) if row.run.cast_unsigned() != run.number => Ok(RunStanding::Stale),
        Some(row) if row.finished == row.run => Ok(RunStanding::Finished),
        Some(row) => {
            let Some(table) = table(run.layer) else { return Ok(RunStanding::Present { rows: 0 }) };
            let sql = format!("SELECT count(*) FROM {table} WHERE collection = ?1 AND generation = ?2");
            let rows: i64 = conn.prepare_cached(&sql)?.query_row([collection, row.run], |row| row.get(0))?;
            Ok(RunStanding::Present { rows: rows.cast_unsigned() })
        }
        None => Ok(RunStanding::Stale),
    }
}

/// Gives a run up: the number rises, and the new run, which nobody has, counts as ended.
pub(super) fn give_up(conn: &Connection, run: &LayerRun) -> Result<()> {
    if let Some(collection) = collection_key(conn, &run.collection)? {
        conn.prepare_cached(
            "UPDATE layer SET run = run + 1, finished = run + 1 \
             WHERE collection = ?1 AND layer = ?2 AND run = ?3 AND finished <> run",
        )?
        .execute(params![collection, code(run.layer), to_sql(run.number, "run")?])?;
    }
    Ok(())
}

/// The fence of a layer: key of the collection and the layer's row, if the run is the present one and not ended.
fn admit(conn: &Connection, run: &LayerRun, may_be_finished: bool) -> Result<(i64, LayerRow)> {
    let stale = |current: u64| Error::StaleRun { run: run.number, current };
    let collection = collection_key(conn, &run.collection)?.ok_or_else(|| stale(0))?;
    let row = row(conn, collection, run.layer)?.ok_or_else(|| stale(0))?;
    if row.run.cast_unsigned() != run.number {
        return Err(stale(row.run.cast_unsigned()));
    }
    if row.finished == row.run && !may_be_finished {
        return Err(Error::Invalid(format!(
            "run {} of the layer {:?} of {} has ended; begin another one",
            run.number, run.layer, run.collection
        )));
    }
    Ok((collection, row))
}

fn wrong_layer(run: &LayerRun, wanted: Layer) -> Result<()> {
    if run.layer == wanted {
        return Ok(());
    }
    Err(Error::Invalid(format!("a run of the layer {:?} cannot write {wanted:?}", run.layer)))
}

/// Keys of chunks or entities by their ids; those that are gone are left out.
fn key_of(conn: &Connection, sql: &str, collection: i64, id: &[u8; 16]) -> Result<Option<i64>> {
    Ok(conn.prepare_cached(sql)?.query_row(params![collection, id], |row| row.get(0)).optional()?)
}

const CHUNK_KEY: &str = "SELECT key FROM chunk WHERE collection = ?1 AND id = ?2";
const ENTITY_KEY: &str = "SELECT key FROM entity WHERE collection = ?1 AND id = ?2";

/// Writes rows of similarities into the run's own generation; [`finish`] brings them to the readers.
pub(super) fn put_similarities(conn: &Connection, run: &LayerRun, rows: &[SimilarityRow]) -> Result<u64> {
    wrong_layer(run, Layer::Similarities)?;
    let (collection, _) = admit(conn, run, false)?;
    let sql = "INSERT OR REPLACE INTO similarity (collection, generation, chunk, cut_at, neighbours) \
               VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut written = 0;
    for row in rows {
        let Some(chunk) = key_of(conn, CHUNK_KEY, collection, row.chunk.as_bytes())? else { continue };
        let mut column = Vec::with_capacity(row.neighbours.len() * 9);
        for (neighbour, score) in &row.neighbours {
            if let Some(key) = key_of(conn, CHUNK_KEY, collection, neighbour.as_bytes())? {
                put(&mut column, key.cast_unsigned());
                column.extend_from_slice(&score.to_le_bytes());
            }
        }
        conn.prepare_cached(sql)?.execute(params![
            collection,
            to_sql(run.number, "run")?,
            chunk,
            row.cut_at.map(f64::from),
            column
        ])?;
        written += 1;
    }
    Ok(written)
}

/// Neighbours of a row as they stand in its column.
pub(super) fn neighbours(column: &[u8]) -> Result<Vec<(i64, f32)>, Malformed> {
    let mut reader = Reader::new(column);
    let mut found = Vec::new();
    while !reader.is_empty() {
        let chunk = reader.int()?.cast_signed();
        let score = reader.bytes(4)?.try_into().map_err(|_| Malformed)?;
        found.push((chunk, f32::from_le_bytes(score)));
    }
    Ok(found)
}

/// Adds communities to the run's generation.
pub(super) fn put_communities(conn: &Connection, run: &LayerRun, rows: &[CommunityRow]) -> Result<()> {
    wrong_layer(run, Layer::Communities)?;
    let (collection, _) = admit(conn, run, false)?;
    let sql = "INSERT OR REPLACE INTO community (collection, generation, id, level, parent, title, summary, share, \
               members, size) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    let member = "INSERT OR REPLACE INTO community_member (collection, generation, entity, level, community) \
                  VALUES (?1, ?2, ?3, ?4, ?5)";
    let generation = to_sql(run.number, "run")?;
    for row in rows {
        let members = member_keys(conn, collection, &row.members)?;
        conn.prepare_cached(sql)?.execute(params![
            collection,
            generation,
            row.id.as_bytes(),
            row.level,
            row.parent.as_ref().map(CommunityId::as_bytes),
            row.title,
            row.summary,
            row.modularity_share_millionths,
            member_column(&members),
            members.len() as i64
        ])?;
        let mut link = conn.prepare_cached(member)?;
        for entity in &members {
            link.execute(params![collection, generation, entity, row.level, row.id.as_bytes()])?;
        }
    }
    Ok(())
}

/// Keys of the members that are there, rising.
fn member_keys(conn: &Connection, collection: i64, members: &[EntityId]) -> Result<Vec<i64>> {
    let mut keys = Vec::with_capacity(members.len());
    for id in members {
        keys.extend(key_of(conn, ENTITY_KEY, collection, id.as_bytes())?);
    }
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

/// Rising keys, each as its distance from the one before.
fn member_column(keys: &[i64]) -> Vec<u8> {
    let (mut column, mut last) = (Vec::with_capacity(keys.len() * 2), 0);
    for key in keys {
        put(&mut column, (key - last).cast_unsigned());
        last = *key;
    }
    column
}

/// An entity goes: its communities have one live member less, in the generation that readers see and in one that is being written. The last one takes
/// the community with it: titles and summaries were made of its documents.
pub(super) fn forget_member(conn: &Connection, collection: i64, entity: i64) -> Result<()> {
    let Some(row) = row(conn, collection, Layer::Communities)? else { return Ok(()) };
    for generation in [row.generation, row.run] {
        let sql = "UPDATE community SET size = size - 1 WHERE (collection, generation, id) IN \
                   (SELECT collection, generation, community FROM community_member \
                    WHERE collection = ?1 AND generation = ?2 AND entity = ?3)";
        let known = conn.prepare_cached(sql)?.execute([collection, generation, entity])?;
        if known > 0 {
            let sql = "DELETE FROM community WHERE size <= 0 AND (collection, generation, id) IN \
                       (SELECT collection, generation, community FROM community_member \
                        WHERE collection = ?1 AND generation = ?2 AND entity = ?3)";
            conn.prepare_cached(sql)?.execute([collection, generation, entity])?;
            let sql = "DELETE FROM community_member WHERE collection = ?1 AND generation = ?2 AND entity = ?3";
            conn.prepare_cached(sql)?.execute([collection, generation, entity])?;
        }
    }
    Ok(())
}

/// Keys of members as they stand in their column.
pub(super) fn members(column: &[u8]) -> Result<Vec<i64>, Malformed> {
    let (mut reader, mut last, mut found) = (Reader::new(column), 0i64, Vec::new());
    while !reader.is_empty() {
        last = last.wrapping_add(reader.int()?.cast_signed());
        found.push(last);
    }
    Ok(found)
}

/// Ends a run. Repeating it changes nothing more.
pub(super) fn finish(conn: &Connection, run: &LayerRun, stands_at: u64, parameters: &Map<String, Value>) -> Result<()> {
    let (collection, row) = admit(conn, run, true)?;
    if row.finished == row.run {
        return Ok(());
    }
    let whole = run.full || row.generation == 0 || table(run.layer).is_none();
    let generation = if whole { row.run } else { row.generation };
    if run.layer == Layer::Similarities {
        // Chunks that were swept while the run wrote.
        let sql = "DELETE FROM similarity WHERE collection = ?1 AND generation = ?2 \
                   AND NOT EXISTS (SELECT 1 FROM chunk c WHERE c.key = similarity.chunk)";
        conn.prepare_cached(sql)?.execute([collection, row.run])?;
    }
    if !whole {
        merge_delta(conn, collection, run.layer, &row)?;
    }
    let parameters = serde_json::to_string(parameters)
        .map_err(|e| Error::Invalid(format!("the parameters of a run are no JSON: {e}")))?;
    conn.prepare_cached(
        "UPDATE layer SET finished = run, generation = ?3, stands_at = ?4, parameters = ?5 \
         WHERE collection = ?1 AND layer = ?2",
    )?
    .execute(params![
        collection,
        code(run.layer),
        generation,
        to_sql(stands_at, "publish number")?,
        parameters
    ])?;
    Ok(())
}

/// The rows of a delta take the place of those of the generation that readers see.
fn merge_delta(conn: &Connection, collection: i64, layer: Layer, row: &LayerRow) -> Result<()> {
    let columns = match layer {
        Layer::Similarities => "chunk, cut_at, neighbours",
        Layer::Communities => "id, level, parent, title, summary, share, members, size",
        Layer::Embeddings => return Ok(()),
    };
    let table = table(layer).unwrap_or_default();
    let sql = format!(
        "INSERT OR REPLACE INTO {table} (collection, generation, {columns}) \
         SELECT collection, ?2, {columns} FROM {table} WHERE collection = ?1 AND generation = ?3"
    );
    conn.prepare_cached(&sql)?.execute([collection, row.generation, row.run])?;
    if layer == Layer::Communities {
        let sql = "INSERT OR REPLACE INTO community_member (collection, generation, entity, level, community) \
                   SELECT collection, ?2, entity, level, community FROM community_member \
                   WHERE collection = ?1 AND generation = ?3";
        conn.prepare_cached(sql)?.execute([collection, row.generation, row.run])?;
    }
    Ok(())
}

/// Removes some rows of generations that nobody sees and nobody writes; answers whether none is left.
pub(super) fn sweep_generations(conn: &Connection, run: &LayerRun) -> Result<bool> {
    let (Some(table), Some(collection)) = (table(run.layer), collection_key(conn, &run.collection)?) else {
        return Ok(true);
    };
    let Some(row) = row(conn, collection, run.layer)? else { return Ok(true) };
    // A run that has ended writes no more: a delta's rows were merged.
    let writing = if row.finished == row.run { row.generation } else { row.run };
    let key = if run.layer == Layer::Similarities { "chunk" } else { "id" };
    let sql = format!(
        "DELETE FROM {table} WHERE (collection, generation, {key}) IN (SELECT collection, generation, {key} FROM {table} \
         WHERE collection = ?1 AND generation NOT IN (?2, ?3) LIMIT {SWEEP_ROWS})"
    );
    let removed = conn.prepare_cached(&sql)?.execute([collection, row.generation, writing])?;
    let members_gone = run.layer != Layer::Communities || sweep_members(conn, collection, [row.generation, writing])?;
    Ok(removed < SWEEP_ROWS as usize && members_gone)
}

/// Removes some members of generations that are not `kept`; answers whether none is left.
fn sweep_members(conn: &Connection, collection: i64, kept: [i64; 2]) -> Result<bool> {
    // From generation to generation by one step of the index each, however many members one has.
    let next = "SELECT min(generation) FROM community_member WHERE collection = ?1 AND generation > ?2";
    let mut at = -1;
    while let Some(generation) =
        conn.prepare_cached(next)?.query_row([collection, at], |row| row.get::<_, Option<i64>>(0))?
    {
        at = generation;
        if kept.contains(&generation) {
            continue;
        }
        let sql = format!(
            "DELETE FROM community_member WHERE (collection, generation, entity, level) IN (SELECT collection, generation, \
             entity, level FROM community_member WHERE collection = ?1 AND generation = ?2 LIMIT {SWEEP_ROWS})"
        );
        conn.prepare_cached(&sql)?.execute([collection, generation])?;
        return Ok(false);
    }
    Ok(true)
}

/// Similarities between live chunks that readers see.
pub(super) fn count_similarities(conn: &Connection, collection: i64, row: &LayerRow) -> Result<u64> {
    let live = live_keys(
        conn,
        "SELECT p.chunk FROM document d CROSS JOIN placement p ON p.document = d.key WHERE d.collection = ?1",
        collection,
    )?;
    let top_k = row.top_k()?;
    let sql = "SELECT chunk, neighbours FROM similarity WHERE collection = ?1 AND generation = ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([collection, row.generation])?;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        if live.contains(&row.get(0)?) {
            let found = neighbours(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?;
            count += found.iter().filter(|(chunk, _)| live.contains(chunk)).take(top_k).count() as u64;
        }
    }
    Ok(count)
}

/// Communities with a live member.
pub(super) fn count_communities(conn: &Connection, collection: i64, generation: i64) -> Result<u64> {
    let sql = "SELECT count(*) FROM community WHERE collection = ?1 AND generation = ?2 AND size > 0";
    let count: i64 = conn.prepare_cached(sql)?.query_row([collection, generation], |row| row.get(0))?;
    Ok(count.cast_unsigned())
}

fn live_keys(conn: &Connection, sql: &str, collection: i64) -> Result<HashSet<i64>> {
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_map([collection], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?)
}

/// Writes vectors of placed chunks; those that are gone are skipped.
pub(super) fn put_vectors(
    conn: &Connection,
    run: &LayerRun,
    space: SpaceId,
    rows: &[(ChunkId, Vec<u8>)],
) -> Result<()> {
    wrong_layer(run, Layer::Embeddings)?;
    let (collection, _) = admit(conn, run, false)?;
    let spaces = vectors::spaces_of(conn, collection)?;
    let mut raised = None;
    for (id, vector) in rows {
        vectors::check_dimension(&spaces, space, vector.len())?;
        let sql = "SELECT c.key, c.flags FROM chunk c JOIN placement p ON p.chunk = c.key \
                   WHERE c.collection = ?1 AND c.id = ?2";
        let found = conn
            .prepare_cached(sql)?
            .query_row(params![collection, id.as_bytes()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .optional()?;
        let Some((chunk, flags)) = found else { continue };
        let number = match raised {
            Some(number) => number,
            None => *raised.insert(raise_publish_number(conn, collection)?),
        };
        if vectors::exists(conn, space, chunk)? {
            vectors::put(conn, space, chunk, vector)?;
            conn.prepare_cached("UPDATE placement SET published_at = ?2 WHERE chunk = ?1")?
                .execute([chunk, number.cast_signed()])?;
        } else {
            vectors::put(conn, space, chunk, vector)?;
            vectors::note_on_placed(conn, space, chunk, &mut || Ok(number))?;
        }
        if flags & EMBEDDING_QUARANTINED != 0 {
            vectors::clear_quarantine(conn, collection, chunk, flags)?;
        }
    }
    Ok(())
}

/// Marks placed chunks whose vector could not be made.
pub(super) fn set_aside_embeddings(conn: &Connection, run: &LayerRun, chunks: &[ChunkId]) -> Result<()> {
    wrong_layer(run, Layer::Embeddings)?;
    let (collection, _) = admit(conn, run, false)?;
    for id in chunks {
        let sql = "SELECT c.key, c.flags FROM chunk c JOIN placement p ON p.chunk = c.key \
                   WHERE c.collection = ?1 AND c.id = ?2";
        let found = conn
            .prepare_cached(sql)?
            .query_row(params![collection, id.as_bytes()], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .optional()?;
        if let Some((chunk, flags)) = found {
            vectors::set_quarantine(conn, collection, chunk, flags)?;
        }
    }
    Ok(())
}

/// Makes a space the active one when no placed chunk lacks a vector in it.
pub(super) fn activate_space(conn: &Connection, run: &LayerRun, space: SpaceId) -> Result<bool> {
    wrong_layer(run, Layer::Embeddings)?;
    let (collection, _) = admit(conn, run, true)?;
    // Not by counters: a chunk can be set aside and have a vector here all the same.
    if !vectors::space_delta(conn, collection, space, None, 1)?.is_empty() {
        return Ok(false);
    }
    let active = conn.prepare_cached("SELECT 1 FROM space WHERE id = ?1 AND state = 1")?.exists([space.0])?;
    if !active {
        conn.prepare_cached("UPDATE space SET state = 2 WHERE collection = ?1 AND state = 1")?.execute([collection])?;
        conn.prepare_cached("UPDATE space SET state = 1 WHERE id = ?1")?.execute([space.0])?;
        raise_publish_number(conn, collection)?;
    }
    Ok(true)
}
