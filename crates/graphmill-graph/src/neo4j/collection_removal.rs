//! Removing a collection: first a mark, by which readers see nothing of it and writers are refused, then its nodes, some in each transaction.

use graphmill_core::{CollectionId, Seq};

use super::communities::delete_nodes;
use super::lock::{Lock, lock};
use super::{Neo4jConnection, Params, Transaction, spaces};
use crate::Result;
use crate::records::CollectionRemoval;

/// Nodes that one transaction removes.
const NODES: u64 = 1_000;
/// Relationships that go with them, about.
const LINKS: u64 = 10_000;

/// See [`crate::GraphStore::begin_collection_removal`]. The first ticket stays.
pub(super) async fn begin(neo4j: &Neo4jConnection, collection: &CollectionId, seq: Seq) -> Result<()> {
    let collection = collection.clone();
    let begun = neo4j
        .write(move |tx| {
            if let Lock::Held = lock(tx, &collection)? {
                let query = "MATCH (c:GmCollection {name: $name}) \
                             WITH c, c.documents + c.chunks + c.entities + COUNT { MATCH (k:GmChunk) \
                             WHERE k.collection = $name AND k.unplaced_of IS NOT NULL } AS total \
                             SET c.removing = $seq, c.removing_total = total, c.removing_left = total";
                tx.run(query, Params::new().set("name", collection.as_str()).set("seq", seq.0))?;
            }
            graphmill_core::fault_point!("collection_removal.before_commit");
            Ok(())
        })
        .await;
    graphmill_core::fault_point!("collection_removal.after_commit");
    begun
}

/// See [`crate::GraphStore::collection_removal`].
pub(super) async fn progress(neo4j: &Neo4jConnection, collection: &CollectionId) -> Result<Option<CollectionRemoval>> {
    let query = "MATCH (c:GmCollection {name: $name}) WHERE c.removing IS NOT NULL \
                 RETURN c.removing_total AS total, c.removing_left AS left";
    let rows = neo4j.read(query, Params::new().set("name", collection.as_str())).await?;
    let Some(mut row) = rows.into_iter().next() else { return Ok(None) };
    Ok(Some(CollectionRemoval { total: row.take("total")?, left: row.take("left")? }))
}

/// See [`crate::GraphStore::blobs_under_removal`]. The cursor is a document's ticket: nobody else has it.
pub(super) async fn blobs(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    after: u64,
    limit: u32,
) -> Result<Option<(u64, Vec<String>)>> {
    if progress(neo4j, collection).await?.is_none() {
        return Ok(None);
    }
    let query = "MATCH (d:GmDocument) USING INDEX SEEK d:GmDocument(seq) WHERE d.seq > $after AND d.collection = $name \
                 RETURN d.seq AS seq, d.original AS original, d.page_text AS page_text ORDER BY d.seq LIMIT $limit";
    let params = Params::new().set("name", collection.as_str()).set("after", after).set("limit", limit);
    let (mut last, mut blobs) = (None, Vec::new());
    for mut row in neo4j.read(query, params).await? {
        last = Some(row.take("seq")?);
        blobs.extend(row.take::<Option<String>>("original")?);
        blobs.extend(row.take::<Option<String>>("page_text")?);
    }
    Ok(last.map(|last| (last, blobs)))
}

/// See [`crate::GraphStore::sweep_collection`]. One that is not marked is left alone.
pub(super) async fn sweep(neo4j: &Neo4jConnection, collection: &CollectionId) -> Result<bool> {
    let name = collection.clone();
    let swept = neo4j
        .write(move |tx| {
            let Lock::Removing(_) = lock(tx, &name)? else { return Ok(true) };
            let done = sweep_step(tx, &name)?;
            graphmill_core::fault_point!("collection_sweep.before_commit");
            Ok(done)
        })
        .await;
    graphmill_core::fault_point!("collection_sweep.after_commit");
    let done = swept?;
    if done {
        spaces::drop_unused_indexes(neo4j).await?;
    }
    Ok(done)
}

/// Kinds of nodes in the order in which they go: a label, the other properties of the index by which they are found, and whether the progress counts them. What hangs on the
/// chunks goes with them.
const KINDS: [(&str, &[&str], bool); 5] = [
    ("GmSimilarity", &["generation", "position"], false),
    ("GmCommunity", &["generation", "level", "gm_order"], false),
    ("GmChunk", &["gm_order"], true),
    // One that was only staged has no order yet.
    ("GmDocument", &[], true),
    ("GmEntity", &["gm_order"], true),
];

/// Removes some nodes; whether nothing is left.
fn sweep_step(tx: &mut Transaction<'_, '_>, collection: &CollectionId) -> Result<bool> {
    let params = Params::new().set("collection", collection.as_str());
    for (label, others, is_counted) in KINDS {
        let exist: String = others.iter().map(|name| format!(" AND n.{name} IS NOT NULL")).collect();
        let query = format!(
            "MATCH (n:{label}) WHERE n.collection = $collection{exist} WITH n LIMIT $limit \
             RETURN elementId(n) AS id, COUNT {{ (n)--() }} AS degree"
        );
        let (count, any) = delete_nodes(tx, &query, params.clone().set("limit", NODES), LINKS)?;
        if any {
            if is_counted {
                let query = "MATCH (c:GmCollection {name: $collection}) SET c.removing_left = \
                             CASE WHEN c.removing_left > $count THEN c.removing_left - $count ELSE 0 END";
                tx.run(query, params.set("count", count))?;
            }
            return Ok(false);
        }
    }
    for query in [
        "MATCH (n:GmLayer {collection: $collection}) DETACH DELETE n",
        "MATCH (n:GmSpace {collection: $collection}) DETACH DELETE n",
        "MATCH (n:GmGate {collection: $collection}) DETACH DELETE n",
        "MATCH (n:GmCollection {name: $collection}) DETACH DELETE n",
    ] {
        tx.run(query, params.clone())?;
    }
    Ok(true)
}
