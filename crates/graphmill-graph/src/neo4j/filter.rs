//! What a search may answer with. A filter that leaves few chunks is turned into these chunks, so that none of them is missed and nothing else is
//! looked at; a wide one is asked chunk by chunk, best first.

use std::collections::HashSet;

use graphmill_core::CollectionId;

use super::{Params, Row, Transaction};
use crate::Result;
use crate::records::SearchFilter;

/// Most chunks that a filter is turned into.
const FEW_CHUNKS: usize = 8_192;

/// A filter with what it names looked up.
#[derive(Debug, Default)]
pub(super) struct Admission {
    /// Published documents that pass; `None` = all.
    documents: Option<HashSet<String>>,
    /// Entities of which a chunk must mention one; empty = all chunks.
    entities: Vec<String>,
    /// All placed chunks that pass, when they are few.
    few: Option<Vec<String>>,
}

impl Admission {
    /// Looks the filter's ids up; `None` when nothing can pass, or there is no such collection.
    pub(super) fn resolve(
        tx: &mut Transaction<'_, '_>,
        collection: &CollectionId,
        filter: &SearchFilter,
    ) -> Result<Option<Self>> {
        let params = Params::new().set("collection", collection.as_str());
        let query = "MATCH (o:GmCollection {name: $collection}) WHERE o.removing IS NULL RETURN 1 AS one";
        if tx.first(query, params.clone())?.is_none() {
            return Ok(None);
        }
        let mut admission = Self { documents: documents(tx, &params, filter)?, ..Self::default() };
        if !filter.entities.is_empty() {
            let ids: Vec<String> = filter.entities.iter().map(ToString::to_string).collect();
            let query = "UNWIND $ids AS id MATCH (e:GmEntity {id: id}) WHERE e.collection = $collection RETURN DISTINCT e.id AS id";
            admission.entities = column(tx.rows(query, params.set("ids", ids))?)?;
        }
        let nobody = admission.documents.as_ref().is_some_and(HashSet::is_empty);
        if nobody || admission.entities.is_empty() != filter.entities.is_empty() {
            return Ok(None);
        }
        admission.few = admission.few_chunks(tx)?;
        Ok(Some(admission))
    }

    /// All placed chunks that pass, when they are few.
    pub(super) fn few(&self) -> Option<&[String]> {
        self.few.as_deref()
    }

    /// Published documents that pass, when the filter says something of documents.
    pub(super) fn documents(&self) -> Option<&HashSet<String>> {
        self.documents.as_ref()
    }

    /// What must hold of a chunk `c` besides, with its parameter.
    pub(super) fn condition(&self, params: Params) -> (&'static str, Params) {
        if self.entities.is_empty() {
            return ("", params);
        }
        let condition = " AND EXISTS { MATCH (c)-[:CONTAINS_ENTITY]->(e:GmEntity) WHERE e.id IN $entities }";
        (condition, params.set("entities", self.entities.clone()))
    }

    fn few_chunks(&self, tx: &mut Transaction<'_, '_>) -> Result<Option<Vec<String>>> {
        let documents = self.documents.as_ref().map(|only| only.iter().cloned().collect::<Vec<_>>());
        let query = if !self.entities.is_empty() {
            "UNWIND $entities AS id MATCH (:GmEntity {id: id})<-[:CONTAINS_ENTITY]-(c:GmChunk) \
             WHERE $documents IS NULL OR c.document_id IN $documents RETURN DISTINCT c.id AS id LIMIT $limit"
        } else if documents.is_some() {
            "UNWIND $documents AS id MATCH (:GmDocument {id: id})-[:HAS_CHUNK]->(c:GmChunk) RETURN c.id AS id LIMIT $limit"
        } else {
            return Ok(None);
        };
        let params = Params::new().set("entities", self.entities.clone()).set("documents", documents);
        let chunks = column(tx.rows(query, params.set("limit", FEW_CHUNKS + 1))?)?;
        Ok((chunks.len() <= FEW_CHUNKS).then_some(chunks))
    }
}

/// Ids of the collection's published documents that pass; `None` = the filter says nothing of documents.
fn documents(tx: &mut Transaction<'_, '_>, params: &Params, filter: &SearchFilter) -> Result<Option<HashSet<String>>> {
    let dated = filter.updated_after.is_some() || filter.updated_before.is_some();
    if filter.documents.is_empty() && !dated {
        return Ok(None);
    }
    // The newest have the least number.
    let params = params
        .clone()
        .set("from", filter.updated_after.map_or(i64::MAX, |time| -time.as_millis()))
        .set("until", filter.updated_before.map_or(i64::MIN, |time| -time.as_millis()));
    let within = "d.collection = $collection AND d.gm_by_updated <= $from AND d.gm_by_updated > $until";
    let (query, params) = if filter.documents.is_empty() {
        let source = "MATCH (d:GmDocument) USING INDEX SEEK d:GmDocument(collection, gm_by_updated, gm_order)";
        (format!("{source} WHERE {within} AND d.gm_order IS NOT NULL RETURN d.id AS id"), params)
    } else {
        let ids: Vec<String> = filter.documents.iter().map(ToString::to_string).collect();
        let query = format!("UNWIND $ids AS id MATCH (d:GmDocument {{id: id}}) WHERE {within} RETURN d.id AS id");
        (query, params.set("ids", ids))
    };
    Ok(Some(column(tx.rows(&query, params)?)?.into_iter().collect()))
}

/// The column `id` of all rows.
fn column(rows: Vec<Row>) -> Result<Vec<String>> {
    rows.into_iter().map(|mut row| row.take("id")).collect()
}
