//! Counts of live data: counters, and for the layers a count that is kept until something changes.

use std::collections::HashMap;

use graphmill_core::CollectionId;
use parking_lot::Mutex;
use rusqlite::Connection;

use super::layers;
use crate::Result;
use crate::records::{GraphStats, Layer};

/// What a count depends on: publish number, run, generation, finished run.
type Stands = [i64; 4];

/// Counts of a layer's live rows by collection and layer, and the state of the graph that each is true of.
#[derive(Default)]
pub(super) struct LayerCounts(Mutex<HashMap<(i64, Layer), (Stands, u64)>>);

impl LayerCounts {
    fn get(&self, conn: &Connection, collection: i64, publish_number: i64, layer: Layer) -> Result<u64> {
        let Some(row) = layers::row(conn, collection, layer)? else { return Ok(0) };
        if row.generation == 0 {
            return Ok(0);
        }
        let stands = [publish_number, row.run, row.generation, row.finished];
        if let Some((at, count)) = self.0.lock().get(&(collection, layer))
            && *at == stands
        {
            return Ok(*count);
        }
        let count = match layer {
            Layer::Embeddings => 0,
            Layer::Similarities => layers::count_similarities(conn, collection, &row)?,
            Layer::Communities => layers::count_communities(conn, collection, row.generation)?,
        };
        self.0.lock().insert((collection, layer), (stands, count));
        Ok(count)
    }
}

/// Counts of a collection, or of all.
pub(super) fn stats(
    conn: &Connection,
    collection: Option<&CollectionId>,
    layer_counts: &LayerCounts,
) -> Result<GraphStats> {
    let sql = "SELECT c.key, c.publish_number, c.documents, c.chunks, c.entities, c.relations, c.unplaced_chunks, \
               c.quarantined_chunks, c.chunks - c.quarantined_embedding - coalesce(s.live_vectors, 0) \
               FROM collection c LEFT JOIN space s ON s.collection = c.key AND s.state = 1 \
               WHERE c.removing IS NULL AND (?1 IS NULL OR c.name = ?1)";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([collection.map(CollectionId::as_str)])?;
    let mut stats = GraphStats::default();
    while let Some(row) = rows.next()? {
        let count = |at: usize| row.get::<_, i64>(at).map(|n| u64::try_from(n).unwrap_or(0));
        let (key, number) = (row.get(0)?, row.get(1)?);
        stats.publish_number = stats.publish_number.max(count(1)?);
        stats.documents += count(2)?;
        stats.chunks += count(3)?;
        stats.entities += count(4)?;
        stats.relations += count(5)?;
        stats.unplaced_chunks += count(6)?;
        stats.quarantined_chunks += count(7)?;
        stats.chunks_without_vector += count(8)?;
        stats.similarities += layer_counts.get(conn, key, number, Layer::Similarities)?;
        stats.communities += layer_counts.get(conn, key, number, Layer::Communities)?;
    }
    Ok(stats)
}
