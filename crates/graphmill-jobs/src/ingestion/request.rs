//! How an upload, a re-ingestion or a retry of quarantined chunks becomes a job.

use std::time::Duration;

use graphmill_core::{CollectionId, CollectionSettings, ContentHash, DocumentId, JobStatus, JobType};
use graphmill_documents::chunk::ChunkOptions;
use graphmill_graph::records::{DocumentRecord, PublishedSeq};
use graphmill_models::ModelChoice;
use graphmill_store::records::{BlobRole, JobDetail};
use graphmill_store::requests::{DocumentTicket, NewJob, StagePlan, TicketKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Stages with their weight in the job's progress, from the cost that they have with offline models.
const STAGES: &[(&str, u32)] =
    &[("loading", 10), ("chunking", 5), ("embedding", 20), (super::EXTRACTION, 45), ("persistence", 20)];

/// What a person can choose for an ingestion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IngestionOptions {
    /// Whether the stage `entity_extraction` runs.
    pub extract_entities: bool,
    /// Characters of a chunk.
    pub chunk_size: u64,
    /// Characters that a chunk shares with the one before.
    pub chunk_overlap: u64,
    /// Run all stages even when nothing changed.
    pub force: bool,
}

impl Default for IngestionOptions {
    fn default() -> Self {
        Self { extract_entities: true, chunk_size: 1000, chunk_overlap: 200, force: false }
    }
}

/// What chunks of `size` characters share when nobody says: a fifth, 200 at most.
pub fn usual_overlap(size: u64) -> u64 {
    (size / 5).min(IngestionOptions::default().chunk_overlap)
}

impl IngestionOptions {
    /// The chunker's settings, or a sentence about what is wrong with them.
    pub fn chunking(&self) -> Result<ChunkOptions, graphmill_documents::Error> {
        ChunkOptions::new(self.chunk_size, self.chunk_overlap)
    }
}

/// What a request chose for an ingestion; what is absent is the collection's, else the usual.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChosenOptions {
    /// See [`IngestionOptions::extract_entities`].
    pub extract_entities: Option<bool>,
    /// See [`IngestionOptions::chunk_size`].
    pub chunk_size: Option<u64>,
    /// See [`IngestionOptions::chunk_overlap`].
    pub chunk_overlap: Option<u64>,
    /// See [`IngestionOptions::force`].
    pub force: bool,
}

impl ChosenOptions {
    /// The options of a job in a collection with these settings.
    pub fn over(self, settings: &CollectionSettings) -> IngestionOptions {
        let usual = IngestionOptions::default();
        let chunk_size = self.chunk_size.or(settings.chunk_size).unwrap_or(usual.chunk_size);
        // The collection's overlap was chosen for its own size: it holds for another one that it fits.
        let of_collection = settings.chunk_overlap.filter(|overlap| self.chunk_size.is_none() || *overlap < chunk_size);
        IngestionOptions {
            extract_entities: self.extract_entities.or(settings.extract_entities).unwrap_or(usual.extract_entities),
            chunk_size,
            chunk_overlap: self.chunk_overlap.or(of_collection).unwrap_or_else(|| usual_overlap(chunk_size)),
            force: self.force,
        }
    }
}

/// An accepted file: its original is a blob that is safe on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upload {
    /// Where it goes.
    pub collection: CollectionId,
    /// File name or relative path: with the collection, what document it is.
    pub source: String,
    /// Name to show.
    pub filename: String,
    /// Media type by content.
    pub mime_type: String,
    /// Blob key of the file.
    pub original: String,
    /// Hash of the file.
    pub content_hash: ContentHash,
    /// Bytes of the file.
    pub file_size: u64,
    /// What was chosen.
    pub options: IngestionOptions,
    /// Models and types of its collection.
    pub models: ModelChoice,
    /// Higher goes first.
    pub priority: i32,
}

/// What the ingestion handler is given: the parameters of the job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IngestionParams {
    pub source: String,
    pub filename: String,
    pub mime_type: String,
    pub original: String,
    pub content_hash: ContentHash,
    pub file_size: u64,
    #[serde(flatten)]
    pub options: IngestionOptions,
    #[serde(default, skip_serializing_if = "ModelChoice::is_usual")]
    pub models: ModelChoice,
}

impl Upload {
    /// The document that it is.
    pub fn document(&self) -> DocumentId {
        DocumentId::new(&self.collection, &self.source)
    }

    /// The job that ingests it.
    pub fn into_job(self) -> NewJob {
        new_job(self, TicketKind::Upload, Map::new())
    }
}

/// The upload that a published document was made of, with the usual models (the caller gives it those that its collection has now).
pub fn upload_of_document(document: &DocumentRecord) -> Upload {
    let p = &document.properties;
    Upload {
        collection: document.collection.clone(),
        source: p.source.clone(),
        filename: p.filename.clone(),
        mime_type: p.mime_type.clone(),
        original: p.original.clone(),
        content_hash: p.content_hash,
        file_size: p.file_size,
        options: published_options(document),
        models: ModelChoice::default(),
        priority: 0,
    }
}

/// The job that ingests a stored original again, with these options; `force` is implied: somebody asked for it.
pub fn reingestion(upload: Upload, options: IngestionOptions, priority: i32) -> NewJob {
    let options = IngestionOptions { force: true, ..options };
    new_job(Upload { options, priority, ..upload }, TicketKind::Reingestion, Map::new())
}

/// The options with which a published document was ingested.
fn published_options(document: &DocumentRecord) -> IngestionOptions {
    let settings = &document.properties.settings;
    let default = IngestionOptions::default();
    IngestionOptions {
        extract_entities: settings.get("extract_entities").and_then(Value::as_bool).unwrap_or(default.extract_entities),
        chunk_size: settings.get("chunk_size").and_then(Value::as_u64).unwrap_or(default.chunk_size),
        chunk_overlap: settings.get("chunk_overlap").and_then(Value::as_u64).unwrap_or(default.chunk_overlap),
        force: false,
    }
}

/// The upload that a job was made of, as it would be uploaded again: for a document that the graph has lost (its file was moved away). `None` when
/// the job is no ingestion.
pub fn upload_of(job: &JobDetail) -> Option<Upload> {
    let params: IngestionParams = serde_json::from_value(Value::Object(job.params.clone())).ok()?;
    (job.job.job_type == JobType::Ingestion).then(|| Upload {
        collection: job.job.collection.clone(),
        source: params.source,
        filename: params.filename,
        mime_type: params.mime_type,
        original: params.original,
        content_hash: params.content_hash,
        file_size: params.file_size,
        options: params.options,
        models: params.models,
        priority: job.job.priority,
    })
}

/// The new job over the quarantined chunks of a completed one; `None` when it has none or did not complete. All other chunks come from the content
/// cache and from the graph: nothing that was answered is asked again.
pub fn retry_quarantined(job: &JobDetail, published: Option<PublishedSeq>) -> Option<NewJob> {
    let quarantined = job.job.metadata.get("chunks_quarantined").and_then(Value::as_u64).unwrap_or(0);
    if job.job.status != JobStatus::Completed || job.job.job_type != JobType::Ingestion || quarantined == 0 {
        return None;
    }
    let mut upload = upload_of(job)?;
    upload.options.force = true;
    let kind = TicketKind::RetryOf { original: job.job.seq?, published: published.map(|p| p.seq) };
    let extra = Map::from_iter([("retry_of".to_owned(), json!(job.job.id))]);
    Some(new_job(upload, kind, extra))
}

fn new_job(upload: Upload, kind: TicketKind, extra: Map<String, Value>) -> NewJob {
    let document = upload.document();
    let mut metadata = Map::from_iter([
        ("filename".to_owned(), json!(upload.filename)),
        ("document_id".to_owned(), json!(document)),
        ("source".to_owned(), json!(upload.source)),
        ("collection".to_owned(), json!(upload.collection)),
        ("file_size".to_owned(), json!(upload.file_size)),
    ]);
    metadata.extend(extra);
    let wanted = |name: &str| name != super::EXTRACTION || upload.options.extract_entities;
    let stages = STAGES.iter().filter(|(name, _)| wanted(name));
    let stages = stages.map(|&(name, weight)| StagePlan { name: name.to_owned(), weight }).collect();
    let blobs = vec![(BlobRole::Original, upload.original.clone())];
    let ticket = DocumentTicket { document, source: upload.source.clone(), kind, bytes: upload.file_size };
    let (collection, priority) = (upload.collection.clone(), upload.priority);
    let params = IngestionParams {
        source: upload.source,
        filename: upload.filename,
        mime_type: upload.mime_type,
        original: upload.original,
        content_hash: upload.content_hash,
        file_size: upload.file_size,
        options: upload.options,
        models: upload.models,
    };
    let params = match serde_json::to_value(params) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(), // a struct of plain fields is always an object
    };
    NewJob {
        job_type: JobType::Ingestion,
        collection,
        params,
        metadata,
        message: "Waiting for a worker".to_owned(),
        stages,
        priority,
        delay: Duration::ZERO,
        max_attempts: crate::USUAL_ATTEMPTS,
        document: Some(ticket),
        exclusive_key: None,
        dedupe_key: None,
        blobs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(options: IngestionOptions) -> Upload {
        Upload {
            collection: CollectionId::default(),
            source: "wiki/pumps/readme.md".into(),
            filename: "readme.md".into(),
            mime_type: "text/markdown".into(),
            original: "o/1".into(),
            content_hash: ContentHash::of(b"x"),
            file_size: 1,
            options,
            models: ModelChoice::default(),
            priority: 0,
        }
    }

    #[test]
    fn a_stage_that_was_not_asked_for_is_not_listed() {
        let names = |o| upload(o).into_job().stages.into_iter().map(|s| s.name).collect::<Vec<_>>();
        assert_eq!(
            names(IngestionOptions::default()),
            ["loading", "chunking", "embedding", "entity_extraction", "persistence"]
        );
        let without = IngestionOptions { extract_entities: false, ..IngestionOptions::default() };
        assert_eq!(names(without), ["loading", "chunking", "embedding", "persistence"]);
    }

    #[test]
    fn an_overlap_that_nobody_chose_follows_the_size() {
        let settings =
            |size, overlap| CollectionSettings { chunk_size: size, chunk_overlap: overlap, ..Default::default() };
        let over = |size, overlap, settings: &CollectionSettings| {
            let chosen = ChosenOptions { chunk_size: size, chunk_overlap: overlap, ..ChosenOptions::default() };
            let options = chosen.over(settings);
            (options.chunk_size, options.chunk_overlap)
        };
        let none = settings(None, None);
        assert_eq!(over(None, None, &none), (1000, 200));
        assert_eq!(over(Some(100), None, &none), (100, 20));
        assert_eq!(over(Some(5000), None, &none), (5000, 200));
        assert_eq!(over(Some(100), Some(100), &none), (100, 100), "what was chosen stays, and is refused");
        assert_eq!(over(None, None, &settings(Some(50), None)), (50, 10));
        assert_eq!(over(Some(900), None, &settings(Some(400), Some(40))), (900, 40));
        assert_eq!(over(Some(30), None, &settings(Some(400), Some(40))), (30, 6));
        assert_eq!(
            over(None, None, &settings(Some(30), Some(40))),
            (30, 40),
            "a collection's own are refused where they are set"
        );
    }

    #[test]
    fn parameters_survive_the_store() {
        let job = upload(IngestionOptions { force: true, ..IngestionOptions::default() }).into_job();
        let params: IngestionParams = serde_json::from_value(Value::Object(job.params)).unwrap();
        assert!(params.options.force);
        assert_eq!(params.options.chunk_size, 1000);
        assert_eq!(job.metadata["source"], "wiki/pumps/readme.md");
    }
}
