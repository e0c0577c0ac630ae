//! Where a backup comes from: the binary knows the backends.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

/// Makes backups of all stores.
#[async_trait]
pub trait BackupSource: Send + Sync + 'static {
    /// Begins a backup of this moment; the archive comes piece by piece. Dropping the stream gives it up.
    async fn begin(&self) -> Result<BoxStream<'static, io::Result<Bytes>>, BackupRefused>;
}

/// Why no backup is made.
#[derive(Debug, thiserror::Error)]
pub enum BackupRefused {
    /// One at a time.
    #[error("another backup is being made")]
    Running,
    /// No room for the copies.
    #[error("{0}")]
    Full(String),
    /// The graph is on a server of its own.
    #[error("the graph is on a Neo4j server, which makes its own backups")]
    Elsewhere,
    /// A store could not be read.
    #[error("{0}")]
    Failed(String),
}
