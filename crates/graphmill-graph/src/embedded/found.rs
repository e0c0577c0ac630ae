//! What an answer shows of the chunks that a search found.

use std::cmp::Reverse;

use graphmill_core::ChunkId;
use rusqlite::{Connection, params};

use super::documents::{CHUNK_COLUMNS, chunk_record};
use super::entity_rows;
use super::ids::document_id;
use crate::Result;
use crate::facts_column::FactsView;
use crate::records::{ChunkEntity, FoundChunk};

/// Those of `chunks` that are live, in the order asked.
pub(super) fn found_chunks(
    conn: &Connection,
    collection: i64,
    chunks: &[ChunkId],
    most_entities: usize,
) -> Result<Vec<FoundChunk>> {
    let sql = format!(
        "SELECT {CHUNK_COLUMNS}, d.id, d.filename, d.source, c.facts FROM chunk c CROSS JOIN placement p ON p.chunk = c.key \
         CROSS JOIN document d ON d.key = p.document WHERE c.collection = ?1 AND c.id = ?2"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let mut found = Vec::with_capacity(chunks.len());
    for id in chunks {
        let mut rows = statement.query(params![collection, id.as_bytes()])?;
        let Some(row) = rows.next()? else { continue };
        let facts = FactsView::read(row.get_ref(14)?.as_blob().map_err(rusqlite::Error::from)?)?;
        found.push(FoundChunk {
            chunk: chunk_record(row, document_id(row, 11)?)?,
            filename: row.get(12)?,
            source: row.get(13)?,
            entities: entities(conn, collection, &facts, most_entities)?,
        });
    }
    Ok(found)
}

fn entities(conn: &Connection, collection: i64, facts: &FactsView<'_>, most: usize) -> Result<Vec<ChunkEntity>> {
    let mut counts = vec![0u64; facts.entities.len()];
    facts.mentions.iter().for_each(|mention| counts[mention.entity] += mention.count());
    let mut order: Vec<usize> = (0..counts.len()).collect();
    order.sort_unstable_by_key(|i| (Reverse(counts[*i]), facts.entities[*i]));
    let sql = "SELECT mentions, documents, fold FROM entity WHERE collection = ?1 AND id = ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let mut shown = Vec::with_capacity(order.len().min(most));
    for i in order.into_iter().take(most) {
        let id = facts.entities[i];
        let mut rows = statement.query(params![collection, id.as_bytes()])?;
        if let Some(row) = rows.next()? {
            let entity = entity_rows::fold_from(row, 0)?.record(id);
            shown.push(ChunkEntity { id, name: entity.name, entity_type: entity.entity_type });
        }
    }
    Ok(shown)
}
