//! Writes held for a moment, so that a backup reads several stores at one.

use std::sync::mpsc;
use std::time::Duration;

use graphmill_sqlite::Snapshot;

use super::EmbeddedGraph;
use super::writer::Safety;
use crate::{Error, Result};

/// Longest time for which writes are held: whoever holds them must not stop the graph for ever.
const LONGEST: Duration = Duration::from_secs(5);

/// While it lives (5 s at most) nothing is written to the graph.
pub struct Hold(#[allow(dead_code)] mpsc::Sender<()>);

impl EmbeddedGraph {
    /// Waits for what is being written and holds what comes after it.
    ///
    /// # Errors
    /// The writer has ended.
    pub async fn hold(&self) -> Result<Hold> {
        let (hold, wait) = mpsc::channel::<()>();
        let (held, is_held) = tokio::sync::oneshot::channel();
        let write = self.writer.write(Safety::Process, None, move |_| {
            let _ = held.send(());
            // Ends when the other side is dropped.
            let _ = wait.recv_timeout(LONGEST);
            Ok(())
        });
        tokio::select! {
            held = is_held => held.map_err(|_| Error::Backend("the writer thread of the graph has ended; restart the server".into()))?,
            ended = write => ended?,
        }
        Ok(Hold(hold))
    }

    /// The graph as it stands. Blocking, short.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot::begin(&self.path)?)
    }

    /// Keys of the blobs that the documents of a snapshot name, rising. Blocking.
    ///
    /// # Errors
    /// The snapshot cannot be read.
    pub fn blobs_named_in(snapshot: &Snapshot) -> Result<Vec<String>> {
        let sql = "SELECT original FROM document WHERE original IS NOT NULL \
                   UNION SELECT page_text FROM document WHERE page_text IS NOT NULL ORDER BY 1";
        let mut statement = snapshot.conn().prepare(sql)?;
        let keys = statement.query_map([], |row| row.get(0))?;
        Ok(keys.collect::<rusqlite::Result<_>>()?)
    }

    /// The highest ticket that a snapshot knows, 0 where nothing was ever published. Blocking.
    ///
    /// # Errors
    /// The snapshot cannot be read.
    pub fn highest_seq_in(snapshot: &Snapshot) -> Result<graphmill_core::Seq> {
        super::collections::highest_seq(snapshot.conn())
    }
}
