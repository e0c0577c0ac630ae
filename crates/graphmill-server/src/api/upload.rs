//! `POST /api/upload`, multipart: one or many parts `file`, each of which becomes a job.
//!
//! Fields, before or after the files, each for all files of the request: `collection` (the one that the key is bound to, else
//! `default`), `extract_entities` (true), `chunk_size` (1000),
//! `chunk_overlap` (200), `priority` (0), `force` (false). `source` says what document a file is (a relative path; default: its file name); given, it
//! stands once for each file, the first for the first file and so on. All files of a request are accepted or none. Takes an
//! `Idempotency-Key`.
//!
//! 202: one file → `{"job_id","document_id","filename","status","replaces"?}`, many → `{"jobs": […]}`. `replaces`: the document was known. 400: a bad
//! field, name or body, an empty or blank file. 413: a file over the limit. 415: not multipart, or a file whose content is of no accepted type. 507: no
//! room on the disk.

mod accept;
mod form;
mod name;
mod receive;
#[cfg(test)]
mod tests;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::Response;
use graphmill_core::{DocumentId, ErrorCode, JobId, JobStatus};
use graphmill_store::records::{JobRecord, KeptAnswer};
use serde::Serialize;
use serde_json::json;

use crate::body::drain;
use crate::error::FULL_HINT;
use crate::idempotency::{Ticket, kept};
use crate::multipart::Multipart;
use crate::{AppState, Error, Result, Scope};

/// Priorities lie between minus this and this.
pub(crate) const MOST_PRIORITY: i64 = 1_000;

/// A file that was accepted.
#[derive(Debug, Serialize)]
pub(crate) struct Accepted {
    job_id: JobId,
    document_id: DocumentId,
    filename: String,
    status: JobStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<DocumentId>,
}

impl Accepted {
    pub(crate) fn new(job: &JobRecord, document: DocumentId, filename: String, replaces: Option<DocumentId>) -> Self {
        Self { job_id: job.id, document_id: document, filename, status: job.status, replaces }
    }
}

pub(crate) async fn handle(State(state): State<AppState>, scope: Scope, request: Request) -> Result<Response> {
    let ticket = Ticket::take(&state, &scope, request.headers());
    let ticket = match check_room(&state, &request).and(ticket) {
        Ok(ticket) => ticket,
        Err(refused) => {
            drain(request.into_body());
            return Err(refused);
        }
    };
    let (parts, body) = request.into_parts();
    let mut multipart = Multipart::new(&parts.headers, body)?;
    let received = receive::receive(&state, &scope, &mut multipart).await;
    // What is left of the body is read for a moment: a client that is still sending has to get the answer.
    drain(multipart.into_rest());
    let uploads = received?;
    // In a task of its own: once all bytes are here, a client that leaves changes nothing any more.
    let accepted = tokio::spawn(accept::accept(state, uploads, ticket)).await;
    accepted.map_err(|e| Error::new(ErrorCode::Internal, format!("the upload was not accepted: {e}")))?
}

/// The body of the answer: the one file, or the list.
fn answer(mut accepted: Vec<Accepted>) -> KeptAnswer {
    match accepted.pop() {
        Some(one) if accepted.is_empty() => kept(StatusCode::ACCEPTED, None, &one),
        last => {
            accepted.extend(last);
            kept(StatusCode::ACCEPTED, None, &json!({ "jobs": accepted }))
        }
    }
}

/// Uploads stop first when the disk fills up.
fn check_room(state: &AppState, request: &Request) -> Result<()> {
    let length = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
    let disk = &state.services.disk;
    // A body that no set of allowed files can have is refused while it is read, with the limit in the sentence.
    let most = state.config.limits.file_bytes.saturating_mul(state.config.limits.files as u64);
    if disk.accepts_uploads() && length.is_none_or(|n| disk.has_room_for(n.min(most))) {
        return Ok(());
    }
    Err(Error::new(ErrorCode::StorageFull, "there is no room on the disk for this upload").hint(FULL_HINT))
}
