//! Removing documents, and sweeping what nobody placed.

use std::time::Duration;

use graphmill_core::{CollectionId, DocumentId, Seq, Timestamp};

use super::difference::Difference;
use super::document_node::{self, Ticket, compare, in_collection};
use super::lock::{Gate, Lock, lock, raise_publish_number};
use super::placements::{self, Counters};
use super::publishing::finish;
use super::spaces::spaces_in;
use super::{Neo4jConnection, Params, Transaction, ids};
use crate::records::RemoveOutcome;
use crate::{Error, Result};

/// Chunks that one transaction sweeps.
const SWEEP_CHUNKS: u64 = 1_000;

/// Removes a document and leaves its tombstone.
pub(super) async fn remove(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    document: DocumentId,
    seq: Seq,
    now: Timestamp,
) -> Result<RemoveOutcome> {
    super::collections::ensure_unless_removed(neo4j, collection).await?;
    let gate = Gate::new(neo4j, collection);
    let (collection, opened) = (collection.clone(), gate.clone());
    let answer = neo4j.write(move |tx| remove_in(tx, &collection, document, seq, now, &opened)).await;
    graphmill_core::fault_point!("remove.after_commit");
    gate.shut().await;
    answer
}

fn remove_in(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    document: DocumentId,
    seq: Seq,
    now: Timestamp,
    gate: &Gate,
) -> Result<RemoveOutcome> {
    match lock(tx, collection)? {
        Lock::Held => {}
        // It goes with its collection.
        Lock::Removing(_) => return Ok(RemoveOutcome::Removed { existed: false }),
        Lock::Missing => return Err(Error::CollectionRemoved(collection.clone())),
    }
    let node = match document_node::find(tx, document)? {
        Some(node) => Some(in_collection(node, collection, document)?),
        None => None,
    };
    if let Some(node) = &node {
        match compare(node, seq) {
            Ticket::Overtaken { by, .. } if by > seq => return Ok(RemoveOutcome::Overtaken { by }),
            Ticket::Overtaken { .. } => return Ok(RemoveOutcome::Removed { existed: node.deleted == 2 }),
            // A ticket is one upload's or one deletion's, so that this one cannot be both; the deletion is what the caller was told.
            Ticket::Same | Ticket::Higher => {}
        }
    }
    let existed = node.as_ref().is_some_and(document_node::DocumentNode::is_published);
    if existed {
        raise_publish_number(tx, collection)?;
        let spaces = spaces_in(tx, collection)?;
        let swap = placements::unplace_all(tx, document, &spaces)?;
        let difference = Difference::read(tx, &[], &swap.removed, &[])?;
        finish(tx, collection, &swap, difference, Counters { documents: -1, ..swap.counters })?;
    }
    let properties = Params::new()
        .set("id", document.to_string())
        .set("gm_order", ids::order(document.as_bytes()))
        .set("collection", collection.as_str())
        .set("seq", seq.0)
        .set("deleted", 1 + i64::from(existed))
        .set("deleted_at", now.to_string());
    let query = "MERGE (d:GmDocument {id: $properties.id}) SET d = $properties REMOVE d:Document";
    tx.run(query, Params::new().set("properties", properties))?;
    graphmill_core::fault_point!("remove.before_commit");
    if existed {
        gate.open()?
    }
    Ok(RemoveOutcome::Removed { existed })
}

/// Removes the document's unplaced chunks; answers how many.
pub(super) async fn sweep_document(neo4j: &Neo4jConnection, document: DocumentId) -> Result<u64> {
    let mut swept = 0;
    loop {
        graphmill_core::fault_point!("sweep.before_commit");
        let batch = neo4j.write(move |tx| sweep_batch(tx, document)).await?;
        graphmill_core::fault_point!("sweep.after_commit");
        swept += batch;
        if batch < SWEEP_CHUNKS {
            return Ok(swept);
        }
    }
}

fn sweep_batch(tx: &mut Transaction<'_, '_>, document: DocumentId) -> Result<u64> {
    let Some(node) = document_node::find(tx, document)? else { return Ok(0) };
    if let Lock::Removing(_) = lock(tx, &node.collection)? {
        return Ok(0); // they go with their collection; what was staged while it went, when it is gone
    }
    // Similarities of a chunk that is gone mean nothing.
    let query = "MATCH (c:GmChunk {unplaced_of: $document}) WITH c LIMIT $limit \
                 OPTIONAL MATCH (s:GmSimilarity {chunk: c.id}) DETACH DELETE s \
                 WITH DISTINCT c DETACH DELETE c RETURN count(*) AS swept";
    let params = Params::new().set("document", document.to_string());
    let swept: u64 = tx.one(query, params.clone().set("limit", SWEEP_CHUNKS))?.take("swept")?;
    if swept < SWEEP_CHUNKS && node.seq.is_none() {
        // Nothing was ever published or deleted under it.
        let query = "MATCH (d:GmDocument {id: $document}) WHERE d.seq IS NULL AND NOT EXISTS { MATCH (c:GmChunk {unplaced_of: $document}) } \
                     DETACH DELETE d";
        tx.run(query, params)?;
    }
    Ok(swept)
}

/// Documents that have unplaced chunks.
pub(super) async fn unplaced_documents(neo4j: &Neo4jConnection, limit: u32) -> Result<Vec<DocumentId>> {
    let query = "MATCH (c:GmChunk) WHERE c.unplaced_of IS NOT NULL RETURN DISTINCT c.unplaced_of AS id LIMIT $limit";
    let rows = neo4j.read(query, Params::new().set("limit", limit)).await?;
    rows.into_iter().map(|mut row| ids::take(&mut row, "id")).collect()
}

/// Tombstones of at least this age, the oldest first.
pub(super) async fn old_tombstones(
    neo4j: &Neo4jConnection,
    older_than: Duration,
    limit: u32,
    now: Timestamp,
) -> Result<Vec<DocumentId>> {
    let age = i64::try_from(older_than.as_millis()).unwrap_or(i64::MAX);
    let before = Timestamp::from_millis(now.as_millis().saturating_sub(age).max(0));
    let query = "MATCH (d:GmDocument) WHERE d.deleted_at <= $before AND d.deleted > 0 \
                 RETURN d.id AS id ORDER BY d.deleted_at, d.id LIMIT $limit";
    let params = Params::new().set("before", before.to_string()).set("limit", limit);
    let rows = neo4j.read(query, params).await?;
    rows.into_iter().map(|mut row| ids::take(&mut row, "id")).collect()
}

/// Forgets tombstones. A node that staged chunks hang on stays, without a ticket, until they are swept.
pub(super) async fn forget_tombstones(neo4j: &Neo4jConnection, documents: &[DocumentId]) -> Result<()> {
    let ids: Vec<String> = documents.iter().map(ToString::to_string).collect();
    neo4j
        .write(move |tx| {
            let params = Params::new().set("ids", ids.iter().map(String::as_str).collect::<Vec<_>>());
            let query = "UNWIND $ids AS id MATCH (d:GmDocument {id: id}) WHERE d.deleted > 0 \
                         SET d.deleted = 0 REMOVE d.seq, d.deleted_at";
            tx.run(query, params.clone())?;
            let query = "UNWIND $ids AS id MATCH (d:GmDocument {id: id}) WHERE d.seq IS NULL \
                         AND NOT EXISTS { MATCH (c:GmChunk {unplaced_of: id}) } DETACH DELETE d";
            tx.run(query, params)
        })
        .await
}
