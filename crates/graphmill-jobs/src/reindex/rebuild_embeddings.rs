//! Stage `rebuild_embeddings`: a vector in the configured model's space for each chunk that lacks one (of every chunk when all are made anew); then the
//! space is the one that searches use.

use async_trait::async_trait;
use bytes::Bytes;
use graphmill_core::{ChunkId, CollectionId, ErrorCode};
use graphmill_graph::records::{Layer, LayerRun, RunStanding, Space};
use graphmill_models::{EmbedAnswer, EmbedInput};
use graphmill_runtime::stage::{decode, encode};
use graphmill_runtime::{Interruption, JobContext, Stage, UnitDone};
use graphmill_store::records::LogLevel;
use graphmill_store::requests::NewJobError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use tokio::sync::OnceCell;

use super::{Reindex, ReindexMode};
use crate::interruption::{of_graph, of_model};
use crate::model_call::model_call;

pub(super) const NAME: &str = "rebuild_embeddings";
/// Chunks of a unit.
const CHUNKS_A_UNIT: u32 = 64;

pub(super) struct RebuildEmbeddings<'a> {
    reindex: &'a Reindex<'a>,
    target: OnceCell<Target>,
}

/// Where this claim writes to.
struct Target {
    run: LayerRun,
    space: Space,
    /// The units were planned for this space. If not (the configured model changed meanwhile), they are passed over and the end of the stage makes what
    /// is missing.
    as_planned: bool,
}

/// What the stage is cut into.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Unit {
    /// The first unit does nothing; it keeps what the plan was made for.
    Begin { run: u64, space: u32 },
    /// Chunks with ids after `after` up to `until`.
    Chunks { after: Option<ChunkId>, until: ChunkId, count: u32 },
}

/// Counts of the stage, and of a unit.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Rebuilt {
    pub created: u64,
    pub set_aside: u64,
}

type Texts = Vec<(ChunkId, String)>;

impl<'a> RebuildEmbeddings<'a> {
    pub(super) fn new(reindex: &'a Reindex<'a>) -> Self {
        Self { reindex, target: OnceCell::new() }
    }

    fn makes_all(&self) -> bool {
        self.reindex.options.mode == ReindexMode::Full
    }

    /// Offline models compute; the others wait for a server.
    fn is_offline(&self, collection: &CollectionId) -> bool {
        self.reindex.embedder.cache_key(collection, "").is_none()
    }

    /// The space of the configured model.
    async fn space(&self, context: &JobContext) -> Result<Space, Interruption> {
        let handler = self.reindex.handler;
        let described = self.reindex.embedder.probe(&self.reindex.calls).await.map_err(|e| of_model(&e))?;
        let dimension = described.dimension.unwrap_or(0);
        let collection = &context.job().job.collection;
        handler.graph.ensure_space(collection, described.model.as_str(), dimension).await.map_err(of_graph)
    }

    /// The run that the plan began, if it is still the present one; else another one. Vectors that were written stay right.
    async fn target(&self, context: &JobContext) -> Result<&Target, Interruption> {
        self.target.get_or_try_init(|| self.find_target(context)).await
    }

    async fn find_target(&self, context: &JobContext) -> Result<Target, Interruption> {
        let (graph, collection) = (&self.reindex.handler.graph, &context.job().job.collection);
        let space = self.space(context).await?;
        let checkpoint = context.job().stages.iter().find(|c| c.stage.name == NAME);
        let units: Vec<Unit> = match checkpoint.and_then(|c| c.plan.as_ref()) {
            Some(plan) => decode(plan)?,
            None => Vec::new(),
        };
        let (mut planned, mut as_planned) = (None, true);
        if let Some(Unit::Begin { run, space: of }) = units.first() {
            let layer = Layer::Embeddings;
            planned = Some(LayerRun { collection: collection.clone(), layer, number: *run, full: false });
            as_planned = *of == space.id.0;
        }
        let mut standing = RunStanding::Stale;
        if let Some(run) = &planned {
            standing = graph.run_standing(run).await.map_err(of_graph)?;
        }
        let run = match (planned, standing) {
            (Some(run), RunStanding::Present { .. }) => run,
            _ => graph.begin_run(collection, Layer::Embeddings, false).await.map_err(of_graph)?,
        };
        self.reindex.handler.note_run(context, &run);
        Ok(Target { run, space, as_planned })
    }

    /// Chunks that need a vector, or all, by id.
    async fn texts(
        &self,
        context: &JobContext,
        all: bool,
        after: Option<ChunkId>,
        limit: u32,
    ) -> Result<Texts, Interruption> {
        let (graph, collection) = (&self.reindex.handler.graph, &context.job().job.collection);
        let texts = if all {
            graph.chunk_texts(collection, after, limit).await
        } else {
            graph.space_delta(collection, self.target(context).await?.space.id, after, limit).await
        };
        texts.map_err(of_graph)
    }

    async fn embed(&self, context: &JobContext, texts: Texts) -> Result<Rebuilt, Interruption> {
        let target = self.target(context).await?;
        let (ids, texts): (Vec<ChunkId>, Vec<String>) = texts.into_iter().unzip();
        let answers = self.answers(context, texts).await?;
        if answers.len() != ids.len() {
            let message = format!("the embedder gave {} vectors for {} chunks", answers.len(), ids.len());
            return Err(Interruption::retry(ErrorCode::ModelBadAnswer, message));
        }
        let (mut vectors, mut set_aside, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for (id, answer) in ids.into_iter().zip(answers) {
            match answer {
                Ok(vector) => vectors.push((id, vector)),
                Err(why) => {
                    set_aside.push(id);
                    errors.push(quarantine_error(id, &format!("{} ({})", why.reason, why.code)));
                }
            }
        }
        let graph = &self.reindex.handler.graph;
        let rebuilt = Rebuilt { created: vectors.len() as u64, set_aside: set_aside.len() as u64 };
        graph.put_vectors(&target.run, target.space.id, vectors).await.map_err(of_graph)?;
        if !set_aside.is_empty() {
            graph.set_aside_embeddings(&target.run, set_aside).await.map_err(of_graph)?;
            context.add_errors(errors).await?;
        }
        Ok(rebuilt)
    }

    async fn answers(&self, context: &JobContext, texts: Vec<String>) -> Result<Vec<EmbedAnswer>, Interruption> {
        let collection = context.job().job.collection.clone();
        let is_offline = self.is_offline(&collection);
        let (embedder, calls) = (self.reindex.embedder.clone(), self.reindex.calls.clone());
        let ask = move || async move {
            let inputs: Vec<_> = texts.iter().map(|text| EmbedInput { text }).collect();
            embedder.embed(&collection, &inputs, &calls).await
        };
        let answers = if is_offline {
            context.compute(move |_| futures::executor::block_on(ask())).await?
        } else {
            model_call(context, &self.reindex.calls, NAME, ask()).await
        };
        answers.map_err(|e| of_model(&e))
    }

    /// What was published meanwhile without a vector in this space, until the space has all and is the active one.
    async fn catch_up_and_switch(&self, context: &JobContext) -> Result<Rebuilt, Interruption> {
        let target = self.target(context).await?;
        let mut rebuilt = Rebuilt::default();
        loop {
            let texts = self.texts(context, false, None, CHUNKS_A_UNIT).await?;
            if !texts.is_empty() {
                rebuilt.add(self.embed(context, texts).await?);
                context.alive("catching up with what was published meanwhile");
            } else if self.reindex.handler.graph.activate_space(&target.run, target.space.id).await.map_err(of_graph)? {
                return Ok(rebuilt);
            }
        }
    }
}

impl Rebuilt {
    fn add(&mut self, other: Self) {
        self.created += other.created;
        self.set_aside += other.set_aside;
    }
}

#[async_trait]
impl Stage for RebuildEmbeddings<'_> {
    const NAME: &'static str = NAME;
    type Unit = Unit;
    type Output = Rebuilt;

    async fn plan(&self, context: &JobContext) -> Result<Vec<Unit>, Interruption> {
        let target = self.target(context).await?;
        let mut units = vec![Unit::Begin { run: target.run.number, space: target.space.id.0 }];
        let mut after = None;
        loop {
            let texts = self.texts(context, self.makes_all(), after, CHUNKS_A_UNIT).await?;
            let Some((until, _)) = texts.last() else { return Ok(units) };
            units.push(Unit::Chunks { after, until: *until, count: texts.len() as u32 });
            after = Some(*until);
            context.alive("planning of rebuild_embeddings");
        }
    }

    async fn run(&self, context: &JobContext, unit: &Unit) -> Result<UnitDone, Interruption> {
        let Unit::Chunks { after, until, .. } = unit else { return Ok(UnitDone::default()) };
        if !self.target(context).await?.as_planned {
            return Ok(UnitDone::default());
        }
        let (mut after, mut rebuilt) = (*after, Rebuilt::default());
        loop {
            let mut texts = self.texts(context, self.makes_all(), after, CHUNKS_A_UNIT).await?;
            let full = texts.len() == CHUNKS_A_UNIT as usize;
            let read = texts.len();
            texts.retain(|(id, _)| id <= until);
            let more = full && texts.len() == read;
            let Some((last, _)) = texts.last() else { break };
            after = Some(*last);
            rebuilt.add(self.embed(context, texts).await?);
            if !more {
                break;
            }
        }
        Ok(UnitDone { output: encode(&rebuilt)? })
    }

    async fn finish(&self, context: &JobContext, _units: &[Unit]) -> Result<Rebuilt, Interruption> {
        let mut rebuilt = Rebuilt::default();
        let add = |_, bytes: Bytes| {
            if !bytes.is_empty() {
                rebuilt.add(decode(&bytes)?);
            }
            Ok(())
        };
        context.each_unit_output(NAME, add).await?;
        rebuilt.add(self.catch_up_and_switch(context).await?);
        let target = self.target(context).await?;
        let graph = &self.reindex.handler.graph;
        let stands_at = graph.publish_number(&target.run.collection).await.map_err(of_graph)?;
        let parameters = Map::from_iter([("space".to_owned(), json!(target.space.id))]);
        graph.finish_run(&target.run, stands_at, parameters).await.map_err(of_graph)?;
        let details = json!({"model": target.space.model, "dimension": target.space.dimension});
        context.log(LogLevel::Info, format!("Embedded {} chunks", rebuilt.created), details);
        Ok(rebuilt)
    }

    fn size(&self, unit: &Unit) -> u64 {
        match unit {
            Unit::Begin { .. } => 0,
            Unit::Chunks { count, .. } => u64::from(*count),
        }
    }

    fn concurrency(&self, context: &JobContext) -> usize {
        if self.is_offline(&context.job().job.collection) {
            context.cpu().threads()
        } else {
            self.reindex.handler.model_concurrency
        }
    }

    fn message(&self, done: u64, total: u64) -> String {
        format!("Embedding chunks ({done}/{total})")
    }
}

fn quarantine_error(chunk: ChunkId, why: &str) -> NewJobError {
    NewJobError {
        code: ErrorCode::ChunkQuarantined,
        message: format!("{chunk} was set aside: {why}"),
        hint: Some("a reindex with rebuild_embeddings and mode full tries it again".into()),
        stage: None,
        chunk_id: Some(chunk.to_string()),
        page: None,
    }
}
