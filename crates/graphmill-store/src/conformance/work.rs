//! What a worker writes and what is seen of it.

use std::time::Duration;

use graphmill_core::{ErrorCode, EventKind, JobStatus, StageStatus};
use serde_json::{Value, json};

use super::Fixture;
use super::builders::{claim_one, completed, enqueue, failure, job, object, progress, retried, snoozed};
use crate::records::{BlobRole, LogLevel};
use crate::requests::{Ending, LogQuery, NewLog, Output};
use crate::{Error, JobStore};

/// Units are a set: in any order, twice without harm, never beyond the plan; outputs are read in order.
pub async fn stages_keep_their_units(f: &mut dyn Fixture) {
    let store = f.store();
    let id = enqueue(&*store, job()).await.id;
    let fence = claim_one(&*store).await.fence;
    let record =
        async |units: Vec<(u32, Output)>| store.record_units(fence, "loading", units, progress(0.1, 0.2)).await;
    let inline = |text: &'static str| Output::Inline(text.into());
    assert!(matches!(record(vec![(0, inline("early"))]).await, Err(Error::Invalid(_))), "the stage is not started");
    store.start_stage(fence, "loading", "plan".into(), 10).await.expect("start");
    record(vec![(7, inline("seven")), (2, Output::Blob("output/aa/two".into()))]).await.expect("units");
    record(vec![(4, inline("four")), (7, inline("again"))]).await.expect("units");
    assert!(matches!(record(vec![(1, inline("one")), (10, inline("beyond"))]).await, Err(Error::Invalid(_))));
    let too_large = Output::Inline(vec![0; Output::INLINE_MAX + 1].into());
    assert!(matches!(record(vec![(1, too_large)]).await, Err(Error::Invalid(_))));
    assert_eq!(store.finished_units(id, "loading").await.expect("units"), [2, 4, 7]);
    let outputs = store.unit_outputs(id, "loading", 0, 2).await.expect("outputs");
    assert_eq!(outputs, [(2, Output::Blob("output/aa/two".into())), (4, inline("four"))]);
    assert_eq!(store.unit_outputs(id, "loading", 5, 9).await.expect("outputs"), [(7, inline("seven"))]);
    assert!(store.unnamed_among(&["output/aa/two".into()]).await.expect("unnamed").is_empty(), "the unit names it");
    assert!(matches!(store.finished_units(id, "no such stage").await, Err(Error::Invalid(_))));
    assert!(matches!(store.start_stage(fence, "no such stage", "".into(), 1).await, Err(Error::Invalid(_))));
    store.finish_stage(fence, "loading", "all".into(), progress(0.5, 1.0)).await.expect("finish");
    assert!(matches!(record(vec![(1, inline("late"))]).await, Err(Error::Invalid(_))), "the stage has ended");
    let stage = store.job(id).await.expect("job").stages.remove(0);
    assert_eq!((stage.status, stage.progress), (StageStatus::Completed, 1.0));
    store.end(fence, Ending::Released).await.expect("release");
    let checkpoint = claim_one(&*store).await.stages.remove(0);
    assert_eq!((checkpoint.units_total, checkpoint.output.as_deref()), (10, Some(&b"all"[..])));
}

/// Over the job's life, whatever a worker says; 1 only when it is completed.
pub async fn progress_never_falls(f: &mut dyn Fixture) {
    let store = f.store();
    let id = enqueue(&*store, job()).await.id;
    let mut fence = claim_one(&*store).await.fence;
    store.start_stage(fence, "loading", "".into(), 5).await.expect("start");
    let mut last = (0.0, 0.0, 0);
    for (n, said) in [0.2, 0.1, 0.6, f64::NAN, 0.3, 2.0, -1.0, 0.7].into_iter().enumerate() {
        store.report(fence, "loading", progress(said, said)).await.expect("report");
        let detail = store.job(id).await.expect("job");
        let now = (detail.job.progress, detail.stages[0].progress, detail.job.version);
        assert!(now.0 >= last.0 && now.1 >= last.1 && now.2 > last.2, "{last:?} {now:?}");
        assert!(now.0 < 1.0 && now.1 < 1.0, "{now:?}");
        last = now;
        if n == 3 {
            store.end(fence, retried(Duration::ZERO)).await.expect("retry");
            fence = claim_one(&*store).await.fence;
            store.start_stage(fence, "loading", "".into(), 5).await.expect("start");
            let resumed = store.job(id).await.expect("job");
            assert_eq!((resumed.job.progress, resumed.stages[0].progress), (0.6, 0.6));
        }
    }
    store.end(fence, completed()).await.expect("complete");
    assert_eq!(store.job(id).await.expect("job").job.progress, 1.0);
}

/// Rows for transitions, stage ends and errors; none for a tick. `since` gives what came later, once.
pub async fn events_tell_every_change_once(f: &mut dyn Fixture) {
    let store = f.store();
    let mut changes = store.changes();
    let id = enqueue(&*store, job()).await.id;
    let fence = claim_one(&*store).await.fence;
    store.start_stage(fence, "loading", "".into(), 1).await.expect("start");
    for tick in 1..20 {
        store.report(fence, "loading", progress(f64::from(tick) / 100.0, 0.1)).await.expect("report");
    }
    store.finish_stage(fence, "loading", "".into(), progress(0.5, 1.0)).await.expect("finish");
    store.end(fence, snoozed(Duration::ZERO)).await.expect("snooze");
    let fence = claim_one(&*store).await.fence;
    store.add_errors(fence, vec![failure("quarantined")]).await.expect("errors");
    store.end(fence, completed()).await.expect("complete");
    let events = store.events(id, 0, 100).await.expect("events");
    let kinds: Vec<String> = events.iter().map(|e| describe(&e.kind)).collect();
    assert_eq!(
        kinds,
        [
            "progress pending",
            "progress running",
            "stage loading",
            "error true",
            "progress pending",
            "progress running",
            "error true",
            "completed"
        ]
    );
    assert!(events.windows(2).all(|pair| pair[0].seq < pair[1].seq));
    for (n, event) in events.iter().enumerate() {
        assert_eq!(store.events(id, event.seq, 100).await.expect("events"), events[n + 1..]);
    }
    assert_eq!(store.events(id, 0, 2).await.expect("events"), events[..2]);
    let record = store.job(id).await.expect("job").job;
    assert_eq!(events.last().expect("the end").seq, record.version, "nothing comes after the end");
    let mut last = None;
    while let Ok(change) = changes.try_recv() {
        assert!(change.job == id && last.is_none_or(|v| v <= change.version), "{change:?} after {last:?}");
        last = Some(change.version);
    }
    assert_eq!(last, Some(record.version), "followers hear of the end");
    let unknown = graphmill_core::JobId::from_bytes([7; 16]);
    assert!(matches!(store.events(unknown, 0, 1).await, Err(Error::NotFound(_))));
}

fn describe(kind: &EventKind) -> String {
    match kind {
        EventKind::Progress { status, .. } => format!("progress {status}"),
        EventKind::StageComplete { stage, .. } => format!("stage {stage}"),
        EventKind::Completed { metadata, .. } => {
            assert_eq!(metadata.get("chunks_created"), Some(&json!(7)));
            assert_eq!(metadata.get("filename"), Some(&json!("a.pdf")));
            "completed".into()
        }
        EventKind::Error { will_retry, .. } => format!("error {will_retry}"),
        EventKind::Cancelled { .. } => "cancelled".into(),
        EventKind::Deleted {} => "deleted".into(),
    }
}

/// New keys come last, `null` removes, the rest stays in its order; the store adds nothing.
pub async fn metadata_merges(f: &mut dyn Fixture) {
    let store = f.store();
    let mut new = job();
    new.metadata = object(json!({"filename": "a.pdf", "nested": {"a": 1}, "gone": 1, "file_size": 10}));
    let id = enqueue(&*store, new).await.id;
    let fence = claim_one(&*store).await.fence;
    store
        .merge_metadata(fence, object(json!({"page_count": 3, "gone": null, "nested": {"b": 2}})))
        .await
        .expect("merge");
    store.end(fence, completed()).await.expect("complete");
    let metadata = store.job(id).await.expect("job").job.metadata;
    let text = serde_json::to_string(&Value::Object(metadata)).expect("json");
    assert_eq!(text, r#"{"filename":"a.pdf","nested":{"b":2},"file_size":10,"page_count":3,"chunks_created":7}"#);
}

async fn log(store: &dyn JobStore, fence: graphmill_core::Fence, levels: &[(LogLevel, u32)]) {
    let logs = levels
        .iter()
        .map(|(level, n)| NewLog { level: *level, message: format!("line {n}"), context: object(json!({"n": n})) })
        .collect();
    store.append_logs(fence, logs).await.expect("logs");
}

/// The newest 10,000 stay; `level` is the least severity; `total` counts all that match.
pub async fn logs_are_capped_and_counted(f: &mut dyn Fixture) {
    let (store, clock) = (f.store(), f.clock());
    let id = enqueue(&*store, job()).await.id;
    let fence = claim_one(&*store).await.fence;
    log(&*store, fence, &[(LogLevel::Debug, 0), (LogLevel::Error, 1), (LogLevel::Info, 2), (LogLevel::Warning, 3)])
        .await;
    let early = graphmill_core::Clock::now(&*clock);
    clock.advance(Duration::from_secs(1));
    log(&*store, fence, &[(LogLevel::Info, 4)]).await;
    let read = async |level, after, descending, limit| {
        let page = store.logs(id, &LogQuery { level, after, descending, limit }).await.expect("logs");
        let numbers: Vec<u64> = page.logs.iter().filter_map(|l| l.context["n"].as_u64()).collect();
        (numbers, page.total)
    };
    assert_eq!(read(None, None, false, 100).await, (vec![0, 1, 2, 3, 4], 5));
    assert_eq!(read(Some(LogLevel::Warning), None, false, 100).await, (vec![1, 3], 2));
    assert_eq!(read(Some(LogLevel::Info), None, true, 2).await, (vec![4, 3], 4));
    assert_eq!(read(None, Some(early), false, 100).await, (vec![4], 1));
    for batch in 0..21 {
        let lines: Vec<_> = (0..500).map(|n| (LogLevel::Debug, 100 + batch * 500 + n)).collect();
        log(&*store, fence, &lines).await;
    }
    let (newest, total) = read(None, None, true, 1).await;
    assert_eq!((newest, total), (vec![10_599], 10_000));
    assert_eq!(read(Some(LogLevel::Info), None, false, 9).await.1, 0, "the oldest are gone");
    let query = LogQuery { level: None, after: None, descending: false, limit: 1 };
    let unknown = graphmill_core::JobId::from_bytes([7; 16]);
    assert!(matches!(store.logs(unknown, &query).await, Err(Error::NotFound(_))));
}

/// In the order in which they came, with the attempt in which they came.
pub async fn errors_are_kept_in_order(f: &mut dyn Fixture) {
    let store = f.store();
    let id = enqueue(&*store, job()).await.id;
    let fence = claim_one(&*store).await.fence;
    let mut quarantined = failure("chunk 12 was set aside");
    quarantined.code = ErrorCode::ChunkQuarantined;
    quarantined.chunk_id = Some("chk-12".into());
    store.add_errors(fence, vec![quarantined, failure("second")]).await.expect("errors");
    store.end(fence, retried(Duration::ZERO)).await.expect("retry");
    let fence = claim_one(&*store).await.fence;
    store.end(fence, Ending::Failed { error: failure("last") }).await.expect("fail");
    let errors = store.job(id).await.expect("job").errors;
    let shown: Vec<_> = errors.iter().map(|e| (e.message.as_str(), e.attempt)).collect();
    assert_eq!(shown, [("chunk 12 was set aside", 1), ("second", 1), ("It did not work", 1), ("last", 2)]);
    assert_eq!((errors[0].chunk_id.as_deref(), errors[0].page), (Some("chk-12"), Some(3)));
}

/// Units and outputs go with the end; the blobs are named to the caller, but for those that another row names.
pub async fn completed_jobs_drop_their_outputs(f: &mut dyn Fixture) {
    let store = f.store();
    let mut new = job();
    new.blobs = vec![(BlobRole::Original, "original/aa/kept".into())];
    let id = enqueue(&*store, new.clone()).await.id;
    let other = enqueue(&*store, new).await.id;
    let fence = claim_one(&*store).await.fence;
    let second = claim_one(&*store).await.fence;
    store.start_stage(fence, "loading", "plan".into(), 2).await.expect("start");
    let units = vec![(0, Output::Blob("output/aa/mine".into())), (1, Output::Blob("output/aa/shared".into()))];
    store.record_units(fence, "loading", units, progress(0.1, 0.1)).await.expect("units");
    store.name_blobs(second, vec![(BlobRole::PageText, "output/aa/shared".into())]).await.expect("name");
    let ended = store.end(fence, completed()).await.expect("complete");
    assert_eq!((ended.status, ended.unnamed_blobs), (JobStatus::Completed, vec!["output/aa/mine".to_owned()]));
    assert!(store.finished_units(id, "loading").await.expect("units").is_empty());
    let asked = ["output/aa/mine", "output/aa/shared", "original/aa/kept", "original/aa/unknown"].map(str::to_owned);
    let unnamed = store.unnamed_among(&asked).await.expect("unnamed");
    assert_eq!(unnamed, ["output/aa/mine", "original/aa/unknown"]);
    // A failed job keeps its outputs for a retry.
    store.start_stage(second, "loading", "plan".into(), 1).await.expect("start");
    store
        .record_units(second, "loading", vec![(0, Output::Inline("x".into()))], progress(0.1, 0.1))
        .await
        .expect("units");
    let ended = store.end(second, super::builders::failed()).await.expect("fail");
    assert!(ended.unnamed_blobs.is_empty());
    assert_eq!(store.finished_units(other, "loading").await.expect("units"), [0]);
}
