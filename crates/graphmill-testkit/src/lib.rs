#![doc = include_str!("../README.md")]

pub mod app;
pub mod collector;
pub mod exposition;
pub mod fake_models;
#[expect(clippy::result_large_err, reason = "the driver's errors are large, and rarely made")]
pub mod neo4j;

pub use app::{AppSettings, TestApp};
pub use collector::TraceCollector;
pub use exposition::Exposition;
pub use fake_models::{FakeConfig, FakeModels, Fault, FaultFor, Mode};
pub use neo4j::{Neo4jServer, Neo4jSettings};

/// Makes ring the TLS provider of this process; harmless when called again.
pub fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
