//! Publishing (step 3 of DESIGN.md): everything that readers see of a document changes in one transaction.

use graphmill_core::{Seq, Timestamp};
use rusqlite::{Connection, params};

use super::collection_removal::removing;
use super::collections::{
    CounterChange, DocumentRow, document_row, ensure_document, in_collection, raise_publish_number,
};
use super::folding::{FoldChange, add_chunks, remove_chunks};
use super::placements::{self, Swap};
use super::sql_error::to_sql;
use super::{collections, names, vectors};
use crate::records::{Publication, PublishOutcome, PublishedCounts, Touch, TouchOutcome};
use crate::{Error, Result};

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
pub(super) fn compare(row: &DocumentRow, seq: Seq) -> Ticket {
    match row.seq {
        Some(by) if by > seq => Ticket::Overtaken { by, deleted: row.deleted > 0 },
        Some(by) if by == seq && row.deleted > 0 => Ticket::Overtaken { by, deleted: true },
        Some(by) if by == seq => Ticket::Same,
        _ => Ticket::Higher,
    }
}

/// What the published document has, as its row says.
pub(super) fn counts(row: &DocumentRow) -> PublishedCounts {
    PublishedCounts {
        chunks: row.chunk_count.cast_unsigned(),
        entities: row.entity_count.cast_unsigned(),
        relations: row.relation_count.cast_unsigned(),
        publish_number: row.publish_number,
    }
}

/// Publishes a document.
pub(super) fn publish(conn: &Connection, publication: &Publication, now: Timestamp) -> Result<PublishOutcome> {
    graphmill_core::fault_point!("publish.begin");
    if let Some(by) = removing(conn, &publication.collection)? {
        return Ok(PublishOutcome::Overtaken { by, deleted: true });
    }
    // A document of which nothing is there gets no row for asking.
    if !publication.placements.is_empty() && document_row(conn, publication.document)?.is_none() {
        return Ok(PublishOutcome::Incomplete(publication.placements.iter().map(|placed| placed.chunk).collect()));
    }
    let row = ensure_document(conn, &publication.collection, publication.document)?;
    match compare(&row, publication.seq) {
        Ticket::Higher => {}
        Ticket::Same => return Ok(PublishOutcome::AlreadyDone(counts(&row))),
        Ticket::Overtaken { by, deleted } => return Ok(PublishOutcome::Overtaken { by, deleted }),
    }
    let wanted = match placements::resolve(conn, &row, publication)? {
        Ok(chunks) => chunks,
        Err(missing) => return Ok(PublishOutcome::Incomplete(missing)),
    };
    let publish_number = raise_publish_number(conn, row.collection)?;
    let swap = placements::swap(conn, &row, publication, &wanted, publish_number)?;
    graphmill_core::fault_point!("publish.after_placements");
    let change = fold(conn, &row, &swap)?;
    names::bring_up(conn)?;
    graphmill_core::fault_point!("publish.after_folds");
    let done = PublishedCounts {
        chunks: publication.placements.len() as u64,
        entities: (row.entity_count + change.document_entities).cast_unsigned(),
        relations: (row.relation_count + change.document_relations).cast_unsigned(),
        publish_number,
    };
    write_document(conn, &row, publication, done, now)?;
    let counters = CounterChange {
        documents: i64::from(!row.is_published()),
        entities: change.entities,
        relations: change.relations,
        ..swap.counters
    };
    counters.apply(conn, row.collection)?;
    for (space, change) in &swap.live_vectors {
        vectors::count_live(conn, *space, *change)?;
    }
    Ok(PublishOutcome::Published(done))
}

/// Additions come first, so that an entity that both versions mention never falls to 0 on the way and keeps its key.
pub(super) fn fold(conn: &Connection, row: &DocumentRow, swap: &Swap) -> Result<FoldChange> {
    let mut change = FoldChange::default();
    add_chunks(conn, row, &swap.added, swap.had_chunks, &mut change)?;
    remove_chunks(conn, row, &swap.removed, swap.keeps_chunks, &mut change)?;
    Ok(change)
}

fn write_document(
    conn: &Connection,
    row: &DocumentRow,
    publication: &Publication,
    counts: PublishedCounts,
    now: Timestamp,
) -> Result<()> {
    let p = &publication.properties;
    let created_at = match publication.times {
        Some(times) => times.created_at.as_millis(),
        None => row.created_at.filter(|_| row.is_published()).unwrap_or(now.as_millis()),
    };
    let updated_at = publication.times.map_or(now, |times| times.updated_at);
    let settings = serde_json::to_string(&p.settings)
        .map_err(|e| Error::Invalid(format!("the settings of {} are no JSON: {e}", publication.document)))?;
    conn.prepare_cached(
        "UPDATE document SET seq = ?2, deleted = 0, deleted_at = NULL, source = ?3, filename = ?4, content_hash = ?5, \
         settings_hash = ?6, settings = ?7, file_size = ?8, page_count = ?9, mime_type = ?10, title = ?11, \
         language = ?12, original = ?13, page_text = ?14, quarantined_chunks = ?15, chunk_count = ?16, \
         entity_count = ?17, relation_count = ?18, publish_number = ?19, created_at = ?20, updated_at = ?21, \
         folded = ?22 WHERE key = ?1",
    )?
    .execute(params![
        row.key,
        to_sql(publication.seq.0, "ticket")?,
        p.source,
        p.filename,
        p.content_hash.as_bytes(),
        p.settings_hash.as_bytes(),
        settings,
        to_sql(p.file_size, "file size")?,
        p.page_count,
        p.mime_type,
        p.title,
        p.language,
        p.original,
        p.page_text,
        p.quarantined_chunks,
        counts.chunks.cast_signed(),
        counts.entities.cast_signed(),
        counts.relations.cast_signed(),
        counts.publish_number.cast_signed(),
        created_at,
        updated_at.as_millis(),
        crate::listing::folded(&p.filename, &p.source),
    ])?;
    Ok(())
}

/// Moves the ticket of an unchanged document.
pub(super) fn touch(conn: &Connection, touch: &Touch, now: Timestamp) -> Result<TouchOutcome> {
    if let Some(by) = removing(conn, &touch.collection)? {
        return Ok(TouchOutcome::Overtaken { by, deleted: true });
    }
    let (Some(row), Some(collection)) =
        (document_row(conn, touch.document)?, collections::collection_key(conn, &touch.collection)?)
    else {
        return Ok(TouchOutcome::Differs);
    };
    let row = in_collection(row, collection, &touch.collection, touch.document)?;
    match compare(&row, touch.seq) {
        Ticket::Higher => {}
        Ticket::Same => return Ok(TouchOutcome::Touched(counts(&row))),
        Ticket::Overtaken { by, deleted } => return Ok(TouchOutcome::Overtaken { by, deleted }),
    }
    if !row.is_published() {
        return Ok(TouchOutcome::Differs);
    }
    let moved = conn
        .prepare_cached(
            "UPDATE document SET seq = ?2, filename = ?3, mime_type = ?4, \
             updated_at = CASE WHEN filename = ?3 AND mime_type = ?4 THEN updated_at ELSE ?5 END, \
             folded = ?8 || char(10) || substr(folded, instr(folded, char(10)) + 1) WHERE key = ?1 AND content_hash = ?6 AND settings_hash = ?7 AND quarantined_chunks = 0",
        )?
        .execute(params![
            row.key,
            to_sql(touch.seq.0, "ticket")?,
            touch.filename,
            touch.mime_type,
            now.as_millis(),
            touch.content_hash.as_bytes(),
            touch.settings_hash.as_bytes(),
            crate::listing::lower(&touch.filename),
        ])?;
    Ok(if moved == 1 { TouchOutcome::Touched(counts(&row)) } else { TouchOutcome::Differs })
}
