//! `SIMILAR_TO` between chunks: a copy of the rows that readers see, for people who look with queries of their own.

use std::collections::BTreeMap;

use graphmill_core::CollectionId;

use super::layers::{self, LayerNode};
use super::similarities::{STEP_ROWS, StoredRow, live, stored};
use super::{Params, Transaction};
use crate::records::Layer;
use crate::{Error, Result};

/// Brings up the relationships of some chunks, by position; the last step says that the copy is whole.
pub(super) fn step(tx: &mut Transaction<'_, '_>, collection: &CollectionId, node: &LayerNode) -> Result<()> {
    let copied = node.copied.as_deref().unwrap_or_default();
    let after: i64 = if copied.is_empty() { 0 } else { copied.parse().map_err(|_| damaged(copied))? };
    let query = "MATCH (c:GmChunk) USING INDEX SEEK c:GmChunk(collection, position) \
                 WHERE c.collection = $collection AND c.position > $after \
                 RETURN c.position AS position ORDER BY c.collection, c.position LIMIT $limit";
    let params = Params::new().set("collection", collection.as_str()).set("after", after).set("limit", STEP_ROWS);
    let positions: Vec<u64> =
        tx.rows(query, params)?.into_iter().map(|mut row| row.take("position")).collect::<Result<_>>()?;
    let (Some(first), Some(last)) = (positions.first(), positions.last()) else {
        return layers::set(tx, collection, Layer::Similarities, Params::new().set("copied", None::<String>));
    };
    let rows = stored(tx, collection, node.generation, &(*first..last + 1), usize::MAX)?;
    rewrite(tx, collection, &positions, &rows, node.top_k()?)?;
    layers::set(tx, collection, Layer::Similarities, Params::new().set("copied", last.to_string()))
}

fn damaged(copied: &str) -> Error {
    Error::Unusable(format!("the graph is damaged: {copied:?} is no place in a copy"))
}

/// Puts the relationships of these rows in the place of what stands at the positions.
pub(super) fn rewrite(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    positions: &[u64],
    rows: &BTreeMap<u64, StoredRow>,
    top_k: usize,
) -> Result<()> {
    let params = Params::new().set("collection", collection.as_str());
    let query = "UNWIND $positions AS position MATCH (c:GmChunk {collection: $collection, position: position}) \
                 USING INDEX SEEK c:GmChunk(collection, position) MATCH (c)-[s:SIMILAR_TO]->(:GmChunk) DELETE s";
    tx.run(query, params.clone().set("positions", positions.to_vec()))?;
    let ends = rows.iter().flat_map(|(own, row)| row.neighbours.iter().map(|(n, _)| *n).chain([*own]));
    let live = live(tx, collection, ends)?;
    let mut links = Vec::new();
    for (position, row) in rows {
        let Some(chunk) = live.get(position) else { continue };
        let neighbours = row.neighbours.iter().filter_map(|(n, score)| Some((live.get(n)?, score))).take(top_k);
        for (rank, (neighbour, score)) in neighbours.enumerate() {
            let link = Params::new().set("chunk", chunk.to_string()).set("neighbour", neighbour.to_string());
            links.push(link.set("score", *score).set("rank", rank + 1));
        }
    }
    let query = "UNWIND $rows AS row MATCH (c:GmChunk {id: row.chunk}) MATCH (n:GmChunk {id: row.neighbour}) \
                 CREATE (c)-[:SIMILAR_TO {score: row.score, rank: row.rank}]->(n)";
    super::placements::in_slices(tx, query, &Params::new(), links)
}
