//! The embedded backend: one SQLite file, one thread that writes, a pool of readers. Nothing but a folder is needed.

mod aliases;
mod check;
mod collection_removal;
mod collections;
mod communities;
mod document_entities;
mod document_list;
mod document_part;
mod documents;
mod entity_detail;
mod entity_list;
mod entity_order;
mod entity_rows;
mod export;
mod filter;
mod folding;
mod found;
mod hold;
mod ids;
mod index;
mod layers;
mod names;
mod open;
mod placements;
mod present_communities;
mod publish;
mod readers;
mod relation_rows;
mod remove;
mod search;
mod similarity_rows;
mod sql_error;
mod staging;
mod staleness;
mod stats;
mod store;
mod upgrade_functions;
mod vectors;
mod writer;

use std::sync::Arc;

use graphmill_core::Clock;

pub use hold::Hold;
use index::SearchIndex;
pub use open::EmbeddedOptions;
use readers::Readers;
use stats::LayerCounts;
use writer::Writer;

use crate::Result;

/// A graph in one SQLite file. One process at a time may have it open (the lock of the data folder sees to that).
pub struct EmbeddedGraph {
    writer: Writer,
    readers: Readers,
    layer_counts: Arc<LayerCounts>,
    index: Arc<SearchIndex>,
    clock: Arc<dyn Clock>,
    path: std::path::PathBuf,
}

impl EmbeddedGraph {
    /// Schema of `graph.db` that this version writes.
    pub const SCHEMA_VERSION: i64 = open::SCHEMA_VERSION;

    /// Opens the graph, made if there is none; brings its schema up. [`crate::Error::Unusable`] says what to do about a file that is damaged,
    /// another program's, or a newer version's.
    pub fn open(options: EmbeddedOptions) -> Result<Self> {
        let conn = open::open_writer(&options)?;
        let (clock, path) = (Arc::clone(&options.clock), options.path.clone());
        let index = Arc::new(SearchIndex::open(&path, &conn));
        let writer = Writer::start(conn)?;
        Ok(Self { writer, readers: Readers::new(options), layer_counts: Arc::default(), index, clock, path })
    }
}
