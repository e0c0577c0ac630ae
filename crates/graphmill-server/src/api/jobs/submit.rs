//! `POST /api/jobs` with `{"job_type":"ingestion","params":{"document_id":"doc-…"}}`: ingests the stored original of a published document again (of one that
//! the graph has lost: of its latest completed job). The params `extract_entities`, `chunk_size` and `chunk_overlap` default to what the document was ingested with; `priority` to 0. 202 as for an
//! upload. 400: a bad or unknown field, a job type that this version does not run. 404: no such published document. 409 `overtaken`: something else of
//! the document has not ended.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use graphmill_core::{DocumentId, JobStatus, JobType};
use graphmill_jobs::ingestion::{IngestionOptions, Upload, reingestion, upload_of, upload_of_document};
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
    let upload = stored(&state, &params).await?;
    let options = options(params, upload.options)?;
    let (document, filename) = (upload.document(), upload.filename.clone());
    let job = reingestion(upload, options, i32::try_from(priority).unwrap_or(0));
    match state.jobs().enqueue(job).await? {
        Enqueued::New { job, .. } | Enqueued::Existing(job) => {
            let accepted = Accepted::new(&job, document, filename, None);
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
    let none = || {
        no_such_document(text)
            .hint("only documents that were published are ingested again; retry the job of another one")
    };
    // A deleted document has a tombstone; one that the graph has lost has nothing.
    if state.graph().published_seq(id).await?.is_some() {
        return Err(none());
    }
    let latest =
        state.jobs().latest_job_of(id).await?.filter(|job| job.status == JobStatus::Completed).ok_or_else(none)?;
    upload_of(&state.jobs().job(latest.id).await?).ok_or_else(none)
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::test_server::{TestServer, completed, no_document};

    #[tokio::test]
    async fn a_published_document_is_ingested_again_with_its_settings() {
        let server = TestServer::start().await;
        server.upload("a.txt", "Pumps pump.").await;
        let claimed = server.claim().await;
        let document = server.publish(&claimed.job).await;
        let body = json!({"job_type": "ingestion", "params": {"document_id": document, "chunk_overlap": 10}});
        assert_eq!(server.post("/api/jobs", body.clone()).await.error().1, "overtaken");
        server.end(claimed.fence, completed()).await;
        let answer = server.post("/api/jobs", body).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        let keys: Vec<_> = answer.json().as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["job_id", "document_id", "filename", "status"]);
        let job = answer.json()["job_id"].as_str().unwrap().parse().unwrap();
        let params = server.state.jobs().job(job).await.unwrap().params;
        assert_eq!(
            (&params["chunk_size"], &params["chunk_overlap"], &params["force"]),
            (&json!(700), &json!(10), &json!(true))
        );
    }

    #[tokio::test]
    async fn a_bad_request_is_named() {
        let server = TestServer::start().await;
        let document = no_document();
        for (body, status, part) in [
            (json!({}), 400, "job_type is missing"),
            (json!({"job_type": "reindex"}), 400, "this version runs ingestion only"),
            (json!({"job_type": "import"}), 400, "ingestion, reindex, clustering"),
            (json!({"job_type": "ingestion"}), 400, "params is missing"),
            (json!({"job_type": "ingestion", "params": {}}), 400, "document_id is missing"),
            (json!({"job_type": "ingestion", "params": {"document_id": "doc-x"}}), 404, "there is no document doc-x"),
            (json!({"job_type": "ingestion", "params": {"document_id": document}}), 404, "there is no document"),
            (json!({"job_type": "ingestion", "params": {}, "parms": 1}), 400, "\"parms\" is not known"),
        ] {
            let (found, _, error) = server.post("/api/jobs", body).await.error();
            assert_eq!(found, status, "{error}");
            assert!(error.contains(part), "{error}");
        }
    }
}
