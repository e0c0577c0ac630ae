//! Copies a collection from one graph into another, whatever the backends: documents one by one, each whole and under its own ticket, then the layers.
//! What is there already is passed over, so that a copy that was interrupted goes on, and one that is repeated brings the difference. The other way in
//! which a graph is read whole, the export of a backend without snapshots, is such a copy into a spool.

mod documents;
mod layers;

use graphmill_core::CollectionId;

use crate::{GraphStore, Result};

/// What of a collection is copied.
#[derive(Debug, Clone, Copy)]
pub struct CopyOptions {
    /// Vectors too. Without them the copy has the same export, and nothing that is similar is found in it.
    pub vectors: bool,
}

/// What a copy did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Documents that were copied.
    pub documents: u64,
    /// Their chunks.
    pub chunks: u64,
    /// Documents that were there under the same ticket.
    pub passed_over: u64,
    /// Documents that the source does not have (any more), taken out.
    pub removed: u64,
    /// Rows of similarities.
    pub similarities: u64,
    /// Communities.
    pub communities: u64,
}

/// Copies a collection; `told` hears of each document. Documents that change meanwhile are copied again; one that changes all the while is copied as it
/// was at some moment.
///
/// # Errors
/// Those of either graph, and [`crate::Error::Invalid`] when the target has a newer version of a document: it is no copy of this source.
pub async fn copy_collection(
    from: &dyn GraphStore,
    to: &dyn GraphStore,
    collection: &CollectionId,
    options: CopyOptions,
    told: &mut (dyn FnMut(&Copied) + Send),
) -> Result<Copied> {
    let mut copied = Copied::default();
    to.ensure_collection(collection).await?;
    let spaces = documents::spaces(from, to, collection, options).await?;
    documents::copy(from, to, collection, &spaces, &mut copied, told).await?;
    layers::copy(from, to, collection, &spaces, &mut copied).await?;
    told(&copied);
    Ok(copied)
}
