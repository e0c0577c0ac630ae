#![doc = include_str!("../README.md")]

mod log;
mod migrate;
#[cfg(feature = "conformance")]
mod shape;
mod snapshot;

pub use log::empty_log;
pub use migrate::{Error, Step, migrate};
#[cfg(feature = "conformance")]
pub use shape::shape;
pub use snapshot::{Snapshot, SnapshotError};
