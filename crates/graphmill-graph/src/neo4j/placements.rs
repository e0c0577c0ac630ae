//! Where chunks stand: the swap of a document's `HAS_CHUNK` and `NEXT_CHUNK` by difference.

use std::collections::{HashMap, HashSet};

use graphmill_core::{ChunkId, DocumentId};

use super::spaces::presence;
use super::staging::{EMBEDDING_QUARANTINED, FACTS_QUARANTINED};
use super::{Params, Row, Transaction, ids};
use crate::records::{Placement, Publication, Space, SpaceId};
use crate::{Error, Result};

/// Rows of one query.
pub(super) const ROWS: usize = 1_000;

/// By how much the collection's counters change.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counters {
    pub(super) documents: i64,
    pub(super) chunks: i64,
    pub(super) entities: i64,
    pub(super) relations: i64,
    pub(super) quarantined_chunks: i64,
    pub(super) quarantined_embedding: i64,
}

impl Counters {
    fn count_flags(&mut self, flags: i64, change: i64) {
        if flags & (FACTS_QUARANTINED | EMBEDDING_QUARANTINED) != 0 {
            self.quarantined_chunks += change;
        }
        if flags & EMBEDDING_QUARANTINED != 0 {
            self.quarantined_embedding += change;
        }
    }

    /// Writes them; under the lock.
    pub(super) fn apply(&self, tx: &mut Transaction<'_, '_>, collection: &str) -> Result<()> {
        let query = "MATCH (c:GmCollection {name: $name}) SET c.documents = c.documents + $documents, \
                     c.chunks = c.chunks + $chunks, c.entities = c.entities + $entities, \
                     c.relations = c.relations + $relations, \
                     c.quarantined_chunks = c.quarantined_chunks + $quarantined_chunks, \
                     c.quarantined_embedding = c.quarantined_embedding + $quarantined_embedding";
        let params = Params::new()
            .set("name", collection)
            .set("documents", self.documents)
            .set("chunks", self.chunks)
            .set("entities", self.entities)
            .set("relations", self.relations)
            .set("quarantined_chunks", self.quarantined_chunks)
            .set("quarantined_embedding", self.quarantined_embedding);
        tx.run(query, params)
    }
}

/// A chunk as the swap sees it.
#[derive(Debug, Clone)]
struct Chunk {
    document: String,
    flags: i64,
    /// In which of the collection's spaces it has a vector.
    vectors: Vec<bool>,
}

/// What a swap changes.
#[derive(Debug, Default)]
pub(super) struct Swap {
    /// Chunks that were not placed before.
    pub(super) added: Vec<ChunkId>,
    /// Chunks that are placed no more.
    pub(super) removed: Vec<ChunkId>,
    /// Chunks that stay, here or elsewhere in the document.
    pub(super) kept: Vec<ChunkId>,
    pub(super) counters: Counters,
    /// By how much the vectors of live chunks change in each space.
    pub(super) live_vectors: Vec<(SpaceId, i64)>,
}

/// Finds the chunks of a publication; answers with those that are not staged whole.
pub(super) fn resolve(
    tx: &mut Transaction<'_, '_>,
    publication: &Publication,
    spaces: &[Space],
) -> Result<Result<Wanted, Vec<ChunkId>>> {
    let mut seen = HashSet::with_capacity(publication.placements.len());
    for placement in &publication.placements {
        if !seen.insert(placement.chunk) {
            return Err(Error::Invalid(format!(
                "{} stands twice in the publication of {}; equal chunks differ by their occurrence",
                placement.chunk, publication.document
            )));
        }
    }
    let wanted: Vec<ChunkId> = publication.placements.iter().map(|placement| placement.chunk).collect();
    let chunks = read_chunks(tx, &wanted, spaces)?;
    let document = publication.document.to_string();
    let needed: Vec<usize> =
        spaces.iter().enumerate().filter(|(_, s)| publication.spaces.contains(&s.id)).map(|(n, _)| n).collect();
    let whole = |chunk: &Chunk| {
        chunk.document == document
            && (chunk.flags & EMBEDDING_QUARANTINED != 0
                || (needed.len() == publication.spaces.len() && needed.iter().all(|n| chunk.vectors[*n])))
    };
    let missing: Vec<ChunkId> = wanted.iter().filter(|id| !chunks.get(id).is_some_and(whole)).copied().collect();
    Ok(if missing.is_empty() { Ok(Wanted(chunks)) } else { Err(missing) })
}

/// Chunks of a publication that are all there.
pub(super) struct Wanted(HashMap<ChunkId, Chunk>);

fn read_chunks(tx: &mut Transaction<'_, '_>, chunks: &[ChunkId], spaces: &[Space]) -> Result<HashMap<ChunkId, Chunk>> {
    let query = format!(
        "UNWIND $ids AS id MATCH (c:GmChunk {{id: id}}) RETURN c.id AS id, c.document_id AS document, c.flags AS flags, \
         {} AS vectors",
        presence("c", spaces)
    );
    let mut found = HashMap::with_capacity(chunks.len());
    for part in chunks.chunks(ROWS) {
        let ids: Vec<String> = part.iter().map(ToString::to_string).collect();
        tx.each_row(&query, Params::new().set("ids", ids), |mut row| {
            let chunk =
                Chunk { document: row.take("document")?, flags: row.take("flags")?, vectors: row.take("vectors")? };
            found.insert(ids::take(&mut row, "id")?, chunk);
            Ok(())
        })?;
    }
    Ok(found)
}

/// Puts the wanted placements in the place of the present ones.
pub(super) fn swap(
    tx: &mut Transaction<'_, '_>,
    publication: &Publication,
    Wanted(chunks): Wanted,
    spaces: &[Space],
    publish_number: u64,
) -> Result<Swap> {
    let document = publication.document.to_string();
    let old = present(tx, &document)?;
    let mut swap = Swap::default();
    let (mut added, mut moved) = (Vec::new(), Vec::new());
    for (index, placement) in publication.placements.iter().enumerate() {
        match old.get(&placement.chunk) {
            None => {
                added.push(placement_row(index, placement));
                swap.added.push(placement.chunk);
            }
            Some(stands) => {
                swap.kept.push(placement.chunk);
                if *stands != (index as u64, placement.clone()) {
                    moved.push(placement_row(index, placement));
                }
            }
        }
    }
    let kept: HashSet<ChunkId> = swap.kept.iter().copied().collect();
    swap.removed = old.keys().filter(|chunk| !kept.contains(chunk)).copied().collect();
    swap.removed.sort_unstable();
    place(tx, &document, added, publish_number)?;
    move_chunks(tx, &document, moved)?;
    let gone = read_chunks(tx, &swap.removed, spaces)?;
    unplace(tx, &document, &swap.removed)?;
    let order: Vec<ChunkId> = publication.placements.iter().map(|p| p.chunk).collect();
    chain(tx, &ordered(&old), &order)?;
    let added: Vec<&Chunk> = swap.added.iter().map(|id| &chunks[id]).collect();
    let removed: Vec<&Chunk> = swap.removed.iter().filter_map(|id| gone.get(id)).collect();
    count(&mut swap, &added, &removed, spaces);
    Ok(swap)
}

/// Takes all placements of a document away.
pub(super) fn unplace_all(tx: &mut Transaction<'_, '_>, document: DocumentId, spaces: &[Space]) -> Result<Swap> {
    let document = document.to_string();
    let old = present(tx, &document)?;
    let mut swap = Swap { removed: old.keys().copied().collect(), ..Swap::default() };
    swap.removed.sort_unstable();
    let gone = read_chunks(tx, &swap.removed, spaces)?;
    unplace(tx, &document, &swap.removed)?;
    chain(tx, &ordered(&old), &[])?;
    let removed: Vec<&Chunk> = swap.removed.iter().filter_map(|id| gone.get(id)).collect();
    count(&mut swap, &[], &removed, spaces);
    Ok(swap)
}

fn count(swap: &mut Swap, added: &[&Chunk], removed: &[&Chunk], spaces: &[Space]) {
    added.iter().for_each(|chunk| swap.counters.count_flags(chunk.flags, 1));
    removed.iter().for_each(|chunk| swap.counters.count_flags(chunk.flags, -1));
    swap.counters.chunks += added.len() as i64 - removed.len() as i64;
    for (n, space) in spaces.iter().enumerate() {
        let with = |chunks: &[&Chunk]| chunks.iter().filter(|chunk| chunk.vectors[n]).count() as i64;
        swap.live_vectors.push((space.id, with(added) - with(removed)));
    }
}

/// The document's placements as they stand.
fn present(tx: &mut Transaction<'_, '_>, document: &str) -> Result<HashMap<ChunkId, (u64, Placement)>> {
    let query = format!("MATCH (d:GmDocument {{id: $id}})-[h:HAS_CHUNK]->(c:GmChunk) RETURN {PLACE}");
    let mut found = HashMap::new();
    tx.each_row(&query, Params::new().set("id", document), |mut row| {
        let (index, placement) = placement_from(&mut row)?;
        found.insert(placement.chunk, (u64::from(index), placement));
        Ok(())
    })?;
    Ok(found)
}

fn ordered(placements: &HashMap<ChunkId, (u64, Placement)>) -> Vec<ChunkId> {
    let mut order: Vec<(u64, ChunkId)> = placements.iter().map(|(chunk, (index, _))| (*index, *chunk)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, chunk)| chunk).collect()
}

/// What [`placement_from`] reads, of `(d)-[h:HAS_CHUNK]->(c)`.
pub(super) const PLACE: &str = "c.id AS chunk, h.chunk_index AS chunk_index, h.start_char AS start_char, \
    h.end_char AS end_char, h.page_start AS page_start, h.page_end AS page_end, h.heading_path AS heading_path";

/// A chunk's index and place.
pub(super) fn placement_from(row: &mut Row) -> Result<(u32, Placement)> {
    let placement = Placement {
        chunk: ids::take(row, "chunk")?,
        start_char: row.take("start_char")?,
        end_char: row.take("end_char")?,
        page_start: row.take("page_start")?,
        page_end: row.take("page_end")?,
        heading_path: row.take("heading_path")?,
    };
    Ok((row.take("chunk_index")?, placement))
}

fn placement_row(index: usize, placement: &Placement) -> Params {
    let place = Params::new()
        .set("chunk_index", index)
        .set("start_char", placement.start_char)
        .set("end_char", placement.end_char)
        .set("page_start", placement.page_start)
        .set("page_end", placement.page_end)
        .set("heading_path", placement.heading_path.iter().map(String::as_str).collect::<Vec<_>>());
    Params::new().set("chunk", placement.chunk.to_string()).set("place", place)
}

/// Runs a query once for each slice of rows.
pub(super) fn in_slices(
    tx: &mut Transaction<'_, '_>,
    query: &str,
    params: &Params,
    mut rows: Vec<Params>,
) -> Result<()> {
    while !rows.is_empty() {
        let rest = rows.split_off(rows.len().min(ROWS));
        tx.run(query, params.clone().set("rows", rows))?;
        rows = rest;
    }
    Ok(())
}

fn place(tx: &mut Transaction<'_, '_>, document: &str, rows: Vec<Params>, publish_number: u64) -> Result<()> {
    let query = "MATCH (d:GmDocument {id: $document}) UNWIND $rows AS row MATCH (c:GmChunk {id: row.chunk}) \
                 CREATE (d)-[h:HAS_CHUNK]->(c) SET h = row.place, h.gm_document = $document, c:Chunk, c.published_at = $number REMOVE c.unplaced_of";
    in_slices(tx, query, &Params::new().set("document", document).set("number", publish_number), rows)
}

fn move_chunks(tx: &mut Transaction<'_, '_>, document: &str, rows: Vec<Params>) -> Result<()> {
    let query = "UNWIND $rows AS row MATCH (c:GmChunk {id: row.chunk})<-[h:HAS_CHUNK]-(d:GmDocument {id: $document}) \
                 SET h = row.place, h.gm_document = $document";
    in_slices(tx, query, &Params::new().set("document", document), rows)
}

/// The chunks stay where they are, unplaced, until they are swept: a later job of the document may want them again.
fn unplace(tx: &mut Transaction<'_, '_>, document: &str, chunks: &[ChunkId]) -> Result<()> {
    let query = "UNWIND $rows AS row MATCH (c:GmChunk {id: row.chunk})<-[h:HAS_CHUNK]-(d:GmDocument {id: $document}) \
                 DELETE h SET c.unplaced_of = $document REMOVE c:Chunk, c.published_at";
    let rows = chunks.iter().map(|chunk| Params::new().set("chunk", chunk.to_string())).collect();
    in_slices(tx, query, &Params::new().set("document", document), rows)
}

/// `NEXT_CHUNK` by difference.
fn chain(tx: &mut Transaction<'_, '_>, old: &[ChunkId], new: &[ChunkId]) -> Result<()> {
    let pairs = |order: &[ChunkId]| order.windows(2).map(|pair| (pair[0], pair[1])).collect::<HashSet<_>>();
    let (old, new) = (pairs(old), pairs(new));
    let rows = |pairs: Vec<&(ChunkId, ChunkId)>| {
        let row = |(a, b): &&(ChunkId, ChunkId)| Params::new().set("a", a.to_string()).set("b", b.to_string());
        pairs.iter().map(row).collect::<Vec<_>>()
    };
    let delete = "UNWIND $rows AS row MATCH (:GmChunk {id: row.a})-[n:NEXT_CHUNK]->(:GmChunk {id: row.b}) DELETE n";
    in_slices(tx, delete, &Params::new(), rows(old.difference(&new).collect()))?;
    let create =
        "UNWIND $rows AS row MATCH (a:GmChunk {id: row.a}), (b:GmChunk {id: row.b}) CREATE (a)-[:NEXT_CHUNK]->(b)";
    in_slices(tx, create, &Params::new(), rows(new.difference(&old).collect()))
}
