//! What a run of the similarities has to do, cut into units.

use std::collections::BTreeSet;

use graphmill_graph::GraphStore;
use graphmill_graph::records::{Layer, LayerRun, SimilarityHead, Space, SpaceId, SpaceState};
use graphmill_runtime::{Interruption, JobContext};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{ReindexMode, ReindexOptions};
use crate::interruption::of_graph;

/// Chunks looked at in one step of the planning.
const PAGE: u32 = 4_096;
/// Bytes of the vectors of a unit, unless its rows are fewer than the least.
const BLOCK_BYTES: usize = 16 << 20;
const LEAST_ROWS: usize = 256;
const MOST_ROWS: usize = 4_096;

/// What the stage is cut into. Positions are the graph store's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Unit {
    /// The first unit does nothing; it keeps what the plan was made for.
    Begin(Header),
    /// Rows of all chunks from one position up to another, made anew.
    All { from: u64, to: u64, rows: u32 },
    /// Rows of these chunks, made anew.
    Whole { positions: Vec<u64> },
    /// Rows of the chunks from one position up to another but for some: what is new may enter them.
    Offer { from: u64, to: u64, rows: u32, except: Vec<u64> },
}

/// What a plan was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// Number of the run.
    pub run: u64,
    /// Whether it writes a whole generation.
    pub full: bool,
    /// The space that was active.
    pub space: Option<SpaceId>,
    /// What was published up to this number is in the result.
    pub stands_at: u64,
    /// A delta: what was published after this number is new.
    pub since: u64,
}

impl Unit {
    /// Chunks whose rows are looked at.
    pub(super) fn rows(&self) -> u64 {
        match self {
            Self::Begin(_) => 0,
            Self::All { rows, .. } => u64::from(*rows),
            Self::Whole { positions } => positions.len() as u64,
            Self::Offer { rows, except, .. } => u64::from(*rows) - except.len() as u64,
        }
    }
}

/// The parameters of a layer: a run with others is a full one.
pub(super) fn parameters(options: &ReindexOptions, space: Option<SpaceId>) -> Map<String, Value> {
    Map::from_iter([
        ("space".to_owned(), json!(space)),
        ("top_k".to_owned(), json!(options.top_k)),
        ("threshold".to_owned(), json!(options.threshold)),
    ])
}

/// Neighbours that a row keeps: some in reserve for those that will be deleted.
pub(super) fn kept(options: &ReindexOptions) -> usize {
    let top_k = options.top_k as usize;
    top_k + top_k / 2 + 2
}

/// The space that searches use.
pub(super) async fn active_space(graph: &dyn GraphStore, context: &JobContext) -> Result<Option<Space>, Interruption> {
    let spaces = graph.spaces(&context.job().job.collection).await.map_err(of_graph)?;
    Ok(spaces.into_iter().find(|space| space.state == SpaceState::Active))
}

/// The chunk is new to the layer: the others have not been compared with it (or with its present vector).
pub(super) fn is_new(head: &SimilarityHead, since: u64) -> bool {
    head.published_at > since || head.live_neighbours.is_none()
}

/// Begins a run and cuts its work into units; the first is [`Unit::Begin`].
pub(super) async fn plan(
    graph: &dyn GraphStore,
    context: &JobContext,
    options: &ReindexOptions,
    block_rows: Option<u32>,
) -> Result<(LayerRun, Vec<Unit>), Interruption> {
    let collection = &context.job().job.collection;
    // Before anything is looked at: what is published from here on is new to the next run.
    let stands_at = graph.publish_number(collection).await.map_err(of_graph)?;
    let space = active_space(graph, context).await?;
    let layer = graph.layer(collection, Layer::Similarities).await.map_err(of_graph)?;
    let parameters = parameters(options, space.as_ref().map(|space| space.id));
    let is_delta = options.mode == ReindexMode::Delta && layer.generation > 0 && layer.parameters == parameters;
    let since = if is_delta { layer.stands_at } else { 0 };
    let mut cut = Cut::new(block_rows.map_or_else(|| rows_of_a_block(space.as_ref()), |rows| rows as usize));
    if let Some(space) = &space {
        let mut from = 0;
        loop {
            let heads = graph.similarity_heads(collection, space.id, from, PAGE).await.map_err(of_graph)?;
            let Some(last) = heads.last() else { break };
            from = last.position + 1;
            heads.iter().for_each(|head| cut.add(head, since, options.top_k));
            context.alive("planning of rebuild_similarities");
        }
    }
    // With half of it to be made anew, a whole generation is less work than a delta.
    let full = !is_delta || cut.whole.len() * 2 > cut.chunks;
    let run = graph.begin_run(collection, Layer::Similarities, full).await.map_err(of_graph)?;
    let header = Header { run: run.number, full, space: space.map(|space| space.id), stands_at, since };
    let mut units = vec![Unit::Begin(header)];
    units.extend(if full { cut.into_all() } else { cut.into_delta() });
    Ok((run, units))
}

fn rows_of_a_block(space: Option<&Space>) -> usize {
    let row = space.map_or(1, |space| space.dimension as usize * 4).max(1);
    (BLOCK_BYTES / row).clamp(LEAST_ROWS, MOST_ROWS)
}

/// A stretch of positions.
#[derive(Debug, Clone, Copy)]
struct Block {
    from: u64,
    to: u64,
    rows: usize,
}

/// The chunks that were looked at: blocks of them, and those whose rows must be made anew. 8 bytes for each of the latter.
#[derive(Debug)]
struct Cut {
    block_rows: usize,
    chunks: usize,
    blocks: Vec<Block>,
    whole: BTreeSet<u64>,
    has_new: bool,
}

impl Cut {
    fn new(block_rows: usize) -> Self {
        Self { block_rows: block_rows.max(1), chunks: 0, blocks: Vec::new(), whole: BTreeSet::new(), has_new: false }
    }

    fn add(&mut self, head: &SimilarityHead, since: u64, top_k: u32) {
        self.chunks += 1;
        match self.blocks.last_mut() {
            Some(block) if block.rows < self.block_rows => {
                block.to = head.position + 1;
                block.rows += 1;
            }
            _ => self.blocks.push(Block { from: head.position, to: head.position + 1, rows: 1 }),
        }
        let is_new = is_new(head, since);
        let is_short = head.is_cut && head.live_neighbours.is_some_and(|live| live < top_k);
        self.has_new |= is_new;
        if is_new || is_short {
            self.whole.insert(head.position);
        }
    }

    fn into_all(self) -> Vec<Unit> {
        self.blocks.iter().map(|b| Unit::All { from: b.from, to: b.to, rows: b.rows as u32 }).collect()
    }

    fn into_delta(self) -> Vec<Unit> {
        let whole: Vec<u64> = self.whole.iter().copied().collect();
        let mut units: Vec<Unit> =
            whole.chunks(self.block_rows).map(|positions| Unit::Whole { positions: positions.to_vec() }).collect();
        for block in self.blocks.iter().filter(|_| self.has_new) {
            let except: Vec<u64> = self.whole.range(block.from..block.to).copied().collect();
            if except.len() < block.rows {
                units.push(Unit::Offer { from: block.from, to: block.to, rows: block.rows as u32, except });
            }
        }
        units
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(position: u64, published_at: u64, live_neighbours: Option<u32>, is_cut: bool) -> SimilarityHead {
        SimilarityHead { position, published_at, live_neighbours, is_cut }
    }

    #[test]
    fn a_delta_makes_new_and_short_rows_anew_and_offers_what_is_new_to_the_others() {
        let mut cut = Cut::new(3);
        for h in [
            head(1, 1, Some(3), true),
            head(4, 1, Some(2), true), // cut, and one has gone
            head(5, 1, Some(2), false),
            head(9, 7, Some(3), true), // published after 6
            head(12, 2, None, false),  // no row
            head(13, 2, Some(3), true),
        ] {
            cut.add(&h, 6, 3);
        }
        assert_eq!(
            cut.into_delta(),
            [
                Unit::Whole { positions: vec![4, 9, 12] },
                Unit::Offer { from: 1, to: 6, rows: 3, except: vec![4] },
                Unit::Offer { from: 9, to: 14, rows: 3, except: vec![9, 12] },
            ]
        );
    }

    #[test]
    fn a_removal_alone_touches_short_rows_alone() {
        let mut cut = Cut::new(10);
        cut.add(&head(1, 1, Some(1), true), 6, 2);
        cut.add(&head(2, 1, Some(1), false), 6, 2);
        assert_eq!(cut.into_delta(), [Unit::Whole { positions: vec![1] }]);
    }
}
