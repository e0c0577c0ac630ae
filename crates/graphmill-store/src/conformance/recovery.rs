//! Workers that are gone.

use std::time::Duration;

use graphmill_core::{Clock, ErrorCode, JobStatus};

use super::Fixture;
use super::builders::{LEASE, claim, claim_one, enqueue, job, progress};
use super::state::{status, whole};
use crate::records::Lost;
use crate::requests::Output;

/// The owner of the store is new: work goes on at once, without waiting for any lease.
pub async fn a_restart_voids_all_leases(f: &mut dyn Fixture) {
    let store = f.store();
    let first = enqueue(&*store, job()).await.id;
    let second = enqueue(&*store, job()).await.id;
    assert_eq!(claim(&*store, 2).await.len(), 2);
    drop(store);
    f.reopen().await;
    let store = f.store();
    assert_eq!(store.requeue_lost().await.expect("requeue"), Lost { requeued: 2, failed: 0 });
    assert_eq!(store.requeue_lost().await.expect("requeue"), Lost::default());
    let claimed = claim(&*store, 2).await;
    assert_eq!(claimed.iter().map(|c| (c.fence.job, c.attempt)).collect::<Vec<_>>(), [(first, 2), (second, 2)]);
    assert_eq!(store.requeue_lost().await.expect("requeue"), Lost::default(), "the new leases hold");
    let detail = store.job(first).await.expect("job");
    assert_eq!(detail.attempts.iter().map(|a| a.outcome.as_str()).collect::<Vec<_>>(), ["lost", "running"]);
    // A claim before the first look must not be taken for an old one.
    drop(store);
    f.reopen().await;
    let store = f.store();
    assert_eq!(claim(&*store, 2).await.len(), 2);
    assert_eq!(store.requeue_lost().await.expect("requeue"), Lost { requeued: 2, failed: 0 });
    assert_eq!(status(&*store, first).await, JobStatus::Running);
}

/// Renewed leases hold; a lease that ended is given back to the queue, and the attempt ended with it.
pub async fn an_expired_lease_is_taken_back(f: &mut dyn Fixture) {
    let (store, clock) = (f.store(), f.clock());
    store.requeue_lost().await.expect("leases of nobody");
    let kept = enqueue(&*store, job()).await.id;
    let lost = enqueue(&*store, job()).await.id;
    let claimed = claim(&*store, 2).await;
    let ends = clock.now().plus(LEASE);
    clock.advance(LEASE / 2);
    store.renew(claimed[0].fence, LEASE).await.expect("renew");
    assert_eq!(store.requeue_lost().await.expect("requeue"), Lost::default());
    clock.advance(LEASE / 2 + Duration::from_millis(1));
    assert_eq!(store.requeue_lost().await.expect("requeue"), Lost { requeued: 1, failed: 0 });
    assert_eq!((status(&*store, kept).await, status(&*store, lost).await), (JobStatus::Running, JobStatus::Pending));
    let attempt = store.job(lost).await.expect("job").attempts.remove(0);
    assert_eq!((attempt.ended_at, attempt.outcome.as_str()), (Some(ends), "lost"));
}

/// Nineteen deaths in a row are survived, the twentieth fails the job.
pub async fn a_crash_loop_ends(f: &mut dyn Fixture) {
    let mut store = f.store();
    let id = enqueue(&*store, job()).await.id;
    for death in 1..=20 {
        let claimed = claim_one(&*store).await;
        assert_eq!((claimed.attempt, claimed.failures), (death, 0), "a death is no failure of ours");
        store.start_stage(claimed.fence, "loading", "".into(), 2).await.expect("start");
        drop(store);
        f.reopen().await;
        store = f.store();
        let lost = store.requeue_lost().await.expect("requeue");
        assert_eq!(lost, Lost { requeued: u64::from(death < 20), failed: u64::from(death == 20) });
    }
    let detail = store.job(id).await.expect("job");
    assert_eq!(detail.job.status, JobStatus::Failed);
    assert_eq!((detail.errors[0].code, detail.errors[0].stage.as_deref()), (ErrorCode::CrashLoop, Some("loading")));
    assert!(claim(&*store, 1).await.is_empty());
}

/// Ten kills in one job do not fail it, nor do a hundred when something is finished now and then.
pub async fn a_finished_unit_breaks_the_row_of_deaths(f: &mut dyn Fixture) {
    let mut store = f.store();
    let id = enqueue(&*store, job()).await.id;
    for death in 0..45 {
        let fence = claim_one(&*store).await.fence;
        store.start_stage(fence, "loading", "".into(), 100).await.expect("start");
        if death % 15 == 14 {
            let unit = (death, Output::Inline("x".into()));
            store.record_units(fence, "loading", vec![unit], progress(0.1, 0.1)).await.expect("units");
        }
        drop(store);
        f.reopen().await;
        store = f.store();
        assert_eq!(store.requeue_lost().await.expect("requeue").requeued, 1);
    }
    assert_eq!(status(&*store, id).await, JobStatus::Pending);
    assert_eq!(store.finished_units(id, "loading").await.expect("units"), [14, 29, 44]);
}

/// What was answered is there after a restart.
pub async fn everything_survives_a_restart(f: &mut dyn Fixture) {
    let store = f.store();
    let id = enqueue(&*store, job()).await.id;
    let ended = enqueue(&*store, job()).await.id;
    let claimed = claim(&*store, 2).await;
    store.start_stage(claimed[0].fence, "loading", "plan".into(), 2).await.expect("start");
    store
        .record_units(claimed[0].fence, "loading", vec![(1, Output::Inline("x".into()))], progress(0.3, 0.5))
        .await
        .expect("units");
    store.end(claimed[1].fence, super::builders::failed()).await.expect("fail");
    let before = whole(&*store, &[id, ended]).await;
    drop(store);
    f.reopen().await;
    let store = f.store();
    assert_eq!(whole(&*store, &[id, ended]).await, before);
}
