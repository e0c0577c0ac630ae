//! What the handlers work with, made by the binary.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use graphmill_core::{Clock, JobId, JobType, Timestamp};
use graphmill_graph::GraphStore;
use graphmill_jobs::maintenance::Maintenance;
use graphmill_models::ModelProvider;
use graphmill_store::records::JobDetail;
use graphmill_store::{Blobs, DiskGuard, JobStore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::BackupSource;
use crate::access::AccessPolicy;
use crate::api::search::QueryEmbedder;
use crate::auth::Failures;
use crate::idempotency::InFlight;
use crate::key_ring::KeyRing;
use crate::serve::Tls;
use crate::stream::{AllJobs, StreamConfig, StreamHub};
use crate::{Result, Scope};

/// The parts of the product that requests reach, whatever their backends are.
#[derive(Clone)]
pub struct Services {
    /// Jobs.
    pub jobs: Arc<dyn JobStore>,
    /// The graph.
    pub graph: Arc<dyn GraphStore>,
    /// The embedding model, as searches use it.
    pub query_embedder: QueryEmbedder,
    /// Uploaded files.
    pub blobs: Blobs,
    /// Models by the settings of collections.
    pub models: Arc<ModelProvider>,
    /// Files of the databases by the name of their store, for their sizes.
    pub databases: Vec<(&'static str, PathBuf)>,
    /// Room on the disk: decides whether uploads are taken.
    pub disk: Arc<DiskGuard>,
    /// Carries out document deletions, removes blobs that nothing names.
    pub maintenance: Maintenance,
    /// Keys of the API.
    pub keys: Arc<KeyRing>,
    /// Makes backups of the stores.
    pub backup: Arc<dyn BackupSource>,
    /// The stores' clock; dates the progress messages of streams.
    pub clock: Arc<dyn Clock>,
}

/// Settings of the server.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Which `Host` and `Origin` are accepted.
    pub access: AccessPolicy,
    /// Certificate and key; `None`: plain HTTP.
    pub tls: Option<Arc<Tls>>,
    /// Sizes and counts.
    pub limits: Limits,
    /// Job streams.
    pub stream: StreamConfig,
    /// What `/version` says.
    pub build: BuildInfo,
    /// Jobs of each type that run at once; a type that is not listed runs none here.
    pub workers: BTreeMap<JobType, u32>,
    /// How long open requests may take to end when the server stops.
    pub shutdown_grace: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            access: AccessPolicy::any(),
            tls: None,
            limits: Limits::default(),
            stream: StreamConfig::default(),
            build: BuildInfo::default(),
            workers: BTreeMap::new(),
            shutdown_grace: Duration::from_secs(10),
        }
    }
}

/// Sizes and counts above which a request is refused.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of one uploaded file.
    pub file_bytes: u64,
    /// Files of one upload request.
    pub files: usize,
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// Connections at once of one address (of one /64 network of IPv6); those of this machine are not counted.
    pub connections_per_address: usize,
    /// Longest wait for the head of a request, longest pause in which a client reads nothing of what is written to it, and how long an idle connection
    /// is kept.
    pub idle: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes: 50 * 1024 * 1024,
            files: 1_000,
            connections: 8_192,
            connections_per_address: 512,
            idle: Duration::from_secs(60),
        }
    }
}

/// What `/version` says.
#[derive(Debug, Clone, Default)]
pub struct BuildInfo {
    /// Version of the product.
    pub version: String,
    /// Commit that it was built from, if the build knew it.
    pub git: Option<String>,
    /// Schema of each store, by name.
    pub schema: Vec<(String, u64)>,
}

/// Shared by all requests. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

/// What an [`AppState`] points to.
pub struct Shared {
    /// The parts of the product.
    pub(crate) services: Services,
    /// The settings.
    pub(crate) config: ServerConfig,
    /// Who follows which job.
    pub(crate) streams: StreamHub,
    /// For those who follow all jobs.
    pub(crate) all_jobs: AllJobs,
    /// Cancelled when the server stops: streams say goodbye.
    pub(crate) stopping: CancellationToken,
    /// Keys of requests that have not been answered.
    pub(crate) in_flight: InFlight,
    /// Wrong tokens, by address.
    pub(crate) failures: Failures,
    /// When this server was made.
    pub(crate) started: Timestamp,
    /// Open WebSockets; a stopping server waits for them.
    pub(crate) sockets: TaskTracker,
}

impl AppState {
    /// Puts the parts together and begins to listen for changes of jobs. Needs a tokio runtime.
    pub fn new(services: Services, config: ServerConfig) -> Self {
        let stopping = CancellationToken::new();
        let streams = StreamHub::start(services.jobs.clone(), services.clock.clone(), stopping.clone());
        let pause = config.stream.pause;
        let all_jobs = AllJobs::start(services.jobs.clone(), services.clock.clone(), stopping.clone(), pause);
        let started = services.clock.now();
        Self(Arc::new(Shared {
            started,
            services,
            config,
            streams,
            all_jobs,
            stopping,
            in_flight: InFlight::default(),
            failures: Failures::default(),
            sockets: TaskTracker::new(),
        }))
    }
}

impl std::ops::Deref for AppState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Shared {
    /// Jobs.
    pub(crate) fn jobs(&self) -> &dyn JobStore {
        &*self.services.jobs
    }

    /// A job that the caller may see; any other is answered as one that does not exist.
    pub(crate) async fn visible_job(&self, scope: &Scope, job: JobId) -> Result<JobDetail> {
        let detail = self.jobs().job(job).await?;
        if scope.admits(&detail.job.collection) {
            Ok(detail)
        } else {
            Err(graphmill_store::Error::NotFound(job).into())
        }
    }

    /// Answers 404 for a job that the caller may not see. (A job never changes its collection: what is done to it afterwards is within the scope.)
    pub(crate) async fn check_job(&self, scope: &Scope, job: JobId) -> Result<()> {
        if scope.bound().is_some() {
            self.visible_job(scope, job).await?;
        }
        Ok(())
    }

    /// The graph.
    pub(crate) fn graph(&self) -> &dyn GraphStore {
        &*self.services.graph
    }
}
