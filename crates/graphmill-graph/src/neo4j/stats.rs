//! Counts of live data: counters, and for the layers a count that is kept until something changes.

use std::collections::HashMap;

use graphmill_core::CollectionId;
use parking_lot::Mutex;

use super::{Neo4jConnection, Neo4jGraph, Params, Row, ids, layers, similarities};
use crate::Result;
use crate::records::{GraphStats, Layer};

/// Rows of similarities that are counted at once.
const ROWS: u32 = 2_000;

/// Counts of a collection's rows of similarities and of its communities, and the state of the graph that each is true of.
#[derive(Default)]
pub(super) struct LayerCounts(Mutex<HashMap<(CollectionId, Layer), (String, u64)>>);

impl LayerCounts {
    async fn get(&self, neo4j: &Neo4jConnection, collection: &CollectionId, layer: Layer, stands: &str) -> Result<u64> {
        let key = (collection.clone(), layer);
        if let Some((at, count)) = self.0.lock().get(&key)
            && at == stands
        {
            return Ok(*count);
        }
        let count = match layer {
            Layer::Embeddings => 0,
            Layer::Similarities => count_similarities(neo4j, collection).await?,
            Layer::Communities => count_communities(neo4j, collection).await?,
        };
        self.0.lock().insert(key, (stands.to_owned(), count));
        Ok(count)
    }
}

/// See [`crate::GraphStore::stats`].
pub(super) async fn stats(graph: &Neo4jGraph, collection: Option<&CollectionId>) -> Result<GraphStats> {
    let query = "MATCH (o:GmCollection) WHERE o.removing IS NULL AND ($one IS NULL OR o.name = $one) \
                 OPTIONAL MATCH (s:GmSpace {collection: o.name, state: 'active'}) \
                 OPTIONAL MATCH (l:GmLayer {collection: o.name}) WITH o, s, l ORDER BY l.key \
                 WITH o, s, collect(l.key + ' ' + coalesce(l.run, 0) + ' ' + coalesce(l.finished, 0) + ' ' + coalesce(l.generation, 0)) AS layers \
                 RETURN o.name AS name, o.publish_number AS publish_number, o.documents AS documents, o.chunks AS chunks, \
                 o.entities AS entities, o.relations AS relations, o.quarantined_chunks AS quarantined_chunks, \
                 o.chunks - o.quarantined_embedding - coalesce(s.live_vectors, 0) AS chunks_without_vector, layers, \
                 COUNT { MATCH (c:GmChunk) USING INDEX SEEK c:GmChunk(collection, unplaced_of) \
                         WHERE c.collection = o.name AND c.unplaced_of IS NOT NULL } AS unplaced_chunks";
    let params = Params::new().set("one", collection.map(CollectionId::as_str));
    let mut stats = GraphStats::default();
    for mut row in graph.neo4j.read(query, params).await? {
        let publish_number: u64 = row.take("publish_number")?;
        stats.publish_number = stats.publish_number.max(publish_number);
        stats.documents += count(&mut row, "documents")?;
        stats.chunks += count(&mut row, "chunks")?;
        stats.entities += count(&mut row, "entities")?;
        stats.relations += count(&mut row, "relations")?;
        stats.unplaced_chunks += count(&mut row, "unplaced_chunks")?;
        stats.quarantined_chunks += count(&mut row, "quarantined_chunks")?;
        stats.chunks_without_vector += count(&mut row, "chunks_without_vector")?;
        let layers: Vec<String> = row.take("layers")?;
        if layers.is_empty() {
            continue;
        }
        let name: CollectionId = ids::take(&mut row, "name")?;
        let stands = format!("{publish_number} {}", layers.join(" "));
        let counts = &graph.layer_counts;
        stats.similarities += counts.get(&graph.neo4j, &name, Layer::Similarities, &stands).await?;
        stats.communities += counts.get(&graph.neo4j, &name, Layer::Communities, &stands).await?;
    }
    Ok(stats)
}

/// A commit that is only half applied may show one counter without the other.
fn count(row: &mut Row, name: &str) -> Result<u64> {
    Ok(u64::try_from(row.take::<i64>(name)?).unwrap_or(0))
}

/// Neighbours that readers are shown.
async fn count_similarities(neo4j: &Neo4jConnection, collection: &CollectionId) -> Result<u64> {
    let state = layers::layer(neo4j, collection, Layer::Similarities).await?;
    if state.generation == 0 {
        return Ok(0);
    }
    let top_k = state.parameters.get("top_k").and_then(serde_json::Value::as_u64);
    let top_k = top_k.and_then(|k| usize::try_from(k).ok()).unwrap_or(usize::MAX);
    let (mut next, mut count) = (0, 0);
    loop {
        let rows = similarities::rows(neo4j, collection, next..u64::MAX, ROWS).await?;
        let Some((last, _)) = rows.last() else { return Ok(count) };
        next = last + 1;
        count += rows.iter().map(|(_, row)| row.neighbours.len().min(top_k) as u64).sum::<u64>();
    }
}

/// Communities with a live member.
async fn count_communities(neo4j: &Neo4jConnection, collection: &CollectionId) -> Result<u64> {
    let state = layers::layer(neo4j, collection, Layer::Communities).await?;
    let query = "MATCH (m:GmCommunity) WHERE m.collection = $collection AND m.generation = $generation \
                 AND m.level IS NOT NULL AND m.size > 0 RETURN count(m) AS found";
    let params = Params::new().set("collection", collection.as_str()).set("generation", state.generation);
    let rows = neo4j.read(query, params).await?;
    rows.into_iter().next().map_or(Ok(0), |mut row| row.take("found"))
}
