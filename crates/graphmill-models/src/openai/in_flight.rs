//! One request for one item: who asks for what somebody else is asking for already waits, and then finds the answer in the cache.
//!
//! It is a lock a key and not a shared future: when the one who asks is dropped (a cancelled job), the next one simply asks.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use graphmill_core::CacheKey;
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

/// Beyond this many keys those that nobody holds any more are forgotten.
const SWEEP_ABOVE: usize = 1024;

/// The keys that are being asked for.
#[derive(Debug, Default)]
pub(super) struct InFlight(Mutex<HashMap<CacheKey, Weak<tokio::sync::Mutex<()>>>>);

impl InFlight {
    /// Waits until nobody else asks for any of `keys`; nobody will while the guards are held.
    pub(super) async fn claim(&self, mut keys: Vec<CacheKey>) -> Vec<OwnedMutexGuard<()>> {
        // All take their keys in one order: two calls can wait for each other, but never in a ring.
        keys.sort_by(|a, b| (&a.collection, &a.hash).cmp(&(&b.collection, &b.hash)));
        keys.dedup();
        let mut guards = Vec::with_capacity(keys.len());
        for key in keys {
            let lock = self.lock_of(key);
            guards.push(lock.lock_owned().await);
        }
        guards
    }

    fn lock_of(&self, key: CacheKey) -> Arc<tokio::sync::Mutex<()>> {
        let mut locks = self.0.lock();
        if let Some(lock) = locks.get(&key).and_then(Weak::upgrade) {
            return lock;
        }
        if locks.len() > SWEEP_ABOVE {
            locks.retain(|_, lock| lock.strong_count() > 0);
        }
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        locks.insert(key, Arc::downgrade(&lock));
        lock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u8) -> CacheKey {
        CacheKey { collection: graphmill_core::CollectionId::default(), hash: [n; 32] }
    }

    #[tokio::test]
    async fn the_second_waits_for_the_first_and_others_do_not() {
        let in_flight = InFlight::default();
        let first = in_flight.claim(vec![key(2), key(1), key(1)]).await;
        assert_eq!(first.len(), 2);
        let mut second = Box::pin(in_flight.claim(vec![key(1)]));
        assert!(futures::poll!(&mut second).is_pending());
        assert_eq!(in_flight.claim(vec![key(3)]).await.len(), 1);
        drop(first);
        assert_eq!(second.await.len(), 1);
    }
}
