//! Collections: how they come into being, their settings, what their quota counts.

use graphmill_core::{CollectionId, CollectionSettings, DocumentId, JobStatus, JobType, Quota, Seq};

use super::Fixture;
use super::builders::{claim_one, collection, completed, enqueue, failed, job};
use crate::collection_store::{CollectionMade, CollectionRecord, CollectionUse, PublishedSize};
use crate::records::{Enqueued, JobRecord, RetryOutcome};
use crate::requests::{DocumentTicket, NewJob, TicketKind};
use crate::{Error, JobStore};

fn quota(documents: Option<u64>, bytes: Option<u64>) -> CollectionSettings {
    CollectionSettings { quota: Quota { documents, bytes }, ..CollectionSettings::default() }
}

/// An upload of `bytes` to the collection `team`.
pub(super) fn of_bytes(source: &str, bytes: u64) -> NewJob {
    let collection = collection("team");
    let document = DocumentId::new(&collection, source);
    let ticket = DocumentTicket { document, source: source.into(), kind: TicketKind::Upload, bytes };
    NewJob { collection, document: Some(ticket), ..job() }
}

async fn known(store: &dyn JobStore) -> CollectionRecord {
    store.collection(&collection("team")).await.expect("read").expect("it is there")
}

async fn names(store: &dyn JobStore) -> Vec<String> {
    let (page, total) = store.collections(0, 50).await.expect("list");
    assert_eq!(total, page.len() as u64);
    page.iter().map(|c| c.name.to_string()).collect()
}

async fn used(store: &dyn JobStore) -> (u64, u64) {
    let CollectionUse { documents, bytes } = known(store).await.usage;
    (documents, bytes)
}

async fn complete(store: &dyn JobStore, job: NewJob) -> JobRecord {
    let job = enqueue(store, job).await;
    let claimed = claim_one(store).await;
    assert_eq!(claimed.job.id, job.id);
    store.end(claimed.fence, completed()).await.expect("complete");
    job
}

/// The first ingestion of a collection makes it; nothing else does; `default` is there from the start.
pub async fn collections_come_into_being_by_use(f: &mut dyn Fixture) {
    let store = f.store();
    assert_eq!(names(&*store).await, ["default"]);
    assert!(store.collection(&collection("team")).await.expect("read").is_none());
    let layer = NewJob { job_type: JobType::Reindex, collection: collection("team"), ..job() };
    assert!(matches!(store.enqueue(layer.clone()).await, Err(Error::NoCollection(name)) if name == collection("team")));
    enqueue(&*store, of_bytes("a.md", 10)).await;
    enqueue(&*store, layer).await;
    assert_eq!(names(&*store).await, ["default", "team"]);
    let team = known(&*store).await;
    assert_eq!((team.jobs, team.version, team.deletion), (2, 1, None));
    assert_eq!(team.settings, CollectionSettings::default());
    let (page, total) = store.collections(1, 1).await.expect("list");
    assert_eq!((page[0].name.as_str(), total), ("team", 2));
    drop(store);
    f.reopen().await;
    assert_eq!(f.store().collections(0, 50).await.expect("list").0.len(), 2);
}

/// Created once; a change names the version that it was made from.
pub async fn settings_are_changed_by_version(f: &mut dyn Fixture) {
    let store = f.store();
    let team = collection("team");
    let first =
        CollectionSettings { chunk_size: Some(500), entity_types: Some(vec!["valve".into()]), ..quota(Some(2), None) };
    assert!(
        matches!(store.create_collection(&team, &first).await, Ok(CollectionMade::New(made)) if made.settings == first)
    );
    assert!(matches!(store.create_collection(&team, &first).await, Ok(CollectionMade::Same(_))));
    let other = quota(None, Some(7));
    assert!(
        matches!(store.create_collection(&team, &other).await, Ok(CollectionMade::Differs(made)) if made.settings == first)
    );
    let changed = store.set_collection_settings(&team, 1, &other).await.expect("change").expect("the version is right");
    assert_eq!((changed.version, &changed.settings), (2, &other));
    assert!(
        store.set_collection_settings(&team, 1, &first).await.expect("answer").is_none(),
        "it was changed meanwhile"
    );
    let unknown = collection("nobody");
    assert!(matches!(store.set_collection_settings(&unknown, 1, &first).await, Err(Error::NoCollection(_))));
    drop(store);
    f.reopen().await;
    assert_eq!(known(&*f.store()).await.settings, other);
}

/// Documents and bytes; refused in the transaction that would accept, with the figures.
pub async fn a_quota_is_exact(f: &mut dyn Fixture) {
    let store = f.store();
    store.create_collection(&collection("team"), &quota(Some(2), Some(100))).await.expect("create");
    complete(&*store, of_bytes("a.md", 60)).await;
    enqueue(&*store, of_bytes("b.md", 40)).await;
    assert_eq!(used(&*store).await, (2, 100));
    let refused = store.enqueue(of_bytes("c.md", 0)).await.expect_err("a third document");
    assert_eq!(refused.to_string(), "the collection team would hold 3 documents; its quota is 2, and it holds 2");
    let refused = store.enqueue(of_bytes("b.md", 41)).await.expect_err("one byte too many");
    assert!(
        matches!(refused, Error::QuotaExceeded { what: "bytes", wanted: 101, quota: 100, used: 100, .. }),
        "{refused}"
    );
    enqueue(&*store, of_bytes("b.md", 40)).await;
    assert_eq!(used(&*store).await, (2, 100), "the same document counts once");
    // Another collection has its own.
    enqueue(&*store, super::builders::about("c.md", TicketKind::Upload)).await;
    let higher = quota(Some(3), None);
    store.set_collection_settings(&collection("team"), 1, &higher).await.expect("change").expect("version 1");
    enqueue(&*store, of_bytes("c.md", 1_000)).await;
    assert_eq!(used(&*store).await, (3, 1_100));
}

/// While both may be there, the larger counts; then what was published.
pub async fn a_replacement_counts_its_difference(f: &mut dyn Fixture) {
    let store = f.store();
    store.create_collection(&collection("team"), &quota(None, Some(100))).await.expect("create");
    complete(&*store, of_bytes("a.md", 60)).await;
    complete(&*store, of_bytes("b.md", 30)).await;
    assert!(store.enqueue(of_bytes("a.md", 71)).await.is_err());
    complete(&*store, of_bytes("a.md", 70)).await;
    assert_eq!(used(&*store).await, (2, 100));
    let smaller = enqueue(&*store, of_bytes("a.md", 5)).await;
    assert_eq!(used(&*store).await, (2, 100), "the old one is still there");
    store.end(claim_one(&*store).await.fence, completed()).await.expect("complete");
    assert_eq!((used(&*store).await, smaller.status), ((2, 35), JobStatus::Pending));
}

/// A failed or cancelled upload, a deleted document, a deleted job: nothing counts for ever.
pub async fn what_ends_unpublished_is_given_back(f: &mut dyn Fixture) {
    let store = f.store();
    store.create_collection(&collection("team"), &quota(Some(1), None)).await.expect("create");
    let job = enqueue(&*store, of_bytes("a.md", 60)).await;
    store.end(claim_one(&*store).await.fence, failed()).await.expect("fail");
    assert_eq!(used(&*store).await, (0, 0));
    let other = enqueue(&*store, of_bytes("b.md", 60)).await;
    // A retry counts again, and is refused like an upload.
    assert!(matches!(store.retry(job.id, None).await, Err(Error::QuotaExceeded { what: "documents", .. })));
    store.cancel(other.id, "x").await.expect("cancel");
    assert!(matches!(store.retry(job.id, None).await, Ok(RetryOutcome::Requeued(_))));
    assert_eq!(used(&*store).await, (1, 60));
    let claimed = claim_one(&*store).await;
    store.end(claimed.fence, completed()).await.expect("complete");
    store.delete_job(job.id).await.expect("delete");
    assert_eq!(used(&*store).await, (1, 60), "the document is still published");
    let document = claimed.job.document.expect("a document");
    let delete = store.accept_document_delete(&collection("team"), document).await.expect("accept");
    assert_eq!(used(&*store).await, (1, 60), "until it is carried out");
    store.finish_document_delete(&delete).await.expect("finish");
    store.finish_document_delete(&delete).await.expect("twice is once");
    assert_eq!(used(&*store).await, (0, 0));
    enqueue(&*store, of_bytes("c.md", 1)).await;
}

/// Of many uploads at once, exactly as many are accepted as there is room.
pub async fn a_quota_holds_for_uploads_at_once(f: &mut dyn Fixture) {
    let store = f.store();
    store.create_collection(&collection("team"), &quota(Some(7), Some(1_000))).await.expect("create");
    let uploads = (0..40).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { store.enqueue(of_bytes(&format!("{n}.md"), 10)).await })
    });
    let mut accepted = 0;
    for upload in uploads.collect::<Vec<_>>() {
        match upload.await.expect("no panic") {
            Ok(Enqueued::New { .. }) => accepted += 1,
            Err(Error::QuotaExceeded { quota: 7, .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((accepted, used(&*store).await), (7, (7, 70)));
}

/// What an older version's folder published is counted once, and later tickets stand over it.
pub async fn published_documents_are_counted_again(f: &mut dyn Fixture) {
    let store = f.store();
    let document = |source: &str| DocumentId::new(&collection("team"), source);
    let published = |source: &str, seq, bytes| PublishedSize {
        collection: collection("team"),
        document: document(source),
        seq: Seq(seq),
        bytes,
    };
    for _ in 0..2 {
        store.note_published(vec![published("a.md", 5, 60), published("b.md", 6, 30)]).await.expect("note");
        assert_eq!(used(&*store).await, (2, 90));
    }
    store.raise_tickets_above(Seq(6)).await.expect("raise");
    complete(&*store, of_bytes("a.md", 1)).await;
    assert_eq!(used(&*store).await, (2, 31));
    store.note_published(vec![published("a.md", 5, 60)]).await.expect("note");
    assert_eq!(used(&*store).await, (2, 31), "an older ticket changes nothing");
    assert!(store.collection(&CollectionId::default()).await.expect("read").is_some());
}
