//! The pool for work that computes, sized to the cores, so that the threads of the async runtime stay free for requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Sender, unbounded};
use tokio::sync::oneshot;

type Task = Box<dyn FnOnce() + Send>;

/// A handle on the pool; the threads end when the last one is dropped.
#[derive(Clone)]
pub struct CpuPool {
    queue: Sender<Task>,
    threads: usize,
}

impl CpuPool {
    /// Starts `threads` threads (at least one) with a lower priority than the rest of the process, so that lists and streams stay fast
    /// beside them.
    pub fn new(threads: usize) -> Self {
        let threads = threads.max(1);
        let (queue, tasks) = unbounded::<Task>();
        for n in 0..threads {
            let tasks = tasks.clone();
            let spawned = std::thread::Builder::new().name(format!("cpu-{n}")).spawn(move || {
                // On Linux the nice value is the thread's own. Without the right to change it the pool works all the same.
                let _ = rustix::process::nice(5);
                for task in tasks {
                    task();
                }
            });
            if let Err(error) = spawned {
                tracing::error!(%error, "a thread of the CPU pool could not be started");
            }
        }
        Self { queue, threads }
    }

    /// How many tasks run at once.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `work` on the pool. `None` when it panicked. Dropping the future takes work that has not begun out of the queue; `work` is given a flag
    /// that then turns true, for long work to look at.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce(&AtomicBool) -> T + Send + 'static) -> Option<T> {
        let (answer, result) = oneshot::channel();
        let dropped = Arc::new(AtomicBool::new(false));
        let flag = dropped.clone();
        let guard = SetOnDrop(dropped);
        let task = move || {
            if !flag.load(Ordering::Relaxed) {
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&flag)));
                let _ = answer.send(outcome.ok());
            }
        };
        if self.queue.send(Box::new(task)).is_err() {
            return None;
        }
        let value = result.await.ok().flatten();
        drop(guard);
        value
    }
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_comes_back_and_a_panic_costs_only_itself() {
        let pool = CpuPool::new(1);
        assert_eq!(pool.run(|_| 6 * 7).await, Some(42));
        assert_eq!(pool.run(|_| -> u32 { panic!("a defect") }).await, None);
        assert_eq!(pool.run(|_| 1).await, Some(1));
    }

    #[tokio::test]
    async fn a_dropped_future_takes_its_work_out_of_the_queue() {
        let pool = CpuPool::new(1);
        let (block, blocked) = std::sync::mpsc::channel::<()>();
        let other = pool.clone();
        let (begin, begun) = oneshot::channel();
        let first = tokio::spawn(async move {
            let work = move |_: &AtomicBool| {
                begin.send(()).unwrap();
                blocked.recv().is_ok()
            };
            other.run(work).await
        });
        begun.await.unwrap();
        let ran = Arc::new(AtomicBool::new(false));
        let seen = ran.clone();
        let second = pool.run(move |_| seen.store(true, Ordering::SeqCst));
        assert!(tokio::time::timeout(std::time::Duration::from_millis(20), second).await.is_err());
        block.send(()).unwrap();
        assert_eq!(first.await.unwrap(), Some(true));
        pool.run(|_| ()).await;
        assert!(!ran.load(Ordering::SeqCst));
    }
}
