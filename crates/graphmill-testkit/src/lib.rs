#![doc = include_str!("../README.md")]

pub mod app;
pub mod collector;
pub mod exposition;
pub mod fake_models;

pub use app::{AppSettings, TestApp};
pub use collector::TraceCollector;
pub use exposition::Exposition;
pub use fake_models::{FakeConfig, FakeModels, Fault, FaultFor, Mode};

/// Makes ring the TLS provider of this process; harmless when called again.
pub fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
