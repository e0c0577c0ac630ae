//! Whether the server lives, is ready, and what it is.

pub(crate) mod live;
pub(crate) mod ready;
pub(crate) mod version;
