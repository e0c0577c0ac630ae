//! `/api/graph`.

pub(crate) mod check;
pub(crate) mod export;
pub(crate) mod stats;
