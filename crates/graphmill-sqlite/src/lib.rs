#![doc = include_str!("../README.md")]

mod migrate;
#[cfg(feature = "conformance")]
mod shape;

pub use migrate::{Error, Step, migrate};
#[cfg(feature = "conformance")]
pub use shape::shape;
