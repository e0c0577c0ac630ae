//! Nearest chunks: the server's vector index proposes, and exact cosines decide. Where few chunks can be meant (a narrow filter, a small space) or there is
//! no index, all of them are compared.

use graphmill_core::CollectionId;

use super::collections::is_there;
use super::filter::Admission;
use super::spaces::{INDEXED_DIMENSIONS, embedding, spaces_in};
use super::{Neo4jConnection, Params, Row, Transaction, ids};
use crate::cosine::{cosine, norm};
use crate::records::{SearchFilter, SearchHit, Space, SpaceId};
use crate::{Error, Result};

/// Vectors that are all compared, at most.
const FEW_VECTORS: u64 = 1_024;
/// Candidates that the index is asked for, at most; if they are not enough, the filter is a narrow one and all that pass are compared.
const MOST_CANDIDATES: usize = 16_384;
/// Chunks whose vectors are read at once.
const SLICE: usize = 512;
/// By how much the index may be wrong about a cosine, which it rounds.
const ROUNDING: f64 = 1e-5;

/// See [`crate::GraphStore::nearest`].
pub(super) async fn nearest(
    neo4j: &Neo4jConnection,
    collection: &CollectionId,
    space: SpaceId,
    query: &[f32],
    limit: u32,
    filter: &SearchFilter,
) -> Result<Vec<SearchHit>> {
    let (collection, query, filter) = (collection.clone(), query.to_vec(), filter.clone());
    neo4j.read_many(move |tx| search(tx, &collection, space, &query, limit as usize, &filter)).await
}

fn search(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    space: SpaceId,
    query: &[f32],
    limit: usize,
    filter: &SearchFilter,
) -> Result<Vec<SearchHit>> {
    if !is_there(tx, collection)? {
        return Ok(Vec::new());
    }
    let space = space_for(&spaces_in(tx, collection)?, space, query)?;
    let norm = norm(query);
    if limit == 0 || norm <= 0.0 || !norm.is_finite() {
        return Ok(Vec::new());
    }
    let Some(admission) = Admission::resolve(tx, collection, filter)? else { return Ok(Vec::new()) };
    let search = Search { collection, space: space.id, query, norm, limit, admission: &admission };
    if let Some(few) = admission.few() {
        return search.among(tx, few);
    }
    let live = "MATCH (s:GmSpace {id: $space}) RETURN s.live_vectors AS live";
    let live: u64 = tx.one(live, Params::new().set("space", space.id.0))?.take("live")?;
    if live > FEW_VECTORS
        && INDEXED_DIMENSIONS.contains(&space.dimension)
        && let Some(hits) = search.by_index(tx)?
    {
        return Ok(hits);
    }
    search.by_order(tx)
}

fn space_for(spaces: &[Space], space: SpaceId, query: &[f32]) -> Result<Space> {
    let known = spaces.iter().find(|known| known.id == space).ok_or_else(|| {
        Error::Invalid(format!("the collection has no embedding space {}; ask for it by ensure_space", space.0))
    })?;
    if query.len() == known.dimension as usize {
        return Ok(known.clone());
    }
    Err(Error::Invalid(format!(
        "a vector of {} components does not fit the space {} of {:?}, which has {}",
        query.len(),
        space.0,
        known.model,
        known.dimension
    )))
}

struct Search<'a> {
    collection: &'a CollectionId,
    space: SpaceId,
    query: &'a [f32],
    norm: f64,
    limit: usize,
    admission: &'a Admission,
}

impl Search<'_> {
    /// What is read of a chunk `c`.
    fn columns(&self) -> String {
        format!("c.id AS id, c.document_id AS document, c.{} AS vector", embedding(self.space))
    }

    /// A chunk with its exact score, if it passes and has a direction.
    fn hit(&self, row: &mut Row) -> Result<Option<SearchHit>> {
        let document: String = row.take("document")?;
        if self.admission.documents().is_some_and(|only| !only.contains(&document)) {
            return Ok(None);
        }
        let vector: Vec<f32> = row.take("vector")?;
        let Some(score) = cosine(vector.iter().copied(), self.query, self.norm) else { return Ok(None) };
        Ok(Some(SearchHit { chunk: ids::take(row, "id")?, document: ids::parse(&document, "document")?, score }))
    }

    /// Best first, ties by id, no more than were asked for.
    fn cut(&self, hits: &mut Vec<SearchHit>) {
        hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.chunk.cmp(&b.chunk)));
        hits.truncate(self.limit);
    }

    /// The best among these chunks.
    fn among(&self, tx: &mut Transaction<'_, '_>, chunks: &[String]) -> Result<Vec<SearchHit>> {
        let query = format!(
            "UNWIND $ids AS id MATCH (c:GmChunk {{id: id}}) WHERE c:Chunk AND c.{} IS NOT NULL RETURN {}",
            embedding(self.space),
            self.columns()
        );
        let mut hits = Vec::new();
        for part in chunks.chunks(SLICE) {
            tx.each_row(&query, Params::new().set("ids", part.to_vec()), |mut row| {
                hits.extend(self.hit(&mut row)?);
                Ok(())
            })?;
            self.cut(&mut hits);
        }
        Ok(hits)
    }

    /// The best of all chunks of the collection, each compared, in slices by their order.
    fn by_order(&self, tx: &mut Transaction<'_, '_>) -> Result<Vec<SearchHit>> {
        let params = Params::new().set("collection", self.collection.as_str()).set("limit", SLICE);
        let (condition, params) = self.admission.condition(params);
        let query = format!(
            "MATCH (c:GmChunk) USING INDEX SEEK c:GmChunk(collection, gm_order) \
             WHERE c.collection = $collection AND c.gm_order > $after AND c:Chunk AND c.{} IS NOT NULL{condition} \
             WITH c ORDER BY c.collection, c.gm_order LIMIT $limit RETURN {}, c.gm_order AS at",
            embedding(self.space),
            self.columns()
        );
        let (mut hits, mut after) = (Vec::new(), String::new());
        loop {
            let mut count = 0;
            let params = params.clone().set("after", &after);
            tx.each_row(&query, params, |mut row| {
                count += 1;
                after = row.take("at")?;
                hits.extend(self.hit(&mut row)?);
                Ok(())
            })?;
            self.cut(&mut hits);
            if count < SLICE {
                return Ok(hits);
            }
        }
    }

    /// The best that the index proposes, asked for more and more; `None` when that is not enough.
    fn by_index(&self, tx: &mut Transaction<'_, '_>) -> Result<Option<Vec<SearchHit>>> {
        let mut size = self.limit * 4 + 100;
        while size <= MOST_CANDIDATES {
            let params = Params::new().set("size", size).set("vector", self.query);
            let (condition, params) = self.admission.condition(params);
            let query = format!(
                "CALL db.index.vector.queryNodes('gm_{}', $size, $vector) YIELD node AS c, score \
                 WITH c, score, c:Chunk{condition} AS passes RETURN score, passes, {}",
                embedding(self.space),
                self.columns()
            );
            let (mut hits, mut count, mut worst) = (Vec::new(), 0, f64::INFINITY);
            tx.each_row(&query, params, |mut row| {
                count += 1;
                // The index tells half of 1 + cosine.
                worst = worst.min(2.0 * row.take::<f64>("score")? - 1.0);
                if row.take("passes")? {
                    hits.extend(self.hit(&mut row)?);
                }
                Ok(())
            })?;
            self.cut(&mut hits);
            let is_all = count < size;
            let enough = hits.get(self.limit - 1).is_some_and(|last| last.score > worst + ROUNDING);
            if is_all || enough {
                return Ok(Some(hits));
            }
            size *= 4;
        }
        Ok(None)
    }
}
