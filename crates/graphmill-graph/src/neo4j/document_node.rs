//! The node of a document, as far as writes look at it.

use graphmill_core::{CollectionId, DocumentId, Seq, Timestamp};

use super::{Params, Transaction, ids};
use crate::records::PublishedCounts;
use crate::{Error, Result};

/// What stands for a document.
#[derive(Debug, Clone)]
pub(super) struct DocumentNode {
    pub(super) collection: CollectionId,
    pub(super) seq: Option<Seq>,
    /// 0 published (or only staged), 1 tombstone of nothing, 2 tombstone of what was published.
    pub(super) deleted: i64,
    pub(super) created_at: Option<Timestamp>,
    pub(super) counts: PublishedCounts,
}

impl DocumentNode {
    /// Whether readers see the document.
    pub(super) fn is_published(&self) -> bool {
        self.seq.is_some() && self.deleted == 0
    }
}

/// What stands against a ticket.
pub(super) enum Ticket {
    /// Nothing: it may be used.
    Higher,
    /// It was used already, and the document is published under it.
    Same,
    /// A higher one stands (or this one, as a deletion).
    Overtaken { by: Seq, deleted: bool },
}

/// Compares a ticket with the one that stands.
pub(super) fn compare(node: &DocumentNode, seq: Seq) -> Ticket {
    match node.seq {
        Some(by) if by > seq => Ticket::Overtaken { by, deleted: node.deleted > 0 },
        Some(by) if by == seq && node.deleted > 0 => Ticket::Overtaken { by, deleted: true },
        Some(by) if by == seq => Ticket::Same,
        _ => Ticket::Higher,
    }
}

/// Reads the node.
pub(super) fn find(tx: &mut Transaction<'_, '_>, document: DocumentId) -> Result<Option<DocumentNode>> {
    let query = "MATCH (d:GmDocument {id: $id}) RETURN d.collection AS collection, d.seq AS seq, d.deleted AS deleted, \
                 d.created_at AS created_at, coalesce(d.chunk_count, 0) AS chunks, coalesce(d.entity_count, 0) AS entities, \
                 coalesce(d.relation_count, 0) AS relations, coalesce(d.publish_number, 0) AS publish_number";
    let Some(mut row) = tx.first(query, Params::new().set("id", document.to_string()))? else { return Ok(None) };
    let created_at: Option<String> = row.take("created_at")?;
    let created_at = created_at.map(|text| text.parse()).transpose();
    Ok(Some(DocumentNode {
        collection: ids::take(&mut row, "collection")?,
        seq: row.take::<Option<u64>>("seq")?.map(Seq),
        deleted: row.take("deleted")?,
        created_at: created_at
            .map_err(|e| Error::Unusable(format!("the graph is damaged: created_at of {document} ({e})")))?,
        counts: PublishedCounts {
            chunks: row.take("chunks")?,
            entities: row.take("entities")?,
            relations: row.take("relations")?,
            publish_number: row.take("publish_number")?,
        },
    }))
}

/// Refuses a document under the name of another collection than its own.
pub(super) fn in_collection(
    node: DocumentNode,
    collection: &CollectionId,
    document: DocumentId,
) -> Result<DocumentNode> {
    if node.collection == *collection {
        Ok(node)
    } else {
        Err(Error::Invalid(format!("{document} is not a document of the collection {collection}")))
    }
}
