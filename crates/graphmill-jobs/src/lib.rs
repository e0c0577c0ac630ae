#![doc = include_str!("../README.md")]

pub mod clustering;
mod error;
pub mod ingestion;
mod interruption;
pub mod layers;
pub mod maintenance;
mod model_call;
pub mod page_text;
pub mod reindex;
mod turns;
mod unnamed_blobs;

pub use error::{Error, Result};
pub use turns::Turns;

/// Failures of ours that are tried again before a job fails, when nobody asked for another number.
pub const USUAL_ATTEMPTS: u32 = 5;
