//! `check`: counts everything anew from the facts of live chunks and compares.

use graphmill_core::{CollectionId, DocumentId, EntityId};

use super::folding::{relation_key, weight};
use super::lock::lock_present;
use super::spaces::{embedding, spaces_in};
use super::{Neo4jConnection, Params, Row, Transaction, ids};
use crate::facts_column::FactsView;
use crate::fold_check::{Counted, DocumentFacts, Findings, Share};
use crate::folds::{EntityFold, RelationFold, importance};
use crate::records::Discrepancy;
use crate::{Error, Result};

/// A count of all rows of a large graph takes its time.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(600);

/// See [`crate::GraphStore::check`]. Read beside the writers at first; when that finds something, again under the collection's lock, so that what is told is
/// never a publication that came in between.
pub(super) async fn check(neo4j: &Neo4jConnection, collection: &CollectionId, limit: u32) -> Result<Vec<Discrepancy>> {
    let neo4j = neo4j.with_answer_timeout(PATIENCE);
    if !super::collections::names(&neo4j).await?.contains(collection) {
        return Ok(Vec::new());
    }
    let name = collection.clone();
    if neo4j.read_many(move |tx| check_in(tx, &name, limit as usize)).await?.is_empty() {
        return Ok(Vec::new());
    }
    let name = collection.clone();
    let checked = neo4j.write(move |tx| {
        lock_present(tx, &name)?;
        check_in(tx, &name, limit as usize)
    });
    match checked.await {
        Err(Error::CollectionRemoved(_)) => Ok(Vec::new()),
        checked => checked,
    }
}

fn check_in(tx: &mut Transaction<'_, '_>, collection: &CollectionId, limit: usize) -> Result<Vec<Discrepancy>> {
    let mut findings = Findings::new(limit);
    check_counters(tx, collection, &mut findings)?;
    check_rows(tx, collection, &mut findings)?;
    check_documents(tx, collection, &mut findings)?;
    let query = "MATCH (o:GmCollection {name: $collection}) RETURN o.entities + o.relations AS folds";
    let folds: i64 = tx.one(query, named(collection))?.take("folds")?;
    for share in Share::all(u64::try_from(folds).unwrap_or(0)) {
        if findings.is_full() {
            break;
        }
        check_folds(tx, collection, share, &mut findings)?;
    }
    Ok(findings.into_sorted())
}

fn named(collection: &CollectionId) -> Params {
    Params::new().set("collection", collection.as_str())
}

/// Counters of a collection `o` against what they count.
const COUNTERS: [(&str, &str); 6] = [
    (
        "documents",
        "MATCH (d:GmDocument {collection: o.name}) WHERE d.seq IS NOT NULL AND d.deleted = 0 RETURN count(d) AS n",
    ),
    ("chunks", "MATCH (c:GmChunk {collection: o.name}) WHERE c.unplaced_of IS NULL RETURN count(c) AS n"),
    ("entities", "MATCH (e:GmEntity {collection: o.name}) RETURN count(e) AS n"),
    ("relations", "MATCH (e:GmEntity {collection: o.name})-[r:RELATED_TO]->(:GmEntity) RETURN count(r) AS n"),
    (
        "quarantined_chunks",
        "MATCH (c:GmChunk {collection: o.name}) WHERE c.unplaced_of IS NULL AND c.flags <> 0 RETURN count(c) AS n",
    ),
    (
        "quarantined_embedding",
        "MATCH (c:GmChunk {collection: o.name}) WHERE c.unplaced_of IS NULL AND c.flags >= 2 RETURN count(c) AS n",
    ),
];

fn check_counters(tx: &mut Transaction<'_, '_>, collection: &CollectionId, findings: &mut Findings) -> Result<()> {
    for (name, count) in COUNTERS {
        let query = format!(
            "MATCH (o:GmCollection {{name: $collection}}) CALL {{ WITH o {count} }} RETURN o.{name} AS stored, n AS counted"
        );
        let mut row = tx.one(&query, named(collection))?;
        findings.compare_counter(name, row.take("stored")?, row.take("counted")?);
    }
    for space in spaces_in(tx, collection)? {
        let query = format!(
            "MATCH (s:GmSpace {{id: $space}}) CALL {{ WITH s MATCH (c:GmChunk {{collection: s.collection}}) \
             WHERE c.unplaced_of IS NULL AND c.{} IS NOT NULL RETURN count(c) AS n }} \
             RETURN s.live_vectors AS stored, n AS counted",
            embedding(space.id)
        );
        let mut row = tx.one(&query, Params::new().set("space", space.id.0))?;
        let name = format!("live_vectors of space {}", space.id.0);
        findings.compare_counter(&name, row.take("stored")?, row.take("counted")?);
    }
    Ok(())
}

/// Rows that must not be, each with the columns subject and detail.
const WRONG_ROWS: [(&str, &str); 9] = [
    (
        "orphan_chunk",
        "MATCH (c:GmChunk {collection: $collection}) \
         WITH c, COUNT { (:GmDocument {id: c.document_id})-[:HAS_CHUNK]->(c) } AS own, COUNT { ()-[:HAS_CHUNK]->(c) } AS places \
         WHERE own <> places OR places > 1 OR (places = 1) <> (c.unplaced_of IS NULL) OR (places = 1) <> (c:Chunk) \
         OR coalesce(c.unplaced_of, c.document_id) <> c.document_id \
         RETURN c.id AS subject, 'placed ' + toString(places) + ' times, and noted otherwise' AS detail",
    ),
    (
        "contains_entity",
        "MATCH (c:GmChunk {collection: $collection})-[r:CONTAINS_ENTITY]->(e) \
         WHERE c.unplaced_of IS NOT NULL OR r.gm_entity <> e.id OR e.collection <> $collection \
         RETURN c.id AS subject, 'a link of a chunk that is not placed, or to another entity than it names' AS detail",
    ),
    (
        "contains_entity",
        "MATCH (e:GmEntity {collection: $collection}) OPTIONAL MATCH (e)<-[r:CONTAINS_ENTITY]-() \
         WITH e, sum(r.mention_count) AS linked WHERE linked <> e.mention_count \
         RETURN e.id AS subject, 'its links count other mentions than its fold' AS detail",
    ),
    (
        "alias",
        "MATCH (e:GmEntity {collection: $collection})-[a:GM_ALIAS]->(l) \
         WHERE a.short <> e.id OR a.long <> l.id \
         OR NOT EXISTS { MATCH (c:GmChunk {id: a.chunk}) WHERE c.unplaced_of IS NULL } \
         RETURN e.id AS subject, 'alias evidence of a chunk that is not placed, or of another entity than it names' AS detail",
    ),
    (
        "community_size",
        "MATCH (l:GmLayer {key: $collection + '/communities'}) MATCH (m:GmCommunity) WHERE m.collection = $collection \
         AND m.generation = l.generation AND m.level IS NOT NULL AND m.gm_order IS NOT NULL \
         AND (m.size <> COUNT { (m)<-[:IN_COMMUNITY]-(:GmEntity) } OR m.gm_by_size <> -m.size) \
         RETURN m.id AS subject, 'its size is ' + toString(m.size) AS detail",
    ),
    (
        "relation_fold",
        "MATCH (s:GmEntity {collection: $collection})-[r:RELATED_TO]->(t) WHERE r.gm_key <> s.id + '>' + t.id \
         OR t.collection <> $collection RETURN r.gm_key AS subject, 'it stands between other entities' AS detail",
    ),
    (
        "placement",
        "MATCH (d:GmDocument {collection: $collection})-[h:HAS_CHUNK]->(c) WHERE d.seq IS NULL OR d.deleted <> 0 \
         OR h.gm_document <> d.id RETURN c.id AS subject, 'placed in a document that is not published' AS detail",
    ),
    (
        "next_chunk",
        "MATCH (d:GmDocument {collection: $collection})-[h:HAS_CHUNK]->(c) WHERE h.chunk_index > 0 \
         AND COUNT { (d)-[:HAS_CHUNK {chunk_index: h.chunk_index - 1}]->()-[:NEXT_CHUNK]->(c) } <> 1 \
         RETURN c.id AS subject, 'the chunk before it does not lead to it' AS detail",
    ),
    (
        "next_chunk",
        "MATCH (c:GmChunk {collection: $collection})-[:NEXT_CHUNK]->(n) WITH c, n, count(*) AS ways \
         WHERE ways > 1 OR NOT EXISTS { MATCH (c)<-[h:HAS_CHUNK]-(d)-[i:HAS_CHUNK]->(n) WHERE i.chunk_index = h.chunk_index + 1 } \
         RETURN c.id AS subject, 'it leads to a chunk that does not follow it' AS detail",
    ),
];

fn check_rows(tx: &mut Transaction<'_, '_>, collection: &CollectionId, findings: &mut Findings) -> Result<()> {
    for (kind, query) in WRONG_ROWS {
        tx.each_row(query, named(collection), |mut row| {
            findings.add(kind, row.take::<String>("subject")?, row.take::<String>("detail")?);
            Ok(())
        })?;
    }
    Ok(())
}

/// Documents that are compared between two looks at the list.
const DOCUMENTS: usize = 500;

/// Counts of each document, the order of its chunks, and its links.
fn check_documents(tx: &mut Transaction<'_, '_>, collection: &CollectionId, findings: &mut Findings) -> Result<()> {
    let query = "MATCH (d:GmDocument) USING INDEX SEEK d:GmDocument(collection, gm_order) \
                 WHERE d.collection = $collection AND d.gm_order > $after AND d.seq IS NOT NULL \
                 AND d.deleted = 0 RETURN d.id AS id, d.gm_order AS at, d.chunk_count AS chunks, d.entity_count AS entities, \
                 d.relation_count AS relations ORDER BY d.collection, d.gm_order LIMIT $limit";
    let mut after = String::new();
    loop {
        let params = named(collection).set("after", &after).set("limit", DOCUMENTS);
        let page = tx.rows(query, params)?;
        let is_last = page.len() < DOCUMENTS;
        for mut row in page {
            after = row.take("at")?;
            let stored = (row.take("chunks")?, row.take("entities")?, row.take("relations")?);
            check_document(tx, ids::take(&mut row, "id")?, stored, findings)?;
        }
        if is_last || findings.is_full() {
            return Ok(());
        }
    }
}

fn check_document(
    tx: &mut Transaction<'_, '_>,
    id: DocumentId,
    stored: (i64, i64, i64),
    findings: &mut Findings,
) -> Result<()> {
    let params = Params::new().set("id", id.to_string());
    let query = "MATCH (d:GmDocument {id: $id})-[h:HAS_CHUNK]->(c:GmChunk) RETURN h.chunk_index AS at, c.facts AS facts ORDER BY at";
    let mut counted = DocumentFacts::default();
    tx.each_row(query, params.clone(), |mut row| {
        let facts: Vec<u8> = row.take("facts")?;
        counted.add(row.take("at")?, FactsView::read(&facts)?);
        Ok(())
    })?;
    counted.compare(id, stored, findings);
    let query = "MATCH (d:GmDocument {id: $id})-[:HAS_CHUNK]->(c:GmChunk) OPTIONAL MATCH (c)-[r:CONTAINS_ENTITY]->(:GmEntity) \
                 WITH d, count(DISTINCT r.gm_entity) AS entities, count(r) AS links \
                 OPTIONAL MATCH (d)-[:HAS_CHUNK]->(c:GmChunk) OPTIONAL MATCH ()-[a:GM_ALIAS {chunk: c.id}]->() \
                 RETURN entities, links, count(a) AS aliases";
    let links = tx.first(query, params)?.map_or(Ok((0, 0, 0)), |mut row| {
        Ok::<_, Error>((row.take("entities")?, row.take("links")?, row.take("aliases")?))
    })?;
    let expected = (counted.entities.len() as i64, counted.entities.values().sum::<i64>(), counted.aliases);
    if links != expected {
        findings.add(
            "contains_entity",
            id,
            format!("entities, links and aliases: stored {links:?}, counted {expected:?}"),
        );
    }
    Ok(())
}

/// What follows from a fold, as it is stored beside it.
const ENTITY: &str = "e.id AS id, e.mention_count AS mentions, e.document_count AS documents, e.fold AS fold, \
    [e.name, e.type, e.description] AS texts, [e.gm_by_weight, e.gm_by_mentions] AS ranks, e.importance AS importance";
const RELATION: &str = "s.id AS source, t.id AS target, r.support AS support, r.strength_millionths AS strength, \
    r.fold AS fold, [r.type, r.description] AS texts";

fn check_folds(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    share: Share,
    findings: &mut Findings,
) -> Result<()> {
    let mut counted = Counted::new(share);
    let query = "MATCH (c:GmChunk {collection: $collection}) WHERE c.unplaced_of IS NULL \
                 RETURN c.facts AS facts, c.document_id AS document";
    tx.each_row(query, named(collection), |mut row| {
        let facts: Vec<u8> = row.take("facts")?;
        let document: DocumentId = ids::take(&mut row, "document")?;
        counted.add(&FactsView::read(&facts)?, document);
        Ok(())
    })?;
    let query = format!("MATCH (e:GmEntity {{collection: $collection}}) RETURN {ENTITY}");
    tx.each_row(&query, named(collection), |mut row| {
        let id: EntityId = ids::take(&mut row, "id")?;
        if share.has(&id) {
            let (fold, follows) = entity_from(&mut row)?;
            counted.compare_entity(id, &fold, findings);
            if !follows {
                findings.add("entity_listed", id, "what is shown of it does not follow from its fold");
            }
        }
        Ok(())
    })?;
    let query =
        format!("MATCH (s:GmEntity {{collection: $collection}})-[r:RELATED_TO]->(t:GmEntity) RETURN {RELATION}");
    tx.each_row(&query, named(collection), |mut row| {
        let ends = (ids::take(&mut row, "source")?, ids::take(&mut row, "target")?);
        if share.has(&ends.0) {
            let (fold, follows) = relation_from(&mut row)?;
            counted.compare_relation(ends, &fold, findings);
            if !follows {
                findings.add(
                    "relation_listed",
                    relation_key(ends),
                    "what is shown of it does not follow from its fold",
                );
            }
        }
        Ok(())
    })?;
    counted.report_missing(findings);
    Ok(())
}

fn entity_from(row: &mut Row) -> Result<(EntityFold, bool)> {
    let property: Vec<u8> = row.take("fold")?;
    let fold = EntityFold::decode(row.take("mentions")?, row.take("documents")?, &property)?;
    let (texts, ranks): (Vec<String>, Vec<i64>) = (row.take("texts")?, row.take("ranks")?);
    let shown: f64 = row.take("importance")?;
    let follows = texts == [fold.name(), fold.entity_type(), &fold.texts.joined()]
        && ranks == [-weight(&fold), -fold.mentions.cast_signed()]
        && shown == importance(fold.mentions, fold.documents);
    Ok((fold, follows))
}

fn relation_from(row: &mut Row) -> Result<(RelationFold, bool)> {
    let property: Vec<u8> = row.take("fold")?;
    let fold = RelationFold::decode(row.take("support")?, row.take("strength")?, &property)?;
    let texts: Vec<String> = row.take("texts")?;
    let follows = texts == [fold.relation_type(), &fold.texts.joined()];
    Ok((fold, follows))
}
