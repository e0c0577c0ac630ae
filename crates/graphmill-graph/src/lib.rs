//! skeleton of the crate; the trait is decided

mod error;
pub mod graph_store;
pub mod records;

pub use error::{Error, Result};
pub use graph_store::GraphStore;
