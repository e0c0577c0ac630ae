//! Many at once.

use std::collections::HashSet;

use futures::future::join_all;
use graphmill_core::{JobStatus, Seq};

use super::Fixture;
use super::builders::{about, claim, completed, enqueue, job, progress};
use crate::requests::{JobFilter, PageStart, TicketKind};

/// None lost, none twice, each with a ticket of its own.
pub async fn a_hundred_uploads_at_once(f: &mut dyn Fixture) {
    let store = f.store();
    let tasks = (0..100).map(|n| {
        let store = store.clone();
        tokio::spawn(async move { enqueue(&*store, about(&format!("{}.pdf", n % 10), TicketKind::Upload)).await })
    });
    let jobs: Vec<_> = join_all(tasks).await.into_iter().map(|task| task.expect("task")).collect();
    assert_eq!(jobs.iter().map(|j| j.id).collect::<HashSet<_>>().len(), 100);
    assert_eq!(jobs.iter().map(|j| j.seq.expect("a ticket")).collect::<HashSet<Seq>>().len(), 100);
    let page = store.list(&JobFilter::default(), PageStart::Offset(0), 1_000).await.expect("list");
    assert_eq!((page.total, page.jobs.len()), (100, 100));
}

/// Eight workers fight for two hundred jobs: each is claimed once and completed once.
pub async fn nobody_claims_twice(f: &mut dyn Fixture) {
    let store = f.store();
    for _ in 0..200 {
        enqueue(&*store, job()).await;
    }
    let workers = (0..8).map(|worker| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut done = Vec::new();
            loop {
                let claimed = claim(&*store, 1 + worker % 3).await;
                if claimed.is_empty() {
                    return done;
                }
                for job in claimed {
                    store.renew(job.fence, super::builders::LEASE).await.expect("renew");
                    store.end(job.fence, completed()).await.expect("complete");
                    done.push(job.fence.job);
                }
            }
        })
    });
    let done: Vec<_> = join_all(workers).await.into_iter().flat_map(|task| task.expect("task")).collect();
    assert_eq!(done.len(), 200);
    assert_eq!(done.iter().collect::<HashSet<_>>().len(), 200);
    let counts = store.counts().await.expect("counts");
    assert!(counts.contains(&(JobStatus::Completed, 200)), "{counts:?}");
}

/// Writes that are committed together do not share their failures.
pub async fn one_failing_write_costs_no_other(f: &mut dyn Fixture) {
    let store = f.store();
    let good = enqueue(&*store, job()).await;
    let fence = claim(&*store, 1).await.remove(0).fence;
    store.start_stage(fence, "loading", "".into(), 1_000).await.expect("start");
    let writes = (0..60_u32).map(|n| {
        let store = store.clone();
        async move {
            let stage = if n % 3 == 0 { "no such stage" } else { "loading" };
            let unit = (n, crate::requests::Output::Inline("x".into()));
            store.record_units(fence, stage, vec![unit], progress(0.1, 0.1)).await.is_ok()
        }
    });
    let outcomes = join_all(writes).await;
    assert_eq!(outcomes.iter().filter(|ok| **ok).count(), 40);
    let finished = store.finished_units(good.id, "loading").await.expect("units");
    assert_eq!(finished, (0..60).filter(|n| n % 3 != 0).collect::<Vec<_>>());
}
