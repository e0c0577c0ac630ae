#![doc = include_str!("../README.md")]

mod access;
mod api;
mod app_state;
mod auth;
mod backup_source;
mod body;
mod caller;
mod error;
mod idempotency;
mod key_ring;
mod known_params;
mod metrics;
mod multipart;
mod openapi;
mod params;
mod path;
mod router;
mod scope;
mod serve;
mod stream;
#[cfg(test)]
mod tenancy;
#[cfg(test)]
mod test_server;

pub use access::AccessPolicy;
pub use api::search::QueryEmbedder;
pub use app_state::{AppState, BuildInfo, Limits, ServerConfig, Services, Shared};
pub use backup_source::{BackupRefused, BackupSource};
pub use error::{Error, Result, status_of};
pub use key_ring::{KeyPolicy, KeyRing};
pub use router::router;
pub use scope::Scope;
pub use serve::{Tls, serve};
pub use stream::StreamConfig;
