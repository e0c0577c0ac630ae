//! The list of jobs.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use graphmill_core::{Clock, JobId, JobStatus, JobType};
use serde_json::json;

use super::Fixture;
use super::builders::{about, claim, claim_one, collection, completed, document, enqueue, failed, job, object, upload};
use crate::records::JobPage;
use crate::requests::{JobFilter, NewJob, PageStart, TicketKind};
use crate::{Error, JobStore};

async fn page(store: &dyn JobStore, filter: &JobFilter, start: PageStart, limit: u32) -> JobPage {
    store.list(filter, start, limit).await.expect("list")
}

async fn by_offset(store: &dyn JobStore, filter: &JobFilter, limit: u32) -> Vec<JobId> {
    let mut ids = Vec::new();
    loop {
        let page = page(store, filter, PageStart::Offset(ids.len() as u64), limit).await;
        ids.extend(page.jobs.iter().map(|job| job.id));
        assert_eq!(page.next_cursor.is_some(), (ids.len() as u64) < page.total);
        if page.next_cursor.is_none() {
            return ids;
        }
    }
}

async fn by_cursor(store: &dyn JobStore, filter: &JobFilter, limit: u32) -> Vec<JobId> {
    let mut ids = Vec::new();
    let mut start = PageStart::Offset(0);
    loop {
        let page = page(store, filter, start, limit).await;
        ids.extend(page.jobs.iter().map(|job| job.id));
        match page.next_cursor {
            Some(cursor) => start = PageStart::Cursor(cursor),
            None => return ids,
        }
    }
}

/// Case c27: thirty jobs of one millisecond. Both walks give each once, in the order of (created_at, id), newest first.
pub async fn pages_by_offset_and_cursor_agree(f: &mut dyn Fixture) {
    let store = f.store();
    let mut made = Vec::new();
    for n in 0..30 {
        let job_type = JobType::ALL[n % 3];
        made.push(enqueue(&*store, NewJob { job_type, collection: collection(["a", "b"][n % 2]), ..job() }).await);
    }
    for claimed in claim(&*store, 4).await {
        store.end(claimed.fence, completed()).await.expect("complete");
    }
    made.sort_by_key(|job| std::cmp::Reverse((job.created_at, job.id)));
    let all: Vec<JobId> = made.iter().map(|job| job.id).collect();
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 30);
    let filters = [
        JobFilter::default(),
        JobFilter { status: Some(JobStatus::Pending), ..JobFilter::default() },
        JobFilter { status: Some(JobStatus::Completed), ..JobFilter::default() },
        JobFilter { job_type: Some(JobType::Reindex), ..JobFilter::default() },
        JobFilter { collection: Some(collection("a")), ..JobFilter::default() },
        JobFilter { collection: Some(collection("b")), status: Some(JobStatus::Pending), ..JobFilter::default() },
        JobFilter { q: Some("A.PDF".into()), ..JobFilter::default() },
    ];
    for filter in &filters {
        for limit in [1, 7, 30, 50] {
            let offset = by_offset(&*store, filter, limit).await;
            assert_eq!(offset, by_cursor(&*store, filter, limit).await, "{filter:?} by {limit}");
            let expected: Vec<JobId> = all.iter().copied().filter(|id| offset.contains(id)).collect();
            assert_eq!(offset, expected, "{filter:?} by {limit}");
        }
    }
    assert_eq!(by_offset(&*store, &filters[0], 7).await, all);
    assert!(page(&*store, &filters[0], PageStart::Offset(1_000), 7).await.jobs.is_empty());
}

/// Case c27: each job that was there at the start and was not deleted, exactly once.
pub async fn a_cursor_walk_over_a_changing_list(f: &mut dyn Fixture) {
    let (store, clock) = (f.store(), f.clock());
    let mut at_start = BTreeSet::new();
    for n in 0..40 {
        at_start.insert(enqueue(&*store, job()).await.id);
        if n % 4 == 0 {
            clock.advance(Duration::from_millis(1));
        }
    }
    let mut deleted = BTreeSet::new();
    let mut seen = Vec::new();
    let mut start = PageStart::Offset(0);
    loop {
        let page = page(&*store, &JobFilter::default(), start, 7).await;
        seen.extend(page.jobs.iter().map(|job| job.id));
        for _ in 0..10 {
            enqueue(&*store, job()).await;
        }
        // Also the very row that the cursor names.
        for id in page.jobs.last().map(|job| job.id).into_iter().chain(at_start.first().copied()) {
            if !deleted.contains(&id) {
                store.cancel(id, "x").await.expect("cancel");
                store.delete_job(id).await.expect("delete");
                deleted.insert(id);
                at_start.remove(&id);
            }
        }
        match page.next_cursor {
            Some(cursor) => start = PageStart::Cursor(cursor),
            None => break,
        }
    }
    assert_eq!(seen.iter().collect::<HashSet<_>>().len(), seen.len(), "none twice");
    for id in &at_start {
        assert!(seen.contains(id), "{id} is missing");
    }
}

/// Totals and counts are those of the rows after every kind of change.
pub async fn totals_follow_every_change(f: &mut dyn Fixture) {
    let store = f.store();
    let check = async |expected: [(JobStatus, u64); 5]| {
        assert_eq!(store.counts().await.expect("counts"), expected);
        for (status, total) in expected {
            let filter = JobFilter { status: Some(status), ..JobFilter::default() };
            let page = page(&*store, &filter, PageStart::Offset(0), 50).await;
            assert_eq!((page.total, page.jobs.len() as u64, page.total_capped), (total, total, false));
        }
    };
    let counts = |n: [u64; 5]| {
        let mut n = n.into_iter();
        [JobStatus::Pending, JobStatus::Running, JobStatus::Completed, JobStatus::Failed, JobStatus::Cancelled]
            .map(|status| (status, n.next().expect("five")))
    };
    check(counts([0; 5])).await;
    for _ in 0..6 {
        enqueue(&*store, job()).await;
    }
    check(counts([6, 0, 0, 0, 0])).await;
    let claimed = claim(&*store, 4).await;
    check(counts([2, 4, 0, 0, 0])).await;
    store.end(claimed[0].fence, completed()).await.expect("complete");
    store.end(claimed[1].fence, failed()).await.expect("fail");
    store.cancel(claimed[2].fence.job, "x").await.expect("cancel");
    check(counts([2, 1, 1, 1, 1])).await;
    store.retry(claimed[1].fence.job, None).await.expect("retry");
    store.delete_job(claimed[2].fence.job).await.expect("delete");
    check(counts([3, 1, 1, 0, 0])).await;
}

/// All conditions hold together; `q` finds file name and source by a piece, job and document by the beginning of their ids, whatever the case.
pub async fn filters_hold_together(f: &mut dyn Fixture) {
    let (store, clock) = (f.store(), f.clock());
    let start = clock.now();
    let mut by_name = BTreeMap::new();
    for (name, home) in [("Pump.pdf", "a"), ("valve_100%.md", "a"), ("pumps/Größe.html", "b")] {
        let mut new = about(name, TicketKind::Upload);
        new.collection = collection(home);
        new.metadata = object(json!({"filename": name.rsplit('/').next()}));
        by_name.insert(name, enqueue(&*store, new).await);
        clock.advance(Duration::from_secs(60));
    }
    let find = async |filter: JobFilter| {
        let page = page(&*store, &filter, PageStart::Offset(0), 50).await;
        assert_eq!(page.total as usize, page.jobs.len());
        page.jobs.iter().map(|job| job.metadata["filename"].as_str().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let q = |q: &str| JobFilter { q: Some(q.into()), ..JobFilter::default() };
    assert_eq!(find(q("PUMP")).await, ["Größe.html", "Pump.pdf"]);
    assert_eq!(find(q("größe")).await, ["Größe.html"]);
    assert_eq!(find(q("100%")).await, ["valve_100%.md"]);
    assert!(find(q("100_")).await.is_empty(), "no character is a wildcard");
    let pump = &by_name["Pump.pdf"];
    assert_eq!(find(q(&pump.id.to_string())).await, ["Pump.pdf"]);
    assert_eq!(find(q(&pump.document.expect("a document").to_string())).await, ["Pump.pdf"]);
    // Ids are known by their beginning, not by any piece of them.
    let (job, document) = (pump.id.to_string(), pump.document.expect("a document").to_string());
    assert_eq!(find(q(&document[..12])).await, ["Pump.pdf"]);
    assert_eq!(find(q(&job[..30])).await, ["Pump.pdf"]);
    assert_eq!(find(q(&job.to_uppercase())).await, ["Pump.pdf"]);
    for piece in [&job[..8], &job[4..12], &job[20..], &document[..8], &document[6..20], "job-", "-"] {
        assert!(find(q(piece)).await.is_empty(), "{piece}");
    }
    assert!(find(JobFilter { collection: Some(collection("b")), ..q(&job) }).await.is_empty(), "all conditions hold");
    let dates = |after, before| JobFilter { created_after: after, created_before: before, ..JobFilter::default() };
    let minute = |n: u32| Some(start.plus(Duration::from_secs(60) * n));
    assert_eq!(find(dates(minute(1), None)).await, ["Größe.html", "valve_100%.md"]);
    assert_eq!(find(dates(minute(1), minute(2))).await, ["valve_100%.md"]);
    let mut all = JobFilter { collection: Some(collection("a")), ..q("p") };
    all.status = Some(JobStatus::Pending);
    all.job_type = Some(JobType::Ingestion);
    all.created_before = minute(1);
    assert_eq!(find(all.clone()).await, ["Pump.pdf"]);
    all.job_type = Some(JobType::Clustering);
    assert!(find(all).await.is_empty());
    for odd in ["\" OR \"", "pump* OR", "NEAR(pump", "pu\0mp", "'; --"] {
        assert!(find(q(odd)).await.is_empty(), "{odd:?} is looked for as it stands");
    }
    store.cancel(pump.id, "Cancelled").await.expect("cancel");
    store.delete_job(pump.id).await.expect("delete");
    assert_eq!(find(q("pump")).await, ["Größe.html"], "a deleted job is found no more");
}

/// What is no cursor of ours is an error that says so, never another page.
pub async fn a_foreign_cursor_is_refused(f: &mut dyn Fixture) {
    let store = f.store();
    enqueue(&*store, job()).await;
    for cursor in ["", "0", "next", "aaaa=", "ÿÿ", "x".repeat(5_000).as_str()] {
        let outcome = store.list(&JobFilter::default(), PageStart::Cursor(cursor.into()), 5).await;
        assert!(matches!(outcome, Err(Error::Invalid(_))), "{cursor:?}: {outcome:?}");
    }
}

/// The latest by ticket; unended ones with jobs or deletions.
pub async fn latest_and_unended_jobs_of_documents(f: &mut dyn Fixture) {
    let store = f.store();
    let documents = ["a.pdf", "b.pdf", "c.pdf", "d.pdf"].map(document);
    upload(&*store, "a.pdf").await;
    let fence = claim_one(&*store).await.fence;
    store.end(fence, completed()).await.expect("complete");
    let (latest, _) = upload(&*store, "b.pdf").await;
    store.accept_document_delete(&collection("default"), documents[2]).await.expect("delete");
    assert_eq!(store.unended_among(&documents).await.expect("unended"), documents[1..3]);
    assert_eq!(store.latest_job_of(documents[1]).await.expect("latest"), Some(latest));
    assert_eq!(store.latest_job_of(documents[3]).await.expect("latest"), None);
}
