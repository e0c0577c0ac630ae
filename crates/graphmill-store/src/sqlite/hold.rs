//! Writes held for a moment, so that a backup reads several stores at one.

use std::sync::mpsc;
use std::time::Duration;

use graphmill_sqlite::Snapshot;

use super::SqliteJobStore;
use super::writer::Kind;
use crate::{Error, Result};

/// Longest time for which writes are held: whoever holds them must not stop the store for ever.
const LONGEST: Duration = Duration::from_secs(5);

/// What was ingested, as the store of jobs has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ingested {
    /// Completed ingestions that are still recorded.
    pub jobs: u64,
    /// Published documents.
    pub documents: u64,
}

const HOLD: Kind = Kind { durable: true, reserve: true, fault: None };

/// While it lives (5 s at most) nothing is written to the store but renewals of leases.
pub struct Hold(#[allow(dead_code)] mpsc::Sender<()>);

impl SqliteJobStore {
    /// Waits for what is being written and holds what comes after it.
    ///
    /// # Errors
    /// The writer has ended.
    pub async fn hold(&self) -> Result<Hold> {
        let (hold, wait) = mpsc::channel::<()>();
        let (held, is_held) = tokio::sync::oneshot::channel();
        let mut held = Some(held);
        let write = self.writer.write(HOLD, move |_| {
            if let Some(held) = held.take() {
                let _ = held.send(());
            }
            // Ends when the other side is dropped.
            let _ = wait.recv_timeout(LONGEST);
            Ok(())
        });
        tokio::select! {
            held = is_held => held.map_err(|_| Error::Backend("the writer thread has ended".into()))?,
            ended = write => ended?,
        }
        Ok(Hold(hold))
    }

    /// The store as it stands. Blocking, short.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot::begin(self.readers.path())?)
    }

    /// Keys of the blobs that the jobs of a snapshot name, rising, each once. Blocking.
    ///
    /// # Errors
    /// The snapshot cannot be read.
    pub fn blobs_named_in(snapshot: &Snapshot) -> Result<Vec<String>> {
        let mut statement = snapshot.conn().prepare("SELECT DISTINCT blob FROM blob ORDER BY blob")?;
        let keys = statement.query_map([], |row| row.get(0))?;
        Ok(keys.collect::<rusqlite::Result<_>>()?)
    }

    /// How many ingestions a snapshot says have completed, and how many documents are published: what the graph beside it must hold. Blocking.
    ///
    /// # Errors
    /// The snapshot cannot be read.
    pub fn ingested_in(snapshot: &Snapshot) -> Result<Ingested> {
        let count = |sql: &str| snapshot.conn().query_row(sql, [], |row| row.get::<_, i64>(0));
        let jobs = count("SELECT count(*) FROM job WHERE job_type = 'ingestion' AND status = 'completed'")?;
        let documents = count("SELECT count(*) FROM charge WHERE published_seq IS NOT NULL")?;
        Ok(Ingested { jobs: jobs.unsigned_abs(), documents: documents.unsigned_abs() })
    }
}

impl crate::SqliteContentCache {
    /// The cache as it stands. Blocking, short.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot::begin(self.path())?)
    }
}
