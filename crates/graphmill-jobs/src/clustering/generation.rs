//! The new generation: rows in batches, unseen; then the pointer moves, once, as the last act.

use graphmill_core::{CollectionId, CommunityId, EntityId};
use graphmill_graph::records::{CommunityRow, Layer};
use graphmill_models::Summary;
use graphmill_runtime::{Interruption, JobContext};

use super::Clustering;
use super::assign_communities::Assigned;
use super::view::{Place, View};
use crate::interruption::of_graph;

/// Members in a transaction, and communities.
const BATCH_MEMBERS: usize = 8_192;
const BATCH_ROWS: usize = 1_024;

/// Writes the generation and moves the pointer. Repeated after a kill it begins a run of its own, so that the one that was given up can write nothing more,
/// and writes the same rows. `summaries`: in the order of the communities, or none.
pub(super) async fn publish(
    clustering: &Clustering<'_>,
    context: &JobContext,
    collection: &CollectionId,
    assigned: &Assigned,
    summaries: Option<&[Summary]>,
) -> Result<(), Interruption> {
    let graph = &clustering.services.graph;
    let view = clustering.view(context).await?.clone();
    let present = graph.layer(collection, Layer::Communities).await.map_err(of_graph)?;
    if present.generation > 0 && present.stands_at > view.stands_at {
        return Err(Interruption::Overtaken {
            message: "Overtaken by a later clustering of the collection".to_owned(),
        });
    }
    graphmill_core::fault_point!("clustering.before_run");
    let run = graph.begin_run(collection, Layer::Communities, true).await.map_err(of_graph)?;
    let (mut rows, mut members) = (Vec::new(), 0);
    for (at, place) in view.places().enumerate() {
        let row = row(&view, place, at, assigned, summaries.and_then(|all| all.get(at)));
        members += row.members.len();
        rows.push(row);
        if members >= BATCH_MEMBERS || rows.len() >= BATCH_ROWS {
            graphmill_core::fault_point!("clustering.rows");
            graph.put_communities(&run, std::mem::take(&mut rows)).await.map_err(of_graph)?;
            members = 0;
            context.alive(format!("row {at} of the communities"));
        }
    }
    graph.put_communities(&run, rows).await.map_err(of_graph)?;
    graphmill_core::fault_point!("clustering.before_intent");
    // A cancel that comes later than this is answered with the truth: the communities are new.
    context.store().commit_intent(context.fence()).await?;
    graphmill_core::fault_point!("clustering.after_intent");
    graph.finish_run(&run, view.stands_at, clustering.parameters(&view)).await.map_err(of_graph)?;
    graphmill_core::fault_point!("clustering.after_switch");
    Ok(())
}

fn row(view: &View, place: Place, at: usize, assigned: &Assigned, summary: Option<&Summary>) -> CommunityRow {
    let members: Vec<EntityId> = view.members(place).iter().map(|node| view.entities[*node as usize]).collect();
    let plain = Summary { title: assigned.title(at).to_owned(), summary: String::new() };
    let Summary { title, summary } = summary.cloned().unwrap_or(plain);
    CommunityRow {
        id: assigned.id(at),
        level: place.level as u32,
        parent: view.parent(place).map(|parent| parent_id(view, parent, assigned)),
        title,
        summary,
        modularity_share_millionths: view.levels[place.level].level.shares_millionths[place.number],
        members,
    }
}

fn parent_id(view: &View, parent: Place, assigned: &Assigned) -> CommunityId {
    let before: usize = view.levels[..parent.level].iter().map(|of| of.level.communities).sum();
    assigned.id(before + parent.number)
}
