//! Deleting a collection: what is refused meanwhile, what is left of it afterwards, and that each step can be repeated.

use std::time::Duration;

use graphmill_core::{CollectionId, CollectionSettings, JobStatus};

use super::Fixture;
use super::builders::{about, claim, claim_one, collection, completed, enqueue, failed, job};
use super::collections::of_bytes;
use crate::collection_store::CollectionMade;
use crate::keys::{CreatedKey, NewKey};
use crate::records::BlobRole;
use crate::requests::{JobFilter, NewJob, PageStart, TicketKind};
use crate::{Error, JobStore};

async fn accept(store: &dyn JobStore) {
    let accepted = store.accept_collection_delete(&collection("team"), 7).await.expect("accept").expect("it is there");
    let again = store.accept_collection_delete(&collection("team"), 99).await.expect("accept").expect("it is there");
    assert_eq!(accepted, again, "accepting it again gives the same answer");
}

/// All steps, in the order of the maintenance task.
async fn carry_out(store: &dyn JobStore) {
    let team = collection("team");
    loop {
        let done = store.cancel_for_collection_delete(&team, 2).await.expect("cancel");
        assert_eq!(done.publishing, 0);
        if done.left == 0 {
            break;
        }
    }
    while !store.delete_jobs_of_collection(&team, 2).await.expect("delete") {}
    store.finish_collection_delete(&team).await.expect("finish");
    store.finish_collection_delete(&team).await.expect("twice is once");
}

async fn jobs_of(store: &dyn JobStore, name: &str) -> u64 {
    let filter = JobFilter { collection: Some(collection(name)), ..JobFilter::default() };
    store.list(&filter, PageStart::Offset(0), 50).await.expect("list").total
}

/// No upload, no job, no retry, no claim, no change of settings.
pub async fn a_collection_being_deleted_takes_nothing(f: &mut dyn Fixture) {
    let store = f.store();
    let team = collection("team");
    assert!(store.accept_collection_delete(&team, 0).await.expect("answer").is_none(), "there is none");
    let failing = enqueue(&*store, of_bytes("a.md", 10)).await;
    store.end(claim_one(&*store).await.fence, failed()).await.expect("fail");
    enqueue(&*store, of_bytes("b.md", 10)).await;
    accept(&*store).await;
    let refused = |e: Error| assert!(matches!(e, Error::CollectionDeleting(name) if name == team), "another error");
    refused(store.enqueue(of_bytes("c.md", 1)).await.expect_err("an upload"));
    refused(store.enqueue(NewJob { collection: team.clone(), ..job() }).await.expect_err("a job"));
    refused(store.retry(failing.id, None).await.expect_err("a retry"));
    refused(store.accept_document_delete(&team, failing.document.expect("one")).await.expect_err("a deletion"));
    refused(store.create_collection(&team, &CollectionSettings::default()).await.expect_err("making it"));
    refused(store.set_collection_settings(&team, 1, &CollectionSettings::default()).await.expect_err("settings"));
    assert!(claim(&*store, 5).await.is_empty(), "none of its jobs is claimed");
    let other = enqueue(&*store, about("x.md", TicketKind::Upload)).await;
    assert_eq!(claim_one(&*store).await.job.id, other.id, "those of others are");
}

/// Keys that are bound to it go with the acceptance, over a restart too; until it is gone there is no new one, those of others stay.
pub async fn its_keys_are_revoked(f: &mut dyn Fixture) {
    let (store, keys) = (f.store(), f.keys());
    enqueue(&*store, of_bytes("a.md", 10)).await;
    let bound = |name: &str, to: Option<&str>| NewKey { collection: to.map(collection), ..super::keys::new(name) };
    for (name, to) in [("a", Some("team")), ("b", Some("team")), ("c", Some("default")), ("d", None)] {
        keys.create_key(bound(name, to)).await.expect("create");
    }
    accept(&*store).await;
    let refused = keys.create_key(bound("e", Some("team"))).await.expect_err("it would outlive the collection");
    assert!(matches!(refused, Error::CollectionDeleting(_)), "{refused}");
    keys.create_key(bound("f", Some("default"))).await.expect("create");
    drop((store, keys));
    f.reopen().await;
    let left = f.keys().keys().await.expect("keys").into_iter().map(|key| key.name.to_string()).collect::<Vec<_>>();
    assert_eq!(left, ["c", "d", "f"]);
    carry_out(&*f.store()).await;
    let again = f.keys().create_key(bound("e", Some("team"))).await.expect("create");
    assert!(matches!(again, CreatedKey::Created(_)), "{again:?}");
}

/// Nothing of it is left, and a new one of its name has nothing of the old.
pub async fn its_jobs_end_and_go(f: &mut dyn Fixture) {
    let store = f.store();
    let keep = enqueue(&*store, about("x.md", TicketKind::Upload)).await;
    let other = claim_one(&*store).await;
    let blobs = vec![(BlobRole::Original, "original/aa/1".to_owned())];
    let running = enqueue(&*store, NewJob { blobs, ..of_bytes("a.md", 10) }).await;
    let claimed = claim_one(&*store).await;
    store.name_blobs(claimed.fence, vec![(BlobRole::Output, "jobs/1/1/x".into())]).await.expect("name");
    for n in 0..5 {
        enqueue(&*store, of_bytes(&format!("{n}.md"), 1)).await;
    }
    let document = running.document.expect("one");
    let failing = claim_one(&*store).await;
    store.end(failing.fence, failed()).await.expect("fail");
    store.accept_document_delete(&collection("team"), failing.job.document.expect("one")).await.expect("accept");
    let mut changes = store.changes();
    accept(&*store).await;
    assert_eq!(store.job(running.id).await.expect("job").job.status, JobStatus::Cancelled, "at once");
    assert!(matches!(
        store.report(claimed.fence, "loading", super::builders::progress(0.1, 0.1)).await,
        Err(Error::Fenced(_))
    ));
    assert_eq!(
        store.next_blobs_of_collection(&collection("team"), 50).await.expect("blobs"),
        ["jobs/1/1/x", "original/aa/1"]
    );
    carry_out(&*store).await;
    let mut deleted = 0;
    while let Ok(change) = changes.try_recv() {
        deleted += u64::from(change.deleted);
    }
    assert_eq!(deleted, 6, "followers are told");
    assert!(store.collection(&collection("team")).await.expect("read").is_none());
    assert_eq!((jobs_of(&*store, "team").await, jobs_of(&*store, "default").await), (0, 1));
    assert!(store.open_document_deletes(10).await.expect("read").is_empty());
    assert_eq!(store.counts().await.expect("counts").iter().map(|(_, n)| n).sum::<u64>(), 1);
    assert!(store.deleting_collections().await.expect("read").is_empty());
    store.end(other.fence, completed()).await.expect("others go on");
    assert_eq!(store.job(keep.id).await.expect("job").job.status, JobStatus::Completed);
    let again = enqueue(&*store, of_bytes("a.md", 3)).await;
    assert_eq!((again.document, again.seq > running.seq), (Some(document), true), "a later ticket");
    let team = store.collection(&collection("team")).await.expect("read").expect("made again");
    assert_eq!((team.usage.documents, team.usage.bytes, team.jobs), (1, 3, 1));
}

/// A restart between any two steps loses nothing.
pub async fn a_deletion_goes_on_after_a_restart(f: &mut dyn Fixture) {
    let store = f.store();
    for n in 0..5 {
        enqueue(&*store, of_bytes(&format!("{n}.md"), 1)).await;
    }
    // One of them had begun to publish when the process died: the graph publishes nothing of it any more.
    store.commit_intent(claim_one(&*store).await.fence).await.expect("intent");
    accept(&*store).await;
    drop(store);
    f.reopen().await;
    f.store().requeue_lost().await.expect("requeue");
    let open = f.store().deleting_collections().await.expect("read");
    assert_eq!((open[0].0.as_str(), open[0].1.total), ("team", 12));
    f.store().cancel_for_collection_delete(&collection("team"), 3).await.expect("cancel");
    f.reopen().await;
    let store = f.store();
    let early = store.delete_jobs_of_collection(&collection("team"), 50).await;
    assert!(matches!(early, Err(Error::Invalid(_))), "not while one of its jobs has not ended: {early:?}");
    carry_out(&*store).await;
    assert_eq!(jobs_of(&*store, "team").await, 0);
    for step in [
        store.cancel_for_collection_delete(&collection("team"), 3).await.map(drop),
        store.delete_jobs_of_collection(&collection("team"), 3).await.map(drop),
    ] {
        assert!(matches!(step, Err(Error::NoCollection(_))), "a step of no deletion: {step:?}");
    }
}

/// `default` is emptied, and is there again with the usual settings.
pub async fn the_default_collection_is_there_again(f: &mut dyn Fixture) {
    let store = f.store();
    let default = CollectionId::default();
    let settings = CollectionSettings { chunk_size: Some(300), ..CollectionSettings::default() };
    store.set_collection_settings(&default, 1, &settings).await.expect("change").expect("version 1");
    enqueue(&*store, about("x.md", TicketKind::Upload)).await;
    f.clock().advance(Duration::from_secs(60));
    store.accept_collection_delete(&default, 0).await.expect("accept").expect("it is there");
    store.cancel_for_collection_delete(&default, 10).await.expect("cancel");
    while !store.delete_jobs_of_collection(&default, 10).await.expect("delete") {}
    store.finish_collection_delete(&default).await.expect("finish");
    let new = store.collection(&default).await.expect("read").expect("it is there");
    assert_eq!((new.settings.clone(), new.jobs, new.deletion), (CollectionSettings::default(), 0, None));
    assert!(matches!(store.create_collection(&default, &new.settings).await, Ok(CollectionMade::Same(_))));
}

/// A job that is publishing cannot be cancelled; the deletion waits for its end.
pub async fn what_publishes_is_waited_for(f: &mut dyn Fixture) {
    let store = f.store();
    enqueue(&*store, of_bytes("a.md", 1)).await;
    let claimed = claim_one(&*store).await;
    store.commit_intent(claimed.fence).await.expect("intent");
    accept(&*store).await;
    let done = store.cancel_for_collection_delete(&collection("team"), 10).await.expect("cancel");
    assert_eq!((done.cancelled, done.publishing, done.left), (0, 1, 0));
    let ending = crate::requests::Ending::Overtaken { message: "Overtaken".into() };
    store.end(claimed.fence, ending).await.expect("its end");
    carry_out(&*store).await;
    assert!(store.collection(&collection("team")).await.expect("read").is_none());
}
