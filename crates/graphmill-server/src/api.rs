//! The endpoints, one file each: handler, its error cases, its description and its tests together.

pub(crate) mod backup;
pub(crate) mod collections;
pub(crate) mod documents;
pub(crate) mod graph;
pub(crate) mod health;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod paging;
pub(crate) mod search;
pub(crate) mod shape;
pub(crate) mod upload;
