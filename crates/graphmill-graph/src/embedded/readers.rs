//! Connections that read. Each read is one transaction, so that all its statements see the same state.

use std::sync::Arc;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::open::{EmbeddedOptions, open_reader};
use crate::{Error, Result};

/// A bounded pool; a read waits for a free connection, never for the writer.
pub(super) struct Readers {
    options: EmbeddedOptions,
    free: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    pub(super) fn new(options: EmbeddedOptions) -> Self {
        let free = Arc::new(Semaphore::new(options.readers.max(1)));
        Self { options, free, idle: Arc::default() }
    }

    /// Runs `read` on a thread that may block.
    pub(super) async fn read<T, F>(&self, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T> + Send + 'static,
    {
        let ended = |e: &dyn std::fmt::Display| Error::Backend(format!("a read of the graph did not end: {e}"));
        let permit = Arc::clone(&self.free).acquire_owned().await.map_err(|e| ended(&e))?;
        let (idle, options) = (Arc::clone(&self.idle), self.options.clone());
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let taken = idle.lock().pop();
            let conn = match taken {
                Some(conn) => conn,
                None => open_reader(&options)?,
            };
            let answer = in_snapshot(&conn, read);
            if conn.is_autocommit() {
                idle.lock().push(conn);
            }
            answer
        });
        task.await.map_err(|e| ended(&e))?
    }

    /// A connection of its own, for what reads longer than a request.
    pub(super) fn own(&self) -> Result<Connection> {
        open_reader(&self.options)
    }
}

/// Runs `read` in one read transaction.
pub(super) fn in_snapshot<T>(conn: &Connection, read: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    conn.prepare_cached("BEGIN")?.execute([])?;
    let answer = read(conn);
    conn.prepare_cached("ROLLBACK")?.execute([])?;
    answer
}
