//! The endpoints, one file each: handler, its error cases, its description and its tests together.

pub(crate) mod backup;
pub(crate) mod byte_range;
pub(crate) mod collections;
pub(crate) mod communities;
pub(crate) mod database;
pub(crate) mod description;
pub(crate) mod documents;
pub(crate) mod entities;
pub(crate) mod graph;
pub(crate) mod health;
pub(crate) mod job_types;
pub(crate) mod jobs;
pub(crate) mod keys;
pub(crate) mod metrics;
pub(crate) mod paging;
pub(crate) mod search;
pub(crate) mod shape;
pub(crate) mod upload;
