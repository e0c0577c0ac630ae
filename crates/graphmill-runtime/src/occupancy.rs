//! For which collections and documents a handler is at work in this process: known until the work has really stopped, also after its job was cancelled.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use graphmill_core::{CollectionId, DocumentId, Seq};
use parking_lot::Mutex;

/// Counts the handlers at work. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Occupancy(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    collections: HashMap<CollectionId, u64>,
    /// By the ticket of the job.
    documents: HashMap<(DocumentId, Seq), u64>,
}

/// A handler at work; dropped with its future.
#[derive(Debug)]
pub(crate) struct Occupied {
    all: Occupancy,
    collection: CollectionId,
    document: Option<(DocumentId, Seq)>,
}

impl Occupancy {
    /// Whether any handler works on the collection. Who has made sure before that no job of it can be claimed any more, and then hears "no", knows that
    /// nobody writes for it: a handler that comes later finds its claim gone before it begins.
    pub fn is_occupied(&self, collection: &CollectionId) -> bool {
        self.0.lock().collections.contains_key(collection)
    }

    /// The same of the jobs of a document with a ticket below `before`.
    pub fn is_worked_on(&self, document: DocumentId, before: Seq) -> bool {
        self.0.lock().documents.keys().any(|(of, seq)| *of == document && *seq < before)
    }

    pub(crate) fn enter(&self, collection: &CollectionId, document: Option<(DocumentId, Seq)>) -> Occupied {
        let mut counts = self.0.lock();
        *counts.collections.entry(collection.clone()).or_default() += 1;
        if let Some(document) = document {
            *counts.documents.entry(document).or_default() += 1;
        }
        Occupied { all: self.clone(), collection: collection.clone(), document }
    }
}

impl Drop for Occupied {
    fn drop(&mut self) {
        let mut counts = self.all.0.lock();
        leave(&mut counts.collections, &self.collection);
        if let Some(document) = &self.document {
            leave(&mut counts.documents, document);
        }
    }
}

fn leave<K: Eq + Hash>(counts: &mut HashMap<K, u64>, key: &K) {
    if let Some(n) = counts.get_mut(key) {
        *n -= 1;
        if *n == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_to_leave_frees_it() {
        let (all, collection) = (Occupancy::default(), CollectionId::default());
        let document = DocumentId::new(&collection, "a.md");
        let (a, b) = (all.enter(&collection, Some((document, Seq(7)))), all.enter(&collection, None));
        assert!(all.is_worked_on(document, Seq(8)) && !all.is_worked_on(document, Seq(7)));
        drop(a);
        assert!(all.is_occupied(&collection) && !all.is_worked_on(document, Seq(8)));
        drop(b);
        assert!(!all.is_occupied(&collection));
    }
}
