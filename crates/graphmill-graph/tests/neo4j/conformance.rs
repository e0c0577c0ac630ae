//! The conformance suite on a real server.

use std::sync::Arc;

use async_trait::async_trait;
use graphmill_core::{ManualClock, Timestamp};
use graphmill_graph::conformance::{Backend, TestGraph};
use graphmill_graph::neo4j::{Neo4jGraph, Neo4jSettings};
use graphmill_testkit::neo4j::shared;

struct Neo4j;

#[async_trait]
impl Backend for Neo4j {
    async fn empty(&self) -> TestGraph {
        let database = tokio::task::spawn_blocking(|| shared::database().unwrap()).await.unwrap();
        let settings = Neo4jSettings::parse(&database.url(), None, None).unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
        let spool = tempfile::tempdir().unwrap();
        let store = Neo4jGraph::open(settings, clock.clone(), spool.path().to_owned()).await.unwrap();
        TestGraph { store: Arc::new(store), clock, keep: Box::new((database, spool)) }
    }
}

graphmill_graph::graph_conformance!(Neo4j);
