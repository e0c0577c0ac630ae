//! Who reads which files a published document names and then takes its place, or removes it, does both in one turn: a version that came and went
//! between the two would leave its files without anybody who knows of them.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use graphmill_core::DocumentId;
use parking_lot::Mutex;
use tokio::sync::OwnedMutexGuard;

/// Turns of this process, one at a time for each document. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Turns(Arc<Mutex<HashMap<DocumentId, Weak<tokio::sync::Mutex<()>>>>>);

impl Turns {
    /// Waits for the document's turn, which ends when the answer is dropped.
    pub(crate) async fn take(&self, document: DocumentId) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.lock();
            turns.retain(|_, turn| turn.strong_count() > 0);
            match turns.get(&document).and_then(Weak::upgrade) {
                Some(turn) => turn,
                None => {
                    let turn = Arc::default();
                    turns.insert(document, Arc::downgrade(&turn));
                    turn
                }
            }
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use graphmill_core::CollectionId;

    use super::*;

    #[tokio::test]
    async fn a_turn_is_one_at_a_time_and_forgotten_after() {
        let turns = Turns::default();
        let [a, b] = ["a.md", "b.md"].map(|source| DocumentId::new(&CollectionId::default(), source));
        let first = turns.take(a).await;
        let _other = turns.take(b).await;
        let second = tokio::spawn({
            let turns = turns.clone();
            async move { drop(turns.take(a).await) }
        });
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        second.await.unwrap();
        drop(turns.take(a).await);
        drop(turns.take(b));
        assert!(turns.0.lock().len() <= 2);
    }
}
