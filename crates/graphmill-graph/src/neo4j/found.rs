//! What an answer shows of the chunks that a search found.

use std::cmp::Reverse;
use std::collections::HashMap;

use graphmill_core::{ChunkId, CollectionId, EntityId};

use super::documents::{chunk_columns, chunk_record};
use super::{Neo4jConnection, Params, Row, Transaction, ids, lock};
use crate::Result;
use crate::facts_column::FactsView;
use crate::records::{ChunkEntity, FoundChunk};

/// See [`crate::GraphStore::found_chunks`].
pub(super) async fn found_chunks(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    chunks: &[ChunkId],
    entities: u32,
) -> Result<Vec<FoundChunk>> {
    let read = || async {
        let (collection, chunks) = (collection.clone(), chunks.to_vec());
        neo4j.read_many(move |tx| read(tx, &collection, &chunks, entities as usize)).await
    };
    lock::of_one_moment(neo4j, collection, read).await
}

/// A chunk, and the entities that it shows.
type Found = (FoundChunk, Vec<EntityId>);

fn read(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    chunks: &[ChunkId],
    most_entities: usize,
) -> Result<Vec<FoundChunk>> {
    let query = format!(
        "MATCH (o:GmCollection {{name: $collection}}) WHERE o.removing IS NULL \
         UNWIND $ids AS id MATCH (c:GmChunk {{id: id}})<-[h:HAS_CHUNK]-(d:GmDocument) WHERE c.collection = $collection \
         RETURN {}, c.facts AS facts, d.id AS document, d.filename AS filename, d.source AS source",
        chunk_columns()
    );
    let asked: Vec<String> = chunks.iter().map(ToString::to_string).collect();
    let params = Params::new().set("collection", collection.as_str()).set("ids", asked);
    let mut found: HashMap<ChunkId, Found> = HashMap::with_capacity(chunks.len());
    tx.each_row(&query, params, |row| {
        let read = found_chunk(row, most_entities)?;
        found.insert(read.0.chunk.placement.chunk, read);
        Ok(())
    })?;
    let names = names(tx, &found)?;
    // One that was asked for twice is answered twice.
    let show = |id: &ChunkId| {
        let (chunk, entities) = found.get(id)?;
        let entities = entities.iter().filter_map(|id| names.get(id).cloned()).collect();
        Some(FoundChunk { entities, ..chunk.clone() })
    };
    Ok(chunks.iter().filter_map(show).collect())
}

fn found_chunk(mut row: Row, most_entities: usize) -> Result<Found> {
    let facts: Vec<u8> = row.take("facts")?;
    let document = ids::take(&mut row, "document")?;
    let chunk = FoundChunk {
        chunk: chunk_record(&mut row, document)?,
        filename: row.take("filename")?,
        source: row.take("source")?,
        entities: Vec::new(),
    };
    let view = FactsView::read(&facts)?;
    let mut counts = vec![0u64; view.entities.len()];
    view.mentions.iter().for_each(|mention| counts[mention.entity] += mention.count());
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_unstable_by_key(|i| (Reverse(counts[*i]), view.entities[*i]));
    Ok((chunk, order.into_iter().take(most_entities).map(|i| view.entities[i]).collect()))
}

/// What is shown of the entities of all these chunks.
fn names(tx: &mut Transaction<'_, '_>, found: &HashMap<ChunkId, Found>) -> Result<HashMap<EntityId, ChunkEntity>> {
    let mut wanted: Vec<EntityId> = found.values().flat_map(|(_, entities)| entities.iter().copied()).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let query = "UNWIND $ids AS id MATCH (e:GmEntity {id: id}) RETURN e.id AS id, e.name AS name, e.type AS type";
    let ids: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    let mut names = HashMap::with_capacity(wanted.len());
    tx.each_row(query, Params::new().set("ids", ids), |mut row| {
        let id = super::ids::take(&mut row, "id")?;
        names.insert(id, ChunkEntity { id, name: row.take("name")?, entity_type: row.take("type")? });
        Ok(())
    })?;
    Ok(names)
}
