//! Renewal of leases on a thread and connection of its own: it waits behind the transaction that runs now at most, never behind a queue.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use graphmill_core::{Clock, Fence};
use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot};

use super::connection::open_second_writer;
use super::row::signed;
use super::writer::WriteGate;
use crate::space::DiskGuard;
use crate::{Error, Result};

/// Renewals that may wait.
const QUEUE_MAX: usize = 1024;

struct Renewal {
    fence: Fence,
    lease: Duration,
    caller: oneshot::Sender<Result<()>>,
}

/// Handle of the thread.
pub(crate) struct Leases {
    queue: Option<mpsc::Sender<Renewal>>,
    thread: Option<JoinHandle<()>>,
}

struct LeaseThread {
    conn: Connection,
    clock: Arc<dyn Clock>,
    gate: WriteGate,
    disk: Option<Arc<DiskGuard>>,
}

impl Leases {
    pub(crate) fn start(
        path: &Path,
        clock: Arc<dyn Clock>,
        gate: WriteGate,
        disk: Option<Arc<DiskGuard>>,
    ) -> Result<Self> {
        let work = LeaseThread { conn: open_second_writer(path)?, clock, gate, disk };
        let (queue, renewals) = mpsc::channel(QUEUE_MAX);
        let thread = std::thread::Builder::new()
            .name("jobs-lease".into())
            .spawn(move || work.run(renewals))
            .map_err(|e| Error::Backend(format!("cannot start the lease thread: {e}")))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    pub(crate) async fn renew(&self, fence: Fence, lease: Duration) -> Result<()> {
        let gone = || Error::Backend("the lease thread has ended".into());
        let (caller, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(gone)?;
        queue.send(Renewal { fence, lease, caller }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

impl Drop for Leases {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl LeaseThread {
    fn run(self, mut renewals: mpsc::Receiver<Renewal>) {
        while let Some(first) = renewals.blocking_recv() {
            let mut batch = vec![first];
            while let Ok(next) = renewals.try_recv() {
                batch.push(next);
            }
            let mut outcome = self.renew_all(&batch);
            if let (Err(Error::Full(_)), Some(disk)) = (&outcome, &self.disk)
                && disk.release()
            {
                outcome = self.renew_all(&batch);
            }
            match outcome {
                Ok(held) => {
                    for (renewal, held) in batch.into_iter().zip(held) {
                        let answer = if held { Ok(()) } else { Err(Error::Fenced(renewal.fence.job)) };
                        let _ = renewal.caller.send(answer);
                    }
                }
                Err(e) => {
                    tracing::warn!(error = %e, leases = batch.len(), "leases could not be renewed");
                    let message = e.to_string();
                    for renewal in batch {
                        let _ = renewal.caller.send(Err(Error::Backend(message.clone())));
                    }
                }
            }
        }
    }

    /// Whether each is still held.
    fn renew_all(&self, batch: &[Renewal]) -> Result<Vec<bool>> {
        let _held = self.gate.lock();
        let transaction = rusqlite::Transaction::new_unchecked(&self.conn, rusqlite::TransactionBehavior::Immediate)?;
        let now = self.clock.now();
        let mut held = Vec::with_capacity(batch.len());
        {
            let mut statement = transaction.prepare_cached(
                "UPDATE job SET lease_until = ?1 WHERE id = ?2 AND epoch = ?3 AND status = 'running'",
            )?;
            for renewal in batch {
                let until = now.plus(renewal.lease).as_millis();
                let fence = renewal.fence;
                held.push(statement.execute(params![until, fence.job.as_bytes(), signed(fence.epoch.0)])? == 1);
            }
        }
        transaction.commit()?;
        Ok(held)
    }
}
