//! Makes the archive while jobs run.
//!
//! The moment: writes of both stores are held, a read transaction is begun on each, and the writes go on. The databases are copied from these
//! transactions before anything is sent, so that a slow reader holds no log; blobs are pinned from before the moment to the end.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use graphmill_core::{Clock, fault_point};
use graphmill_graph::embedded::EmbeddedGraph;
use graphmill_server::{BackupRefused, BackupSource};
use graphmill_sqlite::Snapshot;
use graphmill_store::{Blobs, SqliteContentCache, SqliteJobStore};
use tokio::sync::{Semaphore, mpsc};

use super::archive::{Archive, Beginning};
use super::{BLOBS, DATABASES};

/// Copies of the databases while a backup is made.
const COPIES: &str = "unfinished-backup";
/// Writes are held for 5 s at most; a moment that took longer than this may be two.
const LONGEST_MOMENT: Duration = Duration::from_secs(4);
/// Bytes of a piece of the archive, and pieces that may wait for a slow reader.
const PIECE: usize = 256 * 1024;
const PIECES_AHEAD: usize = 8;

/// The embedded stores of a data folder.
#[derive(Clone)]
pub(crate) struct EmbeddedBackup {
    jobs: Arc<SqliteJobStore>,
    graph: Arc<EmbeddedGraph>,
    cache: Arc<SqliteContentCache>,
    blobs: Blobs,
    clock: Arc<dyn Clock>,
    folder: PathBuf,
    one: Arc<Semaphore>,
}

/// The stores at one moment.
struct Moment {
    at: String,
    databases: [Snapshot; 3],
}

impl EmbeddedBackup {
    /// Removes what a killed backup left.
    pub(crate) fn new(
        jobs: Arc<SqliteJobStore>,
        graph: Arc<EmbeddedGraph>,
        cache: Arc<SqliteContentCache>,
        blobs: Blobs,
        clock: Arc<dyn Clock>,
        folder: &Path,
    ) -> Self {
        let _ = std::fs::remove_dir_all(folder.join(COPIES));
        Self { jobs, graph, cache, blobs, clock, folder: folder.to_owned(), one: Arc::new(Semaphore::new(1)) }
    }

    async fn moment(&self) -> anyhow::Result<Moment> {
        let began = Instant::now();
        // Jobs first: what the graph publishes before it is held too is found published when its job goes on.
        let held = (self.jobs.hold().await?, self.graph.hold().await?);
        let (jobs, graph, cache) = (self.jobs.clone(), self.graph.clone(), self.cache.clone());
        let databases =
            tokio::task::spawn_blocking(move || anyhow::Ok([jobs.snapshot()?, graph.snapshot()?, cache.snapshot()?]));
        let databases = databases.await??;
        let at = self.clock.now().to_string();
        drop(held);
        anyhow::ensure!(
            began.elapsed() < LONGEST_MOMENT,
            "the stores were too busy to be held for a moment; try again"
        );
        fault_point!("backup.moment");
        Ok(Moment { at, databases })
    }

    fn beginning(&self, at: String) -> Beginning {
        Beginning::new(at, i64::from(SqliteJobStore::SCHEMA_VERSION), EmbeddedGraph::SCHEMA_VERSION)
    }

    /// Blocking. The blobs that the moment names, and copies of its databases on disk.
    fn copy(&self, moment: &Moment, copies: &Copies) -> anyhow::Result<Vec<String>> {
        let mut keys = SqliteJobStore::blobs_named_in(&moment.databases[0])?;
        keys.extend(EmbeddedGraph::blobs_named_in(&moment.databases[1])?);
        keys.sort_unstable();
        keys.dedup();
        for (name, snapshot) in DATABASES.iter().zip(&moment.databases) {
            snapshot.copy_to(&copies.0.join(name))?;
        }
        fault_point!("backup.copied");
        Ok(keys)
    }

    /// Blocking. Writes the archive.
    fn write(&self, beginning: &Beginning, copies: &Copies, keys: &[String], out: impl Write) -> io::Result<()> {
        let mut archive = Archive::begin(out, beginning)?;
        for name in DATABASES {
            let file = File::open(copies.0.join(name))?;
            archive.add(name, file.metadata()?.len(), file)?;
        }
        fault_point!("backup.databases_written");
        for key in keys {
            let path = self.blobs.local_path(key).map_err(io::Error::other)?;
            match File::open(&path) {
                Ok(file) => archive.add(&format!("{BLOBS}/{key}"), file.metadata()?.len(), file)?,
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    tracing::warn!(
                        blob = key,
                        "a file that a job or document names is not there; the backup goes on without it"
                    );
                    archive.miss(key);
                }
                Err(e) => return Err(e),
            }
        }
        archive.end()?.flush()
    }
}

#[async_trait]
impl BackupSource for EmbeddedBackup {
    async fn begin(&self) -> Result<BoxStream<'static, io::Result<Bytes>>, BackupRefused> {
        let permit = self.one.clone().try_acquire_owned().map_err(|_| BackupRefused::Running)?;
        let failed = |e: anyhow::Error| match e.downcast_ref::<io::Error>() {
            Some(e) if e.kind() == io::ErrorKind::StorageFull => BackupRefused::Full(e.to_string()),
            _ => BackupRefused::Failed(format!("{e:#}")),
        };
        let pin = self.blobs.pin();
        let copies = Copies::make(self.folder.join(COPIES)).map_err(|e| failed(e.into()))?;
        copies.check_room(&self.folder)?;
        let moment = self.moment().await.map_err(failed)?;
        let source = self.clone();
        let copied = tokio::task::spawn_blocking(move || {
            let keys = source.copy(&moment, &copies)?;
            anyhow::Ok((source.beginning(moment.at), copies, keys))
        });
        let copied = copied.await.map_err(|e| BackupRefused::Failed(e.to_string()))?;
        let (beginning, copies, keys) = copied.map_err(failed)?;
        let (pieces, receiver) = mpsc::channel(PIECES_AHEAD);
        let source = self.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let writing = tokio::task::spawn_blocking(move || {
                let out = io::BufWriter::with_capacity(PIECE, Pieces(pieces.clone()));
                if let Err(e) = source.write(&beginning, &copies, &keys, out) {
                    tracing::warn!(error = %e, "a backup broke off");
                    let _ = pieces.blocking_send(Err(e));
                }
            });
            let _ = writing.await;
            if let Err(e) = pin.release().await {
                tracing::warn!(error = %e, "a blob that was to be removed during a backup stays until the next sweep");
            }
        });
        Ok(stream::unfold(receiver, |mut r| async { r.recv().await.map(|piece| (piece, r)) }).boxed())
    }
}

/// The folder of the copies; goes with them.
struct Copies(PathBuf);

impl Copies {
    fn make(path: PathBuf) -> io::Result<Self> {
        match std::fs::remove_dir_all(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        std::fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// Refuses at once what would fill the disk that jobs need.
    fn check_room(&self, folder: &Path) -> Result<(), BackupRefused> {
        let size = |name: &str| {
            let of = |suffix: &str| std::fs::metadata(folder.join(format!("{name}{suffix}"))).map_or(0, |m| m.len());
            of("") + of("-wal")
        };
        let needed: u64 = DATABASES.into_iter().map(size).sum();
        let Ok(disk) = rustix::fs::statvfs(&self.0) else { return Ok(()) };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if needed + SPARE <= free {
            return Ok(());
        }
        Err(BackupRefused::Full(format!(
            "a backup copies the databases beside themselves first ({} MB), and the disk of the data folder has {} MB free",
            needed.div_ceil(1 << 20),
            free >> 20
        )))
    }
}

/// What a backup leaves free for jobs.
const SPARE: u64 = 64 << 20;

impl Drop for Copies {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Sends what is written; a reader that is gone ends the writing.
struct Pieces(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        fault_point!("backup.piece");
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "nobody reads the backup any more"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
