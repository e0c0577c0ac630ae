//! Segments stay few and mostly live: neighbours of a size are merged into one, and where most chunks of the index are gone, what is left of them is
//! written anew. A segment is never larger than some thousand chunks, so that nobody waits long for a merge.

use rusqlite::{Connection, OptionalExtension};

use super::Outcome;
use super::postings::{Segment, members};
use super::text::{newest_chunk, write_segment};
use crate::Result;

/// Neighbouring segments of a level that become one.
const RUN: usize = 8;
/// Chunks of a segment of level 0 and of level 1 at most; larger ones are not merged.
const LEVELS: [i64; 2] = [64, 512];
/// Chunks that are gone and not worth a rewrite.
const FEW_GONE: i64 = 512;
/// Free pages are given back when there are so many and they are a quarter of the file; how many at once.
const FREE_PAGES: i64 = 1_024;
const GIVE_BACK_PAGES: i64 = 4_096;

/// A segment and its chunks.
type Row = (i64, i64);

/// Merges a run of small segments of a collection.
pub(super) fn merge(conn: &Connection, graph: &Connection, collection: i64) -> Outcome<()> {
    let segments = segments_of(conn, collection)?;
    for most in LEVELS {
        let run: Vec<Row> = segments.iter().rev().copied().take_while(|(_, chunks)| *chunks <= most).collect();
        if run.len() >= RUN {
            let mut run: Vec<i64> = run.into_iter().map(|(segment, _)| segment).collect();
            run.reverse();
            return rewrite(conn, graph, collection, &run);
        }
    }
    Ok(())
}

/// Forgets collections that the graph does not have any more, and writes segments anew where most chunks of a collection are gone.
pub(super) fn forget_gone(conn: &Connection, graph: &Connection) -> Outcome<()> {
    let known: Vec<i64> = conn
        .prepare_cached("SELECT DISTINCT collection FROM text_segment")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for collection in known {
        let segments = segments_of(conn, collection)?;
        let Some(there) = chunks_of(graph, collection)? else {
            for (segment, _) in segments {
                forget(conn, segment)?;
            }
            continue;
        };
        let indexed: i64 = segments.iter().map(|(_, chunks)| chunks).sum();
        if indexed <= 2 * there + FEW_GONE {
            continue;
        }
        for (segment, chunks) in segments {
            let live = live_members(graph, &read_members(conn, segment)?)?;
            if live.iter().filter(|live| **live).count() as i64 * 4 < chunks * 3 {
                rewrite(conn, graph, collection, &[segment])?;
            }
        }
    }
    // Pages beyond what merges use again go back to the file system.
    let free: i64 = conn.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
    let pages: i64 = conn.query_row("PRAGMA page_count", [], |row| row.get(0))?;
    if free > FREE_PAGES && free > pages / 4 {
        let mut give_back = conn.prepare(&format!("PRAGMA incremental_vacuum({GIVE_BACK_PAGES})"))?;
        let mut rows = give_back.query([])?;
        while rows.next()?.is_some() {}
    }
    Ok(())
}

fn segments_of(conn: &Connection, collection: i64) -> Outcome<Vec<Row>> {
    let sql = "SELECT segment, chunks FROM text_segment WHERE collection = ?1 ORDER BY segment";
    let mut statement = conn.prepare_cached(sql)?;
    Ok(statement.query_map([collection], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?)
}

/// Chunks of a collection, placed or not; `None` when there is no such collection.
fn chunks_of(graph: &Connection, collection: i64) -> Result<Option<i64>> {
    let sql = "SELECT chunks + unplaced_chunks FROM collection WHERE key = ?1";
    Ok(graph.prepare_cached(sql)?.query_row([collection], |row| row.get(0)).optional()?)
}

fn read_members(conn: &Connection, segment: i64) -> Outcome<Vec<(i64, u32)>> {
    let sql = "SELECT members FROM text_segment WHERE segment = ?1";
    let column: Vec<u8> = conn.prepare_cached(sql)?.query_row([segment], |row| row.get(0))?;
    Ok(members(&column)?)
}

/// Which of the chunks are there, placed or not.
fn live_members(graph: &Connection, members: &[(i64, u32)]) -> Result<Vec<bool>> {
    live(graph, members.iter().map(|(key, _)| *key))
}

/// Which of the chunks are there, placed or not. Those that came after the state that `graph` reads count as there: the index may have been brought up by
/// somebody who reads a later one.
pub(super) fn live(graph: &Connection, keys: impl Iterator<Item = i64>) -> Result<Vec<bool>> {
    let newest = newest_chunk(graph)?;
    let mut there = graph.prepare_cached("SELECT 1 FROM chunk WHERE key = ?1")?;
    keys.map(|key| Ok(key > newest || there.exists([key])?)).collect()
}

/// Segments of a collection with a chunk that is gone.
pub(super) fn with_gone(conn: &Connection, graph: &Connection, collection: i64) -> Outcome<Vec<i64>> {
    let mut found = Vec::new();
    for (segment, _) in segments_of(conn, collection)? {
        if !live_members(graph, &read_members(conn, segment)?)?.iter().all(|live| *live) {
            found.push(segment);
        }
    }
    Ok(found)
}

/// Writes a segment anew without what is gone, unless somebody merged it meanwhile.
pub(super) fn compact(conn: &Connection, graph: &Connection, collection: i64, segment: i64) -> Outcome<()> {
    if conn.prepare_cached("SELECT 1 FROM text_segment WHERE segment = ?1")?.exists([segment])? {
        rewrite(conn, graph, collection, &[segment])?;
    }
    Ok(())
}

/// One segment in the place of `run`, without chunks that are gone.
fn rewrite(conn: &Connection, graph: &Connection, collection: i64, run: &[i64]) -> Outcome<()> {
    let mut merged = Segment::default();
    for segment in run {
        let members = read_members(conn, *segment)?;
        let numbers = merged.keep(&members, &live_members(graph, &members)?);
        let mut lists = conn.prepare_cached("SELECT term, list FROM posting WHERE segment = ?1")?;
        let mut rows = lists.query([segment])?;
        while let Some(row) = rows.next()? {
            let term = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
            merged.add_list(term, row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?, &numbers)?;
        }
    }
    for segment in run {
        forget(conn, *segment)?;
    }
    if !merged.members.is_empty() {
        // Under the number of the last one that it replaces: segments stay in the order of their chunks.
        write_segment(conn, collection, &mut merged, run.last().copied())?;
    }
    Ok(())
}

fn forget(conn: &Connection, segment: i64) -> Outcome<()> {
    conn.prepare_cached("DELETE FROM posting WHERE segment = ?1")?.execute([segment])?;
    conn.prepare_cached("DELETE FROM text_segment WHERE segment = ?1")?.execute([segment])?;
    Ok(())
}
