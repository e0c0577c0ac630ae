//! skeleton of the crate; the trait is decided

mod error;
pub mod job_store;
pub mod records;
pub mod requests;

pub use error::{Error, Result};
pub use job_store::JobStore;
