//! A worker whose epoch is stale can write nothing, whatever it tries.

use std::time::Duration;

use graphmill_core::{Fence, JobId};
use serde_json::json;

use super::Fixture;
use super::builders::{LEASE, claim_one, completed, enqueue, failed, failure, job, object, progress, retried, snoozed};
use super::state::whole;
use crate::records::{BlobRole, LogLevel};
use crate::requests::{Ending, NewLog, Output};
use crate::{Error, JobStore};

/// How a worker's epoch becomes stale.
#[derive(Debug, Clone, Copy)]
enum Stale {
    Cancelled,
    GivenBack,
    ClaimedAnew,
    Completed,
    Failed,
    RetriedByPerson,
    RetriedAndClaimed,
    LeaseLost,
    Deleted,
}

const STALE: [Stale; 9] = [
    Stale::Cancelled,
    Stale::GivenBack,
    Stale::ClaimedAnew,
    Stale::Completed,
    Stale::Failed,
    Stale::RetriedByPerson,
    Stale::RetriedAndClaimed,
    Stale::LeaseLost,
    Stale::Deleted,
];

/// Blobs that only stale writes name.
const STALE_BLOBS: [&str; 2] = ["output/aa/stale-unit", "output/aa/stale-named"];

/// Every write that carries a fence, tried in turn.
async fn every_write(store: &dyn JobStore, fence: Fence) -> Vec<(&'static str, crate::Result<()>)> {
    let log = NewLog { level: LogLevel::Error, message: "stale".into(), context: object(json!({})) };
    let units = vec![(2, Output::Inline("stale".into())), (1, Output::Blob(STALE_BLOBS[0].into()))];
    let overtaken = Ending::Overtaken { message: "stale".into() };
    let ended = |outcome: crate::Result<crate::records::Ended>| outcome.map(drop);
    vec![
        ("renew", store.renew(fence, LEASE * 100).await),
        ("start_stage", store.start_stage(fence, "embedding", "stale".into(), 9).await),
        ("record_units", store.record_units(fence, "loading", units, progress(0.9, 0.9)).await),
        ("report", store.report(fence, "loading", progress(0.9, 0.9)).await),
        ("finish_stage", store.finish_stage(fence, "loading", "stale".into(), progress(0.9, 0.9)).await),
        ("merge_metadata", store.merge_metadata(fence, object(json!({"stale": true}))).await),
        ("add_errors", store.add_errors(fence, vec![failure("stale")]).await),
        ("append_logs", store.append_logs(fence, vec![log]).await),
        ("name_blobs", store.name_blobs(fence, vec![(BlobRole::Output, STALE_BLOBS[1].into())]).await),
        ("commit_intent", store.commit_intent(fence).await),
        ("end completed", ended(store.end(fence, completed()).await)),
        ("end failed", ended(store.end(fence, failed()).await)),
        ("end overtaken", ended(store.end(fence, overtaken).await)),
        ("end retry", ended(store.end(fence, retried(Duration::ZERO)).await)),
        ("end snooze", ended(store.end(fence, snoozed(Duration::ZERO)).await)),
        ("end released", ended(store.end(fence, Ending::Released).await)),
    ]
}

/// A job in the middle of its work.
async fn at_work(store: &dyn JobStore) -> (JobId, Fence) {
    let id = enqueue(store, job()).await.id;
    let fence = claim_one(store).await.fence;
    store.start_stage(fence, "loading", "plan".into(), 3).await.expect("start");
    store
        .record_units(fence, "loading", vec![(0, Output::Inline("a".into()))], progress(0.1, 0.3))
        .await
        .expect("units");
    (id, fence)
}

async fn make_stale(f: &dyn Fixture, (job, fence): (JobId, Fence), how: Stale) {
    let store = f.store();
    let cancel = async || drop(store.cancel(job, "Job cancelled").await.expect("cancel"));
    let retry = async || drop(store.retry(job, None).await.expect("retry"));
    match how {
        Stale::Cancelled => cancel().await,
        Stale::GivenBack => drop(store.end(fence, Ending::Released).await.expect("release")),
        Stale::ClaimedAnew => {
            store.end(fence, Ending::Released).await.expect("release");
            claim_one(&*store).await;
        }
        Stale::Completed => drop(store.end(fence, completed()).await.expect("complete")),
        Stale::Failed => drop(store.end(fence, failed()).await.expect("fail")),
        Stale::RetriedByPerson => {
            cancel().await;
            retry().await;
        }
        Stale::RetriedAndClaimed => {
            store.end(fence, failed()).await.expect("fail");
            retry().await;
            let claimed = claim_one(&*store).await;
            store.start_stage(claimed.fence, "loading", "plan".into(), 3).await.expect("go on");
        }
        Stale::LeaseLost => {
            f.clock().advance(LEASE * 2);
            assert_eq!(store.requeue_lost().await.expect("requeue").requeued, 1);
        }
        Stale::Deleted => {
            cancel().await;
            store.delete_job(job).await.expect("delete");
        }
    }
}

/// For every way to become stale and every write method: `Fenced`, and the whole state is as before.
pub async fn a_stale_epoch_writes_nothing(f: &mut dyn Fixture) {
    let store = f.store();
    store.requeue_lost().await.expect("leases of nobody");
    for how in STALE {
        let (job, fence) = at_work(&*store).await;
        make_stale(f, (job, fence), how).await;
        let before = whole(&*store, &[job]).await;
        for (name, outcome) in every_write(&*store, fence).await {
            assert!(matches!(outcome, Err(Error::Fenced(id)) if id == job), "{how:?} {name}: {outcome:?}");
        }
        assert_eq!(whole(&*store, &[job]).await, before, "{how:?}");
        let blobs = STALE_BLOBS.map(str::to_owned);
        assert_eq!(store.unnamed_among(&blobs).await.expect("unnamed"), blobs, "{how:?} named a blob");
        // An epoch of the future is not ours either.
        let future = Fence { epoch: graphmill_core::Epoch(fence.epoch.0 + 50), ..fence };
        assert!(matches!(store.report(future, "loading", progress(0.9, 0.9)).await, Err(Error::Fenced(_))));
        let _ = store.cancel(job, "Job cancelled").await;
    }
}
