//! Following a job. One feed task per followed job reads the store when the job has changed and keeps what was said as ready-made messages; every
//! reader is a position in it. No reader has a queue: a slow one finds the newest progress when it comes back, and all the rest, in order.

mod all_jobs;
mod all_reader;
mod cursor;
mod feed;
mod hub;
mod log_lines;
mod message;
mod reader;
#[cfg(test)]
mod tests;
mod wire;

use std::time::Duration;

pub(crate) use all_jobs::AllJobs;
pub(crate) use all_reader::AllStream;
pub(crate) use cursor::Cursor;
pub(crate) use hub::StreamHub;
pub(crate) use reader::{Start, respond, run};

/// Settings of job streams.
#[derive(Debug, Clone)]
pub struct StreamConfig {
    /// Between two pings. A client from which nothing came for two and a half of these is gone.
    pub ping_every: Duration,
    /// Between two reads of the store for one job, however often it changes.
    pub pause: Duration,
}

impl Default for StreamConfig {
    fn default() -> Self {
        Self { ping_every: Duration::from_secs(20), pause: Duration::from_millis(25) }
    }
}
