//! Entities of a document, with how often it mentions each.

use graphmill_core::DocumentId;

use super::document_list::with_rank;
use super::documents::PUBLISHED;
use super::entity_rows::{COLUMNS, record};
use super::{Neo4jConnection, Params, Row, Transaction, ids};
use crate::Result;
use crate::cursor::{Cursor, Rank};
use crate::listing::{DocumentEntity, Page, PageStart};

/// Name of the order, for cursors.
const ORDER: &str = "entities of a document";

/// See [`crate::GraphStore::document_entities`].
pub(super) async fn document_entities(
    neo4j: &Neo4jConnection,
    document: DocumentId,
    start: &PageStart,
    limit: u32,
) -> Result<Option<Page<DocumentEntity>>> {
    let (skip, after) = match start {
        PageStart::Offset(rows) => (i64::try_from(*rows).unwrap_or(i64::MAX), None),
        PageStart::Cursor(cursor) => (0, Some(Cursor::decode(cursor, ORDER)?)),
    };
    neo4j.read_many(move |tx| page(tx, document, skip, after.as_ref(), limit)).await
}

fn page(
    tx: &mut Transaction<'_, '_>,
    document: DocumentId,
    skip: i64,
    after: Option<&Cursor>,
    limit: u32,
) -> Result<Option<Page<DocumentEntity>>> {
    let params = Params::new().set("id", document.to_string());
    let query = format!("{PUBLISHED} RETURN d.entity_count AS total");
    let Some(mut row) = tx.first(&query, params.clone())? else { return Ok(None) };
    let total: u64 = row.take("total")?;
    let (mut beyond, mut params) = ("", params.set("skip", skip).set("limit", i64::from(limit) + 1));
    if let Some(cursor) = after {
        beyond = "WHERE mentions < $rank OR (mentions = $rank AND e.gm_order > $order)";
        params = with_rank(params, cursor.rank.clone()).set("order", ids::order(&cursor.id));
    }
    // The document's links are walked once; of the sorted groups only the page is read whole.
    let query = format!(
        "MATCH (d:GmDocument {{id: $id}})-[:HAS_CHUNK]->(:GmChunk)-[r:CONTAINS_ENTITY]->(e:GmEntity) \
         WITH e, sum(r.mention_count) AS mentions, count(r) AS chunks {beyond} \
         ORDER BY mentions DESC, e.gm_order SKIP $skip LIMIT $limit RETURN {COLUMNS}, mentions, chunks"
    );
    let rows = tx.rows(&query, params)?.into_iter().map(entity);
    let mut items: Vec<DocumentEntity> = rows.collect::<Result<_>>()?;
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let place = |last: &DocumentEntity| Cursor {
        rank: Rank::Number(last.mentions_here.cast_signed()),
        id: last.entity.id.as_bytes().to_vec(),
    };
    let next_cursor = items.last().filter(|_| more).map(|last| place(last).encode(ORDER));
    Ok(Some(Page { items, total, total_capped: false, next_cursor }))
}

fn entity(mut row: Row) -> Result<DocumentEntity> {
    Ok(DocumentEntity {
        entity: record(&mut row)?,
        mentions_here: row.take("mentions")?,
        chunks_here: row.take("chunks")?,
    })
}
