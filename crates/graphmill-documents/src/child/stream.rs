//! One document's way through a child, seen from the parent.

use super::pool::Pool;
use super::protocol::{Answer, MAX_FRAME_BYTES, Request, VERSION, decode, encode};
use super::spawner::{Obituary, Worker};
use crate::{DocumentInfo, Error, Page, Warning};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::sync::mpsc;

/// What comes of a document, in order; [`ParseEvent::End`] or an error is the last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseEvent {
    /// The document was opened; it has so many pages (1 for formats without).
    Opened {
        /// Number of pages.
        page_count: u32,
    },
    /// The next page, or part of one.
    Page(Page),
    /// Something a person should know.
    Warning(Warning),
    /// The document is done.
    End(DocumentInfo),
}

/// The events of a document. Dropping it stops the parser at once.
#[derive(Debug)]
pub struct PageStream(mpsc::Receiver<Result<ParseEvent, Error>>);

impl PageStream {
    pub(super) fn new(receiver: mpsc::Receiver<Result<ParseEvent, Error>>) -> Self {
        Self(receiver)
    }

    /// The next event; `None` after the last. Safe to cancel.
    pub async fn next(&mut self) -> Option<Result<ParseEvent, Error>> {
        self.0.recv().await
    }
}

type Events = mpsc::Sender<Result<ParseEvent, Error>>;

/// Why a conversation with a child ended early.
enum Broken {
    /// The reader of the events has gone.
    Unwanted,
    /// The child closed its pipe or cannot be written to.
    Dead,
    /// An error of ours: the child is to be killed.
    Wrong(Error),
    /// The document failed in an orderly way; the child is fit for the next one.
    Document(Error),
}

/// Gives the document to a child and its answers to `events`.
pub(super) async fn drive(pool: &Pool, request: &Request, events: Events) {
    let mut worker = match pool.worker().await {
        Ok(worker) => worker,
        Err(error) => {
            let _ = events.send(Err(error)).await;
            return;
        }
    };
    worker.documents += 1;
    let result = tokio::select! {
        result = converse(pool, request, &mut worker, &events) => result,
        () = events.closed() => Err(Broken::Unwanted),
    };
    let last = match result {
        Ok((info, resident_bytes)) => {
            pool.give_back(worker, resident_bytes);
            Ok(ParseEvent::End(info))
        }
        Err(Broken::Document(error)) => {
            // Nothing is known of its memory after a failure; a child is cheap.
            drop(worker);
            Err(error)
        }
        Err(Broken::Unwanted) => return,
        Err(Broken::Wrong(error)) => {
            worker.bury().await;
            Err(error)
        }
        Err(Broken::Dead) => Err(cause_of_death(&worker.bury().await, pool)),
    };
    let _ = events.send(last).await;
}

async fn converse(
    pool: &Pool,
    request: &Request,
    worker: &mut Worker,
    events: &Events,
) -> Result<(DocumentInfo, u64), Broken> {
    let wrong = |detail: String| Broken::Wrong(Error::ParserProtocol { detail });
    let stdin = worker.stdin.take().ok_or(Broken::Dead)?;
    let stdout = worker.stdout.take().ok_or(Broken::Dead)?;
    let mut to_child = pipe::Sender::from_owned_fd(stdin).map_err(|error| wrong(error.to_string()))?;
    let mut from_child = pipe::Receiver::from_owned_fd(stdout).map_err(|error| wrong(error.to_string()))?;
    let frame = encode(request).map_err(|error| wrong(error.to_string()))?;
    to_child.write_all(&frame).await.map_err(|_| Broken::Dead)?;
    let mut page = 1;
    let mut body = Vec::new();
    loop {
        let read = tokio::time::timeout(pool.limits.page, read_frame(&mut from_child, &mut body)).await;
        let limit_seconds = pool.limits.page.as_secs();
        read.map_err(|_| Broken::Wrong(Error::ParserTimeout { page, limit_seconds }))??;
        let answer = decode(&body).map_err(wrong)?;
        if !worker.ready && !matches!(answer, Answer::Ready { version: VERSION }) {
            return Err(wrong("the program is not a parser of this version".to_owned()));
        }
        let event = match answer {
            Answer::Ready { .. } => {
                worker.ready = true;
                continue;
            }
            Answer::Opened { page_count } => ParseEvent::Opened { page_count },
            Answer::Page(found) => {
                page = found.number.saturating_add(1);
                ParseEvent::Page(found)
            }
            Answer::Warning(warning) => ParseEvent::Warning(warning),
            Answer::Failed(error) => return Err(Broken::Document(error)),
            Answer::End { info, resident_bytes } => {
                worker.stdin = to_child.into_blocking_fd().ok();
                worker.stdout = from_child.into_blocking_fd().ok();
                return Ok((info, resident_bytes));
            }
        };
        events.send(Ok(event)).await.map_err(|_| Broken::Unwanted)?;
    }
}

async fn read_frame(from: &mut pipe::Receiver, body: &mut Vec<u8>) -> Result<(), Broken> {
    let mut len = [0; 4];
    from.read_exact(&mut len).await.map_err(|_| Broken::Dead)?;
    let len = u32::from_le_bytes(len);
    if len > MAX_FRAME_BYTES {
        let detail = format!("it announced an answer of {len} bytes");
        return Err(Broken::Wrong(Error::ParserProtocol { detail }));
    }
    body.clear();
    let read = from.take(u64::from(len)).read_to_end(body).await.map_err(|_| Broken::Dead)?;
    if read < len as usize { Err(Broken::Dead) } else { Ok(()) }
}

/// What the end of a child says about its document.
fn cause_of_death(obituary: &Obituary, pool: &Pool) -> Error {
    let complaint = &obituary.complaint;
    let signal = obituary.status.and_then(|status| status.signal());
    if signal == Some(rustix::process::Signal::XCPU.as_raw()) {
        return Error::ParserCpu { limit_seconds: pool.limits.cpu.as_secs() };
    }
    if complaint.contains("memory allocation of") {
        return Error::ParserMemory { limit_bytes: pool.limits.memory_bytes };
    }
    let ended = ending(obituary.status);
    let cause = if complaint.contains("has overflowed its stack") {
        format!("stack overflow ({ended})")
    } else if signal == Some(rustix::process::Signal::KILL.as_raw()) {
        format!("{ended}; the machine may be out of memory")
    } else {
        match complaint.lines().next() {
            Some(line) => format!("{ended}: {}", line.chars().take(200).collect::<String>()),
            None => ended,
        }
    };
    Error::ParserCrashed { cause }
}

fn ending(status: Option<ExitStatus>) -> String {
    match (status.and_then(|status| status.signal()), status.and_then(|status| status.code())) {
        (Some(signal), _) => format!("signal {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "no exit status".to_owned(),
    }
}
