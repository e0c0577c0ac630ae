//! Tickets: a document ends as it was last told.

use graphmill_core::{CollectionId, JobStatus, Seq};

use super::Fixture;
use super::builders::{about, claim, claim_one, completed, document, enqueue, failed, upload};
use super::state::status;
use crate::JobStore;
use crate::records::{BlobRole, CancelOutcome, Enqueued, LogLevel, RetryOutcome};
use crate::requests::{Ending, LogQuery, NewJob, NewLog, TicketKind};

async fn overtaken(store: &dyn JobStore, job: crate::requests::NewJob) -> String {
    match store.enqueue(job).await.expect("enqueue") {
        Enqueued::Overtaken { by } => by,
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// Uploads A, B, A again: each takes a higher ticket of its document and is never refused.
pub async fn uploads_end_as_accepted(f: &mut dyn Fixture) {
    let store = f.store();
    let Enqueued::New { job: first, known_source } =
        store.enqueue(about("a.pdf", TicketKind::Upload)).await.expect("enqueue")
    else {
        panic!("refused")
    };
    assert!(!known_source);
    let (_, seq_b) = upload(&*store, "b.pdf").await;
    let Enqueued::New { job: again, known_source } =
        store.enqueue(about("a.pdf", TicketKind::Upload)).await.expect("enqueue")
    else {
        panic!("refused")
    };
    assert!(known_source);
    assert!(first.seq < Some(seq_b) && Some(seq_b) < again.seq);
    assert_eq!(store.latest_job_of(document("a.pdf")).await.expect("latest").map(|j| j.id), Some(again.id));
    // The first is overtaken by what the graph store says, and says so itself.
    let claimed = claim(&*store, 3).await;
    let mine = claimed.iter().find(|c| c.fence.job == first.id).expect("claimed");
    let message = format!("Overtaken by {}", again.id);
    let ended = store.end(mine.fence, Ending::Overtaken { message: message.clone() }).await.expect("end");
    assert_eq!(ended.status, JobStatus::Cancelled);
    let shown = store.job(first.id).await.expect("job");
    assert_eq!((shown.job.message, shown.attempts[0].outcome.as_str()), (message, "overtaken"));
}

/// Refused while any other job or deletion of the document is open; the refusal names it.
pub async fn reingestion_waits_for_everything_else(f: &mut dyn Fixture) {
    let store = f.store();
    let again = || about("a.pdf", TicketKind::Reingestion);
    let (job, _) = upload(&*store, "a.pdf").await;
    assert_eq!(overtaken(&*store, again()).await, job.id.to_string());
    let fence = claim_one(&*store).await.fence;
    assert_eq!(overtaken(&*store, again()).await, job.id.to_string());
    store.end(fence, completed()).await.expect("complete");
    let second = enqueue(&*store, again()).await;
    assert!(second.seq > job.seq);
    assert_eq!(overtaken(&*store, again()).await, second.id.to_string());
    let delete = store.accept_document_delete(&CollectionId::default(), document("a.pdf")).await.expect("delete");
    assert_eq!(status(&*store, second.id).await, JobStatus::Cancelled);
    assert!(overtaken(&*store, again()).await.contains("deletion"), "names the deletion");
    store.finish_document_delete(&delete).await.expect("finish");
    enqueue(&*store, again()).await;
}

/// A purge takes what older jobs of the document left, and nothing of a later one; a deletion that is open becomes one that purges.
pub async fn a_purge_removes_what_older_jobs_left(f: &mut dyn Fixture) {
    let store = f.store();
    let with_blobs = |keys: &[&str]| NewJob {
        blobs: keys.iter().map(|key| (BlobRole::Original, (*key).to_owned())).collect(),
        ..about("a.pdf", TicketKind::Upload)
    };
    let line = NewLog { level: LogLevel::Info, message: "secret".into(), context: serde_json::Map::new() };
    let first = enqueue(&*store, with_blobs(&["old", "shared"])).await;
    let fence = claim_one(&*store).await.fence;
    store.append_logs(fence, vec![line.clone(), line.clone()]).await.expect("logs");
    store.commit_intent(fence).await.expect("intent");
    let plain = store.accept_document_delete(&CollectionId::default(), document("a.pdf")).await.expect("delete");
    let purge = store.accept_document_purge(&CollectionId::default(), document("a.pdf")).await.expect("purge");
    assert_eq!((plain.purge, purge.purge, plain.seq), (false, true, purge.seq));
    store.finish_document_delete(&plain).await.expect("it is answered");
    assert_eq!(
        store.open_document_deletes(9).await.expect("open"),
        std::slice::from_ref(&purge),
        "the purge is still to come"
    );
    assert_eq!(store.purgeable_blobs(&purge).await.expect("blobs"), None, "a job is being published");
    store.end(fence, Ending::Overtaken { message: "Overtaken".into() }).await.expect("end");
    let later = enqueue(&*store, with_blobs(&["new", "shared"])).await;
    assert_eq!(store.purgeable_blobs(&purge).await.expect("blobs"), Some(vec!["old".to_owned()]));
    let fence = claim_one(&*store).await.fence;
    store.append_logs(fence, vec![line]).await.expect("logs");
    let all = LogQuery { level: None, after: None, descending: false, limit: 9 };
    let before = store.logs(first.id, &all).await.expect("logs").total;
    assert_eq!(store.purge_document(&purge).await.expect("purge"), before);
    assert_eq!(store.purge_document(&purge).await.expect("purge"), 0, "twice is once");
    assert_eq!(store.logs(first.id, &all).await.expect("logs").total, 0);
    assert!(store.logs(later.id, &all).await.expect("logs").total >= 1);
    let keys = ["old", "new", "shared"].map(str::to_owned);
    assert_eq!(store.unnamed_among(&keys).await.expect("names"), ["old"]);
    store.finish_document_delete(&purge).await.expect("finish");
    assert!(store.open_document_deletes(9).await.expect("open").is_empty());
    assert!(matches!(store.retry(first.id, None).await.expect("retry"), RetryOutcome::Overtaken { .. }));
}

/// Refused while something later is unended or published, whether the graph store still knows of it or not.
pub async fn a_retry_is_refused_when_overtaken(f: &mut dyn Fixture) {
    let store = f.store();
    let by = async |job, published| match store.retry(job, published).await.expect("retry") {
        RetryOutcome::Overtaken { by } => by,
        other => panic!("expected a refusal, got {other:?}"),
    };
    let (old, old_seq) = upload(&*store, "a.pdf").await;
    store.cancel(old.id, "Job cancelled").await.expect("cancel");
    let (later, later_seq) = upload(&*store, "a.pdf").await;
    assert_eq!(by(old.id, None).await, later.id.to_string());
    let fence = claim_one(&*store).await.fence;
    assert_eq!(by(old.id, Some(old_seq)).await, later.id.to_string());
    store.end(fence, failed()).await.expect("fail");
    // The later one came to nothing: the earlier one may go on, under a new ticket.
    let RetryOutcome::Requeued(job) = store.retry(old.id, None).await.expect("retry") else { panic!("refused") };
    assert!(job.seq > Some(later_seq));
    assert_eq!(by(later.id, None).await, old.id.to_string());
    let fence = claim_one(&*store).await.fence;
    store.end(fence, completed()).await.expect("complete");
    assert_eq!(by(later.id, job.seq).await, old.id.to_string());
    // A published ticket that no row knows any more.
    let (other, seq) = upload(&*store, "b.pdf").await;
    store.cancel(other.id, "Job cancelled").await.expect("cancel");
    assert!(by(other.id, Some(Seq(seq.0 + 1_000))).await.contains("published"));
    assert!(matches!(store.retry(other.id, Some(seq)).await.expect("retry"), RetryOutcome::Requeued(_)));
}

/// Older jobs end as overtaken at once; one that publishes goes on and the graph store decides.
pub async fn a_delete_cancels_older_jobs_but_those_with_intent(f: &mut dyn Fixture) {
    let store = f.store();
    let (publishing, _) = upload(&*store, "a.pdf").await;
    let fence = claim_one(&*store).await.fence;
    store.commit_intent(fence).await.expect("intent");
    let (running, _) = upload(&*store, "a.pdf").await;
    let running_fence = claim_one(&*store).await.fence;
    let (pending, seq) = upload(&*store, "a.pdf").await;
    let (other, _) = upload(&*store, "b.pdf").await;
    let delete = store.accept_document_delete(&CollectionId::default(), document("a.pdf")).await.expect("delete");
    assert!(delete.seq > seq);
    assert_eq!(status(&*store, publishing.id).await, JobStatus::Running);
    assert_eq!(status(&*store, running.id).await, JobStatus::Cancelled);
    assert_eq!(status(&*store, pending.id).await, JobStatus::Cancelled);
    assert_eq!(status(&*store, other.id).await, JobStatus::Pending);
    assert!(matches!(store.commit_intent(running_fence).await, Err(crate::Error::Fenced(_))));
    let message = store.job(pending.id).await.expect("job").job.message;
    assert!(message.contains("deleted"), "{message}");
    assert_eq!(store.cancel(publishing.id, "x").await.expect("cancel"), CancelOutcome::Publishing);
    store.end(fence, Ending::Overtaken { message: "Overtaken by a deletion".into() }).await.expect("end");
    // What was cancelled by the deletion cannot be retried over it, also when it is long done.
    for finished in [false, true] {
        if finished {
            store.finish_document_delete(&delete).await.expect("finish");
        }
        let RetryOutcome::Overtaken { by } = store.retry(pending.id, None).await.expect("retry") else {
            panic!("the deletion was undone")
        };
        assert!(by.contains("deletion"), "{by}");
    }
}

/// Accepted twice it is one; an upload after it makes the next deletion another one.
pub async fn a_delete_is_kept_until_finished(f: &mut dyn Fixture) {
    let mut store = f.store();
    let accept = async |store: &dyn JobStore| {
        store.accept_document_delete(&CollectionId::default(), document("a.pdf")).await.expect("delete")
    };
    let first = accept(&*store).await;
    assert_eq!(accept(&*store).await, first);
    drop(store);
    f.reopen().await;
    store = f.store();
    assert_eq!(store.open_document_deletes(10).await.expect("open"), std::slice::from_ref(&first));
    assert_eq!(store.unended_among(&[document("a.pdf")]).await.expect("unended"), [document("a.pdf")]);
    let (job, seq) = upload(&*store, "a.pdf").await;
    let second = accept(&*store).await;
    assert!(second.seq > seq && seq > first.seq);
    assert_eq!(status(&*store, job.id).await, JobStatus::Cancelled);
    assert_eq!(store.open_document_deletes(10).await.expect("open"), std::slice::from_ref(&second));
    store.finish_document_delete(&first).await.expect("finishing what is done");
    store.finish_document_delete(&second).await.expect("finish");
    store.finish_document_delete(&second).await.expect("finish again, after a lost answer");
    assert!(store.open_document_deletes(10).await.expect("open").is_empty());
    assert!(store.unended_among(&[document("a.pdf")]).await.expect("unended").is_empty());
}

/// A new job over the quarantined chunks of a completed one is refused like a retry.
pub async fn a_retry_of_quarantined_chunks_follows_the_same_rule(f: &mut dyn Fixture) {
    let store = f.store();
    let (job, seq) = upload(&*store, "a.pdf").await;
    let again = |published| about("a.pdf", TicketKind::RetryOf { original: seq, published });
    assert_eq!(overtaken(&*store, again(None)).await, job.id.to_string(), "it has not ended itself");
    let fence = claim_one(&*store).await.fence;
    store.end(fence, completed()).await.expect("complete");
    assert!(overtaken(&*store, again(Some(Seq(seq.0 + 9)))).await.contains("published"));
    let second = enqueue(&*store, again(Some(seq))).await;
    assert_eq!(overtaken(&*store, again(Some(seq))).await, second.id.to_string());
    let fence = claim_one(&*store).await.fence;
    store.end(fence, completed()).await.expect("complete");
    assert_eq!(overtaken(&*store, again(Some(seq))).await, second.id.to_string(), "the later one took its place");
}

/// Whatever the graph store has seen, the next ticket is above it; also after a restart.
pub async fn tickets_only_rise(f: &mut dyn Fixture) {
    let mut store = f.store();
    let (_, first) = upload(&*store, "a.pdf").await;
    store.raise_tickets_above(Seq(1_000)).await.expect("raise");
    let (_, second) = upload(&*store, "a.pdf").await;
    assert!(first < Seq(1_000) && second > Seq(1_000));
    store.raise_tickets_above(Seq(3)).await.expect("raise");
    let id = store.id();
    drop(store);
    f.reopen().await;
    store = f.store();
    assert_eq!(store.id(), id, "a graph store is bound to it");
    assert!(upload(&*store, "a.pdf").await.1 > second);
}
