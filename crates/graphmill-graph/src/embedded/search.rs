//! Reads of the graph and of the vectors: nearest chunks, neighbourhoods, the projection.

use std::collections::{BinaryHeap, HashMap, HashSet};

use graphmill_core::EntityId;
use rusqlite::{Connection, OptionalExtension, params};

use super::ids::{chunk_id, document_id, entity_id};
use super::{entity_rows, relation_rows};
use crate::Result;
use crate::records::{Neighbourhood, ProjectionRow, RelationRecord, SearchHit};

/// Rows of a page of the projection.
const PAGE: usize = 4_096;

/// A candidate among the best; the worst of them is on top of the heap.
#[derive(PartialEq)]
pub(super) struct Candidate {
    pub(super) score: f64,
    pub(super) chunk: i64,
}

impl Eq for Candidate {}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.score.total_cmp(&self.score)
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Keeps the best; equal scores at the cut are all kept, since ids decide between them and are not known yet.
pub(super) fn keep(best: &mut BinaryHeap<Candidate>, ties: &mut Vec<Candidate>, candidate: Candidate, limit: usize) {
    if best.len() < limit {
        best.push(candidate);
        return;
    }
    let Some(worst) = best.peek().map(|worst| worst.score) else { return };
    if candidate.score == worst {
        ties.push(candidate);
    } else if candidate.score > worst {
        best.push(candidate);
        let out = best.pop();
        if best.peek().is_some_and(|next| next.score == worst) { ties.extend(out) } else { ties.clear() }
    }
}

/// Candidates with their ids, best first, ties by id.
pub(super) fn hits(conn: &Connection, found: Vec<Candidate>, limit: usize) -> Result<Vec<SearchHit>> {
    let mut ids = conn.prepare_cached(
        "SELECT c.id, d.id FROM chunk c CROSS JOIN document d ON d.key = c.document WHERE c.key = ?1",
    )?;
    let mut hits = Vec::with_capacity(found.len());
    for candidate in found {
        let ids = ids.query_row([candidate.chunk], |row| Ok((chunk_id(row, 0)?, document_id(row, 1)?)))?;
        hits.push(SearchHit { chunk: ids.0, document: ids.1, score: candidate.score });
    }
    hits.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.chunk.cmp(&b.chunk)));
    hits.truncate(limit);
    Ok(hits)
}

/// Cosine of a vector as it is stored and the query; `None` for a vector without a direction.
pub(super) fn cosine(column: &[u8], query: &[f32], query_norm: f64) -> Option<f64> {
    let (components, _) = column.as_chunks::<4>();
    crate::cosine::cosine(components.iter().map(|bytes| f32::from_le_bytes(*bytes)), query, query_norm)
}

/// Entities within some relations of others, nearest first, then by id; relations among those that are answered.
pub(super) fn expand(
    conn: &Connection,
    collection: i64,
    ids: &[EntityId],
    hops: u32,
    limit: usize,
) -> Result<Neighbourhood> {
    let mut find = conn.prepare_cached("SELECT key FROM entity WHERE collection = ?1 AND id = ?2")?;
    let mut frontier: Vec<(EntityId, i64)> = Vec::new();
    let wanted: HashSet<EntityId> = ids.iter().copied().collect();
    for id in wanted {
        let key = find.query_row(params![collection, id.as_bytes()], |row| row.get(0)).optional()?;
        frontier.extend(key.map(|key| (id, key)));
    }
    frontier.sort_unstable();
    let (mut seen, mut truncated) = (HashMap::new(), false);
    for hop in 0..=hops {
        for (id, key) in &frontier {
            if seen.len() < limit {
                seen.insert(*key, *id);
            } else {
                truncated = true;
            }
        }
        if hop == hops || truncated {
            break;
        }
        frontier = next_hop(conn, &frontier, &seen)?;
    }
    let mut entities = Vec::with_capacity(seen.len());
    for (key, id) in &seen {
        entities.push(entity_rows::record_of(conn, *key, *id)?);
    }
    entities.sort_unstable_by_key(|entity| entity.id);
    let relations = relations_among(conn, &seen)?;
    Ok(Neighbourhood { entities, relations, truncated })
}

/// Entities one relation further, those that the strongest relations lead to first, then by id.
fn next_hop(
    conn: &Connection,
    frontier: &[(EntityId, i64)],
    seen: &HashMap<i64, EntityId>,
) -> Result<Vec<(EntityId, i64)>> {
    let sql = "SELECT target, strength FROM relation WHERE source = ?1 \
               UNION ALL SELECT source, strength FROM relation WHERE target = ?1";
    let mut around = conn.prepare_cached(sql)?;
    let mut strengths: HashMap<i64, i64> = HashMap::new();
    for (_, key) in frontier {
        let mut rows = around.query([key])?;
        while let Some(row) = rows.next()? {
            let (other, strength) = (row.get(0)?, row.get::<_, i64>(1)?);
            if !seen.contains_key(&other) {
                let total = strengths.entry(other).or_default();
                *total = total.saturating_add(strength);
            }
        }
    }
    let mut id = conn.prepare_cached("SELECT id FROM entity WHERE key = ?1")?;
    let mut next = Vec::with_capacity(strengths.len());
    for (key, strength) in strengths {
        next.push((std::cmp::Reverse(strength), id.query_row([key], |row| entity_id(row, 0))?, key));
    }
    next.sort_unstable();
    Ok(next.into_iter().map(|(_, id, key)| (id, key)).collect())
}

fn relations_among(conn: &Connection, entities: &HashMap<i64, EntityId>) -> Result<Vec<RelationRecord>> {
    let sql = "SELECT target, support, strength, fold FROM relation WHERE source = ?1";
    let mut statement = conn.prepare_cached(sql)?;
    let mut relations = Vec::new();
    for (source, source_id) in entities {
        let mut rows = statement.query([source])?;
        while let Some(row) = rows.next()? {
            if let Some(target_id) = entities.get(&row.get(0)?) {
                relations.push(relation_rows::fold_from(row, 1)?.record(*source_id, *target_id));
            }
        }
    }
    relations.sort_unstable_by_key(|r| (r.source, r.target));
    Ok(relations)
}

/// Hands out the projection page by page; stops when `page` answers that nobody listens any more.
pub(super) fn project(
    conn: &Connection,
    collection: i64,
    mut page: impl FnMut(Vec<ProjectionRow>) -> bool,
) -> Result<()> {
    let mut rows_of_page = Vec::with_capacity(PAGE);
    let mut push = |row: ProjectionRow| {
        rows_of_page.push(row);
        rows_of_page.len() < PAGE || page(std::mem::take(&mut rows_of_page))
    };
    let mut entities = conn.prepare("SELECT key, id FROM entity WHERE collection = ?1 ORDER BY id")?;
    let mut rows = entities.query([collection])?;
    while let Some(row) = rows.next()? {
        if !push(ProjectionRow::Entity(entity_id(row, 1)?)) {
            return Ok(());
        }
    }
    let mut targets = conn.prepare(
        "SELECT t.id, r.strength FROM relation r CROSS JOIN entity t ON t.key = r.target WHERE r.source = ?1 ORDER BY t.id",
    )?;
    drop(rows);
    let mut rows = entities.query([collection])?;
    while let Some(row) = rows.next()? {
        let source = entity_id(row, 1)?;
        let mut relations = targets.query([row.get::<_, i64>(0)?])?;
        while let Some(relation) = relations.next()? {
            let weight_millionths = relation.get::<_, i64>(1)?.cast_unsigned();
            let row = ProjectionRow::Relation { source, target: entity_id(relation, 0)?, weight_millionths };
            if !push(row) {
                return Ok(());
            }
        }
    }
    if !rows_of_page.is_empty() {
        page(rows_of_page);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_scores_at_the_cut_are_kept_until_ids_decide() {
        let (mut best, mut ties) = (BinaryHeap::new(), Vec::new());
        for (chunk, score) in [(1, 0.5), (2, 0.5), (3, 0.5), (4, 0.9), (5, 0.1)] {
            keep(&mut best, &mut ties, Candidate { score, chunk }, 2);
        }
        let mut kept: Vec<i64> = best.into_iter().chain(ties).map(|c| c.chunk).collect();
        kept.sort_unstable();
        assert_eq!(kept, [1, 2, 3, 4]);
    }
}
