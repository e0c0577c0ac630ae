//! Publishing: everything that readers see of a document changes in one transaction, under the collection's lock.

use graphmill_core::Timestamp;

use super::difference::Difference;
use super::document_node::{self, DocumentNode, Ticket, compare, in_collection};
use super::folding;
use super::lock::{Gate, Lock, lock, raise_publish_number};
use super::placements::{self, Counters, Swap};
use super::spaces::{count_live, spaces_in};
use super::{Neo4jConnection, Params, Transaction};
use crate::records::{Publication, PublishOutcome, PublishedCounts, Touch, TouchOutcome};
use crate::{Error, Result};

/// Publishes a document.
pub(super) async fn publish(
    neo4j: &Neo4jConnection,
    publication: &Publication,
    now: Timestamp,
) -> Result<PublishOutcome> {
    super::collections::ensure_unless_removed(neo4j, &publication.collection).await?;
    let gate = Gate::new(neo4j, &publication.collection);
    let (publication, opened) = (publication.clone(), gate.clone());
    let answer = neo4j.write(move |tx| publish_in(tx, &publication, now, &opened)).await;
    graphmill_core::fault_point!("publish.after_commit");
    gate.shut().await;
    answer
}

fn publish_in(
    tx: &mut Transaction<'_, '_>,
    publication: &Publication,
    now: Timestamp,
    gate: &Gate,
) -> Result<PublishOutcome> {
    graphmill_core::fault_point!("publish.begin");
    match lock(tx, &publication.collection)? {
        Lock::Held => {}
        Lock::Removing(by) => return Ok(PublishOutcome::Overtaken { by, deleted: true }),
        Lock::Missing => return Err(Error::CollectionRemoved(publication.collection.clone())),
    }
    let all = || publication.placements.iter().map(|placed| placed.chunk).collect();
    let Some(node) = document_node::find(tx, publication.document)? else {
        if publication.placements.is_empty() {
            return publish_over(tx, publication, None, now, gate);
        }
        return Ok(PublishOutcome::Incomplete(all()));
    };
    let node = in_collection(node, &publication.collection, publication.document)?;
    match compare(&node, publication.seq) {
        Ticket::Higher => {}
        Ticket::Same => return Ok(PublishOutcome::AlreadyDone(node.counts)),
        Ticket::Overtaken { by, deleted } => return Ok(PublishOutcome::Overtaken { by, deleted }),
    }
    publish_over(tx, publication, Some(node), now, gate)
}

/// Puts the publication in the place of what stands.
fn publish_over(
    tx: &mut Transaction<'_, '_>,
    publication: &Publication,
    node: Option<DocumentNode>,
    now: Timestamp,
    gate: &Gate,
) -> Result<PublishOutcome> {
    let spaces = spaces_in(tx, &publication.collection)?;
    let wanted = match placements::resolve(tx, publication, &spaces)? {
        Ok(wanted) => wanted,
        Err(missing) => return Ok(PublishOutcome::Incomplete(missing)),
    };
    let query = "MERGE (d:GmDocument {id: $id}) ON CREATE SET d.collection = $collection, d.deleted = 0";
    let params = Params::new().set("id", publication.document.to_string());
    tx.run(query, params.set("collection", publication.collection.as_str()))?;
    let publish_number = raise_publish_number(tx, &publication.collection)?;
    let swap = placements::swap(tx, publication, wanted, &spaces, publish_number)?;
    graphmill_core::fault_point!("publish.after_placements");
    let difference = Difference::read(tx, &swap.added, &swap.removed, &swap.kept)?;
    let before = node.as_ref().filter(|node| node.is_published()).map(|node| node.counts).unwrap_or_default();
    let after = |before: u64, change: i64| before.saturating_add_signed(change);
    let done = PublishedCounts {
        chunks: publication.placements.len() as u64,
        entities: after(before.entities, difference.document_entities),
        relations: after(before.relations, difference.document_relations),
        publish_number,
    };
    let counters =
        Counters { documents: i64::from(!node.as_ref().is_some_and(DocumentNode::is_published)), ..swap.counters };
    finish(tx, &publication.collection, &swap, difference, counters)?;
    graphmill_core::fault_point!("publish.after_folds");
    write_document(tx, publication, node.as_ref(), done, now)?;
    graphmill_core::fault_point!("publish.before_commit");
    gate.open()?;
    Ok(PublishOutcome::Published(done))
}

/// Folds a swap and moves the counters.
pub(super) fn finish(
    tx: &mut Transaction<'_, '_>,
    collection: &graphmill_core::CollectionId,
    swap: &Swap,
    difference: Difference,
    counters: Counters,
) -> Result<()> {
    let change = folding::apply(tx, collection, &swap.removed, difference)?;
    Counters { entities: change.entities, relations: change.relations, ..counters }.apply(tx, collection.as_str())?;
    for (space, change) in &swap.live_vectors {
        count_live(tx, *space, *change)?;
    }
    Ok(())
}

fn write_document(
    tx: &mut Transaction<'_, '_>,
    publication: &Publication,
    node: Option<&DocumentNode>,
    counts: PublishedCounts,
    now: Timestamp,
) -> Result<()> {
    let p = &publication.properties;
    let settings = serde_json::to_string(&p.settings)
        .map_err(|e| Error::Invalid(format!("the settings of {} are no JSON: {e}", publication.document)))?;
    let born = node.filter(|node| node.is_published()).and_then(|node| node.created_at).unwrap_or(now);
    let (created_at, updated_at) = publication.times.map_or((born, now), |times| (times.created_at, times.updated_at));
    let properties = Params::new()
        .set("id", publication.document.to_string())
        .set("gm_order", super::ids::order(publication.document.as_bytes()))
        .set("collection", publication.collection.as_str())
        .set("seq", publication.seq.0)
        .set("deleted", 0_i64)
        .set("source", &p.source)
        .set("filename", &p.filename)
        .set("content_hash", p.content_hash.to_string())
        .set("settings_hash", p.settings_hash.to_string())
        .set("settings", settings)
        .set("file_size", p.file_size)
        .set("page_count", p.page_count)
        .set("mime_type", &p.mime_type)
        .set("title", p.title.as_deref())
        .set("language", p.language.as_deref())
        .set("original", &p.original)
        .set("page_text", &p.page_text)
        .set("quarantined_chunks", p.quarantined_chunks)
        .set("chunk_count", counts.chunks)
        .set("entity_count", counts.entities)
        .set("relation_count", counts.relations)
        .set("publish_number", counts.publish_number)
        .set("created_at", created_at.to_string())
        .set("updated_at", updated_at.to_string())
        .set("gm_by_updated", -updated_at.as_millis())
        .set("folded", folded(&p.filename, &p.source));
    let query = "MATCH (d:GmDocument {id: $properties.id}) SET d:Document, d = $properties";
    tx.run(query, Params::new().set("properties", properties))
}

/// File name and source in lower case: what lists look through and sort by.
fn folded(filename: &str, source: &str) -> String {
    crate::listing::folded(filename, source)
}

/// Moves the ticket of an unchanged document.
pub(super) async fn touch(neo4j: &Neo4jConnection, touch: &Touch, now: Timestamp) -> Result<TouchOutcome> {
    let touch = touch.clone();
    neo4j.write(move |tx| touch_in(tx, &touch, now)).await
}

fn touch_in(tx: &mut Transaction<'_, '_>, touch: &Touch, now: Timestamp) -> Result<TouchOutcome> {
    match lock(tx, &touch.collection)? {
        Lock::Held => {}
        Lock::Removing(by) => return Ok(TouchOutcome::Overtaken { by, deleted: true }),
        Lock::Missing => return Ok(TouchOutcome::Differs),
    }
    let Some(node) = document_node::find(tx, touch.document)? else { return Ok(TouchOutcome::Differs) };
    let node = in_collection(node, &touch.collection, touch.document)?;
    match compare(&node, touch.seq) {
        Ticket::Higher => {}
        Ticket::Same => return Ok(TouchOutcome::Touched(node.counts)),
        Ticket::Overtaken { by, deleted } => return Ok(TouchOutcome::Overtaken { by, deleted }),
    }
    if !node.is_published() {
        return Ok(TouchOutcome::Differs);
    }
    let query = "MATCH (d:GmDocument {id: $id}) WHERE d.content_hash = $content_hash AND d.settings_hash = $settings_hash \
                 AND d.quarantined_chunks = 0 WITH d, d.filename = $filename AND d.mime_type = $mime_type AS same \
                 SET d.seq = $seq, d.filename = $filename, d.mime_type = $mime_type, \
                 d.updated_at = CASE WHEN same THEN d.updated_at ELSE $now END, \
                 d.gm_by_updated = CASE WHEN same THEN d.gm_by_updated ELSE $by_now END, d.folded = $folded + substring(d.folded, size(split(d.folded, '\\n')[0])) RETURN 1 AS one";
    let params = Params::new()
        .set("id", touch.document.to_string())
        .set("content_hash", touch.content_hash.to_string())
        .set("settings_hash", touch.settings_hash.to_string())
        .set("seq", touch.seq.0)
        .set("filename", &touch.filename)
        .set("mime_type", &touch.mime_type)
        .set("now", now.to_string())
        .set("by_now", -now.as_millis())
        .set("folded", crate::listing::lower(&touch.filename));
    let moved = tx.first(query, params)?.is_some();
    Ok(if moved { TouchOutcome::Touched(node.counts) } else { TouchOutcome::Differs })
}
