//! Rows of relations: a fold each, changed by difference.

use rusqlite::{Connection, Row, params};

use super::folding::{FoldChange, RelationSlice, TextPlace};
use super::sql_error::DAMAGED_HINT;
use crate::facts_column::FactsView;
use crate::folds::{BEST_TEXTS, BestTexts, RelationFold, text_hash};
use crate::{Error, Result};

/// Reads a fold from columns (support, strength, fold) from `at` on.
pub(super) fn fold_from(row: &Row<'_>, at: usize) -> Result<RelationFold> {
    let (support, strength): (i64, i64) = (row.get(at)?, row.get(at + 1)?);
    let property = row.get_ref(at + 2)?.as_blob().map_err(rusqlite::Error::from)?;
    Ok(RelationFold::decode(support.cast_unsigned(), strength.cast_unsigned(), property)?)
}

fn find(conn: &Connection, source: i64, target: i64) -> Result<Option<RelationFold>> {
    let sql = "SELECT support, strength, fold FROM relation WHERE source = ?1 AND target = ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([source, target])?;
    rows.next()?.map(|row| fold_from(row, 0)).transpose()
}

/// Adds what a slice says.
pub(super) fn add(
    conn: &Connection,
    source: i64,
    target: i64,
    relation: &RelationSlice,
    change: &mut FoldChange,
) -> Result<()> {
    // Most relations are stated by one document alone, so that writing a new row is tried first.
    let fold = &relation.fold;
    let sql = "INSERT OR IGNORE INTO relation (source, target, support, strength, fold) VALUES (?1, ?2, ?3, ?4, ?5)";
    let (support, strength) = (fold.support.cast_signed(), fold.strength_millionths.cast_signed());
    let is_new = conn.prepare_cached(sql)?.execute(params![source, target, support, strength, fold.encode()])? == 1;
    if is_new {
        change.relations += 1;
    } else if let Some(mut known) = find(conn, source, target)? {
        known.merge(fold);
        update(conn, source, target, &known)?;
    }
    if relation.texts.is_empty() {
        return Ok(());
    }
    let sql = "INSERT OR IGNORE INTO relation_text (source, target, rank, hash, chunk) VALUES (?1, ?2, ?3, ?4, ?5)";
    let mut keep = conn.prepare_cached(sql)?;
    for text in &relation.texts {
        keep.execute(params![source, target, text.rank, text.hash, text.chunk])?;
    }
    Ok(())
}

fn update(conn: &Connection, source: i64, target: i64, fold: &RelationFold) -> Result<()> {
    let sql = "UPDATE relation SET support = ?3, strength = ?4, fold = ?5 WHERE source = ?1 AND target = ?2";
    let (support, strength) = (fold.support.cast_signed(), fold.strength_millionths.cast_signed());
    conn.prepare_cached(sql)?.execute(params![source, target, support, strength, fold.encode()])?;
    Ok(())
}

/// Takes away what a slice says. A relation that nobody states goes.
pub(super) fn subtract(
    conn: &Connection,
    source: i64,
    target: i64,
    relation: &RelationSlice,
    change: &mut FoldChange,
) -> Result<()> {
    let mut fold = find(conn, source, target)?.ok_or_else(|| {
        Error::Unusable(format!("graph.db is damaged (a relation is stated and not there); {DAMAGED_HINT}"))
    })?;
    let sql = "DELETE FROM relation_text WHERE source = ?1 AND target = ?2 AND rank = ?3 AND hash = ?4 AND chunk = ?5";
    let mut forget = conn.prepare_cached(sql)?;
    for text in &relation.texts {
        forget.execute(params![source, target, text.rank, text.hash, text.chunk])?;
    }
    let texts_are_stale = fold.subtract(&relation.fold)?;
    if fold.support == 0 {
        conn.prepare_cached("DELETE FROM relation WHERE source = ?1 AND target = ?2")?.execute([source, target])?;
        change.relations -= 1;
        return Ok(());
    }
    if texts_are_stale {
        fold.texts = best_texts(conn, source, target)?;
    }
    update(conn, source, target, &fold)
}

/// Counts statements of a document; answers whether it had none before. (Neither UPSERT nor RETURNING: either makes SQLite keep an undo
/// log of the statement, which costs more than the row.)
pub(super) fn link(conn: &Connection, document: i64, source: i64, target: i64, count: u64) -> Result<bool> {
    let sql = "INSERT OR IGNORE INTO document_relation (document, source, target, statements) VALUES (?1, ?2, ?3, ?4)";
    let row = [document, source, target, count.cast_signed()];
    let is_new = conn.prepare_cached(sql)?.execute(row)? == 1;
    if !is_new {
        let sql = "UPDATE document_relation SET statements = statements + ?4 \
                   WHERE document = ?1 AND source = ?2 AND target = ?3";
        conn.prepare_cached(sql)?.execute(row)?;
    }
    Ok(is_new)
}

/// Takes statements of a document away; answers whether it has none left.
pub(super) fn unlink(conn: &Connection, document: i64, source: i64, target: i64, count: u64) -> Result<bool> {
    let sql = "DELETE FROM document_relation WHERE document = ?1 AND source = ?2 AND target = ?3 AND statements <= ?4";
    let row = [document, source, target, count.cast_signed()];
    let is_gone = conn.prepare_cached(sql)?.execute(row)? == 1;
    if !is_gone {
        let sql = "UPDATE document_relation SET statements = statements - ?4 \
                   WHERE document = ?1 AND source = ?2 AND target = ?3";
        conn.prepare_cached(sql)?.execute(row)?;
    }
    Ok(is_gone)
}

/// The best descriptions of a relation, read from its facts.
fn best_texts(conn: &Connection, source: i64, target: i64) -> Result<BestTexts> {
    // The next text after one of a rank, so that many equal ones cost one step.
    let sql = "SELECT t.rank, t.hash, c.facts FROM relation_text t CROSS JOIN chunk c ON c.key = t.chunk \
               WHERE t.source = ?1 AND t.target = ?2 AND (t.rank, t.hash) > (?3, ?4) ORDER BY t.rank, t.hash LIMIT 1";
    let mut next = conn.prepare_cached(sql)?;
    let (mut best, mut at) = (BestTexts::default(), (i64::MIN, i64::MIN));
    while best.iter().count() < BEST_TEXTS {
        let mut rows = next.query(params![source, target, at.0, at.1])?;
        let Some(row) = rows.next()? else { break };
        at = (row.get(0)?, row.get(1)?);
        let hash = TextPlace::text_hash(at.1);
        let view = FactsView::read(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?;
        let mut texts = view.statements.iter().filter(|s| !s.description.is_empty()).map(|s| s.description);
        let text = texts.find(|text| text_hash(text) == hash);
        let text = text.ok_or_else(|| {
            Error::Unusable(format!("graph.db is damaged (a description is not in its chunk); {DAMAGED_HINT}"))
        })?;
        best.offer_ranked((-at.0).cast_unsigned(), hash, text);
    }
    Ok(best)
}
