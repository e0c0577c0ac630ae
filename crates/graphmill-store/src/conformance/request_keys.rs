//! Several jobs at once, and answers that are kept under a caller's key.

use std::sync::Arc;
use std::time::Duration;

use graphmill_core::JobStatus;

use super::Fixture;
use super::builders::{about, claim, claim_one, enqueue, failed, job, upload};
use super::state::status;
use crate::JobStore;
use crate::records::{Acceptance, KeptAnswer, Keyed, RetryOutcome};
use crate::requests::{JobFilter, NewJob, PageStart, RequestKey, TicketKind};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A key whose answer names the jobs.
fn key(scope: &str, key: &str, request: u8) -> RequestKey {
    let answer = Arc::new(|accepted: &[crate::records::AcceptedJob]| KeptAnswer {
        status: 202,
        location: None,
        body: accepted.iter().map(|a| a.detail.job.id.to_string()).collect::<Vec<_>>().join(" "),
    });
    RequestKey { scope: scope.into(), key: key.into(), request: [request; 32], answer }
}

async fn total(store: &dyn JobStore) -> u64 {
    store.list(&JobFilter::default(), PageStart::Offset(0), 1).await.expect("list").total
}

async fn submit(store: &dyn JobStore, jobs: u32, key: RequestKey) -> Keyed<Acceptance> {
    store.enqueue_all((0..jobs).map(|_| job()).collect(), Some(key)).await.expect("enqueue")
}

/// The ids of accepted jobs, as the answer names them.
fn accepted(outcome: &Keyed<Acceptance>) -> String {
    match outcome {
        Keyed::Done(Acceptance::Accepted(jobs)) => {
            jobs.iter().map(|a| a.detail.job.id.to_string()).collect::<Vec<_>>().join(" ")
        }
        other => panic!("not accepted: {other:?}"),
    }
}

fn replayed(outcome: &Keyed<Acceptance>) -> &str {
    match outcome {
        Keyed::Replayed(answer) => &answer.body,
        other => panic!("not replayed: {other:?}"),
    }
}

/// One refused job takes all others with it; accepted ones stand in the order given, with their pages.
pub async fn several_jobs_are_accepted_or_none(f: &mut dyn Fixture) {
    let store = f.store();
    let (pending, _) = upload(&*store, "busy.md").await;
    let refused = about("busy.md", TicketKind::Reingestion);
    let outcome = store.enqueue_all(vec![job(), refused.clone(), job()], None).await.expect("enqueue");
    let expected = Acceptance::Overtaken { index: 1, by: pending.id.to_string() };
    assert_eq!(outcome, Keyed::Done(expected));
    assert_eq!(total(&*store).await, 1);
    // Two that stand in each other's way: found when the first is written already, and undone with it.
    let twice = || about("new.md", TicketKind::Reingestion);
    assert!(store.enqueue_all(vec![job(), twice(), twice()], None).await.is_err());
    assert_eq!(total(&*store).await, 1);
    assert_eq!(store.event_head().await.expect("head"), 1, "nor did anything say so");
    let Keyed::Done(Acceptance::Accepted(jobs)) =
        store.enqueue_all(vec![about("a", TicketKind::Upload), job()], None).await.expect("enqueue")
    else {
        panic!("not accepted")
    };
    for accepted in &jobs {
        assert_eq!(store.job(accepted.detail.job.id).await.expect("job"), accepted.detail);
    }
    assert!(jobs[0].detail.job.id < jobs[1].detail.job.id);
    let same = || NewJob { dedupe_key: Some("k".into()), ..job() };
    let Keyed::Done(Acceptance::Accepted(jobs)) = store.enqueue_all(vec![same(), same()], None).await.expect("enqueue")
    else {
        panic!("not accepted")
    };
    assert_eq!((jobs[0].existing, jobs[1].existing, &jobs[1].detail), (false, true, &jobs[0].detail));
}

/// Nothing is done again; the answer is the first one, also when its job is gone.
pub async fn a_key_gives_the_same_answer(f: &mut dyn Fixture) {
    let store = f.store();
    let first = submit(&*store, 2, key("", "k", 1)).await;
    let ids = accepted(&first);
    assert_eq!(replayed(&submit(&*store, 2, key("", "k", 1)).await), ids);
    assert_eq!(total(&*store).await, 2);
    for claimed in claim(&*store, 5).await {
        store.end(claimed.fence, failed()).await.expect("end");
        store.delete_job(claimed.fence.job).await.expect("delete");
    }
    assert_eq!(replayed(&submit(&*store, 2, key("", "k", 1)).await), ids);
    assert_eq!(total(&*store).await, 0);
    let (request, answer) = store.kept_answer("", "k").await.expect("answer").expect("kept");
    assert_eq!((request, answer.body), ([1; 32], ids));
    assert_eq!(store.kept_answer("", "other").await.expect("answer"), None);
}

/// The same key in another scope is another key. What was refused is not kept.
pub async fn a_key_of_another_request_is_refused(f: &mut dyn Fixture) {
    let store = f.store();
    submit(&*store, 1, key("", "k", 1)).await;
    assert_eq!(submit(&*store, 1, key("", "k", 2)).await, Keyed::Reused);
    assert_eq!(store.keep_answer(key("", "k", 2)).await.expect("keep"), Keyed::Reused);
    assert_eq!(total(&*store).await, 1);
    accepted(&submit(&*store, 1, key("own", "k", 2)).await);
    assert_eq!(total(&*store).await, 2);
    let (pending, _) = upload(&*store, "busy.md").await;
    let again = async || {
        let job = about("busy.md", TicketKind::Reingestion);
        store.enqueue_all(vec![job], Some(key("", "again", 3))).await.expect("enqueue")
    };
    assert!(matches!(again().await, Keyed::Done(Acceptance::Overtaken { .. })));
    store.cancel(pending.id, "x").await.expect("cancel");
    accepted(&again().await);
}

/// To the millisecond; then the key is free for anything.
pub async fn an_answer_is_kept_for_a_day_and_over_a_restart(f: &mut dyn Fixture) {
    let ids = accepted(&submit(&*f.store(), 1, key("", "k", 1)).await);
    f.reopen().await;
    let (store, clock) = (f.store(), f.clock());
    clock.advance(DAY - Duration::from_millis(1));
    store.requeue_lost().await.expect("what keeps house");
    assert_eq!(replayed(&submit(&*store, 1, key("", "k", 1)).await), ids);
    clock.advance(Duration::from_millis(1));
    assert_eq!(store.kept_answer("", "k").await.expect("answer"), None);
    // Old, swept or not: the key is free for anything.
    let again = accepted(&submit(&*store, 1, key("", "k", 2)).await);
    assert_ne!(again, ids);
    store.requeue_lost().await.expect("what keeps house");
    assert_eq!(replayed(&submit(&*store, 1, key("", "k", 2)).await), again, "the new one is kept");
}

/// A retry under a key is done once, whatever the job does afterwards; one that was refused is not kept.
pub async fn a_retry_keeps_its_answer(f: &mut dyn Fixture) {
    let store = f.store();
    let id = enqueue(&*store, job()).await.id;
    let retry = async || store.retry_keyed(id, None, Some(key("", "r", 1))).await.expect("retry");
    assert!(matches!(retry().await, Keyed::Done(RetryOutcome::NotRetryable(JobStatus::Pending))), "not kept");
    store.end(claim_one(&*store).await.fence, failed()).await.expect("fail");
    assert!(matches!(retry().await, Keyed::Done(RetryOutcome::Requeued(_))));
    store.end(claim_one(&*store).await.fence, failed()).await.expect("fail");
    let Keyed::Replayed(answer) = retry().await else { panic!("retried twice") };
    assert_eq!((answer.status, answer.body), (202, id.to_string()));
    assert_eq!(status(&*store, id).await, JobStatus::Failed);
}

/// Twenty callers with one key at once: one job.
pub async fn one_key_at_once_is_accepted_once(f: &mut dyn Fixture) {
    let store = f.store();
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let store = store.clone();
        calls.spawn(async move { submit(&*store, 1, key("", "k", 1)).await });
    }
    let outcomes = calls.join_all().await;
    let done: Vec<_> = outcomes.iter().filter(|o| matches!(o, Keyed::Done(_))).collect();
    assert_eq!((done.len(), total(&*store).await), (1, 1));
    let ids = accepted(done[0]);
    assert!(outcomes.iter().filter(|o| !matches!(o, Keyed::Done(_))).all(|o| replayed(o) == ids));
}
