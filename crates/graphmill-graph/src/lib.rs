#![doc = include_str!("../README.md")]

#[cfg(feature = "conformance")]
pub mod conformance;
pub mod copy;
mod cosine;
mod cursor;
pub mod embedded;
mod error;
pub mod export;
mod facts_column;
mod fold_check;
pub mod folds;
pub mod graph_store;
pub mod listing;
#[expect(clippy::result_large_err, reason = "the driver's errors and values are large, and rarely made")]
pub mod neo4j;
pub mod records;
mod varint;

pub use embedded::{EmbeddedGraph, EmbeddedOptions};
pub use error::{Error, Result};
pub use graph_store::GraphStore;
