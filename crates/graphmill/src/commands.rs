//! The commands, one file each.

pub mod export;
pub mod ingest;
pub mod jobs;
pub mod serve;
pub mod stats;
