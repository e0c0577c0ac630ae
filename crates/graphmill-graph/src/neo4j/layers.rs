//! Layers: runs, and generations behind a pointer. Every write takes the collection's lock, then compares the run's number.
//!
//! Readers follow `generation` of the layer's node. A full run moves it. A delta sets `overlay`: its rows come before those of the generation from that commit on,
//! are then written into the generation in short steps, and the overlay ends. So no transaction grows with the collection. What people see beside the
//! truth (`SIMILAR_TO`, `:Community`, `PARENT`, `community_id`) is brought up after the pointer, in short steps too; `copied` says how far. Whatever was
//! interrupted goes on at the next begin or end of a run, or when the graph is opened.

use graphmill_core::CollectionId;
use serde_json::{Map, Value};

use super::collections::ensure_collection;
use super::lock::{Lock, lock, write_at_once};
use super::{
    Neo4jConnection, Params, Transaction, communities, communities_for_people, similarities, similarities_for_people,
};
use crate::records::{Layer, LayerRun, LayerState, RunStanding};
use crate::{Error, Result};

/// The layer in keys.
pub(super) fn word(layer: Layer) -> &'static str {
    match layer {
        Layer::Embeddings => "embeddings",
        Layer::Similarities => "similarities",
        Layer::Communities => "communities",
    }
}

fn key(collection: &CollectionId, layer: Layer) -> String {
    format!("{collection}/{}", word(layer))
}

/// A layer's node.
#[derive(Debug, Clone)]
pub(super) struct LayerNode {
    pub(super) run: u64,
    pub(super) finished: u64,
    /// What readers see; 0 = nothing.
    pub(super) generation: u64,
    /// Generation of a delta whose rows come before those of `generation`.
    pub(super) overlay: Option<u64>,
    /// How far the overlay's rows were written into the generation.
    pub(super) merged: u64,
    /// How far the copy for people is; `None`: it is whole.
    pub(super) copied: Option<String>,
    /// Generation that the copy for people showed before.
    pub(super) shown: u64,
    stands_at: u64,
    parameters: String,
}

impl LayerNode {
    fn parameters(&self) -> Result<Map<String, Value>> {
        serde_json::from_str(&self.parameters)
            .map_err(|e| Error::Unusable(format!("the graph is damaged: parameters of a layer ({e})")))
    }

    /// As readers are told.
    pub(super) fn state(&self) -> Result<LayerState> {
        Ok(LayerState {
            run: self.run,
            generation: self.generation,
            stands_at: self.stands_at,
            parameters: self.parameters()?,
        })
    }

    /// How many neighbours of a row readers see; rows hold a few more.
    pub(super) fn top_k(&self) -> Result<usize> {
        let top_k = self.parameters()?.get("top_k").and_then(Value::as_u64);
        Ok(top_k.and_then(|k| usize::try_from(k).ok()).unwrap_or(usize::MAX))
    }

    /// Generations that somebody reads or writes.
    fn kept(&self) -> Vec<u64> {
        // A run that has ended writes no more: a delta's rows are those of the overlay, until they are merged.
        let writing = (self.finished != self.run).then_some(self.run);
        [Some(self.generation), self.overlay, writing].into_iter().flatten().collect()
    }
}

/// The layer of a collection that is not being removed, if it ever had a run.
pub(super) fn find(tx: &mut Transaction<'_, '_>, collection: &CollectionId, layer: Layer) -> Result<Option<LayerNode>> {
    let query = "MATCH (o:GmCollection {name: $collection}) WHERE o.removing IS NULL MATCH (l:GmLayer {key: $key}) \
                 RETURN l.run AS run, l.finished AS finished, l.generation AS generation, l.overlay AS overlay, \
                 coalesce(l.merged, 0) AS merged, l.copied AS copied, coalesce(l.shown, 0) AS shown, \
                 l.stands_at AS stands_at, l.parameters AS parameters";
    let params = Params::new().set("collection", collection.as_str()).set("key", key(collection, layer));
    let Some(mut row) = tx.first(query, params)? else { return Ok(None) };
    Ok(Some(LayerNode {
        run: row.take("run")?,
        finished: row.take("finished")?,
        generation: row.take("generation")?,
        overlay: row.take("overlay")?,
        merged: row.take("merged")?,
        copied: row.take("copied")?,
        shown: row.take("shown")?,
        stands_at: row.take("stands_at")?,
        parameters: row.take("parameters")?,
    }))
}

/// Changes properties of a layer's node; null takes one away.
pub(super) fn set(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    layer: Layer,
    properties: Params,
) -> Result<()> {
    let query = "MATCH (l:GmLayer {key: $key}) SET l += $properties";
    tx.run(query, Params::new().set("key", key(collection, layer)).set("properties", properties))
}

/// The fence of a layer: its node, if the run is the present one and not ended. The collection's lock is held from here on.
pub(super) fn admit(tx: &mut Transaction<'_, '_>, run: &LayerRun, may_be_finished: bool) -> Result<LayerNode> {
    let stale = |current: u64| Error::StaleRun { run: run.number, current };
    let Lock::Held = lock(tx, &run.collection)? else { return Err(stale(0)) };
    let node = find(tx, &run.collection, run.layer)?.ok_or_else(|| stale(0))?;
    if node.run != run.number {
        return Err(stale(node.run));
    }
    if node.finished == node.run && !may_be_finished {
        return Err(Error::Invalid(format!(
            "run {} of the layer {:?} of {} has ended; begin another one",
            run.number, run.layer, run.collection
        )));
    }
    Ok(node)
}

/// Refuses a run of another layer.
pub(super) fn wrong_layer(run: &LayerRun, wanted: Layer) -> Result<()> {
    if run.layer == wanted {
        return Ok(());
    }
    Err(Error::Invalid(format!("a run of the layer {:?} cannot write {wanted:?}", run.layer)))
}

/// Begins a run. Its number rises once more when the answer of the commit is lost: nobody has the one before.
pub(super) async fn begin_run(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    layer: Layer,
    full: bool,
) -> Result<LayerRun> {
    if layer == Layer::Communities && !full {
        return Err(Error::Invalid("communities are written whole; begin a full run".to_owned()));
    }
    ensure_collection(neo4j, collection).await?;
    let name = collection.clone();
    let number = neo4j
        .write(move |tx| {
            super::lock::lock_present(tx, &name)?;
            let query = "MERGE (l:GmLayer {key: $key}) ON CREATE SET l.collection = $collection, l.layer = $layer, l.run = 0, \
                         l.finished = 0, l.generation = 0, l.stands_at = 0, l.parameters = '{}' \
                         SET l.run = l.run + 1 RETURN l.run AS run";
            let params = Params::new().set("key", key(&name, layer)).set("collection", name.as_str());
            tx.one(query, params.set("layer", word(layer)))?.take("run")
        })
        .await?;
    complete(neo4j, collection, layer).await?;
    sweep_generations(neo4j, collection, layer).await?;
    Ok(LayerRun { collection: collection.clone(), layer, number, full })
}

/// How a run stands.
pub(super) async fn run_standing(neo4j: &Neo4jConnection, run: &LayerRun) -> Result<RunStanding> {
    let run = run.clone();
    neo4j
        .read_many(move |tx| match find(tx, &run.collection, run.layer)? {
            Some(node) if node.run == run.number && node.finished == node.run => Ok(RunStanding::Finished),
            Some(node) if node.run == run.number => Ok(RunStanding::Present { rows: rows_of_run(tx, &run)? }),
            _ => Ok(RunStanding::Stale),
        })
        .await
}

fn rows_of_run(tx: &mut Transaction<'_, '_>, run: &LayerRun) -> Result<u64> {
    let query = match run.layer {
        Layer::Embeddings => return Ok(0),
        Layer::Similarities => {
            "MATCH (n:GmSimilarity {collection: $collection, generation: $generation}) WHERE n.position IS NOT NULL \
             RETURN count(n) AS rows"
        }
        Layer::Communities => {
            "MATCH (n:GmCommunity {collection: $collection, generation: $generation}) \
             WHERE n.level IS NOT NULL AND n.gm_order IS NOT NULL RETURN count(n) AS rows"
        }
    };
    let params = Params::new().set("collection", run.collection.as_str()).set("generation", run.number);
    tx.one(query, params)?.take("rows")
}

/// Gives a run up: the number rises, and the new run, which nobody has, counts as ended.
pub(super) async fn give_up_run(neo4j: &Neo4jConnection, run: &LayerRun) -> Result<()> {
    let given_up = run.clone();
    neo4j
        .write(move |tx| {
            let Lock::Held = lock(tx, &given_up.collection)? else { return Ok(()) };
            match find(tx, &given_up.collection, given_up.layer)? {
                Some(node) if node.run == given_up.number && node.finished != node.run => {
                    let next = Params::new().set("run", node.run + 1).set("finished", node.run + 1);
                    set(tx, &given_up.collection, given_up.layer, next)
                }
                _ => Ok(()),
            }
        })
        .await?;
    sweep_generations(neo4j, &run.collection, run.layer).await
}

/// Ends a run. Repeating it changes nothing more, but goes on with what was interrupted.
pub(super) async fn finish_run(
    neo4j: &Neo4jConnection,
    run: &LayerRun,
    stands_at: u64,
    parameters: Map<String, Value>,
) -> Result<()> {
    let parameters = serde_json::to_string(&parameters)
        .map_err(|e| Error::Invalid(format!("the parameters of a run are no JSON: {e}")))?;
    // What an earlier run left half merged stands before this one's rows.
    complete(neo4j, &run.collection, run.layer).await?;
    let ended = run.clone();
    write_at_once(neo4j, &run.collection, move |tx| {
        finish(tx, &ended, stands_at, &parameters)?;
        graphmill_core::fault_point!("finish_run.before_commit");
        Ok(())
    })
    .await?;
    graphmill_core::fault_point!("finish_run.after_commit");
    complete(neo4j, &run.collection, run.layer).await?;
    sweep_generations(neo4j, &run.collection, run.layer).await
}

fn finish(tx: &mut Transaction<'_, '_>, run: &LayerRun, stands_at: u64, parameters: &str) -> Result<()> {
    let node = admit(tx, run, true)?;
    if node.finished == node.run {
        return Ok(());
    }
    let ended =
        Params::new().set("finished", node.run).set("stands_at", stands_at).set("parameters", parameters.to_owned());
    let whole = run.full || node.generation == 0 || run.layer == Layer::Embeddings;
    let ended = if whole {
        let copied = (run.layer != Layer::Embeddings).then_some("");
        let pointed = ended.set("generation", node.run).set("shown", node.generation).set("copied", copied);
        pointed.set("overlay", None::<u64>).set("merged", None::<u64>)
    } else if node.overlay.is_some() {
        return Err(Error::Unavailable {
            message: format!("rows of an earlier run of the layer {:?} are still being merged", run.layer),
            retry_after: None,
        });
    } else {
        ended.set("overlay", node.run).set("merged", 0_u64)
    };
    set(tx, &run.collection, run.layer, ended)
}

/// Where a layer stands.
pub(super) async fn layer(neo4j: &Neo4jConnection, collection: &CollectionId, layer: Layer) -> Result<LayerState> {
    let collection = collection.clone();
    let found = neo4j.read_many(move |tx| find(tx, &collection, layer)).await?;
    found.map_or_else(|| Ok(LayerState::default()), |node| node.state())
}

/// Whether a step was the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    More,
    Last,
}

/// Brings up what stands beside the pointer: the copy for people, then a delta's rows. Two that do it at once share the work.
pub(super) async fn complete(neo4j: &Neo4jConnection, collection: &CollectionId, layer: Layer) -> Result<()> {
    if layer == Layer::Embeddings {
        return Ok(());
    }
    let step = move |tx: &mut Transaction<'_, '_>, name: &CollectionId| {
        let Lock::Held = lock(tx, name)? else { return Ok(Step::Last) };
        match (find(tx, name, layer)?, layer) {
            (Some(node), Layer::Similarities) if node.copied.is_some() => {
                similarities_for_people::step(tx, name, &node).map(|()| Step::More)
            }
            (Some(node), Layer::Similarities) if node.overlay.is_some() => {
                similarities::merge_step(tx, name, &node).map(|()| Step::More)
            }
            (Some(node), Layer::Communities) if node.copied.is_some() => {
                communities_for_people::step(tx, name, &node).map(|()| Step::More)
            }
            _ => Ok(Step::Last),
        }
    };
    if !is_pending(neo4j, collection, layer).await? {
        return Ok(());
    }
    loop {
        let name = collection.clone();
        graphmill_core::fault_point!("layer_step.before_commit");
        if neo4j.write(move |tx| step(tx, &name)).await? == Step::Last {
            return Ok(());
        }
        graphmill_core::fault_point!("layer_step.after_commit");
    }
}

async fn is_pending(neo4j: &Neo4jConnection, collection: &CollectionId, layer: Layer) -> Result<bool> {
    let name = collection.clone();
    let found = neo4j.read_many(move |tx| find(tx, &name, layer)).await?;
    Ok(found.is_some_and(|node| node.copied.is_some() || node.overlay.is_some()))
}

/// Goes on with whatever was interrupted, in all collections.
pub(super) async fn complete_all(neo4j: &Neo4jConnection) -> Result<()> {
    let query =
        "MATCH (l:GmLayer) WHERE l.copied IS NOT NULL OR l.overlay IS NOT NULL RETURN DISTINCT l.collection AS name";
    for mut row in neo4j.read(query, Params::new()).await? {
        let collection: CollectionId = super::ids::take(&mut row, "name")?;
        for layer in [Layer::Similarities, Layer::Communities] {
            complete(neo4j, &collection, layer).await?;
            sweep_generations(neo4j, &collection, layer).await?;
        }
    }
    Ok(())
}

/// Removes the generations that nobody reads and nobody writes, some rows in each transaction.
async fn sweep_generations(neo4j: &Neo4jConnection, collection: &CollectionId, layer: Layer) -> Result<()> {
    if layer == Layer::Embeddings {
        return Ok(());
    }
    loop {
        let name = collection.clone();
        let swept = neo4j.write(move |tx| {
            let Lock::Held = lock(tx, &name)? else { return Ok(Step::Last) };
            let Some(node) = find(tx, &name, layer)? else { return Ok(Step::Last) };
            let Some(generation) = unkept(tx, &name, layer, &node.kept())? else { return Ok(Step::Last) };
            match layer {
                Layer::Communities => communities::sweep_step(tx, &name, generation)?,
                _ => similarities::sweep_step(tx, &name, generation)?,
            }
            Ok(Step::More)
        });
        if swept.await? == Step::Last {
            return Ok(());
        }
        graphmill_core::fault_point!("layer_sweep.after_commit");
    }
}

/// The lowest generation that is not kept; from one to the next by a step of the index each, however many rows one has.
fn unkept(tx: &mut Transaction<'_, '_>, collection: &CollectionId, layer: Layer, kept: &[u64]) -> Result<Option<u64>> {
    let query = match layer {
        Layer::Communities => {
            "MATCH (n:GmCommunity) USING INDEX SEEK n:GmCommunity(collection, generation, level, gm_order) \
             WHERE n.collection = $collection AND n.generation > $at AND n.level IS NOT NULL AND n.gm_order IS NOT NULL \
             RETURN n.generation AS generation ORDER BY n.collection, n.generation LIMIT 1"
        }
        _ => {
            "MATCH (n:GmSimilarity) USING INDEX SEEK n:GmSimilarity(collection, generation, position) \
             WHERE n.collection = $collection AND n.generation > $at AND n.position IS NOT NULL \
             RETURN n.generation AS generation ORDER BY n.collection, n.generation LIMIT 1"
        }
    };
    let mut at = 0_u64;
    loop {
        let params = Params::new().set("collection", collection.as_str()).set("at", at);
        let Some(mut row) = tx.first(query, params)? else { return Ok(None) };
        at = row.take("generation")?;
        if !kept.contains(&at) {
            return Ok(Some(at));
        }
    }
}
