//! What concerns the derived data of a collection as a whole.

pub(crate) mod reindex;
