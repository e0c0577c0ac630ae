//! Progress: case c25 as a kind, and what a stage shows while its job waits.

use std::time::Duration;

use graphmill_core::{JobId, JobStatus, JobType, StageStatus};

use super::Fixture;
use super::builders::{claim_one, completed, enqueue, job, progress, retried, snoozed};
use crate::JobStore;
use crate::requests::{Ending, NewJob, Output, StagePlan};

/// The stages of each type, as the API spells them.
const STAGES: [(JobType, &[&str]); 3] = [
    (JobType::Ingestion, &["loading", "chunking", "embedding", "entity_extraction", "persistence"]),
    (JobType::Reindex, &["rebuild_embeddings", "rebuild_similarities", "clustering"]),
    (JobType::Clustering, &["build_projection", "run_leiden", "assign_communities", "generate_summaries"]),
];

/// What was read before: nothing of it may fall.
#[derive(Default)]
struct Watch {
    job: f64,
    stages: Vec<f64>,
}

impl Watch {
    async fn look(&mut self, store: &dyn JobStore, id: JobId) {
        let detail = store.job(id).await.expect("job");
        let job = detail.job.progress;
        assert!(job >= self.job && job <= 1.0, "{job} after {}", self.job);
        assert_eq!(job == 1.0, detail.job.status == JobStatus::Completed, "1 is for completed jobs alone");
        let stages: Vec<f64> = detail.stages.iter().map(|s| s.progress).collect();
        for (n, (now, before)) in stages.iter().zip(&self.stages).enumerate() {
            assert!(now >= before && *now <= 1.0, "stage {n}: {now} after {before}");
        }
        let under_way = detail.stages.iter().filter(|s| s.status == StageStatus::Running).count();
        assert!(under_way <= 1, "{:?}", detail.stages);
        assert!(under_way == 0 || detail.job.status == JobStatus::Running, "{:?}", detail.stages);
        for pair in detail.stages.windows(2).filter(|pair| pair[1].status != StageStatus::Pending) {
            assert_eq!(pair[0].progress, 1.0, "a stage ends before the next one starts");
        }
        (self.job, self.stages) = (job, stages);
    }
}

/// A worker that tells wild progress (falling, above 1, no number), is interrupted in every stage in every way and starts each new stage at 0:
/// readers see nothing fall, in jobs of every type.
pub async fn c25_no_fold_of_progress_ever_falls(f: &mut dyn Fixture) {
    let store = f.store();
    store.requeue_lost().await.expect("leases of nobody");
    for (job_type, names) in STAGES {
        let stages = names.iter().map(|name| StagePlan { name: (*name).into(), weight: 7 }).collect();
        let id = enqueue(&*store, NewJob { job_type, stages, max_attempts: 100, ..job() }).await.id;
        let mut watch = Watch::default();
        let mut fence = claim_one(&*store).await.fence;
        for (n, name) in names.iter().enumerate() {
            for interruption in [snoozed(Duration::ZERO), retried(Duration::ZERO), Ending::Released] {
                store.start_stage(fence, name, "".into(), 20).await.expect("start");
                watch.look(&*store, id).await;
                for told in [0.0, 0.4, 0.2, f64::NAN, -3.0, 0.5, 7.0, 0.1] {
                    let job = (n as f64 + told) / names.len() as f64;
                    store.report(fence, name, progress(job, told)).await.expect("report");
                    watch.look(&*store, id).await;
                    let unit = vec![(3, Output::Inline("x".into()))];
                    store.record_units(fence, name, unit, progress(job / 2.0, told / 2.0)).await.expect("record");
                    watch.look(&*store, id).await;
                }
                store.end(fence, interruption).await.expect("interrupt");
                watch.look(&*store, id).await;
                fence = claim_one(&*store).await.fence;
                watch.look(&*store, id).await;
            }
            store.cancel(id, "x").await.expect("cancel");
            let attempt = std::mem::take(&mut watch);
            store.retry(id, None).await.expect("retry");
            let detail = store.job(id).await.expect("job");
            assert!(detail.job.progress >= attempt.job, "nor over a person's retry: finished units are kept");
            fence = claim_one(&*store).await.fence;
            store.start_stage(fence, name, "".into(), 20).await.expect("start");
            store.finish_stage(fence, name, "".into(), progress(0.0, 0.0)).await.expect("finish");
            watch.look(&*store, id).await;
        }
        store.end(fence, completed()).await.expect("complete");
        watch.look(&*store, id).await;
        assert!(store.job(id).await.expect("job").stages.iter().all(|s| s.progress == 1.0));
    }
}

/// The stage of a job that was given back is pending with what it has done, and goes on from there; a cancel meanwhile is seen in that stage.
pub async fn a_stage_rests_with_its_job(f: &mut dyn Fixture) {
    let (store, clock) = (f.store(), f.clock());
    let id = enqueue(&*store, NewJob { max_attempts: 9, ..job() }).await.id;
    let stage = async || store.job(id).await.expect("job").stages.remove(0);
    let mut ran = Duration::ZERO;
    let mut fence = claim_one(&*store).await.fence;
    for ending in [snoozed(Duration::ZERO), retried(Duration::ZERO), Ending::Released] {
        store.start_stage(fence, "loading", "".into(), 4).await.expect("start");
        store.report(fence, "loading", progress(0.1, 0.25)).await.expect("report");
        clock.advance(Duration::from_millis(500));
        ran += Duration::from_millis(500);
        assert_eq!((stage().await.status, stage().await.duration), (StageStatus::Running, Some(ran)));
        store.end(fence, ending).await.expect("give back");
        clock.advance(Duration::from_secs(9));
        let rests = stage().await;
        assert_eq!((rests.status, rests.progress, rests.duration), (StageStatus::Pending, 0.25, Some(ran)));
        fence = claim_one(&*store).await.fence;
    }
    store.start_stage(fence, "loading", "".into(), 4).await.expect("start");
    // The worker is gone.
    clock.advance(super::builders::LEASE + Duration::from_millis(1));
    store.requeue_lost().await.expect("requeue");
    assert_eq!((stage().await.status, stage().await.progress), (StageStatus::Pending, 0.25));
    store.cancel(id, "x").await.expect("cancel");
    assert_eq!((stage().await.status, stage().await.progress), (StageStatus::Cancelled, 0.25));
    let untouched = store.job(id).await.expect("job").stages.remove(1);
    assert_eq!((untouched.status, untouched.duration), (StageStatus::Pending, None));
    store.retry(id, None).await.expect("retry");
    assert_eq!((stage().await.status, stage().await.progress), (StageStatus::Pending, 0.25));
}
