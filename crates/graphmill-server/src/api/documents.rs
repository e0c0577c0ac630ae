//! `/api/documents`.

pub(crate) mod chunks;
pub(crate) mod delete;
pub(crate) mod list;
pub(crate) mod show;
