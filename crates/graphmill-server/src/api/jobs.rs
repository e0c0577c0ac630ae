//! `/api/jobs`.

pub(crate) mod cancel;
pub(crate) mod cleanup;
pub(crate) mod delete;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod retry;
pub(crate) mod show;
pub(crate) mod stream;
pub(crate) mod submit;
