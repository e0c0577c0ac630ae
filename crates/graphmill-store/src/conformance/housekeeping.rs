//! Deletion of jobs and what goes with them.

use std::time::Duration;

use graphmill_core::JobStatus;
use serde_json::json;

use super::Fixture;
use super::builders::{claim, claim_one, collection, completed, enqueue, failed, job, object};
use super::state::whole;
use crate::records::{BlobRole, DeleteOutcome, Deleted, LogLevel};
use crate::requests::{JobFilter, NewJob, NewLog, PageStart};
use crate::{Error, JobStore};

/// A pending or running job stays as it is.
pub async fn only_ended_jobs_are_deleted(f: &mut dyn Fixture) {
    let store = f.store();
    let mut changes = store.changes();
    let id = enqueue(&*store, job()).await.id;
    let before = whole(&*store, &[id]).await;
    assert_eq!(store.delete_job(id).await.expect("delete"), DeleteOutcome::StillActive(JobStatus::Pending));
    assert_eq!(whole(&*store, &[id]).await, before);
    let fence = claim_one(&*store).await.fence;
    assert_eq!(store.delete_job(id).await.expect("delete"), DeleteOutcome::StillActive(JobStatus::Running));
    store.end(fence, failed()).await.expect("fail");
    let DeleteOutcome::Deleted(deleted) = store.delete_job(id).await.expect("delete") else { panic!("still there") };
    assert_eq!(deleted.jobs, 1);
    assert!(matches!(store.job(id).await, Err(Error::NotFound(_))));
    assert!(matches!(store.delete_job(id).await, Err(Error::NotFound(_))));
    let mut told = false;
    while let Ok(change) = changes.try_recv() {
        told |= change.deleted && change.job == id;
    }
    assert!(told, "those who follow it hear of it");
}

/// By the time at which they ended, oldest first, only those asked for; ended ones alone.
pub async fn cleanup_deletes_the_oldest_in_batches(f: &mut dyn Fixture) {
    let (store, clock) = (f.store(), f.clock());
    let day = Duration::from_secs(24 * 3600);
    let mut ids = Vec::new();
    for n in 0..9 {
        let id = enqueue(&*store, job()).await.id;
        let fence = claim_one(&*store).await.fence;
        log_much(&*store, fence).await;
        match n % 3 {
            0 => drop(store.end(fence, completed()).await.expect("complete")),
            1 => drop(store.end(fence, failed()).await.expect("fail")),
            _ => drop(store.cancel(id, "x").await.expect("cancel")),
        }
        ids.push(id);
        clock.advance(day);
    }
    let pending = enqueue(&*store, job()).await.id;
    let ended = [JobStatus::Completed, JobStatus::Failed];
    // The first ended 9 days ago, the last but two 3 days ago.
    let first = store.cleanup(day * 4, &ended, None, 2).await.expect("cleanup");
    assert_eq!(first.jobs, 2);
    assert!(first.bytes > 0, "their logs took pages of their own");
    assert!(matches!(store.job(ids[1]).await, Err(Error::NotFound(_))));
    assert!(store.job(ids[3]).await.is_ok());
    assert_eq!(store.cleanup(day * 4, &ended, None, 100).await.expect("cleanup").jobs, 2);
    assert_eq!(store.cleanup(day * 4, &ended, None, 100).await.expect("cleanup"), Deleted::default());
    let all = [JobStatus::Completed, JobStatus::Failed, JobStatus::Cancelled, JobStatus::Pending, JobStatus::Running];
    assert_eq!(store.cleanup(Duration::ZERO, &all, None, 100).await.expect("cleanup").jobs, 5);
    let left = store.list(&JobFilter::default(), PageStart::Offset(0), 50).await.expect("list");
    assert_eq!(left.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), [pending]);
}

/// With a collection, jobs of others stay.
pub async fn cleanup_of_a_collection_touches_no_other(f: &mut dyn Fixture) {
    let store = f.store();
    let mut ids = Vec::new();
    for name in ["a", "b", "a", "b"] {
        ids.push(enqueue(&*store, NewJob { collection: collection(name), ..job() }).await.id);
        store.end(claim_one(&*store).await.fence, failed()).await.expect("fail");
    }
    let (a, failed) = (collection("a"), [JobStatus::Failed, JobStatus::Completed]);
    assert_eq!(store.cleanup(Duration::ZERO, &failed, Some(&a), 1).await.expect("cleanup").jobs, 1);
    assert!(matches!(store.job(ids[0]).await, Err(Error::NotFound(_))), "the oldest");
    assert_eq!(store.cleanup(Duration::ZERO, &failed, Some(&a), 10).await.expect("cleanup").jobs, 1);
    assert_eq!(store.cleanup(Duration::ZERO, &failed, Some(&a), 10).await.expect("cleanup").jobs, 0);
    assert_eq!(store.cleanup(Duration::ZERO, &failed, None, 10).await.expect("cleanup").jobs, 2);
}

async fn log_much(store: &dyn JobStore, fence: graphmill_core::Fence) {
    let line = NewLog { level: LogLevel::Info, message: "x".repeat(1_000), context: object(json!({})) };
    store.append_logs(fence, vec![line; 20]).await.expect("logs");
}

/// A blob that another job names stays; the last one to go names it to the caller.
pub async fn blobs_live_while_a_row_names_them(f: &mut dyn Fixture) {
    let store = f.store();
    let blobs =
        vec![(BlobRole::Original, "original/aa/x".to_owned()), (BlobRole::PageText, "page_text/aa/x".to_owned())];
    for _ in 0..2 {
        enqueue(&*store, NewJob { blobs: blobs.clone(), ..job() }).await;
    }
    let claimed = claim(&*store, 2).await;
    store.name_blobs(claimed[0].fence, vec![(BlobRole::Output, "output/aa/1".into())]).await.expect("name");
    for job in &claimed {
        store.end(job.fence, failed()).await.expect("fail");
    }
    let delete = async |n: usize| match store.delete_job(claimed[n].fence.job).await.expect("delete") {
        DeleteOutcome::Deleted(deleted) => deleted.unnamed_blobs,
        DeleteOutcome::StillActive(status) => panic!("still {status}"),
    };
    assert_eq!(delete(0).await, ["output/aa/1"]);
    let mut last = delete(1).await;
    last.sort();
    assert_eq!(last, ["original/aa/x", "page_text/aa/x"]);
}
