//! Wiring: the only place that names concrete backends. Opens the data folder, binds the stores, starts workers, maintenance and the HTTP server.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use graphmill_core::{Clock, JobStatus, JobType, Seq, SystemClock};
use graphmill_documents::child::{ParserCommand, ParserPool};
use graphmill_graph::GraphStore;
use graphmill_graph::embedded::{EmbeddedGraph, EmbeddedOptions};
use graphmill_graph::neo4j::Neo4jGraph;
use graphmill_jobs::Turns;
use graphmill_jobs::clustering::{ClusteringHandler, ClusteringServices};
use graphmill_jobs::ingestion::IngestionHandler;
use graphmill_jobs::maintenance::{Maintenance, MaintenanceConfig, MakeJob, Upkeep, reconcile_collections};
use graphmill_jobs::reindex::{ReindexHandler, ReindexOptions};
use graphmill_models::{ModelChoice, ModelProvider};
use graphmill_runtime::{CpuPool, Occupancy, Registry, Runtime, RuntimeConfig, Services};
use graphmill_server::{
    AccessPolicy, AppState, BackupSource, BuildInfo, KeyPolicy, KeyRing, Limits, QueryEmbedder, ServerConfig, Tls,
};
use graphmill_store::{
    Blobs, DataFolder, DiskGuard, DiskOptions, JobStore, KeyStore, SqliteContentCache, SqliteJobStore, SqliteOptions,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::backup::{EmbeddedBackup, GraphElsewhere};
use crate::config::Config;

/// First argument of a process that parses documents for this one.
pub(crate) const PARSE_CHILD: &str = "__parse-child";
/// Clusterings at once, each of another collection.
const CLUSTERINGS: u32 = 2;

/// How often the room on the disk is looked at.
const DISK_CHECK: Duration = Duration::from_secs(1);

/// Whether this process runs jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// Claims and runs jobs.
    Jobs,
    /// Only answers.
    None,
}

/// A running server.
pub(crate) struct Assembly {
    url: String,
    stop: CancellationToken,
    http: tokio::task::JoinHandle<()>,
    http_ended: CancellationToken,
    runtime: Option<Runtime>,
    maintenance: Maintenance,
    disk_watch: tokio::task::JoinHandle<()>,
    tls: Option<Arc<Tls>>,
    folder: Arc<DataFolder>,
}

/// The opened stores.
struct Stores {
    jobs: Arc<dyn JobStore>,
    keys: Arc<dyn KeyStore>,
    graph: Arc<dyn GraphStore>,
    cache: Arc<SqliteContentCache>,
    models: Arc<ModelProvider>,
    blobs: Blobs,
    disk: Arc<DiskGuard>,
    clock: Arc<dyn Clock>,
    backup: Arc<dyn BackupSource>,
}

/// The graph, and the same as the embedded one if it is that.
struct OpenGraph {
    graph: Arc<dyn GraphStore>,
    embedded: Option<Arc<EmbeddedGraph>>,
}

impl OpenGraph {
    async fn open(dir: &Path, config: &Config, clock: &Arc<dyn Clock>) -> anyhow::Result<Self> {
        let Some(server) = &config.graph else {
            let options = EmbeddedOptions::new(dir.join("graph.db"), clock.clone());
            let graph = Arc::new(EmbeddedGraph::open(options)?);
            return Ok(Self { graph: graph.clone(), embedded: Some(graph) });
        };
        let graph = Neo4jGraph::open(server.clone(), clock.clone(), dir.to_owned()).await?;
        tracing::info!(server = ?server, "the graph is on a Neo4j server");
        Ok(Self { graph: Arc::new(graph), embedded: None })
    }
}

impl Assembly {
    /// Takes the data folder and starts everything; what an earlier process left goes on.
    pub(crate) async fn start(config: &Config, work: Work) -> anyhow::Result<Self> {
        if !config.listen.ip().is_loopback() && !config.data_dir.exists() {
            return Err(no_key(config.listen)); // before a folder is made that holds none
        }
        let tls = config.tls.as_ref().map(|files| Tls::load(&files.certificate, &files.key, SystemClock.now()));
        let tls = tls.transpose()?.map(Arc::new);
        let folder = Arc::new(DataFolder::lock(&config.data_dir)?);
        let stores = Stores::open(&config.data_dir, config).await?;
        let keys = load_keys(config, &stores, folder.token(), tls.is_some()).await?;
        let listener = listen(config).await?;
        let (occupancy, turns) = (Occupancy::default(), Turns::default());
        let url = url_of(listener.local_addr()?, tls.is_some());
        let maintenance = Maintenance::start(
            stores.jobs.clone(),
            stores.graph.clone(),
            stores.blobs.clone(),
            stores.cache.clone(),
            MaintenanceConfig { occupancy: occupancy.clone(), turns: turns.clone(), ..MaintenanceConfig::default() },
        );
        let runtime = match work {
            Work::Jobs => {
                start_upkeep(config, &stores, &maintenance);
                Some(start_runtime(config, &stores, occupancy, turns).await?)
            }
            Work::None => None,
        };
        let stop = CancellationToken::new();
        let services = graphmill_server::Services {
            jobs: stores.jobs.clone(),
            graph: stores.graph.clone(),
            keys,
            query_embedder: QueryEmbedder::new(stores.models.of(&ModelChoice::default())?.embedder),
            blobs: stores.blobs.clone(),
            models: stores.models.clone(),
            databases: ["jobs", "graph", "graph.search", "cache"]
                .map(|name| (name, config.data_dir.join(format!("{name}.db"))))
                .into(),
            disk: stores.disk.clone(),
            maintenance: maintenance.clone(),
            backup: stores.backup.clone(),
            clock: stores.clock.clone(),
        };
        let state = AppState::new(services, server_config(config, listener.local_addr()?, tls.clone()));
        if let Some(tls) = &tls {
            folder.set_certificate(&tls.fingerprint())?;
        }
        folder.set_url(&url)?;
        let http_ended = CancellationToken::new();
        let http = tokio::spawn({
            let (stop, ended) = (stop.clone(), http_ended.clone());
            async move {
                if let Err(error) = graphmill_server::serve(listener, state, stop).await {
                    tracing::error!(%error, "the HTTP server stopped");
                }
                ended.cancel();
            }
        });
        let disk_watch = tokio::spawn(watch_disk(stores.disk));
        Ok(Self { url, stop, http, http_ended, runtime, maintenance, disk_watch, tls, folder })
    }

    /// `http://address:port`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The secret of the lock file, for callers in this process.
    pub(crate) fn token(&self) -> String {
        self.folder.token()
    }

    /// Reads the certificate and its key again; when they cannot be used, the old ones stay.
    pub(crate) fn reload_certificate(&self) {
        let Some(tls) = &self.tls else { return };
        let reloaded = tls.reload(SystemClock.now()).map_err(anyhow::Error::from);
        match reloaded.and_then(|()| Ok(self.folder.set_certificate(&tls.fingerprint())?)) {
            Ok(()) => tracing::info!("the TLS certificate was read again"),
            Err(error) => {
                tracing::error!(%error, "the TLS certificate was not read again; the one before stays in use")
            }
        }
    }

    /// Returns when the HTTP server ended although nobody said so.
    pub(crate) async fn failed(&self) {
        self.http_ended.cancelled().await;
    }

    /// Gives running jobs back, ends open connections, closes the stores.
    pub(crate) async fn shutdown(self) {
        if let Some(runtime) = self.runtime {
            runtime.shutdown().await;
        }
        self.maintenance.shutdown().await;
        self.disk_watch.abort();
        self.stop.cancel();
        let _ = self.http.await;
    }
}

async fn listen(config: &Config) -> anyhow::Result<TcpListener> {
    let address = config.listen;
    TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}; choose another address with --listen or GRAPHMILL_LISTEN")
    })
}

/// The keys that there are. An address that other machines reach needs one, so that strangers are kept out from the first moment on.
async fn load_keys(config: &Config, stores: &Stores, local: String, tls: bool) -> anyhow::Result<Arc<KeyRing>> {
    let (address, public) = (config.listen, !config.listen.ip().is_loopback());
    let policy = KeyPolicy { local_token: Some(local), always: public };
    let keys = KeyRing::load(stores.keys.clone(), stores.clock.clone(), policy).await?;
    if public && keys.is_empty() {
        return Err(no_key(address));
    }
    if public && !tls {
        tracing::warn!(
            %address,
            "keys and documents go over the network unencrypted: give --tls-cert and --tls-key, or let a proxy speak https"
        );
    }
    Ok(keys)
}

fn no_key(address: SocketAddr) -> anyhow::Error {
    anyhow::anyhow!(
        "listen address {address} can be reached from other machines, and there is no key to keep strangers out; make one first \
         (graphmill key create NAME, with the same data folder), or use a loopback address such as 127.0.0.1:{}",
        address.port()
    )
}

/// Where clients on this machine find the server.
fn url_of(address: SocketAddr, tls: bool) -> String {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("{}://{}", if tls { "https" } else { "http" }, SocketAddr::new(ip, address.port()))
}

impl Stores {
    async fn open(dir: &Path, config: &Config) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let disk = Arc::new(DiskGuard::open(DiskOptions { dir: dir.to_owned(), reserve_bytes: config.reserve_bytes })?);
        let mut options = SqliteOptions::new(dir.join("jobs.db"), clock.clone());
        options.disk = Some(disk.clone());
        let jobs = Arc::new(SqliteJobStore::open(options)?);
        let OpenGraph { graph, embedded } = OpenGraph::open(dir, config, &clock).await?;
        graph.bind(jobs.id()).await?;
        let highest = graph.highest_seq().await?;
        warn_of_lost_graph(&*jobs, highest).await?;
        // Before anything is accepted: a ticket must be above every one that the graph knows.
        jobs.raise_tickets_above(highest).await?;
        reconcile_collections(&*jobs, &*graph).await?;
        let cache = Arc::new(SqliteContentCache::open_with(dir.join("cache.db"), Some(disk.clone()))?);
        let blobs = Blobs::open(dir.join("blobs"))?;
        let backup: Arc<dyn BackupSource> = match embedded {
            Some(graph) => {
                let (all, time) = (blobs.clone(), clock.clone());
                Arc::new(EmbeddedBackup::new(jobs.clone(), graph, cache.clone(), all, time, dir))
            }
            None => Arc::new(GraphElsewhere),
        };
        let models = Arc::new(ModelProvider::new(&config.models, cache.clone())?);
        Ok(Self { jobs: jobs.clone(), keys: jobs, graph, cache, models, blobs, disk, clock, backup })
    }
}

/// A graph without any document or tombstone beside jobs that completed: its file was removed or moved away.
async fn warn_of_lost_graph(jobs: &dyn JobStore, highest: Seq) -> anyhow::Result<()> {
    let completed = jobs.counts().await?.into_iter().find(|(status, _)| *status == JobStatus::Completed);
    if let (Seq(0), Some((_, completed @ 1..))) = (highest, completed) {
        tracing::warn!(
            completed,
            "the graph is empty although jobs have completed: was graph.db removed? Put it back, or ingest the documents again from their stored \
             originals: POST /api/jobs with {{\"job_type\":\"ingestion\",\"params\":{{\"document_id\":\"doc-…\"}}}} for each; do not clean up jobs \
             before that, since cleanup removes originals that no document names"
        );
    }
    Ok(())
}

async fn start_runtime(
    config: &Config,
    stores: &Stores,
    occupancy: Occupancy,
    turns: Turns,
) -> anyhow::Result<Runtime> {
    let parsers = ParserPool::new(ParserCommand::this_program([PARSE_CHILD])?, config.parser.clone())?;
    #[cfg(feature = "fault-points")]
    for fault in std::env::var("PARSER_FAULTS").unwrap_or_default().split(',').filter(|f| !f.is_empty()) {
        parsers.inject(fault.parse().map_err(|e: String| anyhow::anyhow!(e))?);
    }
    let ingestion =
        IngestionHandler::new(stores.graph.clone(), parsers, stores.models.clone(), config.models.concurrency, turns);
    let reindex = ReindexHandler::new(
        stores.graph.clone(),
        stores.models.clone(),
        config.models.concurrency,
        config.reindex_block_rows,
    );
    let clustering = ClusteringHandler::new(ClusteringServices {
        graph: stores.graph.clone(),
        models: stores.models.clone(),
        model_concurrency: config.models.concurrency,
    });
    let registry = Registry::default().with(Arc::new(ingestion)).with(Arc::new(reindex)).with(Arc::new(clustering));
    let services = Services { cpu: CpuPool::new(config.cpu_threads), blobs: stores.blobs.clone() };
    let mut runtime = RuntimeConfig::new(format!("pid {}", std::process::id()));
    runtime.concurrency = concurrency(config);
    runtime.stall_limit = config.stall_limit;
    runtime.occupancy = occupancy;
    let disk = stores.disk.clone();
    runtime.may_claim = Arc::new(move || disk.accepts_uploads());
    Ok(Runtime::start(stores.jobs.clone(), registry, services, runtime).await?)
}

/// Layers that are behind are brought up by themselves after a quiet time.
fn start_upkeep(config: &Config, stores: &Stores, maintenance: &Maintenance) {
    let Some(quiet) = config.auto_reindex else { return };
    let layers = ReindexOptions { run_clustering: true, ..ReindexOptions::default() };
    let make: MakeJob = Arc::new(move |collection| layers.into_job(collection));
    let upkeep = Upkeep::new(stores.jobs.clone(), stores.graph.clone(), stores.clock.clone(), quiet, make);
    maintenance.start_upkeep(upkeep);
}

/// How many jobs of each type run at once.
fn concurrency(config: &Config) -> BTreeMap<JobType, u32> {
    BTreeMap::from([
        (JobType::Ingestion, config.workers),
        (JobType::Reindex, config.reindex_workers),
        (JobType::Clustering, CLUSTERINGS),
    ])
}

fn server_config(config: &Config, address: SocketAddr, tls: Option<Arc<Tls>>) -> ServerConfig {
    let access = AccessPolicy::for_address(address, &config.allowed_hosts, &config.allowed_origins);
    ServerConfig {
        access: if tls.is_some() { access.over_tls() } else { access },
        tls,
        limits: Limits {
            file_bytes: config.max_file_bytes,
            connections: config.connections,
            connections_per_address: config.connections_per_address,
            idle: config.idle,
            ..Limits::default()
        },
        build: BuildInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            git: option_env!("GRAPHMILL_GIT").map(str::to_owned),
            schema: vec![
                ("jobs".to_owned(), u64::from(SqliteJobStore::SCHEMA_VERSION.unsigned_abs())),
                ("graph".to_owned(), EmbeddedGraph::SCHEMA_VERSION.unsigned_abs()),
            ],
        },
        workers: concurrency(config),
        ..ServerConfig::default()
    }
}

/// What `GET /version` says, without a server.
pub(crate) fn version() -> serde_json::Value {
    let mut version = serde_json::json!({
        "name": "graphmill",
        "version": env!("CARGO_PKG_VERSION"),
        "schema": {"jobs": SqliteJobStore::SCHEMA_VERSION, "graph": EmbeddedGraph::SCHEMA_VERSION},
    });
    if let Some(git) = option_env!("GRAPHMILL_GIT") {
        version["git"] = git.into();
    }
    version
}

/// Notices when there is room again; that it is gone is noticed by whoever writes.
async fn watch_disk(disk: Arc<DiskGuard>) {
    let mut tick = tokio::time::interval(DISK_CHECK);
    loop {
        tick.tick().await;
        let disk = disk.clone();
        let checked = tokio::task::spawn_blocking(move || disk.check()).await;
        if let Ok(Err(error)) = checked {
            tracing::warn!(%error, "the room on the disk could not be looked at");
        }
    }
}
