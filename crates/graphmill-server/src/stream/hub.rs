//! Who follows which job.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use graphmill_core::{Clock, JobId};
use graphmill_store::JobStore;
use parking_lot::Mutex;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::feed::{Feed, Subscription};

/// Pause after the store could not be read.
const STORE_PAUSE: Duration = Duration::from_secs(1);

/// The feeds of all followed jobs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct StreamHub(Arc<Hub>);

struct Hub {
    store: Arc<dyn JobStore>,
    clock: Arc<dyn Clock>,
    feeds: Mutex<HashMap<JobId, Arc<Feed>>>,
    stopping: CancellationToken,
}

impl StreamHub {
    /// Begins to listen for changes of jobs.
    pub(crate) fn start(store: Arc<dyn JobStore>, clock: Arc<dyn Clock>, stopping: CancellationToken) -> Self {
        let mut changes = store.changes();
        let hub = Arc::new(Hub { store, clock, feeds: Mutex::default(), stopping });
        let listener = hub.clone();
        tokio::spawn(async move {
            loop {
                let change = tokio::select! {
                    () = listener.stopping.cancelled() => return,
                    change = changes.recv() => change,
                };
                match change {
                    Ok(change) => {
                        if let Some(feed) = listener.feeds.lock().get(&change.job) {
                            feed.dirty.notify_one();
                        }
                    }
                    // Something was missed: all of them are read again.
                    Err(RecvError::Lagged(_)) => {
                        listener.feeds.lock().values().for_each(|feed| feed.dirty.notify_one());
                    }
                    Err(RecvError::Closed) => return,
                }
            }
        });
        Self(hub)
    }

    /// Follows a job. `pause`: the least time between two reads of it.
    ///
    /// The feed stands in the map, and so hears of changes, before it is first read: nothing falls between.
    pub(crate) fn follow(&self, job: JobId, pause: Duration) -> Subscription {
        let mut feeds = self.0.feeds.lock();
        let feed = feeds.entry(job).or_insert_with(|| {
            let feed = Arc::new(Feed::new(job));
            tokio::spawn(keep(self.0.clone(), feed.clone(), pause));
            feed
        });
        // Subscribed under the lock, so that the feed cannot end for want of readers in between.
        Subscription { reads: feed.reads.subscribe(), feed: feed.clone() }
    }

    /// How many jobs are followed.
    #[cfg(test)]
    pub(crate) fn followed(&self) -> usize {
        self.0.feeds.lock().len()
    }
}

/// Keeps a feed up to date until the job has ended or nobody follows it.
async fn keep(hub: Arc<Hub>, feed: Arc<Feed>, pause: Duration) {
    loop {
        tokio::select! {
            () = hub.stopping.cancelled() => return,
            () = feed.reads.closed() => {
                let mut feeds = hub.feeds.lock();
                if feed.reads.receiver_count() == 0 {
                    feeds.remove(&feed.job);
                    return;
                }
            }
            () = feed.dirty.notified() => match feed.refresh(&*hub.store, &*hub.clock).await {
                // Readers keep the feed; who comes now gets a new one (a person may retry the job).
                Ok(true) => {
                    hub.feeds.lock().remove(&feed.job);
                    return;
                }
                Ok(false) => tokio::time::sleep(pause).await,
                Err(error) => {
                    tracing::warn!(job.id = %feed.job, %error, "a followed job could not be read; trying again");
                    tokio::time::sleep(STORE_PAUSE).await;
                    feed.dirty.notify_one();
                }
            },
        }
    }
}
