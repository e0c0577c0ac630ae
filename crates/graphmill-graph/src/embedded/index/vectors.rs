//! Nearest chunks: a scan over rounded vectors proposes those whose bound is high enough, and their exact cosines decide.

use std::collections::{BinaryHeap, HashSet};

use rusqlite::{Connection, OptionalExtension, params};

use super::codes::{BLOCK, Block, BlockView, Query};
use super::merge::live;
use super::shortlist::{Candidates, Shortlist};
use super::{Fault, Outcome, SearchIndex};
use crate::Result;
use crate::cosine::norm;
use crate::embedded::filter::Admission;
use crate::embedded::search::{Candidate, cosine, hits, keep};
use crate::embedded::vectors::{check_dimension, keys_of, spaces_of, vector_key};
use crate::records::{SearchFilter, SearchHit, SpaceId, SpaceState};

/// Candidates that a scan keeps at first.
const CANDIDATES: usize = 2_048;
/// Vectors in blocks whose chunks are gone and that are not worth making the blocks anew.
const FEW_GONE: i64 = 4_096;

/// Whether no space stands at more than the graph has published.
pub(super) fn stand_within(conn: &Connection, graph: &Connection) -> Outcome<bool> {
    let mut statement = conn.prepare("SELECT space, stands_at FROM vector_space")?;
    let spaces: Vec<(u32, i64)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<rusqlite::Result<_>>()?;
    for (space, stands_at) in spaces {
        let number = publish_number(graph, SpaceId(space))?;
        if number.is_some_and(|(number, _)| stands_at > number) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Publish number of a space's collection, and how many placed chunks have a vector in the space.
fn publish_number(graph: &Connection, space: SpaceId) -> Result<Option<(i64, i64)>> {
    let sql = "SELECT c.publish_number, s.live_vectors FROM space s CROSS JOIN collection c ON c.key = s.collection WHERE s.id = ?1";
    let mut statement = graph.prepare_cached(sql)?;
    Ok(statement.query_row([space.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

impl SearchIndex {
    /// Brings the blocks of the collection's active space up.
    pub(super) fn bring_active_space_up(&self, graph: &Connection, collection: i64) -> Outcome<()> {
        let active = spaces_of(graph, collection)?.into_iter().find(|space| space.state == SpaceState::Active);
        active.map_or(Ok(()), |space| self.bring_space_up(graph, space.id).map(drop))
    }

    /// Takes in the vectors of placed chunks that `graph` sees in a space; answers the publish number that the blocks stand at or above.
    fn bring_space_up(&self, graph: &Connection, space: SpaceId) -> Outcome<i64> {
        let Some((number, live)) = publish_number(graph, space)? else { return Ok(0) };
        let stands = self.read(|conn| state(conn, space))?;
        let stands_at = match stands {
            Some((at, _)) if at >= number => return Ok(number),
            // Mostly vectors of chunks that are gone.
            Some((_, vectors)) if vectors > 2 * live + FEW_GONE => None,
            other => other.map(|(at, _)| at),
        };
        self.write(|conn| {
            // Somebody else may have done it meanwhile.
            if state(conn, space)?.is_some_and(|(at, _)| at >= number) {
                return Ok(());
            }
            if stands_at.is_none() {
                forget(conn, space)?;
            }
            take_in(conn, graph, space, stands_at, number)
        })?;
        Ok(number)
    }

    /// Live chunks of a space by cosine, exact, best first, ties by id.
    pub(in crate::embedded) fn nearest(
        &self,
        graph: &Connection,
        collection: i64,
        space: SpaceId,
        query: &[f32],
        limit: usize,
        filter: &SearchFilter,
    ) -> Result<Vec<SearchHit>> {
        check_dimension(&spaces_of(graph, collection)?, space, query.len() * 4)?;
        let (Some(codes), true) = (Query::new(query), limit > 0) else { return Ok(Vec::new()) };
        let Some(admission) = Admission::resolve(graph, collection, filter)? else { return Ok(Vec::new()) };
        let exact = Exact { graph, space, query, norm: norm(query), admission: &admission };
        if let Some(few) = admission.few() {
            let found = few.iter().map(|key| (f64::INFINITY, *key)).collect::<Vec<_>>();
            return hits(graph, exact.best(&found, limit)?.0, limit);
        }
        self.healing(|| {
            let mut size = CANDIDATES.max(limit * 8);
            loop {
                let scanned = match self.bring_space_up(graph, space) {
                    Ok(number) => self.scan(space, number, &codes, size)?,
                    // All of them: the graph's own vectors need no index.
                    Err(fault) if fault.is_no_room() => Some((placed_in(graph, space)?, None)),
                    Err(fault) => return Err(fault),
                };
                let Some((candidates, dropped)) = scanned else { continue };
                let (best, worst) = exact.best(&candidates, limit)?;
                let whole = dropped.is_none_or(|bound| worst.is_some_and(|worst| worst > bound));
                if whole {
                    return Ok(hits(graph, best, limit)?);
                }
                size = size.saturating_mul(16);
            }
        })
    }

    /// Chunks of a space with the highest bounds, and the highest bound of what fell out; `None` when somebody made the file anew meanwhile and it
    /// does not stand at `number` yet.
    fn scan(&self, space: SpaceId, number: i64, query: &Query, size: usize) -> Outcome<Option<Candidates>> {
        let verify = !self.verified.lock().contains(&space.0);
        let found = self.read(|conn| {
            if number > 0 && state(conn, space)?.is_none_or(|(at, _)| at < number) {
                return Ok(None);
            }
            let mut best = Shortlist::new(size);
            let sql = "SELECT vectors, codes, checksum FROM vector_block WHERE space = ?1 ORDER BY block";
            let mut statement = conn.prepare_cached(sql)?;
            let mut rows = statement.query([space.0])?;
            while let Some(row) = rows.next()? {
                let codes = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
                if verify && row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)? != checksum(codes) {
                    return Err(Fault::Damaged);
                }
                BlockView::new(codes, row.get::<_, u32>(0)? as usize)?
                    .bounds(query, |bound, key| best.push(bound, key))?;
            }
            Ok(Some(best.into_sorted()))
        })?;
        if verify && found.is_some() {
            self.verified.lock().insert(space.0);
        }
        Ok(found)
    }
}

/// Exact cosines of the rows that the graph has.
struct Exact<'a> {
    graph: &'a Connection,
    space: SpaceId,
    query: &'a [f32],
    norm: f64,
    admission: &'a Admission,
}

impl Exact<'_> {
    /// The best of the candidates (bounds falling) with all that are as good as the last of them, and its cosine when there are `limit`.
    fn best(&self, candidates: &[(f64, i64)], limit: usize) -> Result<(Vec<Candidate>, Option<f64>)> {
        let mut find = self.graph.prepare_cached(
            "SELECT p.document, v.vector FROM placement p CROSS JOIN vector v ON v.key = ?2 + p.chunk WHERE p.chunk = ?1",
        )?;
        let base = vector_key(self.space, 0);
        let (mut best, mut ties) = (BinaryHeap::new(), Vec::new());
        // A chunk whose vector was replaced stands in the blocks twice.
        let mut seen = HashSet::new();
        let worst = |best: &BinaryHeap<Candidate>| best.peek().filter(|_| best.len() >= limit).map(|worst| worst.score);
        for (bound, key) in candidates {
            if worst(&best).is_some_and(|worst| worst > *bound) {
                break;
            }
            if !seen.insert(*key) {
                continue;
            }
            let mut rows = find.query([*key, base])?;
            let Some(row) = rows.next()? else { continue };
            if !self.admission.admits(self.graph, row.get(0)?, *key)? {
                continue;
            }
            let column = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            if let Some(score) = cosine(column, self.query, self.norm) {
                keep(&mut best, &mut ties, Candidate { score, chunk: *key }, limit);
            }
        }
        let worst = worst(&best);
        Ok((best.into_iter().chain(ties).collect(), worst))
    }
}

/// Publish number that a space's blocks stand at, and how many vectors they hold.
fn state(conn: &Connection, space: SpaceId) -> Outcome<Option<(i64, i64)>> {
    let sql = "SELECT stands_at, vectors FROM vector_space WHERE space = ?1";
    Ok(conn.prepare_cached(sql)?.query_row([space.0], |row| Ok((row.get(0)?, row.get(1)?))).optional()?)
}

fn forget(conn: &Connection, space: SpaceId) -> Outcome<()> {
    conn.prepare_cached("DELETE FROM vector_block WHERE space = ?1")?.execute([space.0])?;
    conn.prepare_cached("DELETE FROM vector_space WHERE space = ?1")?.execute([space.0])?;
    Ok(())
}

/// Forgets spaces that nobody searches any more.
pub(super) fn forget_gone(conn: &Connection, graph: &Connection) -> Outcome<()> {
    let known: Vec<u32> = conn
        .prepare_cached("SELECT space FROM vector_space")?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    for space in known.into_iter().map(SpaceId) {
        let searched = graph
            .prepare_cached("SELECT 1 FROM space WHERE id = ?1 AND state = 1")
            .and_then(|mut find| find.exists([space.0]))
            .map_err(crate::Error::from)?;
        if !searched {
            forget(conn, space)?;
        }
    }
    Ok(())
}

/// Blocks of a space with a chunk that is gone.
pub(super) fn with_gone(conn: &Connection, graph: &Connection, space: SpaceId) -> Outcome<Vec<i64>> {
    let mut statement = conn.prepare_cached("SELECT block, vectors, codes FROM vector_block WHERE space = ?1")?;
    let (mut rows, mut found) = (statement.query([space.0])?, Vec::new());
    while let Some(row) = rows.next()? {
        let codes = row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?;
        let view = BlockView::new(codes, row.get::<_, u32>(1)? as usize)?;
        if !live(graph, view.keys())?.iter().all(|live| *live) {
            found.push(row.get(0)?);
        }
    }
    Ok(found)
}

/// Writes a block anew without what is gone.
pub(super) fn compact(conn: &Connection, graph: &Connection, space: SpaceId, number: i64) -> Outcome<()> {
    let sql = "SELECT vectors, codes FROM vector_block WHERE block = ?1 AND space = ?2";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, u32>(0)? as usize, row.get::<_, Vec<u8>>(1)?));
    let row = conn.prepare_cached(sql)?.query_row(params![number, space.0], read).optional()?;
    let Some((vectors, codes)) = row else { return Ok(()) };
    let mut block = Block::decode(&codes, vectors)?;
    let keep = live(graph, block.keys().iter().copied())?;
    block.retain(&keep);
    if block.len() == 0 {
        conn.prepare_cached("DELETE FROM vector_block WHERE block = ?1")?.execute([number])?;
    } else {
        let codes = block.encode();
        conn.prepare_cached("UPDATE vector_block SET vectors = ?2, checksum = ?3, codes = ?4 WHERE block = ?1")?
            .execute(params![number, block.len() as i64, checksum(&codes), codes])?;
    }
    conn.prepare_cached("UPDATE vector_space SET vectors = vectors - ?2 WHERE space = ?1")?
        .execute(params![space.0, (vectors - block.len()) as i64])?;
    Ok(())
}

fn checksum(codes: &[u8]) -> [u8; 8] {
    let mut sum = [0; 8];
    sum.copy_from_slice(&blake3::hash(codes).as_bytes()[..8]);
    sum
}

/// Takes in what was placed or given a vector after `stands_at`; all placed chunks when that is `None`. The last block is filled up first.
fn take_in(conn: &Connection, graph: &Connection, space: SpaceId, stands_at: Option<i64>, number: i64) -> Outcome<()> {
    let mut blocks = Blocks::open(conn, space)?;
    match stands_at {
        Some(after) => each_published(graph, space, after, |key, column| blocks.push(key, column))?,
        None => each_placed(graph, space, |key, column| blocks.push(key, column))?,
    }
    let added = blocks.close()?;
    conn.prepare_cached(
        "INSERT INTO vector_space (space, stands_at, vectors) VALUES (?1, ?2, ?3) \
         ON CONFLICT (space) DO UPDATE SET stands_at = excluded.stands_at, vectors = vectors + excluded.vectors",
    )?
    .execute(params![space.0, number, added])?;
    Ok(())
}

/// Every placed chunk with a vector in the space, as a candidate of unknown worth.
fn placed_in(graph: &Connection, space: SpaceId) -> Outcome<Vec<(f64, i64)>> {
    let mut placed = Vec::new();
    each_placed(graph, space, |key, _| {
        placed.push((f64::INFINITY, key));
        Ok(())
    })?;
    Ok(placed)
}

fn each_placed(graph: &Connection, space: SpaceId, mut each: impl FnMut(i64, &[u8]) -> Outcome<()>) -> Outcome<()> {
    let (from, to) = keys_of(space);
    let read = |error: rusqlite::Error| Fault::Graph(error.into());
    let sql = "SELECT p.chunk, v.vector FROM vector v CROSS JOIN placement p ON p.chunk = v.key - ?1 WHERE v.key >= ?1 AND v.key < ?2";
    let mut statement = graph.prepare_cached(sql).map_err(read)?;
    let mut rows = statement.query([from, to]).map_err(read)?;
    while let Some(row) = rows.next().map_err(read)? {
        each(row.get(0).map_err(read)?, row.get_ref(1).map_err(read)?.as_blob().map_err(|e| read(e.into()))?)?;
    }
    Ok(())
}

fn each_published(
    graph: &Connection,
    space: SpaceId,
    after: i64,
    mut each: impl FnMut(i64, &[u8]) -> Outcome<()>,
) -> Outcome<()> {
    let read = |error: rusqlite::Error| Fault::Graph(error.into());
    let sql = "SELECT p.chunk, v.vector FROM placement p CROSS JOIN vector v ON v.key = ?2 + p.chunk WHERE p.published_at > ?1";
    let mut statement = graph.prepare_cached(sql).map_err(read)?;
    let mut rows = statement.query([after, vector_key(space, 0)]).map_err(read)?;
    while let Some(row) = rows.next().map_err(read)? {
        each(row.get(0).map_err(read)?, row.get_ref(1).map_err(read)?.as_blob().map_err(|e| read(e.into()))?)?;
    }
    Ok(())
}

/// Blocks of a space that are written.
struct Blocks<'c> {
    conn: &'c Connection,
    space: SpaceId,
    /// The block that is being filled, and its number when it stands in the file already.
    open: Block,
    number: Option<i64>,
    added: i64,
}

impl<'c> Blocks<'c> {
    fn open(conn: &'c Connection, space: SpaceId) -> Outcome<Self> {
        let sql = "SELECT block, vectors, codes FROM vector_block WHERE space = ?1 ORDER BY block DESC LIMIT 1";
        let mut statement = conn.prepare_cached(sql)?;
        let mut rows = statement.query([space.0])?;
        let mut blocks = Self { conn, space, open: Block::default(), number: None, added: 0 };
        if let Some(row) = rows.next()? {
            let vectors = row.get::<_, u32>(1)? as usize;
            if vectors < BLOCK {
                blocks.open = Block::decode(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?, vectors)?;
                blocks.number = Some(row.get(0)?);
            }
        }
        Ok(blocks)
    }

    fn push(&mut self, key: i64, column: &[u8]) -> Outcome<()> {
        let before = self.open.len();
        self.open.push(key, column);
        self.added += (self.open.len() - before) as i64;
        if self.open.len() >= BLOCK { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> Outcome<()> {
        let block = std::mem::take(&mut self.open);
        if block.len() == 0 {
            return Ok(());
        }
        let codes = block.encode();
        self.conn
            .prepare_cached(
                "INSERT OR REPLACE INTO vector_block (block, space, vectors, checksum, codes) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute(params![self.number.take(), self.space.0, block.len() as i64, checksum(&codes), codes])?;
        Ok(())
    }

    fn close(mut self) -> Outcome<i64> {
        self.write()?;
        Ok(self.added)
    }
}
