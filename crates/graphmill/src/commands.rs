//! The commands, one file each.

pub(crate) mod backup;
pub(crate) mod collections;
pub(crate) mod export;
pub(crate) mod ingest;
pub(crate) mod jobs;
pub(crate) mod key;
pub(crate) mod restore;
pub(crate) mod serve;
pub(crate) mod stats;
