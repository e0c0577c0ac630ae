//! `/api/graph`.

pub(crate) mod export;
pub(crate) mod stats;
