//! States: what may follow what.

use std::time::Duration;

use graphmill_core::{Clock, EventKind, Fence, JobId, JobStatus, Transition, next_state};

use super::Fixture;
use super::builders::{claim_one, completed, enqueue, failed, failure, job, object, progress, retried, snoozed};
use super::state::{status, whole};
use crate::records::{CancelOutcome, DeleteOutcome, RetryOutcome, StageCheckpoint};
use crate::requests::{Ending, NewJob, Output};
use crate::{Error, JobStore};

/// A job in each state, with the last fence it had.
async fn in_state(store: &dyn JobStore, wanted: JobStatus) -> (JobId, Fence) {
    let id = enqueue(store, job()).await.id;
    let mut fence = Fence { job: id, epoch: graphmill_core::Epoch(0) };
    if wanted == JobStatus::Pending {
        return (id, fence);
    }
    fence = claim_one(store).await.fence;
    match wanted {
        JobStatus::Pending | JobStatus::Running => {}
        JobStatus::Completed => drop(store.end(fence, completed()).await.expect("complete")),
        JobStatus::Failed => drop(store.end(fence, failed()).await.expect("fail")),
        JobStatus::Cancelled => drop(store.cancel(id, "Job cancelled").await.expect("cancel")),
    }
    (id, fence)
}

/// Takes the job through the transition by the trait alone; `None` when the store refuses.
async fn take(store: &dyn JobStore, (job, fence): (JobId, Fence), transition: Transition) -> Option<JobStatus> {
    let fenced = |ended: crate::Result<crate::records::Ended>| match ended {
        Ok(ended) => Some(ended.status),
        Err(Error::Fenced(_)) => None,
        Err(e) => panic!("{e}"),
    };
    match transition {
        Transition::Claim => {
            let claimed = super::builders::claim(store, 5).await;
            claimed.iter().find(|c| c.fence.job == job).map(|c| c.job.status)
        }
        Transition::Requeue => fenced(store.end(fence, Ending::Released).await),
        Transition::Complete => fenced(store.end(fence, completed()).await),
        Transition::Fail => fenced(store.end(fence, failed()).await),
        Transition::Cancel => match store.cancel(job, "Job cancelled").await.expect("cancel") {
            CancelOutcome::Cancelled(job) => Some(job.status),
            CancelOutcome::AlreadyEnded(_) => None,
            CancelOutcome::Publishing => panic!("nothing is published"),
        },
        Transition::RetryByPerson => match store.retry(job, None).await.expect("retry") {
            RetryOutcome::Requeued(job) => Some(job.status),
            RetryOutcome::NotRetryable(_) => None,
            RetryOutcome::Overtaken { by } => panic!("overtaken by {by}"),
        },
    }
}

/// All thirty pairs of state and transition do what `next_state` says; a refused one changes nothing.
pub async fn every_transition_and_no_other(f: &mut dyn Fixture) {
    let store = f.store();
    for &from in JobStatus::ALL {
        for &transition in Transition::ALL {
            let (job, fence) = in_state(&*store, from).await;
            assert_eq!(status(&*store, job).await, from);
            let before = whole(&*store, &[job]).await;
            let went = take(&*store, (job, fence), transition).await;
            assert_eq!(went, next_state(from, transition).ok(), "{from} {transition:?}");
            match went {
                Some(to) => assert_eq!(status(&*store, job).await, to),
                None => assert_eq!(whole(&*store, &[job]).await, before, "{from} {transition:?} was refused"),
            }
            // The next round must be alone with its job.
            let _ = store.cancel(job, "Job cancelled").await.expect("cancel");
            assert!(matches!(store.delete_job(job).await.expect("delete"), DeleteOutcome::Deleted(_)));
        }
    }
}

/// Whoever comes first wins, and says so.
pub async fn cancel_before_and_after_intent(f: &mut dyn Fixture) {
    let store = f.store();
    let first = enqueue(&*store, job()).await.id;
    let fence = claim_one(&*store).await.fence;
    assert!(matches!(store.cancel(first, "Job cancelled").await.expect("cancel"), CancelOutcome::Cancelled(_)));
    assert!(matches!(store.commit_intent(fence).await, Err(Error::Fenced(_))));
    assert!(!store.job(first).await.expect("job").job.intent);

    let second = enqueue(&*store, job()).await.id;
    let fence = claim_one(&*store).await.fence;
    store.commit_intent(fence).await.expect("intent");
    store.commit_intent(fence).await.expect("intent again, after a lost answer");
    assert_eq!(store.cancel(second, "Job cancelled").await.expect("cancel"), CancelOutcome::Publishing);
    // A death does not undo what may be published already.
    assert_eq!(store.end(fence, Ending::Released).await.expect("release").status, JobStatus::Pending);
    assert_eq!(store.cancel(second, "Job cancelled").await.expect("cancel"), CancelOutcome::Publishing);
    let again = claim_one(&*store).await;
    assert!(again.job.intent);
    store.end(again.fence, completed()).await.expect("complete");
    assert_eq!(
        store.cancel(second, "Job cancelled").await.expect("cancel"),
        CancelOutcome::AlreadyEnded(JobStatus::Completed)
    );
}

/// Finished stages and units stay, failures are forgotten, the failed stage is the one that goes on.
pub async fn a_retry_goes_on_where_it_ended(f: &mut dyn Fixture) {
    let store = f.store();
    let id = enqueue(&*store, NewJob { max_attempts: 1, ..job() }).await.id;
    let fence = claim_one(&*store).await.fence;
    store.start_stage(fence, "loading", "plan".into(), 1).await.expect("start");
    store
        .record_units(fence, "loading", vec![(0, Output::Inline("x".into()))], progress(0.2, 1.0))
        .await
        .expect("units");
    store.finish_stage(fence, "loading", "pages".into(), progress(0.5, 1.0)).await.expect("finish");
    store.start_stage(fence, "embedding", "plan 2".into(), 3).await.expect("start");
    store
        .record_units(fence, "embedding", vec![(1, Output::Inline("y".into()))], progress(0.6, 0.3))
        .await
        .expect("units");
    assert_eq!(store.end(fence, retried(Duration::ZERO)).await.expect("end").status, JobStatus::Failed);
    let detail = store.job(id).await.expect("job");
    let shown: Vec<&str> = detail.stages.iter().map(|s| s.status.as_str()).collect();
    assert_eq!(shown, ["completed", "failed"]);
    let RetryOutcome::Requeued(pending) = store.retry(id, None).await.expect("retry") else { panic!("not requeued") };
    assert_eq!((pending.status, pending.completed_at, pending.progress), (JobStatus::Pending, None, 0.6));
    let claimed = claim_one(&*store).await;
    assert_eq!((claimed.attempt, claimed.failures), (2, 0));
    let [loading, embedding] = &claimed.stages[..] else { panic!("two stages") };
    let StageCheckpoint { stage: _, plan, units_total, output } = embedding;
    assert_eq!((plan.as_deref(), *units_total, output), (Some(&b"plan 2"[..]), 3, &None));
    assert_eq!(loading.output.as_deref(), Some(&b"pages"[..]));
    store.start_stage(claimed.fence, "embedding", "another plan".into(), 9).await.expect("go on");
    assert_eq!(store.finished_units(id, "embedding").await.expect("units"), [1]);
    let again = store.start_stage(claimed.fence, "loading", "plan".into(), 1).await;
    assert!(matches!(again, Err(Error::Invalid(_))), "a completed stage never runs again");
}

/// A snooze, a release and a death use no attempt.
pub async fn attempts_count_failures_of_ours_alone(f: &mut dyn Fixture) {
    let store = f.store();
    let id = enqueue(&*store, NewJob { max_attempts: 2, ..job() }).await.id;
    for ending in [snoozed(Duration::ZERO), Ending::Released, retried(Duration::ZERO), snoozed(Duration::ZERO)] {
        let fence = claim_one(&*store).await.fence;
        assert_eq!(store.end(fence, ending).await.expect("end").status, JobStatus::Pending);
    }
    let claimed = claim_one(&*store).await;
    assert_eq!((claimed.attempt, claimed.failures, claimed.max_attempts), (5, 1, 2));
    assert_eq!(store.end(claimed.fence, retried(Duration::ZERO)).await.expect("end").status, JobStatus::Failed);
    let detail = store.job(id).await.expect("job");
    let outcomes: Vec<&str> = detail.attempts.iter().map(|a| a.outcome.as_str()).collect();
    assert_eq!(outcomes, ["snoozed", "released", "retried", "snoozed", "failed"]);
    let said: Vec<&str> = detail.errors.iter().map(|e| e.message.as_str()).collect();
    let (wait, ours) = ("model server says 429", "It did not work");
    assert_eq!(said, [wait, ours, wait, ours], "a wait is told as well, once while its reason stays the same");
    assert_eq!(detail.job.message, failure("It did not work").message);
    let last = store.events(id, 0, 100).await.expect("events").pop().expect("an event");
    assert!(matches!(last.kind, EventKind::Error { will_retry: false, .. }), "{last:?}");
}

/// Created, started, completed, durations: all by the store's clock, none by the caller's.
pub async fn times_are_the_stores(f: &mut dyn Fixture) {
    let (store, clock) = (f.store(), f.clock());
    let created = clock.now();
    let id = enqueue(&*store, job()).await.id;
    clock.advance(Duration::from_secs(5));
    let started = clock.now();
    let fence = claim_one(&*store).await.fence;
    store.start_stage(fence, "loading", "".into(), 0).await.expect("start");
    clock.advance(Duration::from_millis(3_200));
    store.end(fence, snoozed(Duration::from_secs(30))).await.expect("snooze");
    let snoozed_job = store.job(id).await.expect("job").job;
    assert_eq!(snoozed_job.run_at, clock.now().plus(Duration::from_secs(30)));
    assert!(snoozed_job.message.contains(&snoozed_job.run_at.to_string()), "{}", snoozed_job.message);
    assert!(snoozed_job.message.contains("model server says 429"), "{}", snoozed_job.message);
    clock.advance(Duration::from_secs(30));
    let fence = claim_one(&*store).await.fence;
    store.start_stage(fence, "loading", "".into(), 0).await.expect("start");
    clock.advance(Duration::from_millis(800));
    store.finish_stage(fence, "loading", "".into(), progress(0.5, 1.0)).await.expect("finish");
    store.merge_metadata(fence, object(serde_json::json!({"page_count": 2}))).await.expect("merge");
    store.end(fence, completed()).await.expect("complete");
    let detail = store.job(id).await.expect("job");
    assert_eq!((detail.job.created_at, detail.job.started_at), (created, Some(started)));
    assert_eq!(detail.job.completed_at, Some(clock.now()));
    assert_eq!(detail.stages[0].duration, Some(Duration::from_secs(4)), "the wait is not part of it");
    assert_eq!(detail.stages[1].duration, None);
    assert_eq!(detail.attempts[0].stages, ["loading"]);
}
