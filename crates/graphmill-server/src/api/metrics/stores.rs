//! How things stand in the stores and on the disk.

use std::fmt::Display;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use graphmill_core::metrics::Readings;
use graphmill_core::{JobStatus, JobType};
use graphmill_graph::GraphStore;
use graphmill_store::records::JobTypeRecord;
use graphmill_store::{DiskGuard, JobStore};

use crate::AppState;

/// How long a store may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The layers of all collections.
#[derive(Debug, Default, PartialEq)]
struct Layers {
    /// Chunks without a vector, of all collections.
    chunks_without_vector: u64,
    /// Collections whose layer is stale: embeddings, similarities, communities.
    stale: [u64; 3],
    /// Most publications that a layer is behind: similarities, communities.
    behind: [u64; 2],
}

/// Asks both stores.
pub(super) async fn read(state: &AppState, readings: &Readings) {
    let (jobs, graph) = tokio::join!(asked("jobs", queue(state.jobs())), asked("graph", layers(state.graph())));
    let up = [("jobs", jobs.is_some()), ("graph", graph.is_some())];
    let up = up.map(|(store, up)| (vec![store], f64::from(u8::from(up))));
    readings.gauges("graphmill_store_up", "Whether a store answered for these measures.", &["store"], up);
    if let Some((types, ages, collections)) = jobs {
        tell_jobs(&types, &ages, readings);
        readings.gauge("graphmill_collections", "Collections that there are.", collections as f64);
    }
    if let Some(layers) = graph {
        tell_layers(&layers, readings);
    }
}

async fn asked<T, E: Display>(store: &str, question: impl Future<Output = Result<T, E>>) -> Option<T> {
    match tokio::time::timeout(PATIENCE, question).await {
        Ok(Ok(answer)) => return Some(answer),
        Ok(Err(error)) => tracing::warn!(store, %error, "a store could not be measured"),
        Err(_) => tracing::warn!(store, "a store did not answer in time and could not be measured"),
    }
    None
}

/// Types of jobs, how long the oldest due one of each waits, and how many collections there are.
type Queue = (Vec<JobTypeRecord>, Vec<(JobType, Duration)>, u64);

async fn queue(jobs: &dyn JobStore) -> graphmill_store::Result<Queue> {
    Ok((jobs.job_types(None).await?, jobs.queue_ages().await?, jobs.collections(0, 1).await?.1))
}

async fn layers(graph: &dyn GraphStore) -> graphmill_graph::Result<Layers> {
    let mut all = Layers::default();
    for collection in graph.collections().await? {
        let report = graph.layer_report(&collection).await?;
        all.chunks_without_vector += report.embeddings.chunks_without_vector;
        let stale = [report.embeddings.stale, report.similarities.stale, report.communities.stale];
        stale.into_iter().zip(&mut all.stale).for_each(|(stale, n)| *n += u64::from(stale));
        let behind = [report.similarities.behind, report.communities.behind];
        behind.into_iter().zip(&mut all.behind).for_each(|(behind, most)| *most = behind.max(*most));
    }
    Ok(all)
}

fn tell_jobs(types: &[JobTypeRecord], ages: &[(JobType, Duration)], readings: &Readings) {
    let count = |t: &JobTypeRecord, state: JobStatus| t.counts.iter().find(|(s, _)| *s == state).map_or(0, |(_, n)| *n);
    let counts = types
        .iter()
        .flat_map(|t| JobStatus::ALL.iter().map(move |s| (vec![t.job_type.as_str(), s.as_str()], count(t, *s) as f64)));
    readings.gauges("graphmill_jobs", "Jobs by type and state.", &["job_type", "state"], counts);
    let age = |job_type| ages.iter().find(|(t, _)| *t == job_type).map_or(0.0, |(_, age)| age.as_secs_f64());
    let ages = types.iter().map(|t| (vec![t.job_type.as_str()], age(t.job_type)));
    let help = "How long the pending job that has been due longest waits; 0 when none is due.";
    readings.gauges("graphmill_queue_age_seconds", help, &["job_type"], ages);
    let paused = types.iter().map(|t| (vec![t.job_type.as_str()], f64::from(u8::from(t.paused))));
    readings.gauges("graphmill_job_type_paused", "Whether jobs of a type are held back.", &["job_type"], paused);
}

fn tell_layers(layers: &Layers, readings: &Readings) {
    let help = "Live chunks without a vector in the active space of their collection.";
    readings.gauge("graphmill_chunks_without_vector", help, layers.chunks_without_vector as f64);
    let names = ["embeddings", "similarities", "communities"];
    let stale = names.into_iter().zip(layers.stale).map(|(name, n)| (vec![name], n as f64));
    let help = "Collections in which a layer is behind the live documents.";
    readings.gauges("graphmill_layer_stale_collections", help, &["layer"], stale);
    let behind = names[1..].iter().zip(layers.behind).map(|(name, n)| (vec![*name], n as f64));
    let help = "Largest number of publications that a layer is behind in any collection.";
    readings.gauges("graphmill_layer_behind_publications", help, &["layer"], behind);
}

/// Sizes of the files of the databases and room on the disk.
pub(super) fn read_files(databases: &[(&'static str, PathBuf)], disk: &DiskGuard, readings: &Readings) {
    let sizes: Vec<_> = databases.iter().map(|(name, path)| (vec![*name], size(path) as f64)).collect();
    let help = "Bytes of a database on the disk, with the writes that are not yet in its main file.";
    readings.gauges("graphmill_database_size_bytes", help, &["database"], sizes);
    match disk.free_bytes() {
        Ok(free) => readings.gauge("graphmill_disk_free_bytes", "Room on the disk of the data folder.", free as f64),
        Err(error) => tracing::warn!(%error, "the room on the disk could not be measured"),
    }
    let full = f64::from(u8::from(!disk.accepts_uploads()));
    readings.gauge("graphmill_disk_full", "Whether uploads and jobs wait for room on the disk.", full);
}

/// The file and its write-ahead log; what is not there has no bytes.
fn size(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    [path, Path::new(&log)].iter().filter_map(|path| std::fs::metadata(path).ok()).map(|meta| meta.len()).sum()
}
