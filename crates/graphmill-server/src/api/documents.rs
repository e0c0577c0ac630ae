//! `/api/documents`.

pub(crate) mod chunks;
pub(crate) mod delete;
pub(crate) mod list;
pub(crate) mod show;

use graphmill_core::{DocumentId, JobStatus};
use graphmill_store::records::JobRecord;

use crate::{AppState, Result};

/// Which job stands for a document that is not published: its latest, unless the document was deleted since. (A completed job without a document: it
/// was deleted so long ago that its tombstone is gone.)
async fn standing_job(state: &AppState, id: DocumentId, latest: Option<JobRecord>) -> Result<Option<JobRecord>> {
    let published = state.graph().published_seq(id).await?;
    let later = |job: &JobRecord| published.is_none_or(|p| job.seq.is_some_and(|seq| seq > p.seq));
    Ok(latest.filter(|job| job.status != JobStatus::Completed && later(job)))
}
