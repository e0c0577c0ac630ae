//! Ingesting the stored original of a published document again. The params `extract_entities`, `chunk_size` and `chunk_overlap` default to what the
//! document was ingested with; models and entity types are those that its collection has now. 404: no such published document in the collections of the caller.

use graphmill_core::{CollectionId, DocumentId, JobStatus};
use graphmill_jobs::ingestion::{IngestionOptions, Upload, reingestion, upload_of, upload_of_document, usual_overlap};
use graphmill_models::ModelChoice;
use graphmill_store::requests::NewJob;
use serde_json::{Map, Value};

use crate::body::Fields;
use crate::error::no_such_document;
use crate::{AppState, Error, Result, Scope};

/// What a re-ingestion is to do; what is left out stays as the document was ingested.
#[derive(utoipa::ToSchema)]
#[schema(as = IngestionParams)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a description: `options` reads the fields")]
pub(super) struct Params {
    document_id: DocumentId,
    extract_entities: Option<bool>,
    /// Characters of a chunk.
    #[schema(minimum = 1, maximum = 100_000)]
    chunk_size: Option<u64>,
    /// Characters that a chunk shares with the one before; fewer than it has. The document's, if they are fewer than `chunk_size`; else a fifth of it.
    #[schema(minimum = 0)]
    chunk_overlap: Option<u64>,
}

const PARAMS: &[&str] = &["document_id", "extract_entities", "chunk_size", "chunk_overlap"];

/// The job of a request; `collection` is the one that the request named.
pub(super) async fn new_job(
    state: &AppState,
    scope: &Scope,
    collection: Option<CollectionId>,
    params: Option<Map<String, Value>>,
) -> Result<NewJob> {
    let params = params.ok_or_else(|| {
        Error::invalid("the field params is missing; it names the document: {\"document_id\": \"doc-…\"}")
    })?;
    let asked = scope.reading(collection)?;
    let mut upload = stored(state, &params).await?;
    if asked.is_some_and(|asked| asked != upload.collection) {
        // Said as of one that does not exist at all.
        return Err(never_published(params.get("document_id").and_then(Value::as_str).unwrap_or_default()));
    }
    let options = options(params, upload.options)?;
    if let Some(known) = state.jobs().collection(&upload.collection).await? {
        upload.models = ModelChoice::from(&known.settings);
    }
    Ok(reingestion(upload, options, 0))
}

/// The upload that the document was made of: of the published one, else (the graph has lost it) of its latest completed job.
async fn stored(state: &AppState, params: &Map<String, Value>) -> Result<Upload> {
    let text = match params.get("document_id") {
        Some(Value::String(text)) => text,
        Some(other) => {
            return Err(Error::invalid(format!(
                "the field params.document_id is {other}; it is a text like \"doc-…\""
            )));
        }
        None => {
            let missing = "the field params.document_id is missing; GET /api/documents lists the documents";
            return Err(Error::invalid(missing));
        }
    };
    let id: DocumentId = text.parse().map_err(|_| no_such_document(text))?;
    if let Some(document) = state.graph().document(id).await? {
        return Ok(upload_of_document(&document));
    }
    let none = || never_published(text);
    // A deleted document has a tombstone; one that the graph has lost has nothing.
    if state.graph().published_seq(id).await?.is_some() {
        return Err(none());
    }
    let latest =
        state.jobs().latest_job_of(id).await?.filter(|job| job.status == JobStatus::Completed).ok_or_else(none)?;
    upload_of(&state.jobs().job(latest.id).await?).ok_or_else(none)
}

fn never_published(shown: &str) -> Error {
    no_such_document(shown).hint("only documents that were published are ingested again; retry the job of another one")
}

fn options(params: Map<String, Value>, default: IngestionOptions) -> Result<IngestionOptions> {
    let mut fields = Fields::of(params);
    let _ = fields.text("document_id")?;
    let size = |n: i64| u64::try_from(n).unwrap_or(0);
    let chunk_size = fields.number("chunk_size", 1, i64::MAX)?.map_or(default.chunk_size, size);
    let of_document = Some(default.chunk_overlap).filter(|overlap| *overlap < chunk_size);
    let options = IngestionOptions {
        extract_entities: fields.flag("extract_entities")?.unwrap_or(default.extract_entities),
        chunk_size,
        chunk_overlap: fields
            .number("chunk_overlap", 0, i64::MAX)?
            .map_or_else(|| of_document.unwrap_or_else(|| usual_overlap(chunk_size)), size),
        force: true,
    };
    fields.finish(PARAMS)?;
    options.chunking().map_err(|e| Error::invalid(e.to_string()))?;
    Ok(options)
}
