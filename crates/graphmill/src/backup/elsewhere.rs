//! A graph on a server of its own is not ours to back up.

use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use graphmill_server::{BackupRefused, BackupSource};

/// Says how jobs and graph are kept together when the graph is on a Neo4j server: an archive of the folder alone would restore jobs without
/// their graph.
pub(crate) struct GraphElsewhere;

#[async_trait]
impl BackupSource for GraphElsewhere {
    async fn begin(&self) -> Result<BoxStream<'static, io::Result<Bytes>>, BackupRefused> {
        Err(BackupRefused::Elsewhere)
    }
}
