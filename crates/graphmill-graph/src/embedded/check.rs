//! `check`: counts everything anew from the facts of live chunks and compares.

use rusqlite::Connection;

use super::ids::{document_id, entity_id};
use super::{entity_rows, names, relation_rows};
use crate::Result;
use crate::facts_column::FactsView;
use crate::fold_check::{Counted, DocumentFacts, Findings, Share};
use crate::records::Discrepancy;

/// Checks a collection; the findings are sorted.
pub(super) fn check(conn: &Connection, collection: i64, limit: usize) -> Result<Vec<Discrepancy>> {
    let mut findings = Findings::new(limit);
    check_counters(conn, collection, &mut findings)?;
    check_rows(conn, collection, &mut findings)?;
    check_documents(conn, collection, &mut findings)?;
    let folds: i64 =
        conn.query_row("SELECT entities + relations FROM collection WHERE key = ?1", [collection], |row| row.get(0))?;
    for share in Share::all(u64::try_from(folds).unwrap_or(0)) {
        if findings.is_full() {
            break;
        }
        check_folds(conn, collection, share, &mut findings)?;
    }
    Ok(findings.into_sorted())
}

fn check_folds(conn: &Connection, collection: i64, share: Share, findings: &mut Findings) -> Result<()> {
    let mut counted = Counted::new(share);
    let sql =
        "SELECT c.facts, p.document FROM placement p CROSS JOIN chunk c ON c.key = p.chunk WHERE c.collection = ?1";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([collection])?;
    while let Some(row) = rows.next()? {
        let view = FactsView::read(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
        counted.add(&view, row.get::<_, i64>(1)?);
    }
    let mut entities = conn.prepare_cached(
        "SELECT key, id, mentions, documents, fold, type, weight, weight_band, mention_band FROM entity \
         WHERE collection = ?1",
    )?;
    let mut relations = conn.prepare_cached(
        "SELECT t.id, r.support, r.strength, r.fold FROM relation r CROSS JOIN entity t ON t.key = r.target \
         WHERE r.source = ?1",
    )?;
    let mut rows = entities.query([collection])?;
    while let Some(row) = rows.next()? {
        let (key, id): (i64, _) = (row.get(0)?, entity_id(row, 1)?);
        if !share.has(&id) {
            continue;
        }
        let stored = entity_rows::fold_from(row, 2)?;
        counted.compare_entity(id, &stored, findings);
        let listed =
            entity_rows::Indexed { entity_type: row.get(5)?, weight_band: row.get(7)?, mention_band: row.get(8)? };
        if listed != entity_rows::Indexed::of(&stored) || row.get::<_, i64>(6)? != entity_rows::weight(&stored) {
            findings.add("entity_listed", id, format!("stored {listed:?}, which does not follow from its fold"));
        }
        let mut rows = relations.query([key])?;
        while let Some(row) = rows.next()? {
            counted.compare_relation((id, entity_id(row, 0)?), &relation_rows::fold_from(row, 1)?, findings);
        }
    }
    counted.report_missing(findings);
    Ok(())
}

/// Counters against what they count.
const COUNTERS: &[(&str, &str)] = &[
    ("documents", "SELECT count(*) FROM document WHERE collection = ?1 AND seq IS NOT NULL AND deleted = 0"),
    ("chunks", "SELECT count(*) FROM placement p CROSS JOIN chunk c ON c.key = p.chunk WHERE c.collection = ?1"),
    ("entities", "SELECT count(*) FROM entity WHERE collection = ?1"),
    ("relations", "SELECT count(*) FROM entity e CROSS JOIN relation r ON r.source = e.key WHERE e.collection = ?1"),
    (
        "unplaced_chunks",
        "SELECT count(*) FROM chunk c WHERE c.collection = ?1 AND NOT EXISTS (SELECT 1 FROM placement WHERE chunk = c.key)",
    ),
    (
        "quarantined_chunks",
        "SELECT count(*) FROM placement p CROSS JOIN chunk c ON c.key = p.chunk WHERE c.collection = ?1 AND c.flags <> 0",
    ),
    (
        "quarantined_embedding",
        "SELECT count(*) FROM placement p CROSS JOIN chunk c ON c.key = p.chunk \
         WHERE c.collection = ?1 AND c.flags & 2 <> 0",
    ),
];

fn check_counters(conn: &Connection, collection: i64, findings: &mut Findings) -> Result<()> {
    for (name, sql) in COUNTERS {
        let column = format!("SELECT {name} FROM collection WHERE key = ?1");
        let stored = conn.query_row(&column, [collection], |row| row.get(0))?;
        findings.compare_counter(name, stored, conn.query_row(sql, [collection], |row| row.get(0))?);
    }
    let mut spaces = conn.prepare_cached(
        "SELECT s.id, s.live_vectors, (SELECT count(*) FROM vector v CROSS JOIN placement p ON p.chunk = v.key - (s.id << 40) \
         WHERE v.key >= s.id << 40 AND v.key < (s.id + 1) << 40) FROM space s WHERE s.collection = ?1",
    )?;
    let mut rows = spaces.query([collection])?;
    while let Some(row) = rows.next()? {
        let name = format!("live_vectors of space {}", row.get::<_, i64>(0)?);
        findings.compare_counter(&name, row.get(1)?, row.get(2)?);
    }
    // One index for all collections.
    let sql = "SELECT count(*) FROM entity WHERE key <= (SELECT words_to FROM meta)";
    let entities = conn.query_row(sql, [], |row| row.get(0))?;
    findings.compare_counter("names in their index", names::indexed(conn)?, entities);
    Ok(())
}

/// Rows that must not be, each with the columns kind-specific subject and detail.
const WRONG_ROWS: &[(&str, &str)] = &[
    (
        "orphan_placement",
        "SELECT 'chunk ' || p.chunk, 'placed in a document of the collection and not there' FROM document d \
         CROSS JOIN placement p ON p.document = d.key WHERE d.collection = ?1 \
         AND NOT EXISTS (SELECT 1 FROM chunk c WHERE c.key = p.chunk AND c.document = p.document)",
    ),
    (
        "orphan_chunk",
        "SELECT 'chunk ' || c.key, 'neither placed nor noted as unplaced' FROM chunk c WHERE c.collection = ?1 \
         AND NOT EXISTS (SELECT 1 FROM placement p WHERE p.chunk = c.key) \
         AND NOT EXISTS (SELECT 1 FROM unplaced u WHERE u.document = c.document AND u.chunk = c.key)",
    ),
    (
        "orphan_chunk",
        "SELECT 'chunk ' || u.chunk, 'noted as unplaced and placed, or not there' FROM document d \
         CROSS JOIN unplaced u ON u.document = d.key WHERE d.collection = ?1 \
         AND (EXISTS (SELECT 1 FROM placement p WHERE p.chunk = u.chunk) \
              OR NOT EXISTS (SELECT 1 FROM chunk c WHERE c.key = u.chunk))",
    ),
    (
        "contains_entity",
        "SELECT 'entity ' || x.entity, 'a link of a chunk that is not placed, or to no entity' FROM document d \
         CROSS JOIN contains x ON x.document = d.key WHERE d.collection = ?1 \
         AND (NOT EXISTS (SELECT 1 FROM placement p WHERE p.chunk = x.chunk AND p.document = x.document) \
              OR NOT EXISTS (SELECT 1 FROM entity e WHERE e.key = x.entity))",
    ),
    (
        "description",
        "SELECT 'entity ' || x.entity, 'a description of a chunk that is not placed' FROM entity e \
         CROSS JOIN entity_text x ON x.entity = e.key WHERE e.collection = ?1 \
         AND NOT EXISTS (SELECT 1 FROM placement p WHERE p.chunk = x.chunk)",
    ),
    (
        "description",
        "SELECT 'relation ' || x.source || ' ' || x.target, 'a description of a chunk that is not placed' FROM entity e \
         CROSS JOIN relation_text x ON x.source = e.key WHERE e.collection = ?1 \
         AND NOT EXISTS (SELECT 1 FROM placement p WHERE p.chunk = x.chunk)",
    ),
    (
        "contains_entity",
        "SELECT 'entity ' || e.key, 'its links count other mentions than its fold' FROM entity e WHERE e.collection = ?1 \
         AND e.mentions <> (SELECT coalesce(sum(x.mentions), 0) FROM contains x WHERE x.entity = e.key)",
    ),
    (
        "alias",
        "SELECT 'entity ' || e.key, 'alias evidence of a chunk that is not placed, or of no entity' FROM entity e \
         CROSS JOIN alias a ON a.short = e.key WHERE e.collection = ?1 \
         AND (NOT EXISTS (SELECT 1 FROM placement p WHERE p.chunk = a.chunk) \
              OR NOT EXISTS (SELECT 1 FROM entity l WHERE l.key = a.long))",
    ),
    (
        "community_size",
        "SELECT 'community of level ' || m.level, 'its size is ' || m.size FROM layer l CROSS JOIN community m \
         ON m.collection = l.collection AND m.generation = l.generation WHERE l.collection = ?1 AND l.layer = 2 \
         AND m.size <> (SELECT count(*) FROM community_member x CROSS JOIN entity e ON e.key = x.entity \
             WHERE x.collection = m.collection AND x.generation = m.generation AND x.level = m.level \
             AND x.community = m.id)",
    ),
    (
        "relation_fold",
        "SELECT 'relation ' || r.source || ' ' || r.target, 'its target is not there' FROM entity e CROSS JOIN relation r \
         ON r.source = e.key WHERE e.collection = ?1 AND NOT EXISTS (SELECT 1 FROM entity t WHERE t.key = r.target)",
    ),
];

fn check_rows(conn: &Connection, collection: i64, findings: &mut Findings) -> Result<()> {
    for (kind, sql) in WRONG_ROWS {
        let mut statement = conn.prepare(sql)?;
        let mut rows = statement.query([collection])?;
        while let Some(row) = rows.next()? {
            findings.add(kind, row.get::<_, String>(0)?, row.get::<_, String>(1)?);
        }
    }
    Ok(())
}

/// Counts of each document, the order of its chunks, and its links to entities and relations.
fn check_documents(conn: &Connection, collection: i64, findings: &mut Findings) -> Result<()> {
    let mut documents = conn.prepare(
        "SELECT key, id, chunk_count, entity_count, relation_count FROM document WHERE collection = ?1 \
         AND seq IS NOT NULL AND deleted = 0",
    )?;
    let mut rows = documents.query([collection])?;
    while let Some(row) = rows.next()? {
        let (key, id) = (row.get(0)?, document_id(row, 1)?);
        let stored: (i64, i64, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
        let counted = facts_of(conn, key)?;
        counted.compare(id, stored, findings);
        let (entities, relations) = (counted.entities.len() as i64, counted.relations.len() as i64);
        let mentions: i64 = counted.entities.values().sum();
        let links = linked(conn, "SELECT count(DISTINCT entity), count(*) FROM contains WHERE document = ?1", key)?;
        if links != (entities, mentions) {
            let detail = format!("entities and links: stored {links:?}, counted {:?}", (entities, mentions));
            findings.add("contains_entity", id, detail);
        }
        let statements: i64 = counted.relations.values().sum();
        let sql = "SELECT count(*), coalesce(sum(statements), 0) FROM document_relation WHERE document = ?1";
        let links = linked(conn, sql, key)?;
        if links != (relations, statements) {
            let detail = format!("relations and statements: stored {links:?}, counted {:?}", (relations, statements));
            findings.add("document_relation", id, detail);
        }
    }
    Ok(())
}

fn linked(conn: &Connection, sql: &str, document: i64) -> Result<(i64, i64)> {
    Ok(conn.prepare_cached(sql)?.query_row([document], |row| Ok((row.get(0)?, row.get(1)?)))?)
}

fn facts_of(conn: &Connection, document: i64) -> Result<DocumentFacts> {
    let sql = "SELECT c.facts, p.chunk_index FROM placement p CROSS JOIN chunk c ON c.key = p.chunk \
               WHERE p.document = ?1 ORDER BY p.chunk_index";
    let mut statement = conn.prepare_cached(sql)?;
    let mut placed = statement.query([document])?;
    let mut facts = DocumentFacts::default();
    while let Some(row) = placed.next()? {
        let view = FactsView::read(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?;
        facts.add(row.get(1)?, view);
    }
    Ok(facts)
}
