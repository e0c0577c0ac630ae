//! Layers of a copy: what readers of the source see becomes a generation of the target.

use futures::TryStreamExt;
use graphmill_core::CollectionId;
use serde_json::{Value, json};

use super::Copied;
use super::documents::Spaces;
use crate::records::{Layer, LayerState, SpaceId};
use crate::{Error, GraphStore, Result};

/// Rows that are written at once.
const ROWS: u32 = 500;
/// Tries at a layer whose generation changes while it is read.
const TRIES: usize = 5;

pub(super) async fn copy(
    from: &dyn GraphStore,
    to: &dyn GraphStore,
    collection: &CollectionId,
    spaces: &Spaces,
    copied: &mut Copied,
) -> Result<()> {
    for layer in [Layer::Similarities, Layer::Communities] {
        let mut copy = None;
        for _ in 0..TRIES {
            let state = from.layer(collection, layer).await?;
            if state.generation == 0 {
                copy = Some(0);
                break;
            }
            let rows = generation(from, to, collection, &state, layer, spaces).await?;
            // What was read of a generation that another took the place of meanwhile may be half gone.
            if from.layer(collection, layer).await?.generation == state.generation {
                copy = Some(rows);
                break;
            }
        }
        let rows = copy.ok_or_else(|| {
            Error::Backend(format!("the layer {layer:?} of {collection} changed all the while it was copied"))
        })?;
        match layer {
            Layer::Communities => copied.communities = rows,
            _ => copied.similarities = rows,
        }
    }
    Ok(())
}

async fn generation(
    from: &dyn GraphStore,
    to: &dyn GraphStore,
    collection: &CollectionId,
    state: &LayerState,
    layer: Layer,
    spaces: &Spaces,
) -> Result<u64> {
    let run = to.begin_run(collection, layer, true).await?;
    let mut written = 0;
    if layer == Layer::Communities {
        let mut pages = from.present_communities(collection).await?;
        while let Some(rows) = pages.try_next().await? {
            written += rows.len() as u64;
            to.put_communities(&run, rows).await?;
        }
    } else {
        let mut next = 0;
        loop {
            let rows = from.similarities(collection, next..u64::MAX, ROWS).await?;
            let Some((last, _)) = rows.last() else { break };
            next = last + 1;
            written += to.put_similarities(&run, rows.into_iter().map(|(_, row)| row).collect()).await?;
        }
    }
    let behind = state.stands_at < from.publish_number(collection).await?;
    // A layer that is behind is behind in the copy too, where its documents have other publish numbers: all of them are news to it.
    let stands_at = if behind { 0 } else { to.publish_number(collection).await? };
    let mut parameters = state.parameters.clone();
    if let Some(space) = parameters.get_mut("space") {
        let known = space.as_u64().and_then(|id| u32::try_from(id).ok()).and_then(|id| spaces.get(&SpaceId(id)));
        *space = known.map_or(Value::Null, |target| json!(target));
    }
    to.finish_run(&run, stands_at, parameters).await?;
    Ok(written)
}
