//! The one thread that starts and buries children.
//!
//! The parent-death signal fires when the *thread* that started a child ends, so children must not be started by
//! whichever worker thread happens to run. This thread lives as long as its pool and the children of that.

use super::pool::ParserCommand;
use crate::Error;
use parking_lot::Mutex;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long a child that closed its output may take to end by itself, so that its own exit status is seen.
const GRACE: Duration = Duration::from_millis(300);
/// How much of what a child complained is kept.
const COMPLAINT_BYTES: usize = 4096;

/// A running child. Dropping it kills it, and the spawner buries it.
pub(super) struct Worker {
    child: Option<Child>,
    pub stdin: Option<OwnedFd>,
    pub stdout: Option<OwnedFd>,
    stderr: Option<File>,
    /// Documents it was given.
    pub documents: u32,
    /// Whether it has said that it is of our kind.
    pub ready: bool,
    orders: mpsc::Sender<Order>,
}

/// How a child ended.
pub(super) struct Obituary {
    pub status: Option<ExitStatus>,
    /// The last it wrote to its standard error.
    pub complaint: String,
}

/// A child that waits for its next document.
pub(super) struct Idle {
    pub worker: Worker,
    pub since: Instant,
}

pub(super) type IdleList = Arc<Mutex<Vec<Idle>>>;

enum Order {
    Start(oneshot::Sender<std::io::Result<Child>>),
    Bury(Child, Option<oneshot::Sender<Option<ExitStatus>>>),
}

/// Handle of the thread, which ends when all handles and workers are gone.
pub(super) struct Spawner {
    orders: mpsc::Sender<Order>,
    program: String,
}

impl Spawner {
    pub(super) fn start(command: ParserCommand, idle: &IdleList, keep: Duration) -> std::io::Result<Self> {
        let (orders, inbox) = mpsc::channel();
        let program = command.program.display().to_string();
        let idle = Arc::downgrade(idle);
        std::thread::Builder::new()
            .name("graphmill-parsers".to_owned())
            .spawn(move || run(&command, &inbox, &idle, keep))?;
        Ok(Self { orders, program })
    }

    /// Starts a child.
    pub(super) async fn spawn(&self) -> Result<Worker, Error> {
        let failed = |detail: String| Error::ParserStart { program: self.program.clone(), detail };
        let (reply, answer) = oneshot::channel();
        self.orders.send(Order::Start(reply)).map_err(|_| Error::PoolClosed)?;
        let mut child = answer.await.map_err(|_| Error::PoolClosed)?.map_err(|error| failed(error.to_string()))?;
        let stderr = child.stderr.take().map(|pipe| File::from(OwnedFd::from(pipe)));
        if let Some(stderr) = &stderr {
            rustix::io::ioctl_fionbio(stderr, true).map_err(|error| failed(error.to_string()))?;
        }
        Ok(Worker {
            stdin: child.stdin.take().map(OwnedFd::from),
            stdout: child.stdout.take().map(OwnedFd::from),
            stderr,
            child: Some(child),
            documents: 0,
            ready: false,
            orders: self.orders.clone(),
        })
    }
}

impl Worker {
    /// Kills the child unless it ends by itself at once, and says how it ended.
    pub(super) async fn bury(mut self) -> Obituary {
        self.stdin = None;
        let (reply, answer) = oneshot::channel();
        let sent = self.child.take().map(|child| self.orders.send(Order::Bury(child, Some(reply))));
        let status = match sent {
            Some(Ok(())) => answer.await.ok().flatten(),
            _ => None,
        };
        Obituary { status, complaint: self.complaint() }
    }

    /// What the child wrote to its standard error since the last call, the end of it.
    pub(super) fn complaint(&mut self) -> String {
        let mut said = Vec::new();
        let mut block = [0; 4096];
        while let Some(len) = self.stderr.as_mut().and_then(|pipe| pipe.read(&mut block).ok()).filter(|len| *len > 0) {
            said.extend_from_slice(&block[..len]);
            let surplus = said.len().saturating_sub(COMPLAINT_BYTES);
            said.drain(..surplus);
        }
        String::from_utf8_lossy(&said).trim().to_owned()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(child) = self.child.take()
            && let Err(mpsc::SendError(Order::Bury(mut child, _))) = self.orders.send(Order::Bury(child, None))
        {
            // The thread is gone; this cannot wait long, as the child is dead or about to be.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn run(command: &ParserCommand, inbox: &mpsc::Receiver<Order>, idle: &Weak<Mutex<Vec<Idle>>>, keep: Duration) {
    loop {
        match inbox.recv_timeout(keep.max(Duration::from_millis(20)) / 2) {
            Ok(Order::Start(reply)) => {
                if let Err(Ok(mut child)) = reply.send(start(command)) {
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
            Ok(Order::Bury(child, reply)) => {
                let status = bury(child, reply.is_some());
                if let Some(reply) = reply {
                    let _ = reply.send(status);
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                if let Some(idle) = idle.upgrade() {
                    idle.lock().retain(|child| child.since.elapsed() < keep);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// In a process group of its own: an interrupt from the terminal is for the server, which then ends in order.
fn start(command: &ParserCommand) -> std::io::Result<Child> {
    Command::new(&command.program)
        .args(&command.args)
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// Waits for a child, killing it at once or after a short while.
fn bury(mut child: Child, grace: bool) -> Option<ExitStatus> {
    let start = Instant::now();
    while grace && start.elapsed() < GRACE {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) => std::thread::sleep(Duration::from_millis(2)),
            Err(_) => return None,
        }
    }
    let _ = child.kill();
    child.wait().ok()
}
