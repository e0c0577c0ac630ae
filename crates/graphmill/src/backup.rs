//! Backups of the embedded stores: jobs, graph, vectors, cache and blobs of one moment, in one tar archive.
//!
//! The first entry says what the archive is, then come the databases and the blobs, and the last entry counts and hashes all between. An archive
//! without its last entry is no backup, so that one that broke off anywhere cannot be restored.

mod archive;
mod elsewhere;
mod source;

pub(crate) use archive::{Beginning, End, Place, read};
pub(crate) use elsewhere::GraphElsewhere;
pub(crate) use source::EmbeddedBackup;

/// Version of the archive's layout.
const FORMAT: u32 = 1;
/// First entry.
const FIRST: &str = "graphmill-backup.json";
/// Last entry.
const LAST: &str = "end.json";
/// The database of jobs, by entry.
pub(crate) const JOBS: &str = "jobs.db";
/// That of documents, chunks, vectors, entities and layers.
pub(crate) const GRAPH: &str = "graph.db";
/// That of what model servers answered.
pub(crate) const CACHE: &str = "cache.db";
/// The databases, by entry.
pub(crate) const DATABASES: [&str; 3] = [JOBS, GRAPH, CACHE];
/// Where blobs stand in the archive and in a data folder.
pub(crate) const BLOBS: &str = "blobs";
