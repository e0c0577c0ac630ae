//! Which job is taken next.

use std::collections::BTreeMap;
use std::time::Duration;

use graphmill_core::{Clock, JobStatus, JobType};

use super::Fixture;
use super::builders::{claim, claim_one, collection, completed, enqueue, job, request, snoozed};
use super::state::status;
use crate::records::{CancelOutcome, Enqueued};
use crate::requests::{ClaimRequest, Ending, JobFilter, NewJob, PageStart};

/// Priority decides; among equals the one that was accepted first.
pub async fn higher_priority_first_then_age(f: &mut dyn Fixture) {
    let (store, clock) = (f.store(), f.clock());
    let mut ids = BTreeMap::new();
    for (name, priority) in [("low", -5), ("first", 0), ("second", 0), ("high", 9)] {
        ids.insert(name, enqueue(&*store, NewJob { priority, ..job() }).await.id);
        clock.advance(Duration::from_millis(1));
    }
    let mut order = Vec::new();
    for _ in 0..4 {
        order.push(claim_one(&*store).await.fence.job);
    }
    assert_eq!(order, ["high", "first", "second", "low"].map(|name| ids[name]));
}

/// A collection with a long queue does not hold up the others; what it runs already counts.
pub async fn collections_share_fairly(f: &mut dyn Fixture) {
    let store = f.store();
    for (name, jobs) in [("big", 20), ("small", 2), ("tiny", 1)] {
        for _ in 0..jobs {
            enqueue(&*store, NewJob { collection: collection(name), ..job() }).await;
        }
    }
    let by_collection = |claimed: &[crate::records::ClaimedJob]| {
        let mut counts = BTreeMap::new();
        for job in claimed {
            *counts.entry(job.job.collection.to_string()).or_insert(0) += 1;
        }
        counts
    };
    let first = claim(&*store, 4).await;
    assert_eq!(by_collection(&first), BTreeMap::from([("big".into(), 2), ("small".into(), 1), ("tiny".into(), 1)]));
    enqueue(&*store, NewJob { collection: collection("late"), ..job() }).await;
    let next = claim(&*store, 2).await;
    assert_eq!(by_collection(&next), BTreeMap::from([("late".into(), 1), ("small".into(), 1)]));
}

/// The others wait, hold up nobody, and one goes on as soon as the first no longer runs, however that came.
pub async fn exclusive_keys_run_one_at_a_time(f: &mut dyn Fixture) {
    let (store, clock) = (f.store(), f.clock());
    let exclusive = || NewJob { exclusive_key: Some("reindex:default".into()), ..job() };
    let a = enqueue(&*store, exclusive()).await.id;
    let b = enqueue(&*store, exclusive()).await.id;
    let c = enqueue(&*store, NewJob { priority: 5, ..exclusive() }).await.id;
    let free = enqueue(&*store, job()).await.id;
    let claimed: Vec<_> = claim(&*store, 4).await.into_iter().map(|c| c.fence).collect();
    assert_eq!(claimed.iter().map(|f| f.job).collect::<Vec<_>>(), [c, free]);
    assert_eq!(store.next_due().await.expect("due"), None, "the parked ones wait for an end, not for a time");
    store.end(claimed[0], snoozed(Duration::from_secs(60))).await.expect("snooze");
    let next = claim_one(&*store).await.fence;
    assert_eq!(next.job, a);
    clock.advance(Duration::from_secs(61));
    assert!(claim(&*store, 4).await.is_empty(), "b and the snoozed one wait");
    assert!(matches!(store.cancel(a, "x").await.expect("cancel"), CancelOutcome::Cancelled(_)));
    let after_cancel = claim_one(&*store).await.fence;
    assert_eq!(after_cancel.job, c, "by priority");
    store.end(after_cancel, completed()).await.expect("complete");
    assert_eq!(claim_one(&*store).await.fence.job, b);
    // A waiting one that is cancelled in front of the others does not leave them parked for ever.
    let d = enqueue(&*store, exclusive()).await.id;
    let e = enqueue(&*store, exclusive()).await.id;
    assert!(claim(&*store, 4).await.is_empty());
    store.cancel(b, "x").await.expect("cancel");
    store.cancel(d, "x").await.expect("cancel");
    assert_eq!(claim_one(&*store).await.fence.job, e);
}

/// A pending request with the same key is returned; a running one is not.
pub async fn equal_pending_requests_are_one(f: &mut dyn Fixture) {
    let store = f.store();
    let clustering =
        || NewJob { job_type: JobType::Clustering, dedupe_key: Some("clustering:default".into()), ..job() };
    let first = enqueue(&*store, clustering()).await;
    let Enqueued::Existing(same) = store.enqueue(clustering()).await.expect("enqueue") else { panic!("made twice") };
    assert_eq!(same, first);
    let fence = claim_one(&*store).await.fence;
    let second = enqueue(&*store, clustering()).await;
    assert_ne!(second.id, first.id);
    // Both pending for a while: the older is the answer, and neither write fails.
    store.end(fence, Ending::Released).await.expect("release");
    let Enqueued::Existing(same) = store.enqueue(clustering()).await.expect("enqueue") else { panic!("made twice") };
    assert_eq!(same.id, first.id);
}

/// No more than the free places of each type; a type that is not asked for stays.
pub async fn places_and_types_are_kept(f: &mut dyn Fixture) {
    let store = f.store();
    for &job_type in JobType::ALL {
        for _ in 0..3 {
            enqueue(&*store, NewJob { job_type, ..job() }).await;
        }
    }
    let some = ClaimRequest { free: vec![(JobType::Reindex, 2), (JobType::Clustering, 0)], ..request(0) };
    let claimed = store.claim(some).await.expect("claim");
    let types: Vec<_> = claimed.iter().map(|c| c.job.job_type).collect();
    assert_eq!(types, [JobType::Reindex, JobType::Reindex]);
    assert_eq!(claim(&*store, 9).await.len(), 7);
    assert!(claim(&*store, 9).await.is_empty());
}

/// Thousands of snoozed or delayed jobs are not looked at before their time, and `next_due` says when that is.
pub async fn snoozed_jobs_wait_for_their_time(f: &mut dyn Fixture) {
    let (store, clock) = (f.store(), f.clock());
    assert_eq!(store.next_due().await.expect("due"), None);
    let late = enqueue(&*store, NewJob { delay: Duration::from_secs(90), ..job() }).await;
    assert_eq!(late.run_at, late.created_at.plus(Duration::from_secs(90)));
    let now = enqueue(&*store, job()).await.id;
    assert_eq!(store.next_due().await.expect("due"), Some(Duration::ZERO));
    let fence = claim_one(&*store).await.fence;
    assert_eq!(fence.job, now);
    assert_eq!(store.next_due().await.expect("due"), Some(Duration::from_secs(90)));
    store.end(fence, snoozed(Duration::from_secs(30))).await.expect("snooze");
    assert_eq!(status(&*store, now).await, JobStatus::Pending);
    assert!(claim(&*store, 5).await.is_empty());
    assert_eq!(store.next_due().await.expect("due"), Some(Duration::from_secs(30)));
    clock.advance(Duration::from_secs(30));
    assert_eq!(store.next_due().await.expect("due"), Some(Duration::ZERO));
    assert_eq!(claim_one(&*store).await.fence.job, now);
    clock.advance(Duration::from_secs(60));
    assert_eq!(claim_one(&*store).await.fence.job, late.id);
}

/// The age of the queue is that of the job that has been due longest, type by type; jobs that run or are not due do not count.
pub async fn the_oldest_due_job_is_known(f: &mut dyn Fixture) {
    let (store, clock) = (f.store(), f.clock());
    let second = Duration::from_secs(1);
    let ages = async || store.queue_ages().await.expect("ages");
    assert_eq!(ages().await, []);
    enqueue(&*store, NewJob { delay: second * 90, ..job() }).await;
    let exclusive = || NewJob { job_type: JobType::Reindex, exclusive_key: Some("layers:default".into()), ..job() };
    enqueue(&*store, exclusive()).await;
    assert_eq!(claim_one(&*store).await.job.job_type, JobType::Reindex);
    clock.advance(second * 10);
    assert_eq!(ages().await, [], "one is not due, one runs");
    enqueue(&*store, exclusive()).await;
    assert!(claim(&*store, 4).await.is_empty(), "it waits for the other one");
    clock.advance(second * 20);
    assert_eq!(ages().await, [(JobType::Reindex, second * 20)]);
    clock.advance(second * 70);
    let mut both = ages().await;
    both.sort();
    assert_eq!(both, [(JobType::Ingestion, second * 10), (JobType::Reindex, second * 90)]);
}

/// While a job waits for another one with its key, its message names that one, and goes back to normal when it can run.
pub async fn a_parked_job_says_for_which_it_waits(f: &mut dyn Fixture) {
    let (store, clock) = (f.store(), f.clock());
    let exclusive = |job_type| NewJob { job_type, exclusive_key: Some("layers:default".into()), ..job() };
    let message = async |id| store.job(id).await.expect("job").job.message;
    let first = enqueue(&*store, exclusive(JobType::Reindex)).await.id;
    let second = enqueue(&*store, exclusive(JobType::Clustering)).await;
    let third = enqueue(&*store, exclusive(JobType::Reindex)).await.id;
    let later = NewJob { delay: Duration::from_secs(60), ..exclusive(JobType::Reindex) };
    let later = enqueue(&*store, later).await.id;
    assert_eq!(second.message, "Queued", "nobody runs yet");
    // One place for the type: the others are told although the claim never comes to them.
    let request = ClaimRequest { free: vec![(JobType::Reindex, 1)], ..request(0) };
    let fence = store.claim(request).await.expect("claim").remove(0).fence;
    assert_eq!(fence.job, first);
    let waits_for_first = format!("Waiting for the reindex {first} of the same collection to end");
    assert_eq!(message(second.id).await, waits_for_first);
    assert_eq!(message(third).await, waits_for_first);
    assert!(message(later).await.starts_with("Waiting until 20"), "its time has not come");
    let fourth = enqueue(&*store, exclusive(JobType::Clustering)).await;
    assert_eq!(fourth.message, waits_for_first, "told at once");
    clock.advance(Duration::from_secs(61));
    assert!(claim(&*store, 1).await.is_empty());
    assert_eq!(message(later).await, waits_for_first, "its time has come, its turn has not");
    store.end(fence, completed()).await.expect("complete");
    assert_eq!(message(second.id).await, "Waiting for a worker");
    let fence = claim_one(&*store).await.fence;
    assert_eq!(fence.job, second.id);
    let waits_for_second = format!("Waiting for the clustering {} of the same collection to end", second.id);
    for id in [third, fourth.id, later] {
        assert_eq!(message(id).await, waits_for_second);
    }
    // A person's retry joins those that wait.
    store.cancel(third, "x").await.expect("cancel");
    store.retry(third, None).await.expect("retry");
    assert_eq!(message(third).await, waits_for_second);
    // Each message was told once.
    let events = store.events(third, 0, 100).await.expect("events");
    let told: Vec<_> = events.iter().filter(|e| format!("{:?}", e.kind).contains(&waits_for_first)).collect();
    assert_eq!(told.len(), 1, "{events:?}");
}

/// A job that waits for its time, or whose type is paused, says so, and says again what it said before when that is over.
pub async fn a_waiting_job_says_for_what_it_waits(f: &mut dyn Fixture) {
    let (store, clock) = (f.store(), f.clock());
    let message = async |id| store.job(id).await.expect("job").job.message;
    let hour = Duration::from_secs(3600);
    let later = enqueue(&*store, NewJob { delay: hour, max_attempts: 7, ..job() }).await;
    let until = format!("Waiting until {}", clock.now().plus(hour));
    assert_eq!((later.message.as_str(), later.later, later.max_attempts), (until.as_str(), true, 7));
    assert_eq!(message(later.id).await, until);
    let events = store.events(later.id, 0, 10).await.expect("events");
    assert!(format!("{events:?}").contains(&until), "{events:?}");
    let ready = enqueue(&*store, job()).await;
    assert_eq!((ready.message.as_str(), ready.later), ("Queued", false));
    store.set_paused(JobType::Ingestion, true).await.expect("pause");
    let paused = "Waiting: jobs of this type are paused";
    assert_eq!(message(ready.id).await, paused);
    assert_eq!(enqueue(&*store, job()).await.message, paused, "told at once");
    assert_eq!(message(later.id).await, until, "its time comes first");
    let page = store.list(&JobFilter::default(), PageStart::Offset(0), 10).await.expect("list");
    let mut said: Vec<&str> = page.jobs.iter().map(|job| job.message.as_str()).collect();
    said.sort_unstable();
    assert_eq!(said, [until.as_str(), paused, paused]);
    store.set_paused(JobType::Ingestion, false).await.expect("resume");
    assert_eq!(message(ready.id).await, "Queued");
    clock.advance(hour);
    let claimed = claim(&*store, 3).await;
    assert_eq!(claimed.len(), 3);
    assert!(claimed.iter().all(|job| !job.job.later && job.job.message == "Started"), "{claimed:?}");
}

/// No job of a paused type is claimed, running ones go on, and a restart changes nothing.
pub async fn a_paused_type_is_not_claimed(f: &mut dyn Fixture) {
    let mut store = f.store();
    let running = enqueue(&*store, job()).await.id;
    let fence = claim_one(&*store).await.fence;
    let waiting = enqueue(&*store, job()).await.id;
    let later = enqueue(&*store, NewJob { delay: Duration::from_secs(5), ..job() }).await.id;
    let other = enqueue(&*store, NewJob { job_type: JobType::Reindex, ..job() }).await.id;
    for _ in 0..2 {
        store.set_paused(JobType::Ingestion, true).await.expect("pause");
    }
    store.report(fence, "loading", super::builders::progress(0.1, 0.1)).await.expect_err("not started");
    store.start_stage(fence, "loading", "".into(), 1).await.expect("the running one goes on");
    store.end(fence, completed()).await.expect("and ends");
    assert_eq!(claim(&*store, 5).await.iter().map(|c| c.fence.job).collect::<Vec<_>>(), [other]);
    assert_eq!(store.next_due().await.expect("due"), None, "what is paused is not due");
    drop(store);
    f.reopen().await;
    store = f.store();
    store.requeue_lost().await.expect("requeue");
    let types = store.job_types(None).await.expect("types");
    let paused: Vec<_> = types.iter().map(|t| (t.job_type, t.paused)).collect();
    assert_eq!(paused, [(JobType::Ingestion, true), (JobType::Reindex, false), (JobType::Clustering, false)]);
    let count = |status| types[0].counts.iter().find(|(s, _)| *s == status).map(|(_, n)| *n);
    assert_eq!((count(JobStatus::Pending), count(JobStatus::Completed)), (Some(2), Some(1)));
    let elsewhere = store.job_types(Some(&collection("elsewhere"))).await.expect("types");
    assert!(elsewhere.iter().all(|t| t.counts.iter().all(|(_, n)| *n == 0)), "{elsewhere:?}");
    assert_eq!(claim(&*store, 5).await.iter().map(|c| c.fence.job).collect::<Vec<_>>(), [other]);
    let mut changes = store.changes();
    for _ in 0..2 {
        store.set_paused(JobType::Ingestion, false).await.expect("resume");
    }
    assert_eq!(changes.try_recv().expect("workers are told to look").job, waiting);
    f.clock().advance(Duration::from_secs(5));
    let claimed: Vec<_> = claim(&*store, 5).await.iter().map(|c| c.fence.job).collect();
    assert_eq!(claimed, [waiting, later]);
    assert_eq!(status(&*store, running).await, JobStatus::Completed);
}
