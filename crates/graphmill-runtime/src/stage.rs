//! A stage is `plan(input) → units`, `run(unit) → output`, `finish(outputs in unit order)`. Its checkpoint is the set of finished units, since
//! answers come out of order. Stages are barriers.

use std::collections::HashSet;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use graphmill_core::trace::TARGET;
use graphmill_core::{ErrorCode, StageStatus};
use graphmill_store::records::{BlobRole, StageCheckpoint};
use graphmill_store::requests::Output;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::Instrument;

use crate::{Interruption, JobContext, metrics};

/// How many outputs are read at once.
const PAGE: u32 = 16;

/// One stage of a job.
#[async_trait]
pub trait Stage: Send + Sync {
    /// Name, as the API spells it.
    const NAME: &'static str;
    /// What the stage is cut into. Small: all units of a stage are kept in one value of the store.
    type Unit: Serialize + DeserializeOwned + Send + Sync;
    /// What later stages need to know.
    type Output: Serialize + DeserializeOwned + Send + Sync;

    /// Cuts the work into units. Run once: a resumed stage gets the units that were planned first.
    async fn plan(&self, context: &JobContext) -> Result<Vec<Self::Unit>, Interruption>;

    /// Does one unit. Pure given its inputs: run again, it gives the same output.
    async fn run(&self, context: &JobContext, unit: &Self::Unit) -> Result<UnitDone, Interruption>;

    /// Ends the stage once every unit is recorded.
    async fn finish(&self, context: &JobContext, units: &[Self::Unit]) -> Result<Self::Output, Interruption>;

    /// Items in a unit, for progress and messages.
    fn size(&self, _unit: &Self::Unit) -> u64 {
        1
    }

    /// Units that may be under way at once.
    fn concurrency(&self, _context: &JobContext) -> usize {
        1
    }

    /// What people read while it runs.
    fn message(&self, done: u64, total: u64) -> String;
}

/// A finished unit.
#[derive(Debug, Clone, Default)]
pub struct UnitDone {
    /// What later stages read.
    pub output: Bytes,
}

/// Runs the stages of a job one after another.
pub struct StageRun<'a> {
    context: &'a JobContext,
}

impl<'a> StageRun<'a> {
    /// Before the first stage.
    pub fn new(context: &'a JobContext) -> Self {
        Self { context }
    }

    /// Runs a stage from where its checkpoint stands; at once when it had ended.
    pub async fn stage<S: Stage>(&self, stage: &S) -> Result<S::Output, Interruption> {
        let context = self.context;
        let checkpoint = context.job().stages.iter().find(|c| c.stage.name == S::NAME).ok_or_else(|| {
            Interruption::fail(ErrorCode::Internal, format!("the job has no stage {}", S::NAME), None)
        })?;
        match &checkpoint.output {
            Some(kept) if checkpoint.stage.status == StageStatus::Completed => {
                decode(&context.load(unwrap_output(kept)).await?)
            }
            _ => {
                let span = tracing::info_span!(target: TARGET, "stage", stage.name = S::NAME);
                self.run_units(stage, checkpoint).instrument(span).await
            }
        }
    }

    async fn run_units<S: Stage>(&self, stage: &S, checkpoint: &StageCheckpoint) -> Result<S::Output, Interruption> {
        let context = self.context;
        let begun = Instant::now();
        context.alive(format!("planning of {}", S::NAME));
        let units: Vec<S::Unit> = match &checkpoint.plan {
            Some(plan) => decode(plan)?,
            None => stage.plan(context).await?,
        };
        let count = u32::try_from(units.len()).map_err(|_| too_many(units.len()))?;
        context.store.start_stage(context.fence(), S::NAME, encode(&units)?, count).await?;
        let finished: HashSet<u32> = if checkpoint.plan.is_some() {
            context.store.finished_units(context.fence().job, S::NAME).await?.into_iter().collect()
        } else {
            HashSet::new()
        };
        let total: u64 = units.iter().map(|u| stage.size(u)).sum();
        let mut done: u64 =
            (0u32..).zip(&units).filter(|(n, _)| finished.contains(n)).map(|(_, u)| stage.size(u)).sum();
        context.progress(S::NAME, part(done, total), stage.message(done, total));
        self.drain(stage, &units, &finished, &mut done, total).await?;
        context.alive(format!("end of {}", S::NAME));
        let output = stage.finish(context, &units).await?;
        let kept = context.save(&format!("{}-output", S::NAME), encode(&output)?).await?;
        if let Output::Blob(key) = &kept {
            context.store.name_blobs(context.fence(), vec![(BlobRole::Output, key.clone())]).await?;
        }
        context.flush_logs().await?;
        context.progress_sent();
        let progress = context.progress_at(S::NAME, 1.0, stage.message(total, total));
        context.store.finish_stage(context.fence(), S::NAME, wrap_output(&kept), progress).await?;
        metrics::stage_finished(context.job().job.job_type, S::NAME, begun.elapsed());
        Ok(output)
    }

    /// Runs the unfinished units. After the first interruption no further unit is begun, but those under way may end and are recorded: their answers
    /// may have been paid for.
    async fn drain<S: Stage>(
        &self,
        stage: &S,
        units: &[S::Unit],
        finished: &HashSet<u32>,
        done: &mut u64,
        total: u64,
    ) -> Result<(), Interruption> {
        let context = self.context;
        let mut todo = (0u32..).take(units.len()).filter(|n| !finished.contains(n)).collect::<Vec<_>>().into_iter();
        let concurrency = stage.concurrency(context).max(1);
        let mut under_way = FuturesUnordered::new();
        let mut first_interruption = None;
        loop {
            while first_interruption.is_none() && under_way.len() < concurrency {
                let Some(number) = todo.next() else { break };
                under_way.push(run_unit(stage, context, number, &units[number as usize]));
            }
            let Some(first) = under_way.next().await else { break };
            let mut batch = vec![first];
            while let Some(Some(more)) = under_way.next().now_or_never() {
                batch.push(more);
            }
            let mut outputs = Vec::with_capacity(batch.len());
            for (number, unit, result) in batch {
                match result {
                    Ok(unit_done) => {
                        let name = format!("{}-{number}", S::NAME);
                        outputs.push((number, context.save(&name, unit_done.output).await?));
                        *done += stage.size(unit);
                    }
                    Err(Interruption::Stopped) => return Err(Interruption::Stopped),
                    Err(interruption) => {
                        first_interruption.get_or_insert(interruption);
                    }
                }
            }
            if !outputs.is_empty() {
                context.alive(format!("recording units of {}", S::NAME));
                context.progress_sent();
                let progress = context.progress_at(S::NAME, part(*done, total), stage.message(*done, total));
                context.store.record_units(context.fence(), S::NAME, outputs, progress).await?;
            }
        }
        first_interruption.map_or(Ok(()), Err)
    }
}

async fn run_unit<'u, S: Stage>(
    stage: &S,
    context: &JobContext,
    number: u32,
    unit: &'u S::Unit,
) -> (u32, &'u S::Unit, Result<UnitDone, Interruption>) {
    graphmill_core::fault_point!(&format!("stage.{}.unit", S::NAME));
    context.alive(format!("unit {number} of {}", S::NAME));
    let span = tracing::info_span!(target: TARGET, "stage.unit", stage.name = S::NAME, unit.number = number);
    (number, unit, stage.run(context, unit).instrument(span).await)
}

fn part(done: u64, total: u64) -> f64 {
    if total == 0 { 0.0 } else { done as f64 / total as f64 }
}

impl JobContext {
    /// Keeps an output: small ones in the store's row, larger ones in a blob named by job and epoch, safe on disk before the row that will name it.
    pub async fn save(&self, name: &str, bytes: Bytes) -> Result<Output, Interruption> {
        if bytes.len() <= Output::INLINE_MAX {
            return Ok(Output::Inline(bytes));
        }
        let fence = self.fence();
        let key = format!("jobs/{}/{}/{name}", fence.job, fence.epoch.0);
        self.blobs().put(&key, bytes).await?;
        Ok(Output::Blob(key))
    }

    /// Bytes of an output.
    pub async fn load(&self, output: Output) -> Result<Bytes, Interruption> {
        match output {
            Output::Inline(bytes) => Ok(bytes),
            Output::Blob(key) => Ok(self.blobs().read(&key).await?),
        }
    }

    /// Output of one unit of a finished stage.
    pub async fn unit_output(&self, stage: &str, unit: u32) -> Result<Bytes, Interruption> {
        let mut found = self.store.unit_outputs(self.fence().job, stage, unit, 1).await?;
        match found.pop() {
            Some((number, output)) if number == unit => self.load(output).await,
            _ => Err(Interruption::retry(ErrorCode::Internal, format!("unit {unit} of {stage} has no output"))),
        }
    }

    /// Outputs of all units of a finished stage, page by page: calls `each` with (unit, bytes) in unit order.
    pub async fn each_unit_output(
        &self,
        stage: &str,
        mut each: impl FnMut(u32, Bytes) -> Result<(), Interruption> + Send,
    ) -> Result<(), Interruption> {
        let mut from = 0;
        loop {
            let page = self.store.unit_outputs(self.fence().job, stage, from, PAGE).await?;
            let Some(&(last, _)) = page.last() else { return Ok(()) };
            for (unit, output) in page {
                each(unit, self.load(output).await?)?;
            }
            from = last + 1;
        }
    }
}

/// A stage's output as `finish_stage` keeps it: one byte says whether the rest is the output or the key of its blob.
fn wrap_output(output: &Output) -> Bytes {
    let (tag, rest) = match output {
        Output::Inline(bytes) => (0, &bytes[..]),
        Output::Blob(key) => (1, key.as_bytes()),
    };
    [&[tag][..], rest].concat().into()
}

fn unwrap_output(kept: &Bytes) -> Output {
    match kept.first() {
        Some(1) => Output::Blob(String::from_utf8_lossy(&kept[1..]).into_owned()),
        _ => Output::Inline(kept.slice(kept.len().min(1)..)),
    }
}

/// MessagePack of a value that goes into the store.
pub fn encode<T: Serialize>(value: &T) -> Result<Bytes, Interruption> {
    let bytes = rmp_serde::to_vec(value).map_err(|e| Interruption::retry(ErrorCode::Internal, e.to_string()))?;
    Ok(bytes.into())
}

/// A value that [`encode`] wrote.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Interruption> {
    rmp_serde::from_slice(bytes).map_err(|e| {
        let hint = "the job was begun by another version of graphmill; upload the document again".to_owned();
        Interruption::fail(ErrorCode::Internal, format!("a checkpoint cannot be read: {e}"), hint)
    })
}

fn too_many(units: usize) -> Interruption {
    Interruption::fail(ErrorCode::Internal, format!("a stage cannot have {units} units"), None)
}
