//! `/api/job-types`.

pub(crate) mod list;
pub(crate) mod pause;
