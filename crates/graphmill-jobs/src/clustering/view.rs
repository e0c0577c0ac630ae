//! Projection and communities in memory, for the stages that name, describe and write them. About 40 bytes an entity, 24 a relation, 12 an entity and
//! level.

use graphmill_algorithms::leiden::{Graph, Level, Members};
use graphmill_core::EntityId;
use graphmill_runtime::Interruption;
use graphmill_runtime::stage::decode;

use super::build_projection::Projection;
use super::run_leiden::Found;

/// Most members that a title or a summary looks at.
const TOP_MEMBERS: usize = 20;

pub(super) struct View {
    pub(super) stands_at: u64,
    pub(super) without_relation: u64,
    pub(super) modularity: f64,
    pub(super) entities: Vec<EntityId>,
    /// From the finest to the coarsest.
    pub(super) levels: Vec<ViewLevel>,
    graph: Graph,
}

pub(super) struct ViewLevel {
    pub(super) level: Level,
    pub(super) members: Members,
}

/// One community: its level from 0 (finest) and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) level: usize,
    pub(super) number: usize,
}

impl View {
    pub(super) fn decode(projection: &[u8], found: &[u8]) -> Result<Self, Interruption> {
        let projection: Projection = decode(projection)?;
        let found: Found = decode(found)?;
        let entities = projection.entities();
        let modularity = found.modularity;
        let levels = found.into_levels().into_iter().map(|level| ViewLevel { members: level.members(), level });
        Ok(Self {
            stands_at: projection.stands_at,
            without_relation: projection.without_relation,
            modularity,
            graph: Graph::new(entities.len() as u32, projection.edges()),
            levels: levels.collect(),
            entities,
        })
    }

    /// Communities of all levels, finest first: the order in which ids and titles are kept.
    pub(super) fn places(&self) -> impl Iterator<Item = Place> + '_ {
        self.levels
            .iter()
            .enumerate()
            .flat_map(|(level, of)| (0..of.level.communities).map(move |number| Place { level, number }))
    }

    /// Communities in all levels.
    pub(super) fn communities(&self) -> usize {
        self.levels.iter().map(|of| of.level.communities).sum()
    }

    pub(super) fn members(&self, place: Place) -> &[u32] {
        self.levels[place.level].members.of(place.number)
    }

    /// The community of the next coarser level that holds this one.
    pub(super) fn parent(&self, place: Place) -> Option<Place> {
        let above = self.levels.get(place.level + 1)?;
        let first = *self.members(place).first()?;
        Some(Place { level: place.level + 1, number: above.level.community_of[first as usize] as usize })
    }

    /// The members with the strongest relations within the community, strongest first, ties by id.
    pub(super) fn top_members(&self, place: Place) -> Vec<EntityId> {
        let community_of = &self.levels[place.level].level.community_of;
        let inner = |node: u32| -> u64 {
            let row = self.graph.row(node).filter(|(other, _)| community_of[*other as usize] as usize == place.number);
            row.map(|(_, weight)| weight).sum()
        };
        let mut ranked: Vec<(std::cmp::Reverse<u64>, u32)> =
            self.members(place).iter().map(|node| (std::cmp::Reverse(inner(*node)), *node)).collect();
        if ranked.len() > TOP_MEMBERS {
            ranked.select_nth_unstable(TOP_MEMBERS);
            ranked.truncate(TOP_MEMBERS);
        }
        ranked.sort_unstable();
        ranked.into_iter().map(|(_, node)| self.entities[node as usize]).collect()
    }
}
