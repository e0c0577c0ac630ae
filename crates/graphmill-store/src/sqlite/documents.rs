//! Tickets of documents: who may go on, and accepted deletions.

use graphmill_core::{CollectionId, DocumentId, JobId, Seq};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::accept::cancel_held;
use super::journal::JobsTx;
use super::quota;
use super::row::{Held, job_id, signed, time, unsigned, word};
use crate::Result;
use crate::records::DocumentDelete;
use crate::requests::{DocumentTicket, TicketKind};

/// The next ticket of the one counter.
pub(crate) fn next_ticket(conn: &Connection) -> Result<Seq> {
    let ticket: i64 = conn
        .prepare_cached("UPDATE store SET ticket = ticket + 1 WHERE one = 1 RETURNING ticket")?
        .query_row([], |row| row.get(0))?;
    Ok(Seq(ticket.unsigned_abs()))
}

/// Later tickets are above `seq`.
pub(crate) fn raise_tickets_above(conn: &Connection, seq: Seq) -> Result<()> {
    conn.prepare_cached("UPDATE store SET ticket = max(ticket, ?1) WHERE one = 1")?.execute([signed(seq.0)])?;
    Ok(())
}

/// What stands in the way of a new job of this kind.
pub(crate) fn refusal_of_ticket(conn: &Connection, ticket: &DocumentTicket) -> Result<Option<String>> {
    match ticket.kind {
        TicketKind::Upload => Ok(None),
        TicketKind::Reingestion => unended(conn, ticket.document),
        TicketKind::RetryOf { original, published } => match unended(conn, ticket.document)? {
            Some(by) => Ok(Some(by)),
            None => obstacle_of_retry(conn, ticket.document, original, published),
        },
    }
}

/// Anything of the document that has not ended.
fn unended(conn: &Connection, document: DocumentId) -> Result<Option<String>> {
    let job = conn
        .prepare_cached(
            "SELECT id FROM job WHERE document = ?1 AND status IN ('pending', 'running') ORDER BY seq DESC LIMIT 1",
        )?
        .query_row([document.as_bytes()], |row| job_id(row, 0))
        .optional()?;
    match job {
        Some(job) => Ok(Some(job.to_string())),
        None => delete_above(conn, document, Seq(0), true),
    }
}

/// What was accepted after ticket `own` and is unended or was carried out.
pub(crate) fn obstacle_of_retry(
    conn: &Connection,
    document: DocumentId,
    own: Seq,
    published: Option<Seq>,
) -> Result<Option<String>> {
    let later: Option<JobId> = conn
        .prepare_cached(
            "SELECT id FROM job WHERE document = ?1 AND seq > ?2 AND status IN ('pending', 'running', 'completed') \
             ORDER BY seq DESC LIMIT 1",
        )?
        .query_row(params![document.as_bytes(), signed(own.0)], |row| job_id(row, 0))
        .optional()?;
    if let Some(job) = later {
        return Ok(Some(job.to_string()));
    }
    if let Some(delete) = delete_above(conn, document, own, false)? {
        return Ok(Some(delete));
    }
    let Some(published) = published.filter(|seq| *seq > own) else { return Ok(None) };
    let job: Option<JobId> = conn
        .prepare_cached("SELECT id FROM job WHERE document = ?1 AND seq = ?2")?
        .query_row(params![document.as_bytes(), signed(published.0)], |row| job_id(row, 0))
        .optional()?;
    Ok(Some(job.map_or_else(
        || format!("a later upload or deletion of the document (ticket {published}) that is published already"),
        |job| job.to_string(),
    )))
}

/// A sentence about a deletion with a ticket above `seq`.
fn delete_above(conn: &Connection, document: DocumentId, seq: Seq, only_open: bool) -> Result<Option<String>> {
    let accepted_at = conn
        .prepare_cached(
            "SELECT accepted_at FROM document_delete WHERE document = ?1 AND seq > ?2 AND (finished_at IS NULL OR NOT ?3) \
             ORDER BY seq DESC LIMIT 1",
        )?
        .query_row(params![document.as_bytes(), signed(seq.0), only_open], |row| time(row, 0))
        .optional()?;
    Ok(accepted_at.map(|at| format!("the deletion of the document that was accepted at {at}")))
}

pub(crate) fn accept_delete(
    tx: &mut JobsTx<'_>,
    collection: &CollectionId,
    document: DocumentId,
    mut purge: bool,
) -> Result<DocumentDelete> {
    quota::refuse_deleting(tx.conn, collection)?;
    if let Some(open) = newest_open(tx.conn, document)? {
        let overtaken: bool = tx
            .conn
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM job WHERE document = ?1 AND seq > ?2)")?
            .query_row(params![document.as_bytes(), signed(open.seq.0)], |row| row.get(0))?;
        purge |= open.purge;
        if !overtaken {
            tx.conn
                .prepare_cached("UPDATE document_delete SET purge = ?2 WHERE seq = ?1")?
                .execute(params![signed(open.seq.0), purge])?;
            return Ok(DocumentDelete { purge, ..open });
        }
        // The new one does its work too.
        finish_delete(tx, &open)?;
    }
    let seq = next_ticket(tx.conn)?;
    tx.conn
        .prepare_cached(
            "INSERT INTO document_delete (seq, collection, document, accepted_at, purge) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![signed(seq.0), collection.as_str(), document.as_bytes(), tx.now().as_millis(), purge])?;
    for key in older_unended(tx.conn, document)? {
        let held = Held::by_key(tx.conn, key)?;
        cancel_held(tx, held, "Overtaken: the document was deleted", "overtaken")?;
    }
    Ok(DocumentDelete { collection: collection.clone(), document, seq, purge })
}

/// Those that have not begun to publish.
fn older_unended(conn: &Connection, document: DocumentId) -> Result<Vec<i64>> {
    let mut statement = conn.prepare_cached(
        "SELECT key FROM job WHERE document = ?1 AND status IN ('pending', 'running') AND intent = 0 ORDER BY seq",
    )?;
    let keys = statement.query_map([document.as_bytes()], |row| row.get(0))?;
    Ok(keys.collect::<rusqlite::Result<_>>()?)
}

fn newest_open(conn: &Connection, document: DocumentId) -> Result<Option<DocumentDelete>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, collection, document, purge FROM document_delete WHERE document = ?1 AND finished_at IS NULL ORDER BY seq DESC LIMIT 1",
    )?;
    Ok(statement.query_row([document.as_bytes()], document_delete).optional()?)
}

fn document_delete(row: &Row<'_>) -> rusqlite::Result<DocumentDelete> {
    Ok(DocumentDelete {
        seq: Seq(unsigned(row, 0)?),
        collection: word(row, 1)?,
        document: DocumentId::from_bytes(row.get(2)?),
        purge: row.get(3)?,
    })
}

/// Oldest first.
pub(crate) fn open_deletes(conn: &Connection, limit: u32) -> Result<Vec<DocumentDelete>> {
    let mut statement = conn.prepare_cached(
        "SELECT seq, collection, document, purge FROM document_delete WHERE finished_at IS NULL ORDER BY seq LIMIT ?1",
    )?;
    let rows = statement.query_map([limit], document_delete)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Finishing twice changes nothing; one that is to purge by now is not finished by what did not.
pub(crate) fn finish_delete(tx: &mut JobsTx<'_>, delete: &DocumentDelete) -> Result<()> {
    tx.conn
        .prepare_cached(
            "UPDATE document_delete SET finished_at = ?1 WHERE seq = ?2 AND document = ?3 AND finished_at IS NULL \
             AND purge = ?4",
        )?
        .execute(params![tx.now().as_millis(), signed(delete.seq.0), delete.document.as_bytes(), delete.purge])?;
    quota::note_deleted(tx.conn, &delete.collection, delete.document, signed(delete.seq.0))?;
    forget_deletes(tx.conn, delete.document)
}

/// Finished deletions are kept only while a job of the document could be retried over them.
pub(crate) fn forget_deletes(conn: &Connection, document: DocumentId) -> Result<()> {
    conn.prepare_cached(
        "DELETE FROM document_delete WHERE document = ?1 AND finished_at IS NOT NULL \
         AND NOT EXISTS (SELECT 1 FROM job WHERE document = ?1)",
    )?
    .execute([document.as_bytes()])?;
    Ok(())
}

/// Jobs of the document with a lower ticket.
const OLDER: &str = "SELECT key FROM job WHERE document = ?1 AND seq < ?2";

/// Blobs that only older jobs of the document name; `None` while one of those jobs has not ended.
pub(crate) fn purgeable_blobs(conn: &Connection, delete: &DocumentDelete) -> Result<Option<Vec<String>>> {
    let bound = params![delete.document.as_bytes(), signed(delete.seq.0)];
    let unended = format!("SELECT 1 FROM job WHERE key IN ({OLDER}) AND status IN ('pending', 'running')");
    if conn.prepare_cached(&unended)?.exists(bound)? {
        return Ok(None);
    }
    let sql = format!(
        "SELECT DISTINCT blob FROM blob b WHERE job IN ({OLDER}) \
         AND NOT EXISTS (SELECT 1 FROM blob o WHERE o.blob = b.blob AND o.job NOT IN ({OLDER}))"
    );
    let mut statement = conn.prepare_cached(&sql)?;
    let blobs = statement.query_map(bound, |row| row.get(0))?;
    Ok(Some(blobs.collect::<rusqlite::Result<_>>()?))
}

/// Removes logs, kept outputs and names of blobs of older jobs of the document; answers how many log lines there were.
pub(crate) fn purge(conn: &Connection, delete: &DocumentDelete) -> Result<u64> {
    let mut lines = 0;
    for table in ["log", "unit", "stage_data", "blob"] {
        let gone = conn
            .prepare_cached(&format!("DELETE FROM {table} WHERE job IN ({OLDER})"))?
            .execute(params![delete.document.as_bytes(), signed(delete.seq.0)])?;
        if table == "log" {
            lines = gone as u64;
        }
    }
    Ok(lines)
}

/// Those with an unended job or an open deletion, in the order given.
pub(crate) fn unended_among(conn: &Connection, documents: &[DocumentId]) -> Result<Vec<DocumentId>> {
    let mut statement = conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM job WHERE document = ?1 AND status IN ('pending', 'running')) \
         OR EXISTS (SELECT 1 FROM document_delete WHERE document = ?1 AND finished_at IS NULL)",
    )?;
    let mut unended = Vec::new();
    for document in documents {
        if statement.query_row([document.as_bytes()], |row| row.get(0))? {
            unended.push(*document);
        }
    }
    Ok(unended)
}
