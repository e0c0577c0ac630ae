//! `POST /api/jobs` with `{"job_type":"ingestion","params":{"document_id":"doc-…"}}`: ingests the stored original of a published document again. The
//! params `extract_entities`, `chunk_size` and `chunk_overlap` default to what the document was ingested with; `priority` to 0. 202 as for an
//! upload. 400: a bad or unknown field, a job type that this version does not run. 404: no such published document. 409 `overtaken`: something else of
//! the document has not ended.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use graphmill_core::{DocumentId, JobType};
use graphmill_graph::records::DocumentRecord;
use graphmill_jobs::ingestion::{IngestionOptions, published_options, reingestion};
use graphmill_store::records::Enqueued;
use serde_json::{Map, Value};

use super::retry::overtaken;
use crate::api::upload::{Accepted, MOST_PRIORITY};
use crate::body::Fields;
use crate::error::no_such_document;
use crate::{AppState, Error, Result};

const FIELDS: &[&str] = &["job_type", "params", "priority"];
const PARAMS: &[&str] = &["document_id", "extract_entities", "chunk_size", "chunk_overlap"];

pub(crate) async fn handle(State(state): State<AppState>, mut fields: Fields) -> Result<(StatusCode, Json<Accepted>)> {
    check_type(fields.text("job_type")?)?;
    let params = fields.object("params")?;
    let priority = fields.number("priority", -MOST_PRIORITY, MOST_PRIORITY)?.unwrap_or(0);
    fields.finish(FIELDS)?;
    let params = params.ok_or_else(|| {
        Error::invalid("the field params is missing; it names the document: {\"document_id\": \"doc-…\"}")
    })?;
    let document = published(&state, &params).await?;
    let options = options(params, published_options(&document))?;
    let job = reingestion(&document, options, i32::try_from(priority).unwrap_or(0));
    match state.jobs().enqueue(job).await? {
        Enqueued::New { job, .. } | Enqueued::Existing(job) => {
            let accepted = Accepted::new(&job, document.id, document.properties.filename, None);
            Ok((StatusCode::ACCEPTED, Json(accepted)))
        }
        Enqueued::Overtaken { by } => Err(overtaken(&by)),
    }
}

fn check_type(word: Option<String>) -> Result<()> {
    let word = word.ok_or_else(|| Error::invalid("the field job_type is missing; this version takes ingestion"))?;
    match word.parse() {
        Ok(JobType::Ingestion) => Ok(()),
        Ok(other) => Err(Error::invalid(format!("the field job_type is {other}; this version runs ingestion only"))),
        Err(e) => Err(Error::invalid(format!("the field job_type: {e}"))),
    }
}

async fn published(state: &AppState, params: &Map<String, Value>) -> Result<DocumentRecord> {
    let missing = || Error::invalid("the field params.document_id is missing; GET /api/documents lists the documents");
    let text = params.get("document_id").and_then(Value::as_str).ok_or_else(missing)?;
    let id: DocumentId = text.parse().map_err(|_| no_such_document(text))?;
    let document = state.graph().document(id).await?;
    document.ok_or_else(|| {
        no_such_document(text).hint("only published documents are ingested again; retry the job of another one")
    })
}

fn options(params: Map<String, Value>, default: IngestionOptions) -> Result<IngestionOptions> {
    let mut fields = Fields::of(params);
    let _ = fields.text("document_id")?;
    let size = |n: i64| u64::try_from(n).unwrap_or(0);
    let options = IngestionOptions {
        extract_entities: fields.flag("extract_entities")?.unwrap_or(default.extract_entities),
        chunk_size: fields.number("chunk_size", 1, i64::MAX)?.map_or(default.chunk_size, size),
        chunk_overlap: fields.number("chunk_overlap", 0, i64::MAX)?.map_or(default.chunk_overlap, size),
        force: true,
    };
    fields.finish(PARAMS)?;
    options.chunking().map_err(|e| Error::invalid(e.to_string()))?;
    Ok(options)
}
