//! The log of a followed job, for streams that asked for it.

use std::time::Duration;

use graphmill_core::{JobId, Timestamp};
use graphmill_store::records::LogRecord;
use graphmill_store::requests::LogQuery;
use graphmill_store::{Error, JobStore};

/// Lines read at once.
const PAGE: u32 = 500;

/// How far a stream has sent the log. Lines of one millisecond may lie on both sides of a read, so the position is the instant of the last
/// line and how many lines of that instant were sent.
#[derive(Debug, Default)]
pub(super) struct LogPosition {
    at: Option<Timestamp>,
    sent_at: u32,
}

impl LogPosition {
    /// From this instant on, its own lines included; `None` = from the first line.
    pub(super) fn starting_at(at: Option<Timestamp>) -> Self {
        Self { at, sent_at: 0 }
    }

    /// The next lines, oldest first; none when all were read.
    pub(super) async fn next(&mut self, store: &dyn JobStore, job: JobId) -> Result<Vec<LogRecord>, Error> {
        let before = |at: Timestamp| Timestamp::from_millis(at.as_millis() - 1);
        let query = LogQuery {
            level: None,
            after: self.at.map(before),
            descending: false,
            limit: PAGE.saturating_add(self.sent_at),
        };
        let lines = store.logs(job, &query).await?.logs;
        let known = self.at.map_or(0, |at| lines.iter().take_while(|l| l.timestamp == at).count());
        let skip = known.min(self.sent_at as usize);
        let fresh: Vec<LogRecord> = lines.into_iter().skip(skip).collect();
        for line in &fresh {
            if self.at == Some(line.timestamp) {
                self.sent_at += 1;
            } else {
                (self.at, self.sent_at) = (Some(line.timestamp), 1);
            }
        }
        Ok(fresh)
    }
}

/// How often a stream with log lines looks for new ones while nothing else happens.
pub(super) const LOG_EVERY: Duration = Duration::from_millis(500);
