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
use graphmill_core::{CollectionId, DocumentId, ErrorCode, JobId, JobStatus};
use graphmill_store::records::{JobRecord, KeptAnswer};
use serde::Serialize;
use serde_json::json;

use crate::body::{Silence, drain};
use crate::error::FULL_HINT;
use crate::idempotency::{Ticket, kept};
use crate::multipart::Multipart;
use crate::openapi::{And, ReusedKey, refusals};
use crate::{AppState, Error, Result, Scope};

refusals! {
    /// The body, a field or a file is refused.
    Refused {
        InvalidParameter => "the field \"colection\" is not known; the fields are file, source, collection",
        InvalidMultipart => "the body ended in the middle of a part",
        EmptyFile => "empty.pdf: the file has no bytes",
        NoText => "blank.txt: there is no text: it holds only white space",
        NotFound => "there is no collection \"team-b\"",
        RequestTimeout => "nothing was received for 60 s; send the request again",
        TooLarge => "big.pdf: the file is larger than the limit of 50 MB (52428800 bytes)",
        WrongContentType => "the body is \"application/pdf\"; this path takes multipart/form-data",
        UnsupportedFormat => "x.bin: the file is of no accepted type",
    }
}

#[derive(utoipa::ToSchema)]
#[schema(as = UploadRequest)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a description: form.rs reads the fields")]
struct UploadForm {
    /// The files.
    #[schema(value_type = Vec<File>, min_items = 1)]
    file: Vec<()>,
    /// What documents the files are (relative paths), one for each file, in the same order; without it they are their file names.
    source: Option<Vec<String>>,
    /// The collection that they go to.
    #[schema(default = "default")]
    collection: Option<CollectionId>,
    /// Look for entities.
    #[schema(default = true)]
    extract_entities: Option<bool>,
    /// Characters of a chunk.
    #[schema(minimum = 1, maximum = 100_000, default = 1000)]
    chunk_size: Option<u64>,
    /// Characters that a chunk shares with the one before; fewer than it has. Left out: a fifth of `chunk_size`, 200 at most.
    #[schema(minimum = 0)]
    chunk_overlap: Option<u64>,
    /// Higher is earlier.
    #[schema(minimum = -1000, maximum = 1000, default = 0)]
    priority: Option<i32>,
    /// Ingest also what did not change.
    #[schema(default = false)]
    force: Option<bool>,
}

/// A file: PDF, HTML, Markdown or text.
#[derive(utoipa::ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "a description")]
struct File(Vec<u8>);

/// One file's answer, or that of many.
#[derive(utoipa::ToSchema)]
#[schema(as = UploadAnswer)]
#[serde(untagged)]
#[expect(dead_code, reason = "a description: the handler writes it")]
enum Answer {
    One(Accepted),
    Many { jobs: Vec<Accepted> },
}

/// Priorities lie between minus this and this.
pub(crate) const MOST_PRIORITY: i64 = 1_000;

/// A file that was accepted.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(crate) struct Accepted {
    job_id: JobId,
    document_id: DocumentId,
    filename: String,
    status: JobStatus,
    #[serde(skip_serializing_if = "Option::is_none")]
    /// The document was known: what it was made of before gives way.
    replaces: Option<DocumentId>,
}

impl Accepted {
    pub(crate) fn new(job: &JobRecord, document: DocumentId, filename: String, replaces: Option<DocumentId>) -> Self {
        Self { job_id: job.id, document_id: document, filename, status: job.status, replaces }
    }
}

/// Upload files; each becomes an ingestion job.
#[utoipa::path(
    post,
    path = "/api/upload",
    tag = "documents",
    operation_id = "upload",
    params(("Idempotency-Key" = Option<String>, Header, description = "Carried out once for each key", min_length = 1, max_length = 255, pattern = "^[ -~]*[!-~][ -~]*$")),
    request_body(content = UploadForm, content_type = "multipart/form-data", description = "Files, and what holds for all of them"),
    responses(
        (
            status = 202,
            description = "The files are safe on disk; each is a job",
            body = Answer,
            examples(
                ("one file" = (value = json!({
                    "job_id": "job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10",
                    "document_id": "doc-aaaaaaaaaaaaaaaaaaaaaaaaaa",
                    "filename": "VxRail_Admin_Guide.pdf",
                    "status": "pending"
                }))),
                ("many files" = (value = json!({"jobs": [{
                    "job_id": "job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10",
                    "document_id": "doc-aaaaaaaaaaaaaaaaaaaaaaaaaa",
                    "filename": "VxRail_Admin_Guide.pdf",
                    "status": "pending",
                    "replaces": "doc-aaaaaaaaaaaaaaaaaaaaaaaaaa"
                }]})))
            )
        ),
        And<Refused, ReusedKey>,
    )
)]
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
    let mut multipart = Multipart::new(&parts.headers, body, Silence::of(&parts.extensions))?;
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
