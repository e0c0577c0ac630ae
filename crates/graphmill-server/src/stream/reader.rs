//! One client that follows a job.

use std::sync::Arc;

use axum::extract::ws::{CloseFrame, Utf8Bytes, WebSocket, close_code};
use axum::response::Response;
use graphmill_core::Timestamp;
use graphmill_store::JobStore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::StreamConfig;
use super::feed::{Next, Subscription};
use super::log_lines::{LOG_EVERY, LogPosition};
use super::message::{Message, Role, log_line};
use super::wire::{EventsWire, Gone, SocketWire, Wire};
use crate::caller::Caller;

/// Messages taken from the feed at once.
const BATCH: usize = 100;

/// Where a stream begins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start {
    /// Everything up to this seq was seen; `None` = begin with a snapshot.
    pub(crate) since: Option<u64>,
    /// Send log lines too.
    pub(crate) logs: bool,
}

/// Serves a stream until the job's last message, the client's end or the server's.
pub(crate) async fn run(
    socket: WebSocket,
    subscription: Subscription,
    store: Arc<dyn JobStore>,
    start: Start,
    config: StreamConfig,
    stopping: CancellationToken,
    caller: Caller,
) {
    let logs = if start.logs { Some(first_log_line(&*store, &subscription, start.since).await) } else { None };
    let wire = SocketWire::new(socket, config.ping_every * 5 / 2);
    let mut reader = Reader { wire, subscription, store, position: 0, logs, config };
    let stopped = stopping.clone();
    let frame = tokio::select! {
        biased;
        outcome = reader.follow(start.since) => match outcome {
            Ok(()) => CloseFrame { code: close_code::NORMAL, reason: Utf8Bytes::from_static("the job has ended") },
            Err(Gone) => return,
        },
        () = stopped.cancelled() => {
            CloseFrame { code: close_code::AWAY, reason: Utf8Bytes::from_static("the server is stopping; connect again") }
        }
        () = caller.ended.cancelled() => {
            CloseFrame { code: close_code::POLICY, reason: Utf8Bytes::from_static(caller.end_reason()) }
        }
    };
    reader.wire.close(frame).await;
}

/// The same stream as Server-Sent Events; the id of a message is its `seq`. `open`: counted among the open streams.
pub(crate) fn respond(
    subscription: Subscription,
    store: Arc<dyn JobStore>,
    start: Start,
    config: StreamConfig,
    stopping: CancellationToken,
    open: TaskTrackerToken,
) -> Response {
    let (wire, response) = EventsWire::open(config.ping_every * 5 / 2);
    tokio::spawn(async move {
        let _open = open;
        let logs = if start.logs { Some(first_log_line(&*store, &subscription, start.since).await) } else { None };
        let mut reader = Reader { wire, subscription, store, position: 0, logs, config };
        tokio::select! {
            biased;
            _ = reader.follow(start.since) => {}
            () = stopping.cancelled() => {}
        }
    });
    response
}

/// With `since`, the log goes on at the newest event that was seen: some lines may come again, none is left out.
async fn first_log_line(store: &dyn JobStore, subscription: &Subscription, since: Option<u64>) -> LogPosition {
    let Some(since) = since else { return LogPosition::default() };
    let mut at: Option<Timestamp> = None;
    let mut after = 0;
    while let Ok(page) = store.events(subscription.feed.job, after, 500).await {
        at = page.iter().take_while(|e| e.seq <= since).last().map(|e| e.timestamp).or(at);
        match page.last() {
            Some(last) if last.seq < since => after = last.seq,
            _ => break,
        }
    }
    LogPosition::starting_at(at)
}

struct Reader<W> {
    wire: W,
    subscription: Subscription,
    store: Arc<dyn JobStore>,
    /// Everything up to this seq was sent.
    position: u64,
    logs: Option<LogPosition>,
    config: StreamConfig,
}

impl<W: Wire> Reader<W> {
    /// Sends everything, in order, up to the last message.
    async fn follow(&mut self, since: Option<u64>) -> Result<(), Gone> {
        let mut ping = tokio::time::interval(self.config.ping_every);
        ping.reset();
        while *self.subscription.reads.borrow_and_update() == 0 {
            self.wait(&mut ping).await?;
        }
        match since {
            Some(since) => self.position = self.subscription.feed.resume_at(since),
            None => {
                let (messages, position) = self.subscription.feed.snapshot();
                if self.send_all(messages).await? {
                    return Ok(());
                }
                self.position = position;
            }
        }
        loop {
            self.subscription.reads.mark_unchanged();
            match self.subscription.feed.after(self.position, BATCH) {
                Next::Behind { floor } => self.catch_up(floor).await?,
                Next::Messages { messages, end } => {
                    let more = messages.len() >= BATCH;
                    if self.send_all(messages).await? || end {
                        return Ok(());
                    }
                    self.send_logs().await?;
                    if !more {
                        self.wait(&mut ping).await?;
                    }
                }
            }
        }
    }

    /// Sends messages; `true` after the last one of the stream.
    async fn send_all(&mut self, messages: Vec<Message>) -> Result<bool, Gone> {
        for message in messages {
            let last = message.role == Role::Last;
            if last {
                self.send_logs().await?;
            }
            self.wire.message(Some(&message.seq.to_string()), message.text).await?;
            self.position = self.position.max(message.seq);
            if last {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Reads rows that the feed no longer keeps. All ends among them are of earlier tries.
    async fn catch_up(&mut self, floor: u64) -> Result<(), Gone> {
        let rows = self.store.events(self.subscription.feed.job, self.position, 200).await.map_err(|_| Gone)?;
        for event in rows.iter().filter(|e| e.seq <= floor) {
            if !event.kind.is_last() {
                self.wire.message(Some(&event.seq.to_string()), Message::of(event).text).await?;
            }
            self.position = event.seq;
        }
        if rows.last().is_none_or(|e| e.seq > floor) {
            self.position = self.position.max(floor);
        }
        Ok(())
    }

    async fn send_logs(&mut self) -> Result<(), Gone> {
        let Some(mut position) = self.logs.take() else { return Ok(()) };
        let job = self.subscription.feed.job;
        loop {
            // A job that was deleted has no log any more; its stream says so.
            let lines = position.next(&*self.store, job).await.unwrap_or_default();
            if lines.is_empty() {
                break;
            }
            for line in &lines {
                self.wire.message(None, log_line(job, line, self.position)).await?;
            }
        }
        self.logs = Some(position);
        Ok(())
    }

    /// Waits until the feed was read again (or it is time for log lines), answering and sending pings meanwhile.
    async fn wait(&mut self, ping: &mut tokio::time::Interval) -> Result<(), Gone> {
        let log_time = tokio::time::sleep(LOG_EVERY);
        tokio::pin!(log_time);
        loop {
            tokio::select! {
                changed = self.subscription.reads.changed() => return changed.map_err(|_| Gone),
                () = &mut log_time, if self.logs.is_some() => return Ok(()),
                _ = ping.tick() => self.wire.heartbeat(None).await?,
                heard = self.wire.listen() => heard?,
            }
        }
    }
}
