//! Comparing chunks of the graph: vectors are streamed page by page against the rows of a unit; what it holds does not grow with the collection.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use graphmill_algorithms::neighbours::{Row, Rows, Score, Search, Wanted};
use graphmill_core::{ChunkId, ErrorCode};
use graphmill_graph::GraphStore;
use graphmill_graph::records::{LayerRun, SimilarityRow, SpaceId, VectorPage};
use graphmill_runtime::{Interruption, JobContext};

use super::similarity_plan::Unit;
use crate::interruption::of_graph;

/// Vectors of a page.
const PAGE: u32 = 1_024;
/// Rows that are written in one transaction.
const ROWS_A_WRITE: usize = 512;

/// One run's comparisons.
pub(super) struct Comparison<'a> {
    pub(super) graph: &'a dyn GraphStore,
    pub(super) run: LayerRun,
    pub(super) space: SpaceId,
    pub(super) wanted: Wanted,
    /// Positions of what is new to the layer (a delta).
    pub(super) new: Vec<u64>,
}

impl Comparison<'_> {
    /// Does a unit; answers how many rows it wrote.
    pub(super) async fn unit(&self, context: &JobContext, unit: &Unit) -> Result<u64, Interruption> {
        match unit {
            Unit::Begin(_) => Ok(0),
            Unit::All { from, to, .. } => {
                let page = self.range(*from..*to).await?;
                self.make(context, page).await
            }
            Unit::Whole { positions } => {
                let page = self.at(positions).await?;
                self.make(context, page).await
            }
            Unit::Offer { from, to, except, .. } => self.offer(context, *from..*to, except).await,
        }
    }

    async fn range(&self, positions: Range<u64>) -> Result<VectorPage, Interruption> {
        self.graph.vectors(&self.run.collection, self.space, positions, u32::MAX).await.map_err(of_graph)
    }

    async fn at(&self, positions: &[u64]) -> Result<VectorPage, Interruption> {
        self.graph.vectors_at(&self.run.collection, self.space, positions).await.map_err(of_graph)
    }

    /// Makes rows anew: against all vectors.
    async fn make(&self, context: &JobContext, page: VectorPage) -> Result<u64, Interruption> {
        let rows = context.compute(move |_| to_rows(&page)).await??;
        if rows.is_empty() {
            return Ok(0);
        }
        let rows = Arc::new(rows);
        let mut search = Search::new(rows.clone(), self.wanted);
        let mut from = 0;
        loop {
            let page = self.graph.vectors(&self.run.collection, self.space, from..u64::MAX, PAGE).await;
            let page = page.map_err(of_graph)?;
            let Some(last) = page.heads.last() else { break };
            from = last.position + 1;
            search = compare(context, search, page).await?;
        }
        let made = rows.keys().iter().copied().zip(search.finish()).map(|(chunk, row)| to_record(chunk, row)).collect();
        self.write(context, made).await
    }

    /// Lets what is new into rows that are there.
    async fn offer(&self, context: &JobContext, positions: Range<u64>, except: &[u64]) -> Result<u64, Interruption> {
        let mut page = self.range(positions.clone()).await?;
        drop_positions(&mut page, except);
        let rows = Arc::new(context.compute(move |_| to_rows(&page)).await??);
        if rows.is_empty() {
            return Ok(0);
        }
        // One more than is kept: what is dropped is a bound for what is missing.
        let wanted = Wanted { neighbours: self.wanted.neighbours + 1, ..self.wanted };
        let mut search = Search::new(rows.clone(), wanted);
        let mut new = HashSet::new();
        for positions in self.new.chunks(PAGE as usize) {
            let page = self.at(positions).await?;
            new.extend(page.heads.iter().map(|head| head.chunk));
            search = compare(context, search, page).await?;
        }
        let stored = self.graph.similarities(&self.run.collection, positions, u32::MAX).await.map_err(of_graph)?;
        let mut stored: HashMap<ChunkId, SimilarityRow> = stored.into_iter().map(|(_, row)| (row.chunk, row)).collect();
        let mut changed = Vec::new();
        for (chunk, offered) in rows.keys().iter().zip(search.finish()) {
            // A chunk without a row came meanwhile; it is new to the next run.
            let Some(before) = stored.remove(chunk) else { continue };
            let mut row = from_record(&before);
            row.retain(|neighbour| !new.contains(neighbour));
            let after = to_record(*chunk, row.with(&offered.neighbours, self.wanted.neighbours));
            if after != before {
                changed.push(after);
            }
        }
        self.write(context, changed).await
    }

    async fn write(&self, context: &JobContext, rows: Vec<SimilarityRow>) -> Result<u64, Interruption> {
        let mut written = 0;
        for batch in rows.chunks(ROWS_A_WRITE) {
            written += self.graph.put_similarities(&self.run, batch.to_vec()).await.map_err(of_graph)?;
            context.alive("writing similarities");
        }
        Ok(written)
    }
}

async fn compare(
    context: &JobContext,
    mut search: Search<ChunkId>,
    page: VectorPage,
) -> Result<Search<ChunkId>, Interruption> {
    context.alive("comparing chunks");
    // All that was asked for may have been deleted meanwhile; an empty page has no dimension.
    if page.heads.is_empty() {
        return Ok(search);
    }
    let compared = context.compute(move |stop| {
        let others = to_rows(&page)?;
        search.compare(&others, stop).map_err(of_algorithm)?;
        Ok::<_, Interruption>(search)
    });
    compared.await?
}

fn to_rows(page: &VectorPage) -> Result<Rows<ChunkId>, Interruption> {
    let dimension = page.components.len().checked_div(page.heads.len()).unwrap_or(0);
    let mut rows = Rows::new(dimension);
    for (head, vector) in page.heads.iter().zip(page.components.chunks_exact(dimension.max(1))) {
        rows.push(head.chunk, vector).map_err(of_algorithm)?;
    }
    Ok(rows)
}

fn drop_positions(page: &mut VectorPage, except: &[u64]) {
    if except.is_empty() || page.heads.is_empty() {
        return;
    }
    let dimension = page.components.len() / page.heads.len();
    let mut kept = VectorPage::default();
    for (head, vector) in page.heads.iter().zip(page.components.chunks_exact(dimension.max(1))) {
        if except.binary_search(&head.position).is_err() {
            kept.heads.push(*head);
            kept.components.extend_from_slice(vector);
        }
    }
    *page = kept;
}

fn of_algorithm(error: graphmill_algorithms::Error) -> Interruption {
    match error {
        // The flag is set when the job is no longer ours.
        graphmill_algorithms::Error::Stopped => Interruption::Stopped,
        other => Interruption::fail(ErrorCode::Internal, format!("chunks cannot be compared: {other}"), None),
    }
}

fn to_record(chunk: ChunkId, row: Row<ChunkId>) -> SimilarityRow {
    let score = |score: Score| score.value() as f32;
    SimilarityRow {
        chunk,
        neighbours: row.neighbours.into_iter().map(|(id, s)| (id, score(s))).collect(),
        cut_at: row.cut_at.map(score),
    }
}

fn from_record(row: &SimilarityRow) -> Row<ChunkId> {
    // A score is a whole number of millionths; its f32 is nearer to it than to any other.
    let score = |score: f32| Score::new(f64::from(score));
    Row { neighbours: row.neighbours.iter().map(|(id, s)| (*id, score(*s))).collect(), cut_at: row.cut_at.map(score) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_survive_their_column() {
        for millionths in (-1_000_000..=1_000_000).step_by(7) {
            let score = Score::new(f64::from(millionths) / 1e6);
            assert_eq!(Score::new(f64::from(score.value() as f32)), score);
        }
    }
}
