//! Rows of similarities: nodes by collection, generation and position. Neighbours are positions too: nobody else ever has one, so that a chunk that was swept
//! and came back is no neighbour of what was compared with its former self.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use graphmill_core::{ChunkId, CollectionId};

use super::collections::is_there;
use super::layers::{self, LayerNode, admit, wrong_layer};
use super::placements::ROWS;
use super::spaces::embedding;
use super::{Neo4jConnection, Params, Transaction, ids, similarities_for_people};
use crate::Result;
use crate::records::{Layer, LayerRun, SimilarityHead, SimilarityRow, SpaceId};

/// Rows of a generation that one transaction sweeps.
const SWEEP_ROWS: usize = 2_000;
/// Rows of a delta that one transaction merges.
pub(super) const STEP_ROWS: usize = 200;

/// A row as it is stored.
#[derive(Debug, Clone)]
pub(super) struct StoredRow {
    pub(super) chunk: ChunkId,
    pub(super) cut_at: Option<f32>,
    /// Positions and scores, best first.
    pub(super) neighbours: Vec<(u64, f32)>,
}

/// A position as the server takes it.
pub(super) fn at(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

/// Rows of a generation at these positions, at most so many.
pub(super) fn stored(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    generation: u64,
    positions: &Range<u64>,
    limit: usize,
) -> Result<BTreeMap<u64, StoredRow>> {
    let query = "MATCH (s:GmSimilarity) USING INDEX SEEK s:GmSimilarity(collection, generation, position) \
                 WHERE s.collection = $collection AND s.generation = $generation AND s.position >= $from AND s.position < $to \
                 RETURN s.position AS position, s.chunk AS chunk, s.cut_at AS cut_at, s.neighbours AS neighbours, \
                 s.scores AS scores ORDER BY s.collection, s.generation, s.position LIMIT $limit";
    let params = Params::new()
        .set("collection", collection.as_str())
        .set("generation", generation)
        .set("from", at(positions.start))
        .set("to", at(positions.end))
        .set("limit", limit.min(i64::MAX as usize));
    let mut found = BTreeMap::new();
    tx.each_row(query, params, |mut row| {
        let (neighbours, scores): (Vec<u64>, Vec<f32>) = (row.take("neighbours")?, row.take("scores")?);
        let stored = StoredRow {
            chunk: ids::take(&mut row, "chunk")?,
            cut_at: row.take("cut_at")?,
            neighbours: neighbours.into_iter().zip(scores).collect(),
        };
        found.insert(row.take("position")?, stored);
        Ok(())
    })?;
    Ok(found)
}

/// Writes rows of a generation; under the lock.
fn write(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    generation: u64,
    rows: &BTreeMap<u64, StoredRow>,
) -> Result<()> {
    let query = "UNWIND $rows AS row \
                 MERGE (s:GmSimilarity {collection: $collection, generation: $generation, position: row.position}) \
                 SET s.chunk = row.chunk, s.cut_at = row.cut_at, s.neighbours = row.neighbours, s.scores = row.scores";
    let row = |(position, row): (&u64, &StoredRow)| {
        Params::new()
            .set("position", *position)
            .set("chunk", row.chunk.to_string())
            .set("cut_at", row.cut_at)
            .set("neighbours", row.neighbours.iter().map(|(position, _)| *position).collect::<Vec<_>>())
            .set("scores", row.neighbours.iter().map(|(_, score)| *score).collect::<Vec<_>>())
    };
    let params = Params::new().set("collection", collection.as_str()).set("generation", generation);
    super::placements::in_slices(tx, query, &params, rows.iter().map(row).collect())
}

/// The live chunks among these positions.
pub(super) fn live(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    positions: impl IntoIterator<Item = u64>,
) -> Result<HashMap<u64, ChunkId>> {
    let query = "UNWIND $positions AS position MATCH (c:GmChunk {collection: $collection, position: position}) \
                 USING INDEX SEEK c:GmChunk(collection, position) WHERE c.unplaced_of IS NULL \
                 RETURN position, c.id AS id";
    let positions: Vec<u64> = positions.into_iter().collect::<HashSet<u64>>().into_iter().collect();
    let mut found = HashMap::with_capacity(positions.len());
    for part in positions.chunks(ROWS) {
        let params = Params::new().set("collection", collection.as_str()).set("positions", part.to_vec());
        tx.each_row(query, params, |mut row| {
            found.insert(row.take("position")?, ids::take(&mut row, "id")?);
            Ok(())
        })?;
    }
    Ok(found)
}

/// What readers see: rows of the generation, those of a delta before them. The delta's are read first: they may be merged meanwhile.
fn seen(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    node: &LayerNode,
    positions: &Range<u64>,
    limit: usize,
) -> Result<BTreeMap<u64, StoredRow>> {
    let newer = match node.overlay {
        Some(overlay) => stored(tx, collection, overlay, positions, limit)?,
        None => BTreeMap::new(),
    };
    let mut rows = stored(tx, collection, node.generation, positions, limit)?;
    // Each was cut at its own end: what lies beyond the nearer one is not whole.
    let end =
        [&newer, &rows].iter().filter(|rows| rows.len() >= limit).filter_map(|rows| rows.keys().next_back()).min();
    let end = end.copied();
    rows.extend(newer);
    rows.retain(|position, _| end.is_none_or(|end| *position <= end));
    Ok(rows)
}

/// See [`crate::GraphStore::similarity_heads`].
pub(super) async fn heads(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    space: SpaceId,
    from: u64,
    limit: u32,
) -> Result<Vec<SimilarityHead>> {
    let collection = collection.clone();
    neo4j
        .read_many(move |tx| {
            if !is_there(tx, &collection)? {
                return Ok(Vec::new());
            }
            let chunks = with_vector(tx, &collection, space, from, limit)?;
            let (Some((first, _)), Some((last, _))) = (chunks.first(), chunks.last()) else { return Ok(Vec::new()) };
            let rows = match layers::find(tx, &collection, Layer::Similarities)? {
                Some(node) => seen(tx, &collection, &node, &(*first..last + 1), usize::MAX)?,
                None => BTreeMap::new(),
            };
            let all = rows.values().flat_map(|row| row.neighbours.iter().map(|(position, _)| *position));
            let live = live(tx, &collection, all)?;
            let head = |(position, published_at): (u64, u64)| {
                let row = rows.get(&position);
                let count = |row: &StoredRow| row.neighbours.iter().filter(|(at, _)| live.contains_key(at)).count();
                SimilarityHead {
                    position,
                    published_at,
                    live_neighbours: row.map(|row| u32::try_from(count(row)).unwrap_or(u32::MAX)),
                    is_cut: row.is_some_and(|row| row.cut_at.is_some()),
                }
            };
            Ok(chunks.into_iter().map(head).collect())
        })
        .await
}

/// Positions of live chunks with a vector, and when they were published.
fn with_vector(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    space: SpaceId,
    from: u64,
    limit: u32,
) -> Result<Vec<(u64, u64)>> {
    let query = format!(
        "MATCH (c:GmChunk) USING INDEX SEEK c:GmChunk(collection, position) \
         WHERE c.collection = $collection AND c.position >= $from AND c.unplaced_of IS NULL AND c.{} IS NOT NULL \
         RETURN c.position AS position, coalesce(c.published_at, 0) AS published_at ORDER BY c.collection, c.position LIMIT $limit",
        embedding(space)
    );
    let params = Params::new().set("collection", collection.as_str()).set("from", at(from)).set("limit", limit);
    let mut found = Vec::new();
    tx.each_row(&query, params, |mut row| {
        found.push((row.take("position")?, row.take("published_at")?));
        Ok(())
    })?;
    Ok(found)
}

/// See [`crate::GraphStore::similarities`].
pub(super) async fn rows(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    positions: Range<u64>,
    limit: u32,
) -> Result<Vec<(u64, SimilarityRow)>> {
    let collection = collection.clone();
    let limit = limit as usize;
    neo4j
        .read_many(move |tx| {
            let Some(node) = layers::find(tx, &collection, Layer::Similarities)? else { return Ok(Vec::new()) };
            let (mut from, mut found) = (positions.start, Vec::new());
            // Rows of chunks that are placed no more do not count.
            while found.len() < limit {
                let rows = seen(tx, &collection, &node, &(from..positions.end), limit)?;
                let Some(last) = rows.keys().next_back() else { break };
                from = last + 1;
                let ends = rows.iter().flat_map(|(own, row)| row.neighbours.iter().map(|(n, _)| *n).chain([*own]));
                let live = live(tx, &collection, ends)?;
                for (position, row) in rows {
                    if live.contains_key(&position) {
                        let neighbours = row.neighbours.iter().filter_map(|(n, score)| Some((*live.get(n)?, *score)));
                        let neighbours = neighbours.collect();
                        found.push((position, SimilarityRow { chunk: row.chunk, neighbours, cut_at: row.cut_at }));
                    }
                }
            }
            found.truncate(limit);
            Ok(found)
        })
        .await
}

/// See [`crate::GraphStore::put_similarities`].
pub(super) async fn put(neo4j: &Neo4jConnection, run: &LayerRun, rows: Vec<SimilarityRow>) -> Result<u64> {
    wrong_layer(run, Layer::Similarities)?;
    let run = run.clone();
    let written = neo4j
        .write(move |tx| {
            admit(tx, &run, false)?;
            let ends = rows.iter().flat_map(|row| row.neighbours.iter().map(|(id, _)| *id).chain([row.chunk]));
            let positions = positions_of(tx, &run.collection, ends)?;
            let mut stored = BTreeMap::new();
            let mut written = 0;
            for row in &rows {
                let Some(position) = positions.get(&row.chunk) else { continue };
                let neighbours = row.neighbours.iter().filter_map(|(id, score)| Some((*positions.get(id)?, *score)));
                let neighbours = neighbours.collect();
                stored.insert(*position, StoredRow { chunk: row.chunk, cut_at: row.cut_at, neighbours });
                written += 1;
            }
            write(tx, &run.collection, run.number, &stored)?;
            graphmill_core::fault_point!("put_similarities.before_commit");
            Ok(written)
        })
        .await;
    graphmill_core::fault_point!("put_similarities.after_commit");
    written
}

/// Positions of chunks that are there, placed or not.
fn positions_of(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    chunks: impl Iterator<Item = ChunkId>,
) -> Result<HashMap<ChunkId, u64>> {
    let query = "UNWIND $ids AS id MATCH (c:GmChunk {id: id}) WHERE c.collection = $collection \
                 RETURN id, c.position AS position";
    let chunks: Vec<ChunkId> = chunks.collect::<HashSet<ChunkId>>().into_iter().collect();
    let mut found = HashMap::with_capacity(chunks.len());
    for part in chunks.chunks(ROWS) {
        let ids: Vec<String> = part.iter().map(ToString::to_string).collect();
        let params = Params::new().set("collection", collection.as_str()).set("ids", ids);
        tx.each_row(query, params, |mut row| {
            found.insert(ids::take(&mut row, "id")?, row.take("position")?);
            Ok(())
        })?;
    }
    Ok(found)
}

/// Writes some rows of a delta over those of the generation, and what people see of them; the last step ends the overlay.
pub(super) fn merge_step(tx: &mut Transaction<'_, '_>, collection: &CollectionId, node: &LayerNode) -> Result<()> {
    let Some(overlay) = node.overlay else { return Ok(()) };
    let rows = stored(tx, collection, overlay, &(node.merged..u64::MAX), STEP_ROWS)?;
    let Some(last) = rows.keys().next_back() else {
        let ended = Params::new().set("overlay", None::<u64>).set("merged", None::<u64>);
        return layers::set(tx, collection, Layer::Similarities, ended);
    };
    let merged = Params::new().set("merged", last + 1);
    write(tx, collection, node.generation, &rows)?;
    let positions: Vec<u64> = rows.keys().copied().collect();
    similarities_for_people::rewrite(tx, collection, &positions, &rows, node.top_k()?)?;
    layers::set(tx, collection, Layer::Similarities, merged)
}

/// Removes some rows of a generation.
pub(super) fn sweep_step(tx: &mut Transaction<'_, '_>, collection: &CollectionId, generation: u64) -> Result<()> {
    let query = "MATCH (s:GmSimilarity {collection: $collection, generation: $generation}) WHERE s.position IS NOT NULL \
                 WITH s LIMIT $limit DETACH DELETE s";
    let params = Params::new().set("collection", collection.as_str()).set("generation", generation);
    tx.run(query, params.set("limit", SWEEP_ROWS))
}
