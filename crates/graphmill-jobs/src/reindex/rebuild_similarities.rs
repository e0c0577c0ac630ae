//! Stage `rebuild_similarities`: the most similar chunks of each chunk. A full run writes a new generation, which readers see at its end; a delta brings
//! rows up to date. Both end with what a full run over the same chunks would show.

use async_trait::async_trait;
use bytes::Bytes;
use graphmill_algorithms::neighbours::{Score, Wanted};
use graphmill_core::ErrorCode;
use graphmill_graph::records::{Layer, LayerRun, RunStanding};
use graphmill_runtime::stage::{decode, encode};
use graphmill_runtime::{Interruption, JobContext, Stage, UnitDone};
use graphmill_store::records::LogLevel;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::OnceCell;

use super::Reindex;
use super::comparison::Comparison;
use super::similarity_plan::{self, Header, Unit, active_space, is_new, kept, parameters};
use crate::interruption::of_graph;

pub(super) const NAME: &str = "rebuild_similarities";
/// Chunks looked at in one step.
const PAGE: u32 = 4_096;

pub(super) struct RebuildSimilarities<'a> {
    reindex: &'a Reindex<'a>,
    work: OnceCell<Work<'a>>,
}

/// What this claim goes on with.
struct Work<'a> {
    header: Header,
    /// `None` when there is nothing to compare, or the planned run was given up meanwhile: then the end of the stage does everything anew.
    comparison: Option<Comparison<'a>>,
    /// The planned run can still write.
    is_present: bool,
}

/// What the stage did.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Rebuilt {
    pub compared: u64,
    pub similarities: u64,
}

impl<'a> RebuildSimilarities<'a> {
    pub(super) fn new(reindex: &'a Reindex<'a>) -> Self {
        Self { reindex, work: OnceCell::new() }
    }

    /// Of a plan that an earlier claim made.
    async fn work(&self, context: &JobContext) -> Result<&Work<'a>, Interruption> {
        self.work.get_or_try_init(|| self.resume(context)).await
    }

    async fn resume(&self, context: &JobContext) -> Result<Work<'a>, Interruption> {
        let checkpoint = context.job().stages.iter().find(|c| c.stage.name == NAME);
        let plan = checkpoint.and_then(|c| c.plan.as_ref()).ok_or_else(no_plan)?;
        let units: Vec<Unit> = decode(plan)?;
        let Some(Unit::Begin(header)) = units.first() else { return Err(no_plan()) };
        let run = run_of(context, header);
        let standing = self.reindex.handler.graph.run_standing(&run).await.map_err(of_graph)?;
        let space = active_space(&*self.reindex.handler.graph, context).await?.map(|space| space.id);
        if standing == RunStanding::Stale || space != header.space {
            return Ok(Work { header: *header, comparison: None, is_present: false });
        }
        self.reindex.handler.note_run(context, &run);
        self.begin(context, *header).await
    }

    async fn begin(&self, context: &JobContext, header: Header) -> Result<Work<'a>, Interruption> {
        let options = &self.reindex.options;
        let graph = &*self.reindex.handler.graph;
        let Some(space) = header.space else { return Ok(Work { header, comparison: None, is_present: true }) };
        let wanted = Wanted { neighbours: kept(options), threshold: Score::new(options.threshold) };
        let run = run_of(context, &header);
        let mut new = Vec::new();
        // A full run needs none of it.
        let mut next = (!header.full).then_some(0);
        while let Some(from) = next {
            let heads = graph.similarity_heads(&run.collection, space, from, PAGE).await.map_err(of_graph)?;
            next = heads.last().map(|last| last.position + 1);
            new.extend(heads.iter().filter(|head| is_new(head, header.since)).map(|head| head.position));
            context.alive("planning of rebuild_similarities");
        }
        let comparison = Comparison { graph, run, space, wanted, new };
        Ok(Work { header, comparison: Some(comparison), is_present: true })
    }

    async fn new_plan(&self, context: &JobContext) -> Result<(Work<'a>, Vec<Unit>), Interruption> {
        let handler = self.reindex.handler;
        let options = &self.reindex.options;
        let (run, units) = similarity_plan::plan(&*handler.graph, context, options, handler.block_rows).await?;
        handler.note_run(context, &run);
        let Some(Unit::Begin(header)) = units.first() else { return Err(no_plan()) };
        Ok((self.begin(context, *header).await?, units))
    }

    /// Ends the planned run, if all that its units wrote is there (a power cut can take rows with it that the job store knows as written).
    async fn end_planned(&self, context: &JobContext) -> Result<bool, Interruption> {
        let work = self.work(context).await?;
        if !work.is_present {
            return Ok(false);
        }
        let mut written = 0;
        let add = |_, bytes: Bytes| {
            written += decode::<u64>(&bytes)?;
            Ok(())
        };
        context.each_unit_output(NAME, add).await?;
        let run = run_of(context, &work.header);
        match self.reindex.handler.graph.run_standing(&run).await.map_err(of_graph)? {
            RunStanding::Finished => Ok(true),
            RunStanding::Present { rows } if rows >= written => {
                self.end_run(&run, &work.header).await?;
                Ok(true)
            }
            RunStanding::Present { .. } | RunStanding::Stale => Ok(false),
        }
    }

    async fn end_run(&self, run: &LayerRun, header: &Header) -> Result<(), Interruption> {
        let parameters = parameters(&self.reindex.options, header.space);
        self.reindex.handler.graph.finish_run(run, header.stands_at, parameters).await.map_err(of_graph)
    }

    /// Everything in one go under a new run: another job had the layer between two claims of this one.
    async fn redo(&self, context: &JobContext) -> Result<u64, Interruption> {
        context.log(LogLevel::Warning, "The layer was changed meanwhile; comparing anew", json!({}));
        let (work, units) = self.new_plan(context).await?;
        let total: u64 = units.iter().map(Unit::rows).sum();
        let mut done = 0;
        for unit in &units {
            if let Some(comparison) = &work.comparison {
                comparison.unit(context, unit).await?;
            }
            done += unit.rows();
            context.progress(NAME, done as f64 / total.max(1) as f64, self.message(done, total));
        }
        self.end_run(&run_of(context, &work.header), &work.header).await?;
        Ok(total)
    }
}

fn run_of(context: &JobContext, header: &Header) -> LayerRun {
    let collection = context.job().job.collection.clone();
    LayerRun { collection, layer: Layer::Similarities, number: header.run, full: header.full }
}

fn no_plan() -> Interruption {
    Interruption::fail(ErrorCode::Internal, "the stage rebuild_similarities has no plan", None)
}

#[async_trait]
impl Stage for RebuildSimilarities<'_> {
    const NAME: &'static str = NAME;
    type Unit = Unit;
    type Output = Rebuilt;

    async fn plan(&self, context: &JobContext) -> Result<Vec<Unit>, Interruption> {
        let (work, units) = self.new_plan(context).await?;
        let details = json!({"full": work.header.full, "units": units.len() - 1});
        context.log(LogLevel::Info, "Planned the comparison of chunks", details);
        // A stage is planned once in a claim: the cell is empty.
        let _ = self.work.set(work);
        Ok(units)
    }

    async fn run(&self, context: &JobContext, unit: &Unit) -> Result<UnitDone, Interruption> {
        let written = match &self.work(context).await?.comparison {
            Some(comparison) => comparison.unit(context, unit).await?,
            None => 0,
        };
        Ok(UnitDone { output: encode(&written)? })
    }

    async fn finish(&self, context: &JobContext, units: &[Unit]) -> Result<Rebuilt, Interruption> {
        let compared = if self.end_planned(context).await? {
            units.iter().map(Unit::rows).sum()
        } else {
            self.redo(context).await?
        };
        let collection = &context.job().job.collection;
        let stats = self.reindex.handler.graph.stats(Some(collection)).await.map_err(of_graph)?;
        let details = json!({"chunks": compared, "similarities": stats.similarities});
        context.log(LogLevel::Info, format!("Compared {compared} chunks"), details);
        Ok(Rebuilt { compared, similarities: stats.similarities })
    }

    fn size(&self, unit: &Unit) -> u64 {
        unit.rows()
    }

    fn concurrency(&self, context: &JobContext) -> usize {
        context.cpu().threads()
    }

    fn message(&self, done: u64, total: u64) -> String {
        format!("Comparing chunks ({done}/{total})")
    }
}
