//! What describes the API itself.

pub(crate) mod openapi;
