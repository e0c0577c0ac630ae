//! Jobs in one SQLite file. Writes go through one thread with group commit, lease renewals through another, reads through a small pool.
//!
//! The order of (created_at, key) is that of (created_at, id), since ids rise with keys (`ids.rs`).

mod accept;
mod answers;
mod claim;
mod collection_delete;
mod collection_store;
mod collections;
mod connection;
mod counters;
mod documents;
mod ending;
mod events;
mod hold;
mod housekeeping;
mod ids;
mod journal;
mod keys;
mod lease;
mod list;
mod list_by_text;
mod open;
mod parking;
mod quota;
mod read;
mod readers;
mod row;
mod store;
mod transition;
mod types;
mod wanted;
mod work;
pub(crate) mod writer;

pub(crate) use connection::{Schema, open_writer, wal_path};
pub use hold::{Hold, Ingested};
pub use open::{SqliteJobStore, SqliteOptions};
pub(crate) use readers::Readers;
