//! Keys of the API.

use std::time::Duration;

use super::Fixture;
use super::builders::collection;
use crate::keys::{CreatedKey, KeyName, KeyRecord, KeyStore, KeyToken, NewKey};

pub(super) fn new(name: &str) -> NewKey {
    let token = KeyToken::generate();
    let name = name.parse().expect("a name");
    NewKey { id: token.id(), secret_hash: token.secret_hash(), name, read_only: false, collection: None }
}

fn name(text: &str) -> KeyName {
    text.parse().expect("a name")
}

async fn create(store: &dyn KeyStore, key: NewKey) -> KeyRecord {
    match store.create_key(key).await.expect("create") {
        CreatedKey::Created(record) => record,
        other => panic!("{other:?}"),
    }
}

/// What was made is listed by name with all that it was made with, once a name, also after a restart; what was revoked is gone.
pub async fn keys_are_kept_until_revoked(f: &mut dyn Fixture) {
    let store = f.keys();
    assert_eq!(store.keys().await.expect("keys"), []);
    let plain = create(&*store, new("plain")).await;
    let bound = NewKey { read_only: true, collection: Some(collection("wiki")), ..new("bound") };
    let secret = bound.secret_hash;
    let bound = create(&*store, bound).await;
    assert_eq!((bound.secret_hash, bound.read_only, &bound.collection), (secret, true, &Some(collection("wiki"))));
    assert_eq!((plain.read_only, &plain.collection, plain.last_used_at), (false, &None, None));
    assert_eq!(store.create_key(new("plain")).await.expect("create"), CreatedKey::NameTaken);
    assert_eq!(store.keys().await.expect("keys"), [bound.clone(), plain.clone()]);
    drop(store);
    f.reopen().await;
    let store = f.keys();
    assert_eq!(store.keys().await.expect("keys"), [bound.clone(), plain.clone()]);
    assert_eq!(store.revoke_key(&name("nobody")).await.expect("revoke"), None);
    assert_eq!(store.revoke_key(&name("plain")).await.expect("revoke"), Some(plain));
    assert_eq!(store.revoke_key(&name("plain")).await.expect("revoke"), None);
    assert_eq!(store.keys().await.expect("keys"), [bound]);
    // The name is free again, for another key.
    create(&*store, new("plain")).await;
}

/// The use of a key is dated by the store's clock and never goes back; that of a revoked one is nothing.
pub async fn the_use_of_a_key_is_noted(f: &mut dyn Fixture) {
    let (store, clock) = (f.keys(), f.clock());
    let key = create(&*store, new("k")).await;
    clock.advance(Duration::from_secs(60));
    store.note_key_used(key.id).await.expect("note");
    let used = store.keys().await.expect("keys")[0].last_used_at.expect("it was used");
    assert_eq!(used.as_millis() - key.created_at.as_millis(), 60_000);
    store.revoke_key(&key.name).await.expect("revoke");
    store.note_key_used(key.id).await.expect("note");
    assert_eq!(store.keys().await.expect("keys"), []);
}

/// Of two that want one name at once, one gets it.
pub async fn one_name_is_given_once(f: &mut dyn Fixture) {
    let store = f.keys();
    let wanted = futures::future::join_all((0..20).map(|_| store.create_key(new("same")))).await;
    let made = wanted.into_iter().filter(|w| matches!(w, Ok(CreatedKey::Created(_)))).count();
    assert_eq!((made, store.keys().await.expect("keys").len()), (1, 1));
}
