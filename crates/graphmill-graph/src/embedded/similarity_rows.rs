//! What a run of the similarities reads: vectors of live chunks, and the rows that readers see. A chunk's position is its key.

use std::ops::Range;

use graphmill_core::ChunkId;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::ids::chunk_id;
use super::layers;
use super::vectors::{keys_of, vector_key};
use crate::Result;
use crate::records::{Layer, SimilarityHead, SimilarityRow, SpaceId, VectorHead, VectorPage};

/// The part of a space's keys that these positions are.
fn keys_between(space: SpaceId, positions: &Range<u64>) -> (i64, i64) {
    let (from, to) = keys_of(space);
    let at = |position: u64| i64::try_from(position).unwrap_or(i64::MAX).saturating_add(from).min(to);
    (at(positions.start), at(positions.end))
}

/// Vectors of live chunks, by rising position.
pub(super) fn vectors(conn: &Connection, space: SpaceId, positions: &Range<u64>, limit: u32) -> Result<VectorPage> {
    let (from, to) = keys_between(space, positions);
    let mut statement = conn.prepare_cached(
        "SELECT p.chunk, c.id, v.vector FROM vector v CROSS JOIN placement p ON p.chunk = v.key - ?1 \
         CROSS JOIN chunk c ON c.key = p.chunk WHERE v.key >= ?2 AND v.key < ?3 ORDER BY v.key LIMIT ?4",
    )?;
    let mut rows = statement.query(params![vector_key(space, 0), from, to, limit])?;
    let mut page = VectorPage::default();
    while let Some(row) = rows.next()? {
        add(&mut page, row)?;
    }
    Ok(page)
}

/// Vectors of the live chunks among these positions.
pub(super) fn vectors_at(conn: &Connection, space: SpaceId, positions: &[u64]) -> Result<VectorPage> {
    let mut statement = conn.prepare_cached(
        "SELECT p.chunk, c.id, v.vector FROM vector v CROSS JOIN placement p ON p.chunk = v.key - ?1 \
         CROSS JOIN chunk c ON c.key = p.chunk WHERE v.key = ?2",
    )?;
    let mut page = VectorPage::default();
    for position in positions {
        let (key, _) = keys_between(space, &(*position..*position + 1));
        let mut rows = statement.query([vector_key(space, 0), key])?;
        if let Some(row) = rows.next()? {
            add(&mut page, row)?;
        }
    }
    Ok(page)
}

fn add(page: &mut VectorPage, row: &Row<'_>) -> Result<()> {
    let position = row.get::<_, i64>(0)?.cast_unsigned();
    page.heads.push(VectorHead { position, chunk: chunk_id(row, 1)? });
    let (components, _) = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?.as_chunks::<4>();
    page.components.extend(components.iter().map(|b| f32::from_le_bytes(*b)));
    Ok(())
}

/// What of the chunks with a vector a run has to look at, by rising position from `from` on.
pub(super) fn heads(
    conn: &Connection,
    collection: i64,
    space: SpaceId,
    from: u64,
    limit: u32,
) -> Result<Vec<SimilarityHead>> {
    let generation = layers::row(conn, collection, Layer::Similarities)?.map_or(0, |row| row.generation);
    let (from, to) = keys_between(space, &(from..u64::MAX));
    let mut statement = conn.prepare_cached(
        "SELECT p.chunk, p.published_at, s.cut_at, s.neighbours FROM vector v \
         CROSS JOIN placement p ON p.chunk = v.key - ?1 LEFT JOIN similarity s ON s.collection = ?2 \
         AND s.generation = ?3 AND s.chunk = p.chunk WHERE v.key >= ?4 AND v.key < ?5 ORDER BY v.key LIMIT ?6",
    )?;
    let mut is_live = conn.prepare_cached("SELECT 1 FROM placement WHERE chunk = ?1")?;
    let mut rows = statement.query(params![vector_key(space, 0), collection, generation, from, to, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let is_cut = row.get::<_, Option<f64>>(2)?.is_some();
        let mut live_neighbours = None;
        if let Some(column) = row.get_ref(3)?.as_blob_or_null().map_err(rusqlite::Error::from)? {
            let mut live = 0;
            for (chunk, _) in layers::neighbours(column)? {
                live += u32::from(is_live.exists([chunk])?);
            }
            live_neighbours = Some(live);
        }
        let position = row.get::<_, i64>(0)?.cast_unsigned();
        let published_at = row.get::<_, i64>(1)?.cast_unsigned();
        found.push(SimilarityHead { position, published_at, live_neighbours, is_cut });
    }
    Ok(found)
}

/// Rows that readers see, of live chunks, with their live neighbours alone.
pub(super) fn rows(
    conn: &Connection,
    collection: i64,
    positions: &Range<u64>,
    limit: u32,
) -> Result<Vec<(u64, SimilarityRow)>> {
    let Some(layer) = layers::row(conn, collection, Layer::Similarities)? else { return Ok(Vec::new()) };
    let mut statement = conn.prepare_cached(
        "SELECT s.chunk, c.id, s.cut_at, s.neighbours FROM similarity s CROSS JOIN placement p ON p.chunk = s.chunk \
         CROSS JOIN chunk c ON c.key = s.chunk WHERE s.collection = ?1 AND s.generation = ?2 AND s.chunk >= ?3 \
         AND s.chunk < ?4 ORDER BY s.chunk LIMIT ?5",
    )?;
    let mut live =
        conn.prepare_cached("SELECT c.id FROM placement p CROSS JOIN chunk c ON c.key = p.chunk WHERE p.chunk = ?1")?;
    let at = |position: u64| i64::try_from(position).unwrap_or(i64::MAX);
    let (from, to) = (at(positions.start), at(positions.end));
    let mut rows = statement.query(params![collection, layer.generation, from, to, limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let mut neighbours: Vec<(ChunkId, f32)> = Vec::new();
        for (key, score) in layers::neighbours(row.get_ref(3)?.as_blob().map_err(rusqlite::Error::from)?)? {
            let id = live.query_row([key], |row| chunk_id(row, 0)).optional()?;
            neighbours.extend(id.map(|id| (id, score)));
        }
        let cut_at = row.get::<_, Option<f64>>(2)?.map(|score| score as f32);
        let chunk = chunk_id(row, 1)?;
        found.push((row.get::<_, i64>(0)?.cast_unsigned(), SimilarityRow { chunk, neighbours, cut_at }));
    }
    Ok(found)
}
