//! The keys of a running server: all in memory, so that a request costs one look-up and a change counts at once.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use graphmill_core::{Clock, CollectionId};
use graphmill_store::keys::{CreatedKey, KeyId, KeyName, KeyRecord, KeyToken, NewKey, SecretHash};
use graphmill_store::{KeyStore, Result};
use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

use crate::caller::Caller;

/// Between two notes in the store that a key is used, in milliseconds.
const NOTE_EVERY: i64 = 60_000;

/// When keys are asked for.
#[derive(Debug, Clone, Default)]
pub struct KeyPolicy {
    /// Secret of the data folder's lock file: who can read that may do everything.
    pub local_token: Option<String>,
    /// Keys are asked for even while there is none (the server can be reached from other machines).
    pub always: bool,
}

/// See the module. Changes go through it, so that memory and store agree.
pub struct KeyRing {
    store: Arc<dyn KeyStore>,
    clock: Arc<dyn Clock>,
    local: Option<SecretHash>,
    always: bool,
    held: RwLock<Held>,
    /// One change at a time, store and memory together.
    changing: tokio::sync::Mutex<()>,
}

struct Held {
    keys: HashMap<KeyId, Arc<Entry>>,
    /// Cancelled when callers without a key are no longer served.
    open: CancellationToken,
}

struct Entry {
    record: Arc<KeyRecord>,
    ended: CancellationToken,
    /// When its use was last noted.
    noted: AtomicI64,
}

impl Entry {
    fn new(record: KeyRecord) -> Arc<Self> {
        let noted = AtomicI64::new(record.last_used_at.map_or(i64::MIN, |at| at.as_millis()));
        Arc::new(Self { record: Arc::new(record), ended: CancellationToken::new(), noted })
    }
}

/// Why a caller is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Denied {
    /// A key is needed.
    Missing,
    /// The token is not known.
    Wrong,
}

/// The only keys that there are, all bound to the collection that was to be deleted.
#[derive(Debug)]
pub(crate) struct LastKeys(pub(crate) Vec<KeyName>);

impl KeyRing {
    /// Reads the keys that there are.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn load(store: Arc<dyn KeyStore>, clock: Arc<dyn Clock>, policy: KeyPolicy) -> Result<Arc<Self>> {
        let keys = store.keys().await?.into_iter().map(|record| (record.id, Entry::new(record))).collect();
        let local = policy.local_token.map(|token| SecretHash::of(token.as_bytes()));
        let held = RwLock::new(Held { keys, open: CancellationToken::new() });
        Ok(Arc::new(Self { store, clock, local, always: policy.always, held, changing: tokio::sync::Mutex::default() }))
    }

    /// Whether callers without a key are turned away.
    pub fn required(&self) -> bool {
        self.always || !self.held.read().keys.is_empty()
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.held.read().keys.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Who shows this token. A token that is not known is refused also while none is needed: its key was revoked, or it is meant for another server.
    pub(crate) fn caller(self: &Arc<Self>, token: Option<&str>) -> std::result::Result<Caller, Denied> {
        let Some(token) = token else {
            let held = self.held.read();
            let open = !self.always && held.keys.is_empty();
            return if open { Ok(Caller::anyone(held.open.clone())) } else { Err(Denied::Missing) };
        };
        // Hashes are compared in constant time.
        if self.local.is_some_and(|local| local == SecretHash::of(token.as_bytes())) {
            return Ok(Caller::local());
        }
        let token = KeyToken::parse(token).ok_or(Denied::Wrong)?;
        let shown = token.secret_hash();
        let entry = self.held.read().keys.get(&token.id()).cloned();
        let entry = entry.filter(|entry| entry.record.secret_hash == shown).ok_or(Denied::Wrong)?;
        self.note_use(&entry);
        Ok(Caller::key(entry.record.clone(), entry.ended.clone()))
    }

    /// A write a minute for a key in use, whatever the number of requests.
    fn note_use(self: &Arc<Self>, entry: &Arc<Entry>) {
        let (now, noted) = (self.clock.now().as_millis(), entry.noted.load(Ordering::Relaxed));
        if now.saturating_sub(noted) < NOTE_EVERY {
            return;
        }
        if entry.noted.compare_exchange(noted, now, Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return; // another request notes it
        }
        let (ring, id) = (self.clone(), entry.record.id);
        tokio::spawn(async move {
            if let Err(error) = ring.store.note_key_used(id).await {
                tracing::debug!(%error, "the use of a key could not be noted");
            }
        });
    }

    /// All keys, by name.
    pub(crate) async fn list(&self) -> Result<Vec<KeyRecord>> {
        self.store.keys().await
    }

    /// Makes a key; it counts from now on. Carried out whole even when the caller goes away.
    pub(crate) async fn create(self: &Arc<Self>, key: NewKey) -> Result<CreatedKey> {
        let ring = self.clone();
        whole(async move {
            let _alone = ring.changing.lock().await;
            let created = match ring.store.create_key(key).await {
                Ok(created) => created,
                Err(error) => return Err(ring.read_again(error).await),
            };
            if let CreatedKey::Created(record) = &created {
                ring.put(record.clone());
            }
            Ok(created)
        })
        .await
    }

    /// Forgets a key; requests and streams that it began end now. Carried out whole even when the caller goes away.
    pub(crate) async fn revoke(self: &Arc<Self>, name: KeyName) -> Result<Option<KeyRecord>> {
        let ring = self.clone();
        whole(async move {
            let _alone = ring.changing.lock().await;
            let revoked = match ring.store.revoke_key(&name).await {
                Ok(revoked) => revoked,
                Err(error) => return Err(ring.read_again(error).await),
            };
            if let Some(record) = &revoked {
                ring.remove(record.id);
            }
            Ok(revoked)
        })
        .await
    }

    /// Accepts the deletion of a collection, which revokes the keys that are bound to it; answers their names too. Carried out whole even when the
    /// caller goes away.
    ///
    /// Refused when they are the only keys, since callers without a key would be let in: that is for people to decide, not a side effect.
    pub(crate) async fn delete_collection<T: Send + 'static>(
        self: &Arc<Self>,
        collection: CollectionId,
        accept: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<std::result::Result<(T, Vec<KeyName>), LastKeys>> {
        let ring = self.clone();
        whole(async move {
            let _alone = ring.changing.lock().await;
            let bound = ring.bound_to(&collection);
            if !bound.is_empty() && bound.len() == ring.len() {
                return Ok(Err(LastKeys(bound.into_iter().map(|(name, _)| name).collect())));
            }
            let accepted = match accept.await {
                Ok(accepted) => accepted,
                Err(error) => return Err(ring.read_again(error).await),
            };
            bound.iter().for_each(|(_, id)| ring.remove(*id));
            Ok(Ok((accepted, bound.into_iter().map(|(name, _)| name).collect())))
        })
        .await
    }

    /// Keys that are bound to a collection, by name.
    fn bound_to(&self, collection: &CollectionId) -> Vec<(KeyName, KeyId)> {
        let held = self.held.read();
        let records = held.keys.values().map(|entry| &entry.record);
        let bound = records.filter(|record| record.collection.as_ref() == Some(collection));
        let mut bound: Vec<_> = bound.map(|record| (record.name.clone(), record.id)).collect();
        bound.sort();
        bound
    }

    fn put(&self, record: KeyRecord) {
        let open = {
            let mut held = self.held.write();
            held.keys.entry(record.id).or_insert_with(|| Entry::new(record));
            held.open.clone()
        };
        open.cancel();
    }

    fn remove(&self, id: KeyId) {
        let entry = {
            let mut held = self.held.write();
            let entry = held.keys.remove(&id);
            if held.keys.is_empty() {
                held.open = CancellationToken::new();
            }
            entry
        };
        if let Some(entry) = entry {
            entry.ended.cancel();
        }
    }

    /// A write that failed may have been carried out all the same: what the store says counts.
    async fn read_again(&self, error: graphmill_store::Error) -> graphmill_store::Error {
        let Ok(stored) = self.store.keys().await else { return error };
        let gone: Vec<KeyId> = {
            let held = self.held.read();
            held.keys.keys().filter(|id| stored.iter().all(|record| record.id != **id)).copied().collect()
        };
        gone.into_iter().for_each(|id| self.remove(id));
        stored.into_iter().for_each(|record| self.put(record));
        error
    }
}

/// Runs to its end whoever stops waiting for it.
async fn whole<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let gone =
        |e: tokio::task::JoinError| graphmill_store::Error::Backend(format!("a change of the keys was cut off: {e}"));
    tokio::spawn(work).await.map_err(gone)?
}
