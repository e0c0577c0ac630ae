//! The commands, one file each.

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod collections;
pub(crate) mod communities;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod doctor;
pub(crate) mod documents;
pub(crate) mod entities;
pub(crate) mod export;
pub(crate) mod graph;
pub(crate) mod ingest;
pub(crate) mod jobs;
pub(crate) mod key;
pub(crate) mod layers;
pub(crate) mod restore;
pub(crate) mod search;
pub(crate) mod serve;
pub(crate) mod stats;

use std::process::ExitCode;

/// Exit code of a command over several things: 0 all went well, 3 some failed, 1 all did.
pub(crate) fn code_of(failed: usize, all: usize) -> ExitCode {
    match failed {
        0 => ExitCode::SUCCESS,
        n if n == all => ExitCode::from(1),
        _ => ExitCode::from(3),
    }
}
