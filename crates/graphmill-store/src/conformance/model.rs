//! Random walks: thousands of calls in an order that nobody thought of, against a model of one page.

use std::collections::BTreeMap;
use std::time::Duration;

use graphmill_core::{Fence, JobId, JobStatus, Transition, next_state};

use super::Fixture;
use super::builders::{LEASE, claim, completed, enqueue, failed, job, progress, retried, snoozed};
use crate::records::{CancelOutcome, DeleteOutcome, RetryOutcome};
use crate::requests::{Ending, NewJob};
use crate::{Error, JobStore};

/// What the model knows of a job.
#[derive(Debug, Clone)]
struct Modelled {
    status: JobStatus,
    intent: bool,
    failures: u32,
    /// The fence that may write now.
    live: Option<Fence>,
    /// Fences of the past.
    stale: Vec<Fence>,
}

/// A small generator with a fixed seed: a failing walk is repeated exactly (Steele et al., SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).expect("a small number")
    }
}

struct Walk {
    dice: Dice,
    jobs: BTreeMap<JobId, Modelled>,
}

impl Walk {
    fn pick(&mut self) -> Option<JobId> {
        let n = self.jobs.len();
        (n > 0).then(|| self.dice.roll(n)).and_then(|i| self.jobs.keys().nth(i).copied())
    }

    fn ended(&mut self, id: JobId, status: JobStatus) {
        let job = self.jobs.get_mut(&id).expect("known");
        job.status = status;
        job.stale.extend(job.live.take());
    }

    async fn step(&mut self, store: &dyn JobStore, f: &dyn Fixture) {
        match self.dice.roll(12) {
            0 | 1 => {
                let id = enqueue(store, NewJob { max_attempts: 2, ..job() }).await.id;
                let fresh =
                    Modelled { status: JobStatus::Pending, intent: false, failures: 0, live: None, stale: Vec::new() };
                self.jobs.insert(id, fresh);
            }
            2 | 3 => self.claim(store).await,
            4 => self.cancel(store).await,
            5 => self.retry(store).await,
            6 => self.delete(store).await,
            7 => self.intend(store).await,
            8 => self.lose_leases(store, f).await,
            _ => self.end(store).await,
        }
    }

    async fn claim(&mut self, store: &dyn JobStore) {
        let places = u32::try_from(1 + self.dice.roll(3)).expect("small");
        for claimed in claim(store, places).await {
            let job = self.jobs.get_mut(&claimed.fence.job).expect("known");
            assert_eq!(next_state(job.status, Transition::Claim), Ok(JobStatus::Running));
            assert!(job.stale.iter().all(|old| old.epoch < claimed.fence.epoch), "the epoch rises");
            job.status = JobStatus::Running;
            job.live = Some(claimed.fence);
        }
    }

    async fn cancel(&mut self, store: &dyn JobStore) {
        let Some(id) = self.pick() else { return };
        let job = self.jobs[&id].clone();
        match store.cancel(id, "x").await.expect("cancel") {
            CancelOutcome::Cancelled(_) => {
                assert!(!job.intent && !job.status.is_ended());
                self.ended(id, JobStatus::Cancelled);
            }
            CancelOutcome::Publishing => assert!(job.intent && !job.status.is_ended()),
            CancelOutcome::AlreadyEnded(status) => assert_eq!((status, status.is_ended()), (job.status, true)),
        }
    }

    async fn retry(&mut self, store: &dyn JobStore) {
        let Some(id) = self.pick() else { return };
        let job = self.jobs.get_mut(&id).expect("known");
        let allowed = next_state(job.status, Transition::RetryByPerson).is_ok();
        let outcome = store.retry(id, None).await.expect("retry");
        assert_eq!(matches!(outcome, RetryOutcome::Requeued(_)), allowed);
        if allowed {
            (job.status, job.intent, job.failures) = (JobStatus::Pending, false, 0);
        }
    }

    async fn delete(&mut self, store: &dyn JobStore) {
        let Some(id) = self.pick() else { return };
        let outcome = store.delete_job(id).await.expect("delete");
        assert_eq!(matches!(outcome, DeleteOutcome::Deleted(_)), self.jobs[&id].status.is_ended());
        if self.jobs[&id].status.is_ended() {
            self.jobs.remove(&id);
        }
    }

    async fn intend(&mut self, store: &dyn JobStore) {
        let Some(id) = self.pick() else { return };
        let job = self.jobs.get_mut(&id).expect("known");
        if let Some(fence) = job.live {
            store.commit_intent(fence).await.expect("intent");
            job.intent = true;
        }
        for fence in &job.stale {
            assert!(matches!(store.commit_intent(*fence).await, Err(Error::Fenced(_))));
        }
    }

    async fn lose_leases(&mut self, store: &dyn JobStore, f: &dyn Fixture) {
        f.clock().advance(LEASE + Duration::from_millis(1));
        let running: Vec<JobId> =
            self.jobs.iter().filter(|(_, j)| j.status == JobStatus::Running).map(|(id, _)| *id).collect();
        let lost = store.requeue_lost().await.expect("requeue");
        assert_eq!(lost.requeued + lost.failed, running.len() as u64);
        for id in running {
            // A row of twenty deaths is for another test; here it may happen by chance.
            let now = store.job(id).await.expect("job").job.status;
            assert!(matches!(now, JobStatus::Pending | JobStatus::Failed));
            self.ended(id, now);
        }
    }

    async fn end(&mut self, store: &dyn JobStore) {
        let Some(id) = self.pick() else { return };
        let job = self.jobs[&id].clone();
        for fence in &job.stale {
            let late = store.report(*fence, "loading", progress(0.9, 0.9)).await;
            assert!(matches!(late, Err(Error::Fenced(_))));
        }
        let Some(fence) = job.live else { return };
        let (ending, expected) = match self.dice.roll(6) {
            0 => (completed(), JobStatus::Completed),
            1 => (failed(), JobStatus::Failed),
            2 => (snoozed(Duration::ZERO), JobStatus::Pending),
            3 => (Ending::Released, JobStatus::Pending),
            4 => (Ending::Overtaken { message: "x".into() }, JobStatus::Cancelled),
            _ if job.failures + 1 >= 2 => (retried(Duration::ZERO), JobStatus::Failed),
            _ => (retried(Duration::ZERO), JobStatus::Pending),
        };
        if matches!(ending, Ending::Retry { .. }) {
            self.jobs.get_mut(&id).expect("known").failures += 1;
        }
        assert_eq!(store.end(fence, ending).await.expect("end").status, expected);
        self.ended(id, expected);
    }

    async fn check(&self, store: &dyn JobStore) {
        for (status, count) in store.counts().await.expect("counts") {
            let modelled = self.jobs.values().filter(|job| job.status == status).count() as u64;
            assert_eq!(count, modelled, "{status}");
        }
        for (id, modelled) in &self.jobs {
            let job = store.job(*id).await.expect("job").job;
            assert_eq!((job.status, job.intent), (modelled.status, modelled.intent), "{id}");
        }
    }
}

/// Eight walks of 250 steps.
pub async fn random_walks_agree_with_a_model(f: &mut dyn Fixture) {
    f.store().requeue_lost().await.expect("leases of nobody");
    let mut jobs = BTreeMap::new();
    for seed in 0..8 {
        let mut walk = Walk { dice: Dice(seed), jobs };
        for _ in 0..250 {
            let store = f.store();
            walk.step(&*store, f).await;
        }
        walk.check(&*f.store()).await;
        jobs = walk.jobs;
    }
}
