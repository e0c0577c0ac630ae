//! Ids of communities: one that keeps the majority of an earlier one's members keeps its id, so that links and notes of people stay true.

use std::collections::{HashMap, HashSet};

use futures::TryStreamExt;
use graphmill_core::id::IdHasher;
use graphmill_core::{CollectionId, CommunityId, EntityId};
use graphmill_graph::GraphStore;
use graphmill_runtime::{Interruption, JobContext};

use super::view::{Place, View};
use crate::interruption::of_graph;

/// No community.
const NONE: u32 = u32::MAX;

/// The communities that readers see now, as far as they have entities of the view.
#[derive(Default)]
pub(super) struct Previous {
    ids: Vec<CommunityId>,
    levels: Vec<u32>,
    sizes: Vec<u32>,
    /// By level: community of each entity of the view.
    of: HashMap<u32, Vec<u32>>,
}

impl Previous {
    /// Reads them, page by page.
    pub(super) async fn read(
        graph: &dyn GraphStore,
        context: &JobContext,
        collection: &CollectionId,
        entities: &[EntityId],
    ) -> Result<Self, Interruption> {
        let mut previous = Self::default();
        let mut pages = graph.present_communities(collection).await.map_err(of_graph)?;
        while let Some(page) = pages.try_next().await.map_err(of_graph)? {
            context.alive("the communities of before");
            for row in page {
                previous.add(row.id, row.level, &row.members, entities);
            }
        }
        Ok(previous)
    }

    fn add(&mut self, id: CommunityId, level: u32, members: &[EntityId], entities: &[EntityId]) {
        let number = self.ids.len() as u32;
        self.ids.push(id);
        self.levels.push(level);
        self.sizes.push(members.len() as u32);
        let of = self.of.entry(level).or_insert_with(|| vec![NONE; entities.len()]);
        for member in members {
            if let Ok(at) = entities.binary_search(member) {
                of[at] = number;
            }
        }
    }

    /// The level that stands as far below the top as `height` says.
    fn at_height(&self, height: usize) -> Option<&Vec<u32>> {
        let top = *self.levels.iter().max()? as usize;
        self.of.get(&u32::try_from(top.checked_sub(height)?).ok()?)
    }
}

/// Ids of all communities of a view, in the order of [`View::places`].
pub(super) fn ids(collection: &CollectionId, view: &View, previous: &Previous) -> Vec<CommunityId> {
    let places: Vec<Place> = view.places().collect();
    let mut ids: Vec<Option<CommunityId>> = vec![None; places.len()];
    let mut first = 0;
    for (level, of) in view.levels.iter().enumerate() {
        let height = view.levels.len() - 1 - level;
        if let Some(before) = previous.at_height(height) {
            for (number, old) in kept(view, level, before, &previous.sizes, &previous.ids) {
                ids[first + number as usize] = Some(previous.ids[old as usize]);
            }
        }
        first += of.level.communities;
    }
    let mut used: HashSet<CommunityId> = ids.iter().flatten().copied().collect();
    let fresh = |(id, place): (Option<CommunityId>, &Place)| {
        id.unwrap_or_else(|| {
            let height = (view.levels.len() - 1 - place.level) as u32;
            let mut id = new_id(collection, view, *place, height, 0);
            // An earlier community may have been made of just these members and live on with others.
            for salt in 1.. {
                if used.insert(id) {
                    break;
                }
                id = new_id(collection, view, *place, height, salt);
            }
            id
        })
    };
    ids.into_iter().zip(&places).map(fresh).collect()
}

/// Pairs (new, old) in which the new community has the majority of the old one's members; of several that a new one could be, the one that it shares most
/// with, then the lowest id.
fn kept(view: &View, level: usize, before: &[u32], sizes: &[u32], ids: &[CommunityId]) -> Vec<(u32, u32)> {
    let mut shared: HashMap<(u32, u32), u32> = HashMap::new();
    for (new, old) in view.levels[level].level.community_of.iter().zip(before) {
        if *old != NONE {
            *shared.entry((*new, *old)).or_default() += 1;
        }
    }
    let mut pairs: Vec<(u32, u32, u32)> = shared
        .into_iter()
        .filter(|((_, old), count)| u64::from(*count) * 2 > u64::from(sizes[*old as usize]))
        .map(|((new, old), count)| (new, old, count))
        .collect();
    pairs.sort_unstable_by_key(|(new, old, count)| (*new, std::cmp::Reverse(*count), ids[*old as usize]));
    pairs.dedup_by_key(|(new, ..)| *new);
    pairs.into_iter().map(|(new, old, _)| (new, old)).collect()
}

fn new_id(collection: &CollectionId, view: &View, place: Place, height: u32, salt: u32) -> CommunityId {
    let mut hasher = IdHasher::new("members").field(&salt.to_le_bytes());
    for member in view.members(place) {
        hasher = hasher.field(view.entities[*member as usize].as_bytes());
    }
    CommunityId::new(collection, height, &hasher.finish16())
}
