#![doc = include_str!("../README.md")]

mod migrate;
#[cfg(feature = "conformance")]
mod shape;
mod snapshot;

pub use migrate::{Error, Step, migrate};
#[cfg(feature = "conformance")]
pub use shape::shape;
pub use snapshot::{Snapshot, SnapshotError};
