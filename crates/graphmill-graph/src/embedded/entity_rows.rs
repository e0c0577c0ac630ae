//! Rows of entities: a fold each, changed by difference.

use graphmill_core::{EntityId, EntityName};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::collections::DocumentRow;
use super::entity_order::band;
use super::folding::{EntitySlice, FoldChange, TextPlace};
use super::sql_error::DAMAGED_HINT;
use super::{layers, names};
use crate::facts_column::FactsView;
use crate::folds::{BEST_TEXTS, BestTexts, EntityFold, text_hash};
use crate::records::EntityRecord;
use crate::{Error, Result};

/// Reads a fold from columns (mentions, documents, fold) from `at` on.
pub(super) fn fold_from(row: &Row<'_>, at: usize) -> Result<EntityFold> {
    let (mentions, documents): (i64, i64) = (row.get(at)?, row.get(at + 1)?);
    let property = row.get_ref(at + 2)?.as_blob().map_err(rusqlite::Error::from)?;
    Ok(EntityFold::decode(mentions.cast_unsigned(), documents.cast_unsigned(), property)?)
}

/// The fold of the entity of a row.
pub(super) fn fold_of(conn: &Connection, key: i64, id: EntityId) -> Result<EntityFold> {
    let mut statement = conn.prepare_cached("SELECT mentions, documents, fold FROM entity WHERE key = ?1")?;
    let mut rows = statement.query([key])?;
    let row = rows.next()?.ok_or_else(|| Error::Backend(format!("{id} was not read in one state")))?;
    fold_from(row, 0)
}

/// The entity of a row as readers see it.
pub(super) fn record_of(conn: &Connection, key: i64, id: EntityId) -> Result<EntityRecord> {
    Ok(fold_of(conn, key, id)?.record(id))
}

fn find(conn: &Connection, collection: i64, id: &EntityId) -> Result<Option<(i64, EntityFold)>> {
    let sql = "SELECT key, mentions, documents, fold FROM entity WHERE collection = ?1 AND id = ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params![collection, id.as_bytes()])?;
    match rows.next()? {
        Some(row) => Ok(Some((row.get(0)?, fold_from(row, 1)?))),
        None => Ok(None),
    }
}

/// Key of an entity that must be there.
pub(super) fn key_of(conn: &Connection, collection: i64, id: Option<EntityId>) -> Result<i64> {
    let id = id.ok_or_else(|| Error::Backend("an entity of a slice has no id".into()))?;
    let sql = "SELECT key FROM entity WHERE collection = ?1 AND id = ?2";
    let found = conn.prepare_cached(sql)?.query_row(params![collection, id.as_bytes()], |row| row.get(0)).optional()?;
    found.ok_or_else(|| {
        Error::Unusable(format!("graph.db is damaged ({id} is mentioned and not there); {DAMAGED_HINT}"))
    })
}

/// Adds what a slice says; gives the entity its key.
pub(super) fn add(
    conn: &Connection,
    document: &DocumentRow,
    entity: &mut EntitySlice,
    may_be_known: bool,
    change: &mut FoldChange,
) -> Result<()> {
    let id = entity.id.ok_or_else(|| Error::Backend("an entity of a slice has no id".into()))?;
    let found = find(conn, document.collection, &id)?;
    let in_document = match &found {
        Some((key, _)) if may_be_known => is_in_document(conn, *key, document.key)?,
        _ => false,
    };
    entity.fold.documents = u64::from(!in_document);
    change.document_entities += i64::from(!in_document);
    match found {
        Some((key, mut fold)) => {
            let before = Indexed::of(&fold);
            fold.merge(&entity.fold);
            entity.key = key;
            update(conn, key, &fold, &before)?;
        }
        None => {
            entity.key = insert(conn, document.collection, &id, entity)?;
            change.entities += 1;
        }
    }
    if entity.texts.is_empty() {
        return Ok(());
    }
    let mut keep =
        conn.prepare_cached("INSERT OR IGNORE INTO entity_text (entity, rank, hash, chunk) VALUES (?1, ?2, ?3, ?4)")?;
    for text in &entity.texts {
        keep.execute(params![entity.key, text.rank, text.hash, text.chunk])?;
    }
    Ok(())
}

fn insert(conn: &Connection, collection: i64, id: &EntityId, entity: &EntitySlice) -> Result<i64> {
    let name = EntityName::new(&entity.spelling)
        .map_err(|e| Error::Invalid(format!("{:?} cannot name an entity: {e}", entity.spelling)))?;
    let fold = &entity.fold;
    conn.prepare_cached(
        "INSERT INTO entity (collection, id, mentions, documents, fold, normalised, type, weight, weight_band, \
         mention_band) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        collection,
        id.as_bytes(),
        fold.mentions.cast_signed(),
        fold.documents.cast_signed(),
        fold.encode(),
        name.as_str(),
        fold.entity_type(),
        weight(fold),
        band(weight(fold)),
        band(fold.mentions.cast_signed())
    ])?;
    // Its name comes into the index over parts of names with many others (see names.rs).
    Ok(conn.last_insert_rowid())
}

/// What of a fold stands in indexes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Indexed {
    pub(super) entity_type: String,
    pub(super) weight_band: i64,
    pub(super) mention_band: i64,
}

impl Indexed {
    pub(super) fn of(fold: &EntityFold) -> Self {
        Self {
            entity_type: fold.entity_type().to_owned(),
            weight_band: band(weight(fold)),
            mention_band: band(fold.mentions.cast_signed()),
        }
    }
}

/// Writes a fold. A column that is named in an UPDATE has its index written, changed or not: so what changed seldom is written apart.
fn update(conn: &Connection, key: i64, fold: &EntityFold, before: &Indexed) -> Result<()> {
    let sql = "UPDATE entity SET mentions = ?2, documents = ?3, fold = ?4, weight = ?5 WHERE key = ?1";
    let (mentions, documents) = (fold.mentions.cast_signed(), fold.documents.cast_signed());
    conn.prepare_cached(sql)?.execute(params![key, mentions, documents, fold.encode(), weight(fold)])?;
    let now = Indexed::of(fold);
    if now.entity_type != before.entity_type {
        let sql = "UPDATE entity SET type = ?2 WHERE key = ?1";
        conn.prepare_cached(sql)?.execute(params![key, now.entity_type])?;
    }
    if now.weight_band != before.weight_band {
        let sql = "UPDATE entity SET weight_band = ?2 WHERE key = ?1";
        conn.prepare_cached(sql)?.execute([key, now.weight_band])?;
    }
    if now.mention_band != before.mention_band {
        let sql = "UPDATE entity SET mention_band = ?2 WHERE key = ?1";
        conn.prepare_cached(sql)?.execute([key, now.mention_band])?;
    }
    Ok(())
}

/// What lists by importance sort by: importance rises with it.
pub(super) fn weight(fold: &EntityFold) -> i64 {
    i64::try_from(fold.mentions.saturating_mul(fold.documents)).unwrap_or(i64::MAX)
}

/// Takes away what a slice says; its `CONTAINS_ENTITY` rows are gone already. An entity that nobody mentions goes.
pub(super) fn subtract(
    conn: &Connection,
    document: &DocumentRow,
    entity: &EntitySlice,
    may_stay: bool,
    change: &mut FoldChange,
) -> Result<()> {
    let sql = "SELECT mentions, documents, fold FROM entity WHERE key = ?1";
    let mut fold = {
        let mut statement = conn.prepare_cached(sql)?;
        let mut rows = statement.query([entity.key])?;
        let row = rows.next()?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        fold_from(row, 0)?
    };
    let before = Indexed::of(&fold);
    let stays = may_stay && is_in_document(conn, entity.key, document.key)?;
    let mut gone = entity.fold.clone();
    gone.documents = u64::from(!stays);
    change.document_entities -= i64::from(!stays);
    let mut forget =
        conn.prepare_cached("DELETE FROM entity_text WHERE entity = ?1 AND rank = ?2 AND hash = ?3 AND chunk = ?4")?;
    for text in &entity.texts {
        forget.execute(params![entity.key, text.rank, text.hash, text.chunk])?;
    }
    let texts_are_stale = fold.subtract(&gone)?;
    if fold.mentions == 0 {
        conn.prepare_cached("DELETE FROM entity WHERE key = ?1")?.execute([entity.key])?;
        names::forget(conn, entity.key)?;
        layers::forget_member(conn, document.collection, entity.key)?;
        change.entities -= 1;
        return Ok(());
    }
    if texts_are_stale {
        fold.texts = best_texts(conn, entity.key, entity.id)?;
    }
    update(conn, entity.key, &fold, &before)
}

fn is_in_document(conn: &Connection, entity: i64, document: i64) -> Result<bool> {
    let sql = "SELECT 1 FROM contains WHERE document = ?2 AND entity = ?1 LIMIT 1";
    Ok(conn.prepare_cached(sql)?.exists([entity, document])?)
}

/// The best descriptions of an entity, read from its facts.
fn best_texts(conn: &Connection, key: i64, id: Option<EntityId>) -> Result<BestTexts> {
    // The next text after one of a rank, so that many equal ones cost one step.
    let sql = "SELECT t.rank, t.hash, c.facts FROM entity_text t CROSS JOIN chunk c ON c.key = t.chunk \
               WHERE t.entity = ?1 AND (t.rank, t.hash) > (?2, ?3) ORDER BY t.rank, t.hash LIMIT 1";
    let mut next = conn.prepare_cached(sql)?;
    let (mut best, mut at) = (BestTexts::default(), (i64::MIN, i64::MIN));
    while best.iter().count() < BEST_TEXTS {
        let mut rows = next.query(params![key, at.0, at.1])?;
        let Some(row) = rows.next()? else { break };
        at = (row.get(0)?, row.get(1)?);
        let hash = TextPlace::text_hash(at.1);
        let view = FactsView::read(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?;
        let of_entity = view.mentions.iter().filter(|m| Some(view.entities[m.entity]) == id);
        let mut texts = of_entity.filter(|m| !m.description.is_empty()).map(|m| m.description);
        let text = texts.find(|text| text_hash(text) == hash);
        let text = text.ok_or_else(|| {
            Error::Unusable(format!("graph.db is damaged (a description is not in its chunk); {DAMAGED_HINT}"))
        })?;
        best.offer_ranked((-at.0).cast_unsigned(), hash, text);
    }
    Ok(best)
}
