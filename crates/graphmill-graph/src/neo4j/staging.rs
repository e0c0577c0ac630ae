//! Staging: chunks with their facts, vectors and words, unplaced, seen by no reader. Beside the collection's lock.

use graphmill_core::{CollectionId, DocumentId};

use super::collections::ensure_collection;
use super::lock::{Gate, lock_present, raise_publish_number};
use super::placements::{Counters, in_slices};
use super::spaces::{check_vector, count_live, embedding, spaces_of};
use super::{Neo4jConnection, Params, Row, Transaction};
use crate::facts_column;
use crate::records::{Space, SpaceId, StagedChunk};
use crate::{Error, Result};

/// Facts set aside.
pub(super) const FACTS_QUARANTINED: i64 = 1;
/// Embedding set aside: of no space's delta until it gets a vector.
pub(super) const EMBEDDING_QUARANTINED: i64 = 2;

/// Most chunks of one transaction.
const BATCH_CHUNKS: usize = 256;
/// Most bytes of one transaction, about.
const BATCH_BYTES: usize = 1 << 20;

/// A chunk on its way.
struct Encoded {
    id: String,
    order: String,
    position: u64,
    chunk: StagedChunk,
    facts: Vec<u8>,
    flags: i64,
}

impl Encoded {
    fn new(collection: &CollectionId, chunk: StagedChunk, position: u64) -> Result<Self> {
        let facts = facts_column::encode(collection, &chunk.facts)?;
        let embedding_quarantined = chunk.embedding_quarantined && chunk.vectors.is_empty();
        let flags = i64::from(chunk.facts.quarantined) * FACTS_QUARANTINED
            + i64::from(embedding_quarantined) * EMBEDDING_QUARANTINED;
        let (id, order) = (chunk.id.to_string(), super::ids::order(chunk.id.as_bytes()));
        Ok(Self { id, order, position, chunk, facts, flags })
    }

    fn bytes(&self) -> usize {
        2 * self.chunk.text.len()
            + self.facts.len()
            + self.chunk.vectors.iter().map(|(_, v)| v.len() * 9).sum::<usize>()
    }
}

/// Stages chunks, each batch in a transaction of its own.
pub(super) async fn stage(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    document: DocumentId,
    chunks: Vec<StagedChunk>,
) -> Result<()> {
    ensure_collection(neo4j, collection).await?;
    let spaces = spaces_of(neo4j, collection).await?;
    let mut encoded = Vec::with_capacity(chunks.len());
    let first = take_positions(neo4j, chunks.len()).await?;
    for (n, chunk) in chunks.into_iter().enumerate() {
        for (space, vector) in &chunk.vectors {
            check_vector(&spaces, *space, vector)?;
        }
        encoded.push(Encoded::new(collection, chunk, first + n as u64)?);
    }
    // Two that stage the same chunks take their locks in the same order.
    encoded.sort_by(|a, b| a.id.cmp(&b.id));
    let mut batch: Vec<Encoded> = Vec::new();
    let mut bytes = 0;
    for chunk in encoded {
        if batch.len() >= BATCH_CHUNKS || (bytes >= BATCH_BYTES && !batch.is_empty()) {
            stage_batch(neo4j, collection, document, std::mem::take(&mut batch), &spaces).await?;
            bytes = 0;
        }
        bytes += chunk.bytes();
        batch.push(chunk);
    }
    stage_batch(neo4j, collection, document, batch, &spaces).await
}

async fn stage_batch(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    document: DocumentId,
    batch: Vec<Encoded>,
    spaces: &[Space],
) -> Result<()> {
    let gate = Gate::new(neo4j, collection);
    let (collection, spaces, opened) = (collection.clone(), spaces.to_vec(), gate.clone());
    let staged = neo4j
        .write(move |tx| {
            let document = document.to_string();
            ensure_document(tx, &collection, &document)?;
            let known = known(tx, &batch, &spaces)?;
            let mut new = Vec::new();
            for chunk in &batch {
                match known.iter().find(|known| known.id == chunk.id) {
                    None => new.push(row(chunk, &collection, &document, &spaces)),
                    Some(known) if known.document != document => {
                        return Err(Error::Invalid(format!(
                            "{} is a chunk of another document than {document}",
                            chunk.id
                        )));
                    }
                    Some(_) => {}
                }
            }
            insert(tx, new, &spaces)?;
            let is_seen = add_vectors(tx, &collection, &batch, &known, &spaces)?;
            graphmill_core::fault_point!("stage.before_commit");
            if is_seen { opened.open() } else { Ok(()) }
        })
        .await;
    graphmill_core::fault_point!("stage.after_commit");
    gate.shut().await;
    staged
}

/// Positions for so many chunks that nobody has had or will have, in any collection; those of chunks that are there already stay unused. Their counter stands by itself: the
/// locks of other nodes may be held for long.
async fn take_positions(neo4j: &Neo4jConnection, count: usize) -> Result<u64> {
    neo4j
        .write(move |tx| {
            let query = "MERGE (p:GmStore {id: 'positions'}) SET p.next_position = coalesce(p.next_position, 1) + $count \
                         RETURN p.next_position - $count AS first";
            tx.one(query, Params::new().set("count", count))?.take("first")
        })
        .await
}

/// The document's node: without the plain label until it is published.
fn ensure_document(tx: &mut Transaction<'_, '_>, collection: &CollectionId, document: &str) -> Result<()> {
    let query = "MATCH (c:GmCollection {name: $collection}) WHERE c.removing IS NULL \
                 MERGE (d:GmDocument {id: $id}) ON CREATE SET d.collection = $collection, d.deleted = 0 \
                 RETURN d.collection AS collection";
    let params = Params::new().set("collection", collection.as_str()).set("id", document);
    let Some(mut row) = tx.first(query, params)? else { return Err(Error::CollectionRemoved(collection.clone())) };
    if row.take::<String>("collection")? == collection.as_str() {
        return Ok(());
    }
    Err(Error::Invalid(format!("{document} is not a document of the collection {collection}")))
}

/// A chunk that is there.
struct Known {
    id: String,
    document: String,
    flags: i64,
    placed: bool,
    spaces: Vec<SpaceId>,
}

fn known(tx: &mut Transaction<'_, '_>, batch: &[Encoded], spaces: &[Space]) -> Result<Vec<Known>> {
    let query = format!(
        "UNWIND $ids AS id MATCH (c:GmChunk {{id: id}}) RETURN c.id AS id, c.document_id AS document, c.flags AS flags, \
         c.unplaced_of IS NULL AS placed, {} AS vectors",
        super::spaces::presence("c", spaces)
    );
    let ids: Vec<&str> = batch.iter().map(|chunk| chunk.id.as_str()).collect();
    let known = |mut row: Row| {
        let has: Vec<bool> = row.take("vectors")?;
        Ok(Known {
            id: row.take("id")?,
            document: row.take("document")?,
            flags: row.take("flags")?,
            placed: row.take("placed")?,
            spaces: spaces.iter().zip(has).filter(|(_, has)| *has).map(|(space, _)| space.id).collect(),
        })
    };
    tx.rows(&query, Params::new().set("ids", ids))?.into_iter().map(known).collect()
}

fn row(chunk: &Encoded, collection: &CollectionId, document: &str, spaces: &[Space]) -> Params {
    let staged = &chunk.chunk;
    let of = |space: &Space| staged.vectors.iter().find(|(id, _)| *id == space.id).map(|(_, vector)| &vector[..]);
    Params::new()
        .set("id", &chunk.id)
        .set("order", &chunk.order)
        .set("collection", collection.as_str())
        .set("document", document)
        .set("position", chunk.position)
        .set("flags", chunk.flags)
        .set("token_count", staged.token_count)
        .set("content_hash", staged.content_hash.to_string())
        .set("facts", chunk.facts.clone())
        .set("text", staged.text.as_str())
        .set("words", super::fulltext::words(&staged.text))
        .set("context", staged.context.as_deref())
        .set("vectors", spaces.iter().map(of).collect::<Vec<_>>())
}

fn insert(tx: &mut Transaction<'_, '_>, rows: Vec<Params>, spaces: &[Space]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    // What a row has no vector of stays unset: a null is no property.
    let vector = |(n, space): (usize, &Space)| format!(", c.{} = row.vectors[{n}]", embedding(space.id));
    let vectors: String = spaces.iter().enumerate().map(vector).collect();
    let query = format!(
        "UNWIND $rows AS row CREATE (c:GmChunk {{id: row.id}}) SET c.gm_order = row.order, c.collection = row.collection, \
         c.document_id = row.document, c.unplaced_of = row.document, c.position = row.position, c.flags = row.flags, \
         c.token_count = row.token_count, c.content_hash = row.content_hash, c.facts = row.facts, c.text = row.text, c.gm_words = row.words, \
         c.context = row.context{vectors}"
    );
    tx.run(&query, Params::new().set("rows", rows))
}

/// Adds the vectors that known chunks lacked; answers whether readers see any. On a placed chunk they see it at once, so the publish number rises, under the lock.
fn add_vectors(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    batch: &[Encoded],
    known: &[Known],
    spaces: &[Space],
) -> Result<bool> {
    let mut missing: Vec<(&Known, &StagedChunk)> = Vec::new();
    for known in known {
        let Some(chunk) = batch.iter().find(|chunk| chunk.id == known.id) else { continue };
        if chunk.chunk.vectors.iter().any(|(space, _)| !known.spaces.contains(space)) {
            missing.push((known, &chunk.chunk));
        }
    }
    if missing.is_empty() {
        return Ok(false);
    }
    let is_seen = missing.iter().any(|(known, _)| known.placed);
    let number = if is_seen {
        lock_present(tx, collection)?;
        Some(raise_publish_number(tx, collection)?)
    } else {
        None
    };
    let mut counters = Counters::default();
    for space in spaces {
        let (mut rows, mut live) = (Vec::new(), 0);
        for (known, chunk) in &missing {
            let new = |(id, _): &&(SpaceId, _)| *id == space.id && !known.spaces.contains(id);
            let Some((_, vector)) = chunk.vectors.iter().find(new) else { continue };
            live += i64::from(known.placed);
            rows.push(Params::new().set("id", &known.id).set("vector", &vector[..]).set("placed", known.placed));
        }
        let query = format!(
            "UNWIND $rows AS row MATCH (c:GmChunk {{id: row.id}}) SET c.{} = row.vector, \
             c.published_at = CASE WHEN row.placed THEN $number ELSE c.published_at END",
            embedding(space.id)
        );
        in_slices(tx, &query, &Params::new().set("number", number), rows)?;
        count_live(tx, space.id, live)?;
    }
    let mut rows = Vec::new();
    for (known, _) in missing.iter().filter(|(known, _)| known.flags & EMBEDDING_QUARANTINED != 0) {
        let flags = known.flags & !EMBEDDING_QUARANTINED;
        if known.placed {
            counters.count_embedding_quarantine(known.flags, flags);
        }
        rows.push(Params::new().set("id", &known.id).set("flags", flags));
    }
    let query = "UNWIND $rows AS row MATCH (c:GmChunk {id: row.id}) SET c.flags = row.flags";
    in_slices(tx, query, &Params::new(), rows)?;
    if is_seen {
        counters.apply(tx, collection.as_str())?;
    }
    Ok(is_seen)
}
