//! A small pool of read-only connections, used on blocking threads.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::connection::open_reader;
use crate::{Error, Result};

/// Connections are opened when first needed: an idle server holds none.
#[derive(Clone)]
pub(crate) struct Readers {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Arc<Semaphore>,
}

impl Readers {
    /// At most `size` reads at a time.
    pub(crate) fn new(path: PathBuf, size: usize) -> Self {
        let permits = Arc::new(Semaphore::new(size.max(1)));
        Self { shared: Arc::new(Shared { path, idle: Mutex::new(Vec::new()), permits }) }
    }

    /// The file.
    pub(crate) fn path(&self) -> &std::path::Path {
        &self.shared.path
    }

    /// Empties the write-ahead log; `false`: somebody reads an earlier state.
    pub(crate) async fn empty_log(&self) -> Result<bool> {
        let path = self.shared.path.clone();
        let task = tokio::task::spawn_blocking(move || graphmill_sqlite::empty_log(&path));
        Ok(task.await.map_err(|e| Error::Backend(format!("a log could not be emptied: {e}")))??)
    }

    /// Runs `read` on one snapshot of the file.
    pub(crate) async fn read<T, F>(&self, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let stopped = |what: &str| Error::Backend(format!("the read was stopped: {what}"));
        let permits = Arc::clone(&self.shared.permits);
        let permit = permits.acquire_owned().await.map_err(|e| stopped(&e.to_string()))?;
        let shared = Arc::clone(&self.shared);
        let task = tokio::task::spawn_blocking(move || {
            let idle = shared.idle.lock().pop();
            let mut conn = match idle {
                Some(conn) => conn,
                None => open_reader(&shared.path)?,
            };
            let answer = {
                let snapshot = conn.transaction()?;
                let answer = read(&snapshot);
                snapshot.finish()?;
                answer
            };
            shared.idle.lock().push(conn);
            drop(permit);
            answer
        });
        task.await.map_err(|e| stopped(&e.to_string()))?
    }
}
