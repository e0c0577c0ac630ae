//! From received files to jobs: all of them or none, in one transaction.

use axum::response::Response;
use graphmill_core::{CollectionSettings, DocumentId};
use graphmill_jobs::ingestion::{IngestionOptions, Upload};
use graphmill_store::records::{Acceptance, AcceptedJob};
use serde_json::{Value, json};

use super::receive::Uploads;
use super::{Accepted, answer};
use crate::api::jobs::retry::overtaken;
use crate::idempotency::{Ticket, meaning, respond};
use crate::{AppState, Error, Result};

/// What the answer says of a file besides its job.
struct Named {
    document: DocumentId,
    filename: String,
    /// Whether there is such a document already; `None`: its jobs can tell.
    known: Option<bool>,
}

/// Puts the jobs into the queue.
pub(super) async fn accept(state: AppState, mut uploads: Uploads, ticket: Ticket) -> Result<Response> {
    let request = meaning("upload", &fields(&uploads));
    if let Some(earlier) = ticket.earlier(&state, &request).await? {
        return Ok(earlier);
    }
    let mut names = Vec::with_capacity(uploads.len());
    for upload in &uploads.list {
        let document = upload.document();
        // Asked before the job stands: it may be published faster than we could ask after it.
        let known = known(&state, document).await;
        names.push(Named { document, filename: upload.filename.clone(), known });
    }
    let shown: Vec<String> = names.iter().map(|n| n.filename.clone()).collect();
    let say = move |accepted: &[AcceptedJob]| answer(names.iter().zip(accepted).map(of_file).collect());
    let say = std::sync::Arc::new(say);
    let key = ticket.key(request, {
        let say = say.clone();
        move |accepted| say(accepted)
    });
    let jobs = uploads.list.iter().cloned().map(Upload::into_job).collect();
    match ticket.outcome(state.jobs().enqueue_all(jobs, key).await.map_err(|e| none(e.into(), &shown, None))?)? {
        Err(earlier) => Ok(earlier),
        Ok(Acceptance::Overtaken { index, by }) => Err(none(overtaken(&by), &shown, Some(index))),
        Ok(Acceptance::Accepted(accepted)) => {
            uploads.all_named();
            Ok(respond(say(&accepted), false))
        }
    }
}

/// What a repeated upload must agree in: all that was chosen, and each file by its hash. Where its bytes lie is not part of it, nor what the
/// collection's settings add, which may change meanwhile.
fn fields(uploads: &Uploads) -> Vec<Value> {
    // With the usual defaults filled in: leaving a field out and giving its default are one.
    let IngestionOptions { extract_entities, chunk_size, chunk_overlap, force } =
        uploads.chosen.over(&CollectionSettings::default());
    let file = |upload: &Upload| {
        let Upload { collection, source, filename, mime_type, content_hash, file_size, priority, .. } = upload;
        json!([collection, source, filename, mime_type, content_hash, file_size, priority])
    };
    let chosen = json!([extract_entities, chunk_size, chunk_overlap, force]);
    std::iter::once(chosen).chain(uploads.list.iter().map(file)).collect()
}

fn of_file((named, accepted): (&Named, &AcceptedJob)) -> Accepted {
    let known = accepted.existing || named.known.unwrap_or(accepted.known_source);
    Accepted::new(&accepted.detail.job, named.document, named.filename.clone(), known.then_some(named.document))
}

/// One file of many is refused: none was accepted.
fn none(error: Error, files: &[String], index: Option<usize>) -> Error {
    if files.len() == 1 {
        return error;
    }
    let file = index.and_then(|i| files.get(i)).map(|file| format!("{file}: ")).unwrap_or_default();
    let refused = Error::new(error.code(), format!("{file}{error}; no file of this request was accepted"));
    match error.hint_text() {
        Some(hint) => refused.hint(hint),
        None => refused,
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
