//! From received files to jobs: all of them or none.

use graphmill_core::{DocumentId, ErrorCode};
use graphmill_jobs::ingestion::Upload;
use graphmill_store::records::Enqueued;

use super::Accepted;
use super::receive::Uploads;
use crate::api::jobs::retry::overtaken;
use crate::{AppState, Error, Result};

/// Puts the jobs into the queue. When one of them cannot be accepted, those before it are taken back.
pub(super) async fn accept(state: AppState, mut uploads: Uploads) -> Result<Vec<Accepted>> {
    let mut accepted = Vec::with_capacity(uploads.len());
    for upload in uploads.list.clone() {
        let shown = upload.filename.clone();
        match accept_one(&state, upload).await {
            Ok(one) => accepted.push(one),
            Err(error) if uploads.len() == 1 => return Err(error),
            Err(error) => {
                take_back(&state, &accepted).await;
                let message = format!("{shown}: {error}; no file of this request was accepted");
                return Err(Error::new(error.code(), message));
            }
        }
    }
    uploads.all_named();
    Ok(accepted)
}

async fn accept_one(state: &AppState, upload: Upload) -> Result<Accepted> {
    let (document, filename) = (upload.document(), upload.filename.clone());
    // Asked before the job stands: it may be published faster than we could ask after it.
    let known = known(state, document).await;
    match state.jobs().enqueue(upload.into_job()).await? {
        Enqueued::New { job, known_source } => {
            let replaces = known.unwrap_or(known_source).then_some(document);
            Ok(Accepted::new(&job, document, filename, replaces))
        }
        Enqueued::Existing(job) => Ok(Accepted::new(&job, document, filename, Some(document))),
        Enqueued::Overtaken { by } => Err(overtaken(&by)),
    }
}

/// Whether there is such a document already; `None` when only its jobs can tell: it was never published, or the graph does not answer (an upload
/// is taken all the same).
async fn known(state: &AppState, document: DocumentId) -> Option<bool> {
    let published = state.graph().published_seq(document).await.ok().flatten()?;
    if !published.deleted {
        return Some(true);
    }
    // Deleted; but a later job of it may be under way.
    Some(!state.jobs().unended_among(&[document]).await.ok()?.is_empty())
}

/// Uploads are refused by a failing store alone, so this may fail too; a job that cannot be taken back runs.
async fn take_back(state: &AppState, accepted: &[Accepted]) {
    for job in accepted.iter().map(|a| a.job_id) {
        let cancelled = state.jobs().cancel(job, "Another file of the same upload could not be accepted").await;
        let deleted = match cancelled {
            Ok(_) => state.jobs().delete_job(job).await,
            Err(e) => Err(e),
        };
        if let Err(error) = deleted {
            tracing::warn!(job.id = %job, %error, error.code = ErrorCode::StorageFailed.as_str(), "a job of a refused upload could not be taken back");
        }
    }
}
