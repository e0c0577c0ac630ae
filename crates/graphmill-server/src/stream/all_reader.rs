//! One client that follows all jobs: a position in the order of events, and what it was told of running jobs.

use std::collections::HashMap;
use std::sync::Arc;

use axum::response::Response;
use graphmill_core::{Clock, JobId};
use graphmill_store::JobStore;
use graphmill_store::requests::EventFilter;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::StreamConfig;
use super::all_jobs::{AllJobs, ProgressNow};
use super::cursor::Cursor;
use super::message::of_any_job;
use super::wire::{EventsWire, Gone, Wire};

/// Events read at once.
const PAGE: u32 = 200;

/// Jobs whose newest event is remembered, so that no older progress comes after it.
const REMEMBERED: usize = 4_096;

/// What a stream of all jobs is made of.
pub(crate) struct AllStream {
    /// Events, and where they stand.
    pub(crate) store: Arc<dyn JobStore>,
    /// Word of new ones.
    pub(crate) all_jobs: AllJobs,
    /// Dates the first message.
    pub(crate) clock: Arc<dyn Clock>,
    /// Whose events.
    pub(crate) filter: EventFilter,
    /// Everything up to here was seen; `None` = from now on.
    pub(crate) after: Option<u64>,
    /// Pings.
    pub(crate) config: StreamConfig,
    /// The server stops.
    pub(crate) stopping: CancellationToken,
}

impl AllStream {
    /// Begins the stream. `head`: where the order of events stands, for a stream that begins now. `open`: counted among the open streams.
    pub(crate) fn respond(self, head: u64, open: TaskTrackerToken) -> Response {
        let (wire, response) = EventsWire::open(self.config.ping_every * 5 / 2);
        let reader = Reader {
            wire,
            heads: self.all_jobs.heads(),
            progress: self.all_jobs.progress(),
            position: self.after.unwrap_or(head),
            told_position: self.after.unwrap_or(0),
            seqs: HashMap::new(),
            stream: self,
        };
        tokio::spawn(async move {
            let _open = open;
            let stopping = reader.stream.stopping.clone();
            tokio::select! {
                _ = reader.follow() => {}
                () = stopping.cancelled() => {}
            }
        });
        response
    }
}

struct Reader {
    stream: AllStream,
    wire: EventsWire,
    heads: watch::Receiver<u64>,
    progress: watch::Receiver<Arc<ProgressNow>>,
    /// Everything up to here was sent or left out by the filter.
    position: u64,
    /// The last position that the client was told as an id.
    told_position: u64,
    /// The newest seq that the client knows of a job.
    seqs: HashMap<JobId, u64>,
}

impl Reader {
    async fn follow(mut self) -> Result<(), Gone> {
        let mut ping = tokio::time::interval(self.stream.config.ping_every);
        ping.reset();
        if self.stream.after.is_none() {
            let cursor = self.cursor();
            let hello = json!({"type": "hello", "cursor": cursor, "timestamp": self.stream.clock.now()});
            self.wire.message(Some(&cursor), hello.to_string().into()).await?;
            self.told_position = self.position;
        }
        loop {
            // Seen before the read: what comes during it wakes us again.
            self.heads.borrow_and_update();
            self.send_events().await?;
            let now = self.progress.borrow_and_update().clone();
            self.send_progress(&now).await?;
            tokio::select! {
                changed = self.heads.changed() => changed.map_err(|_| Gone)?,
                changed = self.progress.changed() => changed.map_err(|_| Gone)?,
                _ = ping.tick() => {
                    let news = (self.position > self.told_position).then(|| self.cursor());
                    self.wire.heartbeat(news.as_deref()).await?;
                    self.told_position = self.position;
                }
                heard = self.wire.listen() => heard?,
            }
        }
    }

    fn cursor(&self) -> String {
        Cursor { order: self.stream.store.event_order(), position: self.position }.to_string()
    }

    /// Everything that was committed by now. A client that is so slow that its position is gone is cut off; when it comes back it is told why.
    async fn send_events(&mut self) -> Result<(), Gone> {
        loop {
            let page = self.stream.store.all_events(&self.stream.filter, self.position, PAGE).await;
            let page = page.map_err(|_| Gone)?.ok_or(Gone)?;
            for placed in &page.events {
                self.position = placed.position;
                let text = of_any_job(&placed.event, &placed.collection, placed.job_type);
                let cursor = self.cursor();
                self.wire.message(Some(&cursor), text).await?;
                self.told_position = self.position;
                if self.seqs.len() >= REMEMBERED {
                    self.seqs.clear();
                }
                self.seqs.insert(placed.event.job_id, placed.event.seq);
            }
            self.position = page.position;
            if !page.more {
                return Ok(());
            }
        }
    }

    /// The newest of each running job, if it is news.
    async fn send_progress(&mut self, now: &ProgressNow) -> Result<(), Gone> {
        if self.position > now.head {
            // Older than what was sent; a newer one follows.
            return Ok(());
        }
        let filter = self.stream.filter.clone();
        for (job, told) in &now.jobs {
            let wanted = filter.collection.as_ref().is_none_or(|c| *c == told.collection)
                && filter.job_type.is_none_or(|t| t == told.job_type);
            let known = self.seqs.get(job).copied().unwrap_or(0);
            if wanted && told.version > known {
                self.wire.message(None, told.text.clone()).await?;
                self.seqs.insert(*job, told.version);
            }
        }
        Ok(())
    }
}
