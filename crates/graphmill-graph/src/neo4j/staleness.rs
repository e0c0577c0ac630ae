//! How far the layers of a collection are behind its live data.

use graphmill_core::CollectionId;

use super::layers;
use super::spaces::spaces_in;
use super::{Neo4jConnection, Params, Transaction};
use crate::Result;
use crate::listing::{EmbeddingStaleness, LayerReport, LayerStaleness, SpaceStaleness};
use crate::records::{Layer, SpaceState};

/// See [`crate::GraphStore::layer_report`].
pub(super) async fn layer_report(neo4j: &Neo4jConnection, collection: &CollectionId) -> Result<LayerReport> {
    let collection = collection.clone();
    neo4j.read_many(move |tx| report(tx, &collection)).await
}

fn report(tx: &mut Transaction<'_, '_>, collection: &CollectionId) -> Result<LayerReport> {
    let query = "MATCH (o:GmCollection {name: $collection}) WHERE o.removing IS NULL \
                 OPTIONAL MATCH (s:GmSpace {collection: $collection}) \
                 WITH o, collect(s {.id, .live_vectors}) AS spaces \
                 RETURN o.publish_number AS publish_number, o.chunks AS chunks, o.entities AS entities, \
                 o.chunks - o.quarantined_embedding AS embeddable, spaces";
    let Some(mut row) = tx.first(query, Params::new().set("collection", collection.as_str()))? else {
        return Ok(LayerReport::default());
    };
    let publish_number: u64 = row.take("publish_number")?;
    let (chunks, entities, embeddable): (i64, i64, i64) =
        (row.take("chunks")?, row.take("entities")?, row.take("embeddable")?);
    let mut with_vector = Vec::new();
    for mut space in row.take::<Vec<super::Row>>("spaces")? {
        with_vector.push((space.take::<u32>("id")?, space.take::<i64>("live_vectors")?));
    }
    Ok(LayerReport {
        embeddings: embeddings(tx, collection, embeddable, &with_vector)?,
        similarities: layer(tx, collection, Layer::Similarities, publish_number, chunks > 0)?,
        communities: layer(tx, collection, Layer::Communities, publish_number, entities > 0)?,
    })
}

fn embeddings(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    embeddable: i64,
    with_vector: &[(u32, i64)],
) -> Result<EmbeddingStaleness> {
    let mut found = EmbeddingStaleness::default();
    for space in spaces_in(tx, collection)? {
        if space.state == SpaceState::Retired {
            continue;
        }
        // Too few while chunks that are set aside have a vector here all the same.
        let live = with_vector.iter().find(|(id, _)| *id == space.id.0).map_or(0, |(_, live)| *live);
        let missing = u64::try_from(embeddable - live).unwrap_or(0);
        if space.state == SpaceState::Active {
            found.chunks_without_vector = missing;
            found.stale = missing > 0;
        }
        found.spaces.push(SpaceStaleness {
            model: space.model,
            dimension: space.dimension,
            state: space.state,
            chunks_without_vector: missing,
        });
    }
    Ok(found)
}

fn layer(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    layer: Layer,
    publish_number: u64,
    has_something: bool,
) -> Result<LayerStaleness> {
    let state = layers::find(tx, collection, layer)?.map(|node| node.state()).transpose()?.unwrap_or_default();
    let behind = publish_number.saturating_sub(state.stands_at);
    let stale = if state.generation == 0 { has_something } else { behind > 0 };
    Ok(LayerStaleness {
        generation: state.generation,
        stands_at: state.stands_at,
        behind,
        stale,
        parameters: state.parameters,
    })
}
