//! The short way of an upload that changes nothing: content and settings equal the published ones.

use bytes::Bytes;
use graphmill_core::StageStatus;
use graphmill_graph::records::{DocumentRecord, PublishedCounts, Touch, TouchOutcome};
use graphmill_runtime::{Completed, Interruption, JobContext};
use graphmill_store::records::LogLevel;
use serde_json::json;

use super::Ingestion;
use super::settings::{differing, settings_hash};
use crate::interruption::of_graph;

/// Completes the job without running its stages when nothing changed; `None` = run them (and the log says what differs).
pub(super) async fn finish_if_unchanged(
    ingestion: &Ingestion<'_>,
    context: &JobContext,
) -> Result<Option<Completed>, Interruption> {
    let params = &ingestion.params;
    let graph = &ingestion.handler.graph;
    let Some(published) = graph.document(ingestion.document).await.map_err(of_graph)? else { return Ok(None) };
    let settings = ingestion.settings();
    let settings_hash = settings_hash(&settings);
    let mut differs = Vec::new();
    if published.seq == ingestion.seq {
        // This very job touched the document and died before it could say so.
        return complete(ingestion, context, counts_of(&published)).await.map(Some);
    }
    if published.properties.content_hash != params.content_hash {
        differs.push("content".to_owned());
    }
    if published.properties.settings_hash != settings_hash {
        differs.extend(differing(&published.properties.settings, &settings));
    }
    if published.properties.quarantined_chunks > 0 {
        differs.push("chunks were set aside last time".to_owned());
    }
    if params.options.force {
        differs.push("force".to_owned());
    }
    if !differs.is_empty() {
        context.log(LogLevel::Info, "Replacing the published document", json!({"differs": differs}));
        return Ok(None);
    }
    let touch = Touch {
        collection: context.job().job.collection.clone(),
        document: ingestion.document,
        seq: ingestion.seq,
        content_hash: params.content_hash,
        settings_hash,
        filename: params.filename.clone(),
        mime_type: params.mime_type.clone(),
    };
    match graph.touch(&touch).await.map_err(of_graph)? {
        TouchOutcome::Touched(counts) => complete(ingestion, context, counts).await.map(Some),
        TouchOutcome::Differs => Ok(None), // another upload was published in between
        TouchOutcome::Overtaken { deleted, .. } => Err(super::overtaken(deleted)),
    }
}

fn counts_of(published: &DocumentRecord) -> PublishedCounts {
    PublishedCounts { chunks: published.chunk_count, ..PublishedCounts::default() }
}

/// All stages are passed at once, so that whoever follows the job sees each of them end.
async fn complete(
    ingestion: &Ingestion<'_>,
    context: &JobContext,
    counts: PublishedCounts,
) -> Result<Completed, Interruption> {
    context.log(LogLevel::Info, "Unchanged: the published document has the same content and settings", json!({}));
    let (store, fence) = (context.store(), context.fence());
    for checkpoint in context.job().stages.iter().filter(|c| c.stage.status != StageStatus::Completed) {
        let progress = context.progress_at(&checkpoint.stage.name, 1.0, "Document unchanged".to_owned());
        store.start_stage(fence, &checkpoint.stage.name, Bytes::new(), 0).await?;
        store.finish_stage(fence, &checkpoint.stage.name, Bytes::new(), progress).await?;
    }
    let mut completed = ingestion.completed("Document unchanged", counts, 0);
    completed.metadata.insert("unchanged".to_owned(), json!(true));
    Ok(completed)
}
