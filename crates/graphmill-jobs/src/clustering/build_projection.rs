//! Stage `build_projection`: entities and relations as compact arrays, of one moment. Entities without any relation are left out and counted.

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use futures::TryStreamExt;
use graphmill_core::{CollectionId, EntityId};
use graphmill_graph::records::ProjectionRow;
use graphmill_runtime::stage::{decode, encode};
use graphmill_runtime::{Interruption, JobContext, Stage, UnitDone};
use graphmill_store::records::LogLevel;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Clustering;
use crate::interruption::of_graph;

pub(super) struct BuildProjection<'a> {
    pub(super) clustering: &'a Clustering<'a>,
}

impl BuildProjection<'_> {
    pub(super) const NAME: &'static str = "build_projection";
}

/// 16 bytes an entity, 16 a relation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Projection {
    /// Publish number from which on something may be missing.
    pub(super) stands_at: u64,
    /// Entities that have no relation.
    pub(super) without_relation: u64,
    /// Ids of the others, rising.
    ids: Bytes,
    /// Source and target as numbers of `ids`, and the weight in millionths.
    edges: Bytes,
}

/// What was read.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Projected {
    entities: u64,
    relations: u64,
}

impl Projection {
    pub(super) fn entities(&self) -> Vec<EntityId> {
        self.ids.as_chunks::<16>().0.iter().map(|id| EntityId::from_bytes(*id)).collect()
    }

    pub(super) fn edges(&self) -> impl Iterator<Item = (u32, u32, u64)> + '_ {
        let number =
            |bytes: &[u8; 16], at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        self.edges.as_chunks::<16>().0.iter().map(move |edge| {
            let weight = u64::from(number(edge, 8)) | (u64::from(number(edge, 12)) << 32);
            (number(edge, 0), number(edge, 4), weight)
        })
    }

    fn counts(&self) -> Projected {
        Projected { entities: (self.ids.len() / 16) as u64, relations: (self.edges.len() / 16) as u64 }
    }
}

/// Reads the projection; the same graph gives the same bytes.
pub(super) async fn project(
    clustering: &Clustering<'_>,
    context: &JobContext,
    collection: &CollectionId,
    stage: &str,
    share: f64,
) -> Result<Bytes, Interruption> {
    let graph = &clustering.services.graph;
    // Read first: what is published between the two reads is in the projection and counts as not seen, which costs a run and loses nothing.
    let stats = graph.stats(Some(collection)).await.map_err(of_graph)?;
    let expected = (stats.entities + stats.relations).max(1);
    let mut pages = graph.projection(collection).await.map_err(of_graph)?;
    let (mut ids, mut edges): (Vec<EntityId>, Vec<(u32, u32, u64)>) = (Vec::new(), Vec::new());
    let mut read = 0;
    while let Some(page) = pages.try_next().await.map_err(of_graph)? {
        graphmill_core::fault_point!("clustering.projection.page");
        read += page.len() as u64;
        for row in page {
            match row {
                ProjectionRow::Entity(id) => ids.push(id),
                ProjectionRow::Relation { source, target, weight_millionths } => {
                    if let (Ok(source), Ok(target)) = (ids.binary_search(&source), ids.binary_search(&target)) {
                        edges.push((source as u32, target as u32, weight_millionths.max(1)));
                    }
                }
            }
        }
        context.alive("the projection of the graph");
        let part = (read as f64 / expected as f64).min(1.0) * share;
        context.progress(stage, part, format!("Building the projection ({}/{expected})", read.min(expected)));
    }
    let stands_at = stats.publish_number;
    context.compute(move |_| encode(&pack(stands_at, &ids, &edges))).await?
}

/// Leaves out entities without a relation and numbers the others anew.
fn pack(stands_at: u64, ids: &[EntityId], edges: &[(u32, u32, u64)]) -> Projection {
    let mut related = vec![false; ids.len()];
    for (source, target, _) in edges {
        related[*source as usize] = true;
        related[*target as usize] = true;
    }
    let (mut number, mut next) = (vec![0u32; ids.len()], 0);
    let mut kept = BytesMut::new();
    for (at, id) in ids.iter().enumerate().filter(|(at, _)| related[*at]) {
        number[at] = next;
        next += 1;
        kept.put_slice(id.as_bytes());
    }
    let mut packed = BytesMut::with_capacity(edges.len() * 16);
    for (source, target, weight) in edges {
        packed.put_u32_le(number[*source as usize]);
        packed.put_u32_le(number[*target as usize]);
        packed.put_u64_le(*weight);
    }
    let without_relation = ids.len() as u64 - u64::from(next);
    Projection { stands_at, without_relation, ids: kept.freeze(), edges: packed.freeze() }
}

#[async_trait]
impl Stage for BuildProjection<'_> {
    const NAME: &'static str = Self::NAME;
    type Unit = ();
    type Output = Projected;

    async fn plan(&self, _context: &JobContext) -> Result<Vec<()>, Interruption> {
        Ok(vec![()])
    }

    async fn run(&self, context: &JobContext, _unit: &()) -> Result<UnitDone, Interruption> {
        let collection = &context.job().job.collection;
        let output = project(self.clustering, context, collection, Self::NAME, 1.0).await?;
        Ok(UnitDone { output })
    }

    async fn finish(&self, context: &JobContext, _units: &[()]) -> Result<Projected, Interruption> {
        let projection: Projection = decode(&context.unit_output(Self::NAME, 0).await?)?;
        let counts = projection.counts();
        context.log(
            LogLevel::Info,
            format!("Projected {} entities and {} relations", counts.entities, counts.relations),
            json!({"entities_without_relations": projection.without_relation, "publish_number": projection.stands_at}),
        );
        Ok(counts)
    }

    fn message(&self, _done: u64, _total: u64) -> String {
        "Building the projection".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_without_a_relation_are_counted_and_left_out() {
        let ids: Vec<EntityId> = (0..4u8).map(|n| EntityId::from_bytes([n; 16])).collect();
        let packed = pack(7, &ids, &[(0, 3, 5), (3, 0, u64::MAX), (2, 2, 1)]);
        assert_eq!(packed.without_relation, 1);
        assert_eq!(packed.entities(), [ids[0], ids[2], ids[3]]);
        assert_eq!(packed.edges().collect::<Vec<_>>(), [(0, 2, 5), (2, 0, u64::MAX), (1, 1, 1)]);
    }
}
