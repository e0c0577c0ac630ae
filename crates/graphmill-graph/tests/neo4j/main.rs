//! The Neo4j backend against a real server (`make neo4j`).

mod conformance;
mod connection;
mod faults;
mod layers;
mod reads;

use graphmill_graph::Result;
use graphmill_graph::neo4j::{Neo4jConnection, Neo4jSettings, Timeouts};
use graphmill_testkit::Neo4jServer;
use graphmill_testkit::neo4j::shared::{self, SharedNeo4j};

/// A connection to an empty server that other tests do not see; keep the second part.
async fn connection() -> (Neo4jConnection, SharedNeo4j) {
    let database = tokio::task::spawn_blocking(|| shared::database().unwrap()).await.unwrap();
    let settings = Neo4jSettings::parse(&database.url(), None, None).unwrap();
    (Neo4jConnection::connect(settings).await.unwrap(), database)
}

/// A server of this test alone.
async fn server() -> Neo4jServer {
    tokio::task::spawn_blocking(|| Neo4jServer::start().unwrap()).await.unwrap()
}

fn to(server: &Neo4jServer, timeouts: Timeouts) -> Neo4jConnection {
    Neo4jConnection::new(Neo4jSettings::parse(&server.url(), None, None).unwrap(), timeouts).unwrap()
}

async fn connect(url: &str, user: Option<&str>, password: Option<&str>) -> Result<Neo4jConnection> {
    Neo4jConnection::connect(Neo4jSettings::parse(url, user, password)?).await
}
