//! What describes the API itself.

pub(crate) mod docs;
pub(crate) mod openapi;
