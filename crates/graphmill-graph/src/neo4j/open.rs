//! A Neo4j database as a graph store.

use std::path::PathBuf;
use std::sync::Arc;

use graphmill_core::Clock;
use tokio::task::JoinHandle;

use super::stats::LayerCounts;
use super::{Neo4jConnection, Neo4jSettings, layers, schema, spaces};
use crate::Result;

/// A graph on a Neo4j server. Several collections and other applications may share its database: everything of ours has a label or a property of ours.
pub struct Neo4jGraph {
    pub(super) neo4j: Neo4jConnection,
    pub(super) clock: Arc<dyn Clock>,
    /// Where spools of exports are made.
    pub(super) spool: PathBuf,
    pub(super) layer_counts: LayerCounts,
    _completion: Completion,
}

/// Goes on with what earlier processes left half done in the layers, beside all else: a large copy takes its time. Ends with the graph.
struct Completion(JoinHandle<()>);

impl Completion {
    fn begin(neo4j: Neo4jConnection) -> Self {
        Self(tokio::spawn(async move {
            if let Err(error) = layers::complete_all(&neo4j).await {
                tracing::warn!(%error, "what is half done in the layers waits for their next runs");
            }
        }))
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Neo4jGraph {
    /// Connects, makes what is missing of the schema and waits for its indexes. `spool`: a folder for what an export needs for a while.
    ///
    /// # Errors
    /// Those of [`Neo4jConnection::connect`]; [`crate::Error::Unusable`]: a newer version of graphmill wrote the graph.
    pub async fn open(settings: Neo4jSettings, clock: Arc<dyn Clock>, spool: PathBuf) -> Result<Self> {
        let neo4j = Neo4jConnection::connect(settings).await?;
        schema::bring_up(&neo4j).await?;
        spaces::ensure_indexes(&neo4j).await?;
        spaces::drop_unused_indexes(&neo4j).await?;
        super::export::forget_spools(&spool);
        let completion = Completion::begin(neo4j.clone());
        Ok(Self { neo4j, clock, spool, layer_counts: LayerCounts::default(), _completion: completion })
    }

    /// The connection, for what is not of a graph store.
    pub fn connection(&self) -> &Neo4jConnection {
        &self.neo4j
    }
}
