//! What people see of communities beside the truth: the label `Community` on those of the generation that readers see, `PARENT` between them, and
//! `community_id` (the finest one) on entities. In three walks, each in short steps; `copied` of the layer's node says which and how far: `s<key>` takes the label from what was shown
//! before, `c<key>` gives it to what is shown now, `e<order>` goes through the entities.

use graphmill_core::CollectionId;

use super::communities::key_prefix;
use super::layers::{self, LayerNode};
use super::{Params, Transaction};
use crate::Result;
use crate::records::Layer;

/// Nodes of one step.
const STEP_NODES: usize = 1_000;

/// One step; the last one says that the copy is whole.
pub(super) fn step(tx: &mut Transaction<'_, '_>, collection: &CollectionId, node: &LayerNode) -> Result<()> {
    let copied = node.copied.as_deref().unwrap_or_default();
    let (walk, after) = copied.split_at_checked(1).unwrap_or(("s", ""));
    let (next, end) = match walk {
        "s" => (strip(tx, collection, node.shown, after)?, Some("c")),
        "c" => (show(tx, collection, node.generation, after)?, Some("e")),
        _ => (name_on_entities(tx, collection, node.generation, after)?, None),
    };
    let copied = match next {
        Some(next) => Some(format!("{walk}{next}")),
        None => end.map(str::to_owned),
    };
    layers::set(tx, collection, Layer::Communities, Params::new().set("copied", copied))
}

fn of_generation(collection: &CollectionId, generation: u64, after: &str) -> Params {
    let prefix = key_prefix(collection, generation);
    let after = if after.is_empty() { prefix.clone() } else { after.to_owned() };
    Params::new()
        .set("prefix", prefix)
        .set("after", after)
        .set("collection", collection.as_str())
        .set("limit", STEP_NODES)
}

fn strip(tx: &mut Transaction<'_, '_>, collection: &CollectionId, shown: u64, after: &str) -> Result<Option<String>> {
    let query = "MATCH (c:GmCommunity) WHERE c.key STARTS WITH $prefix AND c.key > $after \
                 WITH c ORDER BY c.key LIMIT $limit REMOVE c:Community RETURN max(c.key) AS last";
    tx.one(query, of_generation(collection, shown, after))?.take("last")
}

fn show(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    generation: u64,
    after: &str,
) -> Result<Option<String>> {
    let query = "MATCH (c:GmCommunity) WHERE c.key STARTS WITH $prefix AND c.key > $after \
                 WITH c ORDER BY c.key LIMIT $limit SET c:Community \
                 WITH c OPTIONAL MATCH (p:GmCommunity {key: $prefix + c.parent}) \
                 WITH c, p, p IS NULL OR EXISTS { (c)-[:PARENT]->() } AS done \
                 FOREACH (_ IN CASE WHEN done THEN [] ELSE [1] END | CREATE (c)-[:PARENT]->(p)) \
                 RETURN max(c.key) AS last";
    tx.one(query, of_generation(collection, generation, after))?.take("last")
}

fn name_on_entities(
    tx: &mut Transaction<'_, '_>,
    collection: &CollectionId,
    generation: u64,
    after: &str,
) -> Result<Option<String>> {
    let query = "MATCH (e:GmEntity) USING INDEX SEEK e:GmEntity(collection, gm_order) \
                 WHERE e.collection = $collection AND e.gm_order > $after WITH e ORDER BY e.collection, e.gm_order LIMIT $limit \
                 OPTIONAL MATCH (e)-[:IN_COMMUNITY {generation: $generation, level: 0}]->(c:GmCommunity) \
                 WITH e, min(c.id) AS id SET e.community_id = id RETURN max(e.gm_order) AS last";
    let params = Params::new().set("collection", collection.as_str()).set("generation", generation);
    tx.one(query, params.set("after", after).set("limit", STEP_NODES))?.take("last")
}
