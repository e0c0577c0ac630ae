//! `/api/documents`.

pub(crate) mod chunks;
pub(crate) mod delete;
pub(crate) mod entities;
pub(crate) mod list;
pub(crate) mod original;
pub(crate) mod page;
pub(crate) mod show;

use graphmill_core::{DocumentId, ErrorCode, JobStatus};
use graphmill_graph::records::DocumentRecord;
use graphmill_store::BlobReader;
use graphmill_store::records::JobRecord;

use crate::error::no_such_document;
use crate::{AppState, Error, Result, Scope};

/// Which job stands for a document that is not published: its latest, unless the document was deleted since. (A completed job without a document: it
/// was deleted so long ago that its tombstone is gone.)
async fn standing_job(state: &AppState, id: DocumentId, latest: Option<JobRecord>) -> Result<Option<JobRecord>> {
    let published = state.graph().published_seq(id).await?;
    let later = |job: &JobRecord| published.is_none_or(|p| job.seq.is_some_and(|seq| seq > p.seq));
    Ok(latest.filter(|job| job.status != JobStatus::Completed && later(job)))
}

/// A published document and one of its blobs, open.
async fn published(
    state: &AppState,
    scope: &Scope,
    id: DocumentId,
    blob: impl Fn(&DocumentRecord) -> &str,
) -> Result<(DocumentRecord, BlobReader)> {
    let mut seen = None;
    // A replacement may take the blobs of the version before between the two reads: then there are new ones.
    for _ in 0..3 {
        let document = state.graph().document(id).await?.filter(|document| scope.admits(&document.collection));
        let document = document.ok_or_else(|| no_such_document(&id.to_string()))?;
        if let Some(reader) = state.services.blobs.reader(blob(&document)).await? {
            return Ok((document, reader));
        }
        seen = Some(blob(&document).to_owned());
    }
    let key = seen.unwrap_or_default();
    Err(Error::new(ErrorCode::StorageFailed, format!("the file {key} of {id} is missing in the data folder"))
        .hint("upload the document again, or restore the data folder from a backup"))
}
