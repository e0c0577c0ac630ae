//! How far the layers of a collection are behind its live data.

use rusqlite::Connection;

use super::{layers, vectors};
use crate::Result;
use crate::listing::{EmbeddingStaleness, LayerReport, LayerStaleness, SpaceStaleness};
use crate::records::{Layer, SpaceState};

/// How far each layer is behind.
pub(super) fn report(conn: &Connection, collection: i64) -> Result<LayerReport> {
    let sql = "SELECT publish_number, chunks, entities FROM collection WHERE key = ?1";
    let (publish_number, chunks, entities): (i64, i64, i64) =
        conn.prepare_cached(sql)?.query_row([collection], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(LayerReport {
        embeddings: embeddings(conn, collection)?,
        similarities: layer(conn, collection, Layer::Similarities, publish_number, chunks > 0)?,
        communities: layer(conn, collection, Layer::Communities, publish_number, entities > 0)?,
    })
}

fn embeddings(conn: &Connection, collection: i64) -> Result<EmbeddingStaleness> {
    let mut found = EmbeddingStaleness::default();
    for space in vectors::spaces_of(conn, collection)? {
        if space.state == SpaceState::Retired {
            continue;
        }
        let missing = u64::try_from(vectors::delta_size(conn, collection, space.id)?).unwrap_or(0);
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
    conn: &Connection,
    collection: i64,
    layer: Layer,
    publish_number: i64,
    has_something: bool,
) -> Result<LayerStaleness> {
    let state = layers::state(layers::row(conn, collection, layer)?)?;
    let behind = publish_number.cast_unsigned().saturating_sub(state.stands_at);
    let stale = if state.generation == 0 { has_something } else { behind > 0 };
    Ok(LayerStaleness {
        generation: state.generation,
        stands_at: state.stands_at,
        behind,
        stale,
        parameters: state.parameters,
    })
}
