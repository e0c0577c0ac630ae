//! The order of all events.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use graphmill_core::{EventKind, JobId, JobType};

use super::Fixture;
use super::builders::{claim, claim_one, collection, completed, enqueue, failed, job, progress, retried, snoozed};
use crate::JobStore;
use crate::records::{DeleteOutcome, PlacedEvent, RetryOutcome};
use crate::requests::{Ending, EventFilter, JobFilter, NewJob, PageStart};

/// How long what is deleted can still be read.
const KEPT: Duration = Duration::from_secs(600);

/// Everything above `after`, in pages of `limit`, and the position after it.
async fn read(store: &dyn JobStore, filter: &EventFilter, after: u64, limit: u32) -> (Vec<PlacedEvent>, u64) {
    let (mut events, mut position) = (Vec::new(), after);
    loop {
        let page = store.all_events(filter, position, limit).await.expect("events").expect("not expired");
        assert!(page.events.len() <= limit as usize);
        assert!(page.events.iter().all(|e| e.position > position && e.position <= page.position), "{page:?}");
        events.extend(page.events);
        position = page.position;
        if !page.more {
            return (events, position);
        }
    }
}

/// As they were committed; the same events as each job's own, whatever the size of the pages; filters leave out and never reorder.
pub async fn events_of_all_jobs_have_one_order(f: &mut dyn Fixture) {
    let store = f.store();
    assert_eq!(store.event_head().await.expect("head"), 0);
    let own = enqueue(&*store, job()).await.id;
    let fence = claim_one(&*store).await.fence;
    let other = NewJob { job_type: JobType::Clustering, collection: collection("other"), ..job() };
    let other = enqueue(&*store, other).await.id;
    store.start_stage(fence, "loading", "".into(), 1).await.expect("start");
    for _ in 0..5 {
        store.report(fence, "loading", progress(0.1, 0.1)).await.expect("a tick is no event");
    }
    store.finish_stage(fence, "loading", "".into(), progress(0.5, 1.0)).await.expect("finish");
    store.cancel(other, "x").await.expect("cancel");
    store.end(fence, completed()).await.expect("complete");
    let (all, head) = read(&*store, &EventFilter::default(), 0, 1_000).await;
    assert_eq!(head, store.event_head().await.expect("head"));
    assert_eq!(all.iter().map(|e| e.event.job_id).collect::<Vec<_>>(), [own, own, other, own, other, own]);
    assert!(all.windows(2).all(|pair| pair[0].position < pair[1].position));
    for id in [own, other] {
        let of_job: Vec<_> = all.iter().filter(|e| e.event.job_id == id).map(|e| e.event.clone()).collect();
        assert_eq!(store.events(id, 0, 100).await.expect("events"), of_job);
    }
    for limit in [1, 2, 5] {
        assert_eq!(read(&*store, &EventFilter::default(), 0, limit).await, (all.clone(), head));
    }
    for (n, event) in all.iter().enumerate() {
        assert_eq!(read(&*store, &EventFilter::default(), event.position, 3).await.0, all[n + 1..]);
    }
    let by_collection = EventFilter { collection: Some(collection("other")), job_type: None };
    let by_type = EventFilter { collection: None, job_type: Some(JobType::Clustering) };
    let neither = EventFilter { collection: Some(collection("other")), job_type: Some(JobType::Ingestion) };
    let expected: Vec<_> = all.iter().filter(|e| e.event.job_id == other).cloned().collect();
    assert_eq!(read(&*store, &by_collection, 0, 1).await.0, expected);
    assert_eq!(read(&*store, &by_type, 0, 100).await.0, expected);
    assert_eq!(read(&*store, &neither, 0, 100).await, (Vec::new(), head), "the position goes on without events");
    drop(store);
    f.reopen().await;
    assert_eq!(read(&*f.store(), &EventFilter::default(), 0, 100).await, (all, head));
}

/// A deletion is an event; with what came before it, it stays for a while. Who comes later is told that something is missing.
pub async fn deleted_jobs_are_told_and_forgotten(f: &mut dyn Fixture) {
    let (store, clock) = (f.store(), f.clock());
    let id = enqueue(&*store, job()).await.id;
    store.end(claim_one(&*store).await.fence, completed()).await.expect("complete");
    let kept = enqueue(&*store, job()).await.id;
    let (before, head) = read(&*store, &EventFilter::default(), 0, 100).await;
    assert!(matches!(store.delete_job(id).await.expect("delete"), DeleteOutcome::Deleted(_)));
    let (all, deleted) = read(&*store, &EventFilter::default(), 0, 100).await;
    assert_eq!(all[..before.len()], before, "what was said stays said");
    let last = all.last().expect("the deletion");
    assert_eq!((last.event.job_id, &last.event.kind), (id, &EventKind::Deleted {}));
    assert_eq!(last.event.seq, before.iter().rfind(|e| e.event.job_id == id).expect("its end").event.seq + 1);
    assert_eq!(last.collection, graphmill_core::CollectionId::default());
    clock.advance(KEPT - Duration::from_millis(1));
    store.requeue_lost().await.expect("what keeps house");
    assert_eq!(read(&*store, &EventFilter::default(), head, 100).await.0.len(), 1);
    clock.advance(Duration::from_millis(1));
    store.requeue_lost().await.expect("what keeps house");
    for missed in [0, head] {
        assert_eq!(store.all_events(&EventFilter::default(), missed, 100).await.expect("events"), None, "{missed}");
    }
    assert_eq!(read(&*store, &EventFilter::default(), deleted, 100).await, (Vec::new(), deleted));
    // An old job's events go with it at once; its deletion is told all the same.
    store.cancel(kept, "x").await.expect("cancel");
    clock.advance(KEPT);
    store.delete_job(kept).await.expect("delete");
    assert_eq!(store.all_events(&EventFilter::default(), deleted, 100).await.expect("events"), None);
    let head = store.event_head().await.expect("head");
    let (events, _) = read(&*store, &EventFilter::default(), head - 1, 100).await;
    assert_eq!(events.iter().map(|e| &e.event.kind).collect::<Vec<_>>(), [&EventKind::Deleted {}]);
}

/// Nobody was ever given such a position: it is of another store, or of a time that a backup undid.
pub async fn a_foreign_position_is_refused(f: &mut dyn Fixture) {
    let store = f.store();
    enqueue(&*store, job()).await;
    assert_eq!(store.all_events(&EventFilter::default(), 2, 10).await.expect("events"), None);
    assert_eq!(store.all_events(&EventFilter::default(), u64::MAX, 10).await.expect("events"), None);
}

/// Four workers, people who cancel, retry and delete, and a reader that begins again at its last position all the time.
pub async fn a_checker_misses_no_event_and_sees_none_twice(f: &mut dyn Fixture) {
    const JOBS: u32 = 300;
    let store = f.store();
    let done = Arc::new(AtomicBool::new(false));
    let checker = tokio::spawn({
        let (store, done) = (store.clone(), done.clone());
        async move {
            let (mut seen, mut position, mut size): (Vec<PlacedEvent>, _, _) = (Vec::new(), 0, 0);
            loop {
                let last = done.load(Ordering::SeqCst);
                size = size % 7 + 1;
                let (events, upto) = read(&*store, &EventFilter::default(), position, size).await;
                // Reconnecting: what is remembered is the position of the last event, or of the page.
                position = if size % 2 == 0 { events.last().map_or(position, |e| e.position) } else { upto };
                seen.extend(events);
                if last {
                    return seen;
                }
                tokio::task::yield_now().await;
            }
        }
    });
    let mut load = tokio::task::JoinSet::new();
    for worker in 0..4 {
        load.spawn(work(store.clone(), worker, JOBS / 4));
    }
    let worked = Arc::new(AtomicBool::new(false));
    let meddler = tokio::spawn(meddle(store.clone(), worked.clone()));
    load.join_all().await;
    worked.store(true, Ordering::SeqCst);
    meddler.await.expect("who meddles");
    done.store(true, Ordering::SeqCst);
    let seen = checker.await.expect("the checker");
    let mut by_job: BTreeMap<JobId, Vec<&PlacedEvent>> = BTreeMap::new();
    for event in &seen {
        by_job.entry(event.event.job_id).or_default().push(event);
    }
    assert!(seen.windows(2).all(|pair| pair[0].position < pair[1].position), "an event came twice or late");
    let (again, _) = read(&*store, &EventFilter::default(), 0, 1_000).await;
    assert_eq!(seen, again, "an event was missed");
    assert_eq!(by_job.len(), JOBS as usize);
    let mut deleted = 0;
    for (id, events) in by_job {
        let gone = events.iter().filter(|e| e.event.kind == EventKind::Deleted {}).count();
        match store.events(id, 0, 1_000).await {
            Ok(of_job) => {
                assert_eq!(gone, 0);
                assert_eq!(of_job, events.iter().map(|e| e.event.clone()).collect::<Vec<_>>(), "{id}");
            }
            Err(crate::Error::NotFound(_)) => {
                assert_eq!((gone, &events.last().expect("some").event.kind), (1, &EventKind::Deleted {}));
                assert!(events.len() >= 2 && events[0].event.seq == 1, "{events:?}");
                deleted += 1;
            }
            Err(e) => panic!("{e}"),
        }
        assert!(events.windows(2).all(|pair| pair[0].event.seq < pair[1].event.seq), "{events:?}");
    }
    assert!(deleted > 10, "only {deleted} jobs were deleted");
}

/// Makes jobs and runs them to all kinds of ends.
async fn work(store: Arc<dyn JobStore>, worker: u32, jobs: u32) {
    for n in 0..jobs {
        enqueue(&*store, job()).await;
        for claimed in claim(&*store, 1).await {
            let fence = claimed.fence;
            // Anybody may cancel it at any time: then its writes are refused, which is what they are for.
            let _ = store.start_stage(fence, "loading", "".into(), 1).await;
            let _ = store.finish_stage(fence, "loading", "".into(), progress(0.5, 1.0)).await;
            let ending = match (n + worker) % 5 {
                0 => failed(),
                1 => snoozed(Duration::ZERO),
                2 => retried(Duration::ZERO),
                3 => Ending::Released,
                _ => completed(),
            };
            let _ = store.end(fence, ending).await;
            if n % 4 == 0 {
                let _ = store.cancel(fence.job, "done with").await;
                let _ = store.delete_job(fence.job).await;
            }
        }
    }
}

/// Cancels, retries and deletes what it finds, until the workers have ended.
async fn meddle(store: Arc<dyn JobStore>, worked: Arc<AtomicBool>) {
    let mut n = 0_u64;
    while !worked.load(Ordering::SeqCst) {
        n += 1;
        let page = store.list(&JobFilter::default(), PageStart::Offset(n * 7 % 40), 3).await.expect("list");
        for (k, found) in (n..).zip(page.jobs) {
            match k % 3 {
                0 => drop(store.cancel(found.id, "by the checker's test").await),
                1 => match store.retry(found.id, None).await {
                    Ok(RetryOutcome::Requeued(_) | RetryOutcome::NotRetryable(_)) | Err(crate::Error::NotFound(_)) => {}
                    other => panic!("{other:?}"),
                },
                _ => drop(store.delete_job(found.id).await),
            }
        }
    }
}
