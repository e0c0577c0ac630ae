//! The export by way of a spool: an embedded graph in a folder of its own, filled by a copy, whose own export is then handed out. So it is the same to the
//! byte, and a slow reader holds back nothing on the server.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::stream::BoxStream;
use graphmill_core::CollectionId;

use super::Neo4jGraph;
use crate::copy::{CopyOptions, copy_collection};
use crate::embedded::{EmbeddedGraph, EmbeddedOptions};
use crate::{Error, GraphStore, Result};

/// Beginning of the names of spools.
const PREFIX: &str = "graph-export-";

/// A folder that goes when this does.
struct Spool(PathBuf);

impl Spool {
    fn make(under: &Path) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = under.join(format!("{PREFIX}{}-{number}", std::process::id()));
        // What a process of the same number left behind.
        remove(&path)?;
        std::fs::create_dir_all(&path).map_err(|error| spool_error(&path, &error))?;
        Ok(Self(path))
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "the spool of an export stays until the next start");
        }
    }
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(spool_error(path, &error)),
        _ => Ok(()),
    }
}

fn spool_error(path: &Path, error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::StorageFull => {
            Error::Full(format!("no room for the spool of the export, {}: {error}", path.display()))
        }
        _ => Error::Backend(format!("the spool of the export, {}, failed: {error}", path.display())),
    }
}

/// Removes spools of processes that died. Nobody else exports into this folder: it belongs to who has the data folder's lock.
pub(super) fn forget_spools(under: &Path) {
    let Ok(entries) = std::fs::read_dir(under) else { return };
    for entry in entries.flatten() {
        let own = format!("{PREFIX}{}-", std::process::id());
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(PREFIX) && !name.starts_with(&own) {
            drop(Spool(entry.path()));
        }
    }
}

/// See [`crate::GraphStore::export`].
pub(super) async fn export(graph: &Neo4jGraph, collection: &CollectionId) -> Result<BoxStream<'static, Result<Bytes>>> {
    let ended = |e| Error::Backend(format!("the export did not end: {e}"));
    let (under, clock) = (graph.spool.clone(), Arc::clone(&graph.clock));
    let opened = tokio::task::spawn_blocking(move || {
        let spool = Spool::make(&under)?;
        let copy = EmbeddedGraph::open(EmbeddedOptions::new(spool.0.join("graph.db"), clock))?;
        Ok::<_, Error>((spool, copy))
    });
    let (spool, copy) = opened.await.map_err(ended)??;
    let whole = fill(graph, &copy, collection).await;
    // Written by now, as a file without a name: the copy itself is needed no more.
    tokio::task::spawn_blocking(move || {
        drop(copy);
        drop(spool);
    })
    .await
    .map_err(ended)?;
    whole
}

async fn fill(
    graph: &Neo4jGraph,
    copy: &EmbeddedGraph,
    collection: &CollectionId,
) -> Result<BoxStream<'static, Result<Bytes>>> {
    copy_collection(graph, copy, collection, CopyOptions { vectors: false }, &mut |_| {}).await?;
    copy.export(collection).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spools_go_with_their_owner_and_those_of_the_dead_at_the_next_start() {
        let under = tempfile::tempdir().unwrap();
        let names = || std::fs::read_dir(under.path()).unwrap().count();
        let spool = Spool::make(under.path()).unwrap();
        std::fs::write(spool.0.join("graph.db"), "rows").unwrap();
        std::fs::create_dir(under.path().join(format!("{PREFIX}0-7"))).unwrap();
        std::fs::write(under.path().join("something.else"), "").unwrap();
        forget_spools(under.path());
        assert!(spool.0.join("graph.db").exists());
        assert_eq!(names(), 2, "the other's is gone");
        drop(spool);
        assert_eq!(names(), 1);
    }
}
