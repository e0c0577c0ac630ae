//! The embedded graph against the conformance suite, and what is its own.

mod crash;
mod damage;
mod entity_orders;
mod migrations;
mod nothing_left;
mod search_index;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use graphmill_core::{ManualClock, Timestamp};
use graphmill_graph::conformance::{Backend, TestGraph};
use graphmill_graph::{EmbeddedGraph, EmbeddedOptions, Result};

struct Embedded;

#[async_trait]
impl Backend for Embedded {
    async fn empty(&self) -> TestGraph {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let options = EmbeddedOptions::new(folder.path().join("graph.db"), clock.clone());
        TestGraph { store: Arc::new(EmbeddedGraph::open(options).unwrap()), clock, keep: Box::new(folder) }
    }
}

mod conformance {
    use super::Embedded;

    graphmill_graph::graph_conformance!(Embedded);
}

/// Opens the graph of a folder, as the server does.
fn open(folder: &Path) -> Result<EmbeddedGraph> {
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
    EmbeddedGraph::open(EmbeddedOptions::new(folder.join("graph.db"), clock))
}
