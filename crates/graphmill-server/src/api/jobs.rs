//! `/api/jobs`.

pub(crate) mod all_events;
mod bulk;
pub(crate) mod bulk_cancel;
pub(crate) mod bulk_delete;
pub(crate) mod bulk_retry;
pub(crate) mod cancel;
pub(crate) mod cleanup;
pub(crate) mod delete;
pub(crate) mod events;
pub(crate) mod list;
pub(crate) mod logs;
pub(crate) mod retry;
pub(crate) mod show;
pub(crate) mod stream;
pub(crate) mod submit;
