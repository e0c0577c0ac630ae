//! Which collections have a handler at work in this process: known until the work has really stopped, also after its job was cancelled.

use std::collections::HashMap;
use std::sync::Arc;

use graphmill_core::CollectionId;
use parking_lot::Mutex;

/// Counts the handlers at work, by collection. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Occupancy(Arc<Mutex<HashMap<CollectionId, u64>>>);

/// A handler at work; dropped with its future.
#[derive(Debug)]
pub(crate) struct Occupied {
    all: Occupancy,
    collection: CollectionId,
}

impl Occupancy {
    /// Whether any handler works on the collection. Who has made sure before that no job of it can be claimed any more, and then hears "no", knows that
    /// nobody writes for it: a handler that comes later finds its claim gone before it begins.
    pub fn is_occupied(&self, collection: &CollectionId) -> bool {
        self.0.lock().contains_key(collection)
    }

    pub(crate) fn enter(&self, collection: &CollectionId) -> Occupied {
        *self.0.lock().entry(collection.clone()).or_default() += 1;
        Occupied { all: self.clone(), collection: collection.clone() }
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        let mut all = self.all.0.lock();
        if let Some(n) = all.get_mut(&self.collection) {
            *n -= 1;
            if *n == 0 {
                all.remove(&self.collection);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_to_leave_frees_it() {
        let (all, collection) = (Occupancy::default(), CollectionId::default());
        let (a, b) = (all.enter(&collection), all.enter(&collection));
        drop(a);
        assert!(all.is_occupied(&collection));
        drop(b);
        assert!(!all.is_occupied(&collection));
    }
}
