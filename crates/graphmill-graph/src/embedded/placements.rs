//! Where chunks stand: the swap of a document's `HAS_CHUNK` edges by difference.

use std::collections::{HashMap, HashSet};

use graphmill_core::ChunkId;
use rusqlite::{Connection, OptionalExtension, params};

use super::collections::{CounterChange, DocumentRow};
use super::staging::{EMBEDDING_QUARANTINED, FACTS_QUARANTINED};
use super::vectors;
use crate::records::{Placement, Publication, SpaceId};
use crate::varint::{Malformed, Reader, put, put_str};
use crate::{Error, Result};

/// A chunk that is to be placed.
#[derive(Debug, Clone, Copy)]
pub(super) struct WantedChunk {
    pub(super) key: i64,
    flags: i64,
}

/// What a swap changed.
#[derive(Debug, Default)]
pub(super) struct Swap {
    /// Keys of chunks that were not placed before, rising.
    pub(super) added: Vec<i64>,
    /// Keys of chunks that are placed no more, rising.
    pub(super) removed: Vec<i64>,
    /// The document had placed chunks before.
    pub(super) had_chunks: bool,
    /// Some of its chunks are placed still or newly.
    pub(super) keeps_chunks: bool,
    /// Counters of chunks.
    pub(super) counters: CounterChange,
    /// By how much the vectors of live chunks change in each space.
    pub(super) live_vectors: Vec<(SpaceId, i64)>,
}

/// Finds the chunks of a publication; answers with those that are not staged whole.
pub(super) fn resolve(
    conn: &Connection,
    row: &DocumentRow,
    publication: &Publication,
) -> Result<Result<Vec<WantedChunk>, Vec<ChunkId>>> {
    let mut find = conn.prepare_cached("SELECT key, document, flags FROM chunk WHERE collection = ?1 AND id = ?2")?;
    let mut chunks = Vec::with_capacity(publication.placements.len());
    let (mut missing, mut seen) = (Vec::new(), HashSet::with_capacity(publication.placements.len()));
    for placement in &publication.placements {
        if !seen.insert(placement.chunk) {
            return Err(Error::Invalid(format!(
                "{} stands twice in the publication of {}; equal chunks differ by their occurrence",
                placement.chunk, publication.document
            )));
        }
        let found = find
            .query_row(params![row.collection, placement.chunk.as_bytes()], |r| {
                Ok((r.get::<_, i64>(0)?, r.get::<_, i64>(1)?, r.get::<_, i64>(2)?))
            })
            .optional()?;
        match found {
            Some((key, document, flags)) if document == row.key && is_whole(conn, publication, key, flags)? => {
                chunks.push(WantedChunk { key, flags });
            }
            _ => missing.push(placement.chunk),
        }
    }
    Ok(if missing.is_empty() { Ok(chunks) } else { Err(missing) })
}

fn is_whole(conn: &Connection, publication: &Publication, chunk: i64, flags: i64) -> Result<bool> {
    if flags & EMBEDDING_QUARANTINED != 0 {
        return Ok(true);
    }
    for space in &publication.spaces {
        if !vectors::exists(conn, *space, chunk)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Puts the wanted placements in the place of the present ones.
pub(super) fn swap(
    conn: &Connection,
    row: &DocumentRow,
    publication: &Publication,
    wanted: &[WantedChunk],
    publish_number: u64,
) -> Result<Swap> {
    let mut old = present(conn, row.key)?;
    let mut swap = Swap { had_chunks: !old.is_empty(), keeps_chunks: !wanted.is_empty(), ..Swap::default() };
    let mut added: Vec<(i64, usize)> = Vec::new();
    for (index, (chunk, placement)) in wanted.iter().zip(&publication.placements).enumerate() {
        match old.remove(&chunk.key) {
            None => added.push((chunk.key, index)),
            Some(stands) if stands == PlacementRow::new(index, placement)? => {}
            Some(_) => move_chunk(conn, chunk.key, &PlacementRow::new(index, placement)?)?,
        }
    }
    added.sort_unstable();
    for (key, index) in &added {
        let stands = PlacementRow::new(*index, &publication.placements[*index])?;
        place(conn, row.key, *key, &stands, publish_number)?;
        count_flags(&mut swap.counters, wanted[*index].flags, 1);
    }
    swap.added = added.into_iter().map(|(key, _)| key).collect();
    swap.removed = old.into_keys().collect();
    swap.removed.sort_unstable();
    unplace(conn, row.key, &swap.removed, &mut swap.counters)?;
    swap.counters.unplaced_chunks -= swap.added.len() as i64;
    swap.counters.chunks += swap.added.len() as i64;
    swap.live_vectors = live_vectors(conn, row.collection, &swap.added, &swap.removed)?;
    Ok(swap)
}

/// Takes all placements of a document away.
pub(super) fn unplace_all(conn: &Connection, row: &DocumentRow) -> Result<Swap> {
    let mut swap = Swap { had_chunks: true, ..Swap::default() };
    swap.removed = present(conn, row.key)?.into_keys().collect();
    swap.removed.sort_unstable();
    unplace(conn, row.key, &swap.removed, &mut swap.counters)?;
    swap.live_vectors = live_vectors(conn, row.collection, &[], &swap.removed)?;
    Ok(swap)
}

fn place(conn: &Connection, document: i64, chunk: i64, stands: &PlacementRow, publish_number: u64) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO placement (chunk, document, chunk_index, start_char, end_char, page_start, page_end, heading_path, \
         published_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        chunk,
        document,
        stands.chunk_index,
        stands.start_char,
        stands.end_char,
        stands.page_start,
        stands.page_end,
        stands.heading_path,
        publish_number.cast_signed()
    ])?;
    conn.prepare_cached("DELETE FROM unplaced WHERE document = ?1 AND chunk = ?2")?.execute([document, chunk])?;
    Ok(())
}

fn move_chunk(conn: &Connection, chunk: i64, stands: &PlacementRow) -> Result<()> {
    conn.prepare_cached(
        "UPDATE placement SET chunk_index = ?2, start_char = ?3, end_char = ?4, page_start = ?5, page_end = ?6, \
         heading_path = ?7 WHERE chunk = ?1",
    )?
    .execute(params![
        chunk,
        stands.chunk_index,
        stands.start_char,
        stands.end_char,
        stands.page_start,
        stands.page_end,
        stands.heading_path
    ])?;
    Ok(())
}

/// The chunks stay where they are, unplaced, until they are swept: a later job of the document may want them again.
fn unplace(conn: &Connection, document: i64, chunks: &[i64], counters: &mut CounterChange) -> Result<()> {
    let mut forget = conn.prepare_cached("DELETE FROM placement WHERE chunk = ?1")?;
    let mut note = conn.prepare_cached("INSERT INTO unplaced (document, chunk) VALUES (?1, ?2)")?;
    let mut flags = conn.prepare_cached("SELECT flags FROM chunk WHERE key = ?1")?;
    for chunk in chunks {
        forget.execute([chunk])?;
        note.execute([document, *chunk])?;
        count_flags(counters, flags.query_row([chunk], |row| row.get(0))?, -1);
    }
    counters.chunks -= chunks.len() as i64;
    counters.unplaced_chunks += chunks.len() as i64;
    Ok(())
}

fn count_flags(counters: &mut CounterChange, flags: i64, change: i64) {
    if flags & (FACTS_QUARANTINED | EMBEDDING_QUARANTINED) != 0 {
        counters.quarantined_chunks += change;
    }
    if flags & EMBEDDING_QUARANTINED != 0 {
        counters.quarantined_embedding += change;
    }
}

fn live_vectors(conn: &Connection, collection: i64, added: &[i64], removed: &[i64]) -> Result<Vec<(SpaceId, i64)>> {
    let mut changes = Vec::new();
    for space in vectors::spaces_of(conn, collection)? {
        let mut change = 0;
        for chunk in added {
            change += i64::from(vectors::exists(conn, space.id, *chunk)?);
        }
        for chunk in removed {
            change -= i64::from(vectors::exists(conn, space.id, *chunk)?);
        }
        changes.push((space.id, change));
    }
    Ok(changes)
}

/// A placement as its row has it.
#[derive(Debug, PartialEq, Eq)]
struct PlacementRow {
    chunk_index: i64,
    start_char: i64,
    end_char: i64,
    page_start: u32,
    page_end: u32,
    heading_path: Vec<u8>,
}

impl PlacementRow {
    fn new(index: usize, placement: &Placement) -> Result<Self> {
        Ok(Self {
            chunk_index: index as i64,
            start_char: super::sql_error::to_sql(placement.start_char, "start_char")?,
            end_char: super::sql_error::to_sql(placement.end_char, "end_char")?,
            page_start: placement.page_start,
            page_end: placement.page_end,
            heading_path: encode_headings(&placement.heading_path),
        })
    }
}

fn present(conn: &Connection, document: i64) -> Result<HashMap<i64, PlacementRow>> {
    let sql = "SELECT chunk, chunk_index, start_char, end_char, page_start, page_end, heading_path FROM placement \
               WHERE document = ?1";
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map([document], |row| {
        let stands = PlacementRow {
            chunk_index: row.get(1)?,
            start_char: row.get(2)?,
            end_char: row.get(3)?,
            page_start: row.get(4)?,
            page_end: row.get(5)?,
            heading_path: row.get(6)?,
        };
        Ok((row.get(0)?, stands))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

fn encode_headings(headings: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, headings.len() as u64);
    headings.iter().for_each(|heading| put_str(&mut out, heading));
    out
}

/// Headings as they were given.
pub(super) fn decode_headings(column: &[u8]) -> Result<Vec<String>, Malformed> {
    let mut reader = Reader::new(column);
    let len = reader.index()?;
    (0..len).map(|_| reader.str().map(str::to_owned)).collect()
}
