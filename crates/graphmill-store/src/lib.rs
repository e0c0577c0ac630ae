#![doc = include_str!("../README.md")]
mod blob_reader;
pub mod blobs;
pub mod cache;
pub mod collection_store;
#[cfg(feature = "conformance")]
pub mod conformance;
mod error;
pub mod folder;
pub mod job_store;
pub mod keys;
pub mod records;
pub mod requests;
pub mod space;
pub mod sqlite;

pub use blob_reader::BlobReader;
pub use blobs::{BlobPin, BlobWriter, Blobs, WrittenBlob};
pub use cache::SqliteContentCache;
pub use collection_store::{CollectionStore, CollectionUse};
pub use error::{Error, Result};
pub use folder::{DataFolder, RunningServer, find_running};
pub use job_store::JobStore;
pub use keys::KeyStore;
pub use space::{DiskGuard, DiskOptions, DiskState};
pub use sqlite::{Hold, Ingested, SqliteJobStore, SqliteOptions};
