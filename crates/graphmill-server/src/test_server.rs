//! The API over real stores in a temporary folder, for the tests beside the endpoints. No worker runs: tests play it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use graphmill_core::{
    ChunkFacts, ChunkId, Clock, CollectionId, ContentHash, DocumentId, ErrorCode, Fence, JobId, JobType, Seq,
    SystemClock,
};
use graphmill_graph::records::{DocumentProperties, Placement, Publication, StagedChunk};
use graphmill_graph::{EmbeddedGraph, EmbeddedOptions};
use graphmill_jobs::maintenance::{Maintenance, MaintenanceConfig};
use graphmill_models::offline::OfflineEmbedder;
use graphmill_models::{Embedder, ModelProvider, ModelSettings};
use graphmill_store::records::{ClaimedJob, JobRecord};
use graphmill_store::requests::{ClaimRequest, Ending, NewJobError, Progress};
use graphmill_store::{Blobs, DiskGuard, DiskOptions, SqliteContentCache, SqliteJobStore, SqliteOptions};
use serde_json::{Map, Value, json};
use tower::ServiceExt;

use crate::{AppState, KeyPolicy, KeyRing, QueryEmbedder, ServerConfig, Services, router};

pub(crate) struct TestServer {
    pub(crate) state: AppState,
    pub(crate) router: Router,
    pub(crate) dir: tempfile::TempDir,
}

/// An answer, its body read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    /// Status, code and sentence of an error.
    pub(crate) fn error(&self) -> (u16, String, String) {
        let json = self.json();
        let text = |key: &str| json[key].as_str().unwrap_or_else(|| panic!("{key}: {}", self.text)).to_owned();
        (self.status.as_u16(), text("code"), text("error"))
    }
}

/// Gives one archive, then is busy.
#[derive(Default)]
struct OneBackup(std::sync::atomic::AtomicBool);

#[async_trait::async_trait]
impl crate::BackupSource for OneBackup {
    async fn begin(&self) -> Result<BoxStream<'static, std::io::Result<Bytes>>, crate::BackupRefused> {
        if self.0.swap(true, std::sync::atomic::Ordering::SeqCst) {
            return Err(crate::BackupRefused::Running);
        }
        let pieces = ["an ", "archive"].map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
        Ok(futures::stream::iter(pieces).boxed())
    }
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::with(ServerConfig::default(), Arc::new(SystemClock)).await
    }

    pub(crate) async fn with(config: ServerConfig, clock: Arc<dyn Clock>) -> Self {
        Self::with_embedder(config, clock, Arc::new(OfflineEmbedder)).await
    }

    /// With another embedding model for searches.
    pub(crate) async fn with_embedder(
        config: ServerConfig,
        clock: Arc<dyn Clock>,
        embedder: Arc<dyn Embedder>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let disk = Arc::new(DiskGuard::open(DiskOptions { dir: dir.path().into(), reserve_bytes: 1000 }).unwrap());
        let jobs =
            Arc::new(SqliteJobStore::open(SqliteOptions::new(dir.path().join("jobs.db"), clock.clone())).unwrap());
        let graph = EmbeddedGraph::open(EmbeddedOptions::new(dir.path().join("graph.db"), clock.clone())).unwrap();
        let graph: Arc<dyn graphmill_graph::GraphStore> = Arc::new(graph);
        let blobs = Blobs::open(dir.path().join("blobs")).unwrap();
        let config_of_maintenance =
            MaintenanceConfig { deletes_every: Duration::from_millis(100), ..MaintenanceConfig::default() };
        let cache = Arc::new(SqliteContentCache::open(dir.path().join("cache.db")).unwrap());
        let maintenance =
            Maintenance::start(jobs.clone(), graph.clone(), blobs.clone(), cache.clone(), config_of_maintenance);
        let policy = KeyPolicy { local_token: Some(LOCAL_TOKEN.to_owned()), always: false };
        let keys = KeyRing::load(jobs.clone(), clock.clone(), policy).await.unwrap();
        let query_embedder = QueryEmbedder::new(embedder);
        let backup = Arc::new(OneBackup::default());
        let models = Arc::new(ModelProvider::new(&ModelSettings::default(), cache).unwrap());
        let databases = vec![("jobs", dir.path().join("jobs.db")), ("cache", dir.path().join("cache.db"))];
        let services =
            Services { jobs, graph, query_embedder, models, blobs, databases, disk, maintenance, keys, backup, clock };
        let state = AppState::new(services, config);
        Self { router: router(state.clone()), state, dir }
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(body.into()).unwrap() }
    }

    pub(crate) async fn get(&self, uri: &str) -> Answer {
        self.send(Request::get(uri).body(Body::empty()).unwrap()).await
    }

    pub(crate) async fn delete(&self, uri: &str) -> Answer {
        self.send(Request::delete(uri).body(Body::empty()).unwrap()).await
    }

    /// PATCH of JSON.
    pub(crate) async fn patch(&self, uri: &str, json: Value) -> Answer {
        let request = Request::patch(uri).header("content-type", "application/json");
        self.send(request.body(Body::from(json.to_string())).unwrap()).await
    }

    /// POST of JSON; `Value::Null` = no body.
    pub(crate) async fn post(&self, uri: &str, json: Value) -> Answer {
        let request = Request::post(uri);
        let request = match json {
            Value::Null => request.body(Body::empty()),
            json => request.header("content-type", "application/json").body(Body::from(json.to_string())),
        };
        self.send(request.unwrap()).await
    }

    /// An upload of one text file; answers the job.
    pub(crate) async fn upload(&self, name: &str, text: &str) -> JobId {
        let answer = self.send(form(&[("file", Some(name), text.as_bytes())])).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
        answer.json()["job_id"].as_str().unwrap().parse().unwrap()
    }

    /// Claims the one job that is due.
    pub(crate) async fn claim(&self) -> ClaimedJob {
        self.try_claim().await.expect("a job is due")
    }

    pub(crate) async fn try_claim(&self) -> Option<ClaimedJob> {
        let request =
            ClaimRequest { worker: "test".into(), lease: Duration::from_secs(15), free: vec![(JobType::Ingestion, 1)] };
        self.state.jobs().claim(request).await.unwrap().pop()
    }

    pub(crate) async fn end(&self, fence: Fence, ending: Ending) {
        self.state.jobs().end(fence, ending).await.unwrap();
    }

    pub(crate) async fn stage(&self, fence: Fence, stage: &str, done: f64) {
        let jobs = self.state.jobs();
        jobs.start_stage(fence, stage, bytes::Bytes::new(), 1).await.unwrap();
        jobs.finish_stage(fence, stage, bytes::Bytes::new(), progress(done, 1.0)).await.unwrap();
    }

    pub(crate) async fn record(&self, job: JobId) -> JobRecord {
        self.state.jobs().job(job).await.unwrap().job
    }

    /// Publishes a document with one chunk under the seq that its job has.
    pub(crate) async fn publish(&self, record: &JobRecord) -> DocumentId {
        self.publish_with(record, ChunkFacts::default()).await
    }

    /// The same; its chunk has these facts.
    pub(crate) async fn publish_with(&self, record: &JobRecord, chunk_facts: ChunkFacts) -> DocumentId {
        let (collection, document, text) = (&record.collection, record.document.unwrap(), "Pumps pump.");
        let (content_hash, facts) = (ContentHash::of(text.as_bytes()), ContentHash::of(b""));
        let chunk = ChunkId::new(&document, &content_hash, &facts, 0);
        let graph = self.state.graph();
        graph.ensure_collection(collection).await.unwrap();
        let staged = StagedChunk {
            id: chunk,
            text: text.into(),
            content_hash,
            token_count: 2,
            facts: chunk_facts,
            vectors: Vec::new(),
            embedding_quarantined: false,
            context: None,
        };
        graph.stage(collection, document, vec![staged]).await.unwrap();
        let placement = Placement {
            chunk,
            start_char: 0,
            end_char: 11,
            page_start: 1,
            page_end: 1,
            heading_path: vec!["Top".into()],
        };
        let publication = Publication {
            collection: collection.clone(),
            document,
            seq: record.seq.unwrap_or(Seq(1)),
            placements: vec![placement],
            properties: properties(record),
            spaces: Vec::new(),
            times: None,
        };
        graph.publish(&publication).await.unwrap();
        document
    }

    /// Names of all files below the blob folder, finished or not.
    pub(crate) fn blob_files(&self) -> Vec<std::path::PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.dir.path().join("blobs")];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_dir() { folders.push(entry.path()) } else { found.push(entry.path()) }
            }
        }
        found
    }

    /// Waits until no blob file is left.
    pub(crate) async fn no_blobs_left(&self) {
        let all_gone = async {
            while !self.blob_files().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(10), all_gone).await;
        assert!(waited.is_ok(), "left: {:?}", self.blob_files());
    }
}

fn properties(record: &JobRecord) -> DocumentProperties {
    let text = |key: &str| record.metadata[key].as_str().unwrap().to_owned();
    DocumentProperties {
        source: text("source"),
        filename: text("filename"),
        content_hash: ContentHash::of(b"file"),
        settings_hash: ContentHash::of(b"settings"),
        settings: Map::from_iter([("chunk_size".to_owned(), json!(700)), ("chunk_overlap".to_owned(), json!(70))]),
        file_size: 11,
        page_count: 1,
        mime_type: "text/plain".into(),
        title: Some("Pumps".into()),
        language: None,
        original: "original/of".into(),
        page_text: "page_text/of".into(),
        quarantined_chunks: 0,
    }
}

pub(crate) const BOUNDARY: &str = "a-boundary-of-tests";

/// A multipart body: name, file name, data of each part.
pub(crate) fn form_body(parts: &[(&str, Option<&str>, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, filename, data) in parts {
        let filename = filename.map(|f| format!("; filename=\"{f}\"")).unwrap_or_default();
        body.extend_from_slice(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{filename}\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(data);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

pub(crate) fn form(parts: &[(&str, Option<&str>, &[u8])]) -> Request<Body> {
    form_of(Body::from(form_body(parts)))
}

pub(crate) fn form_of(body: Body) -> Request<Body> {
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    Request::post("/api/upload").header("content-type", kind).body(body).unwrap()
}

pub(crate) fn progress(job: f64, stage: f64) -> Progress {
    Progress { job, stage, message: format!("Processing ({:.0} %)", job * 100.0) }
}

pub(crate) fn completed() -> Ending {
    let metadata = Map::from_iter([("chunks_created".to_owned(), json!(7))]);
    Ending::Completed { message: "Document ingestion complete".into(), metadata }
}

pub(crate) fn failed() -> Ending {
    Ending::Failed { error: job_error() }
}

pub(crate) fn job_error() -> NewJobError {
    NewJobError {
        code: ErrorCode::Encrypted,
        message: "the document is encrypted".into(),
        hint: Some("remove the password".into()),
        stage: Some("loading".into()),
        chunk_id: None,
        page: None,
    }
}

/// What the lock file of a data folder would hold.
pub(crate) const LOCAL_TOKEN: &str = "the token of the lock file";

/// A job id that nobody has.
pub(crate) const NO_JOB: &str = "job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10";

/// A document id that nobody has.
pub(crate) fn no_document() -> DocumentId {
    DocumentId::new(&CollectionId::default(), "nobody has this")
}
