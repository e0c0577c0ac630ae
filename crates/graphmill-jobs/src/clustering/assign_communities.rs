//! Stage `assign_communities`: each community gets its id (that of an earlier one whose members it keeps) and a title; the generation is written. Without
//! summaries the pointer moves at the end of this stage.

use async_trait::async_trait;
use bytes::Bytes;
use graphmill_core::{CollectionId, CommunityId};
use graphmill_models::CommunityInput;
use graphmill_runtime::stage::{decode, encode};
use graphmill_runtime::{Interruption, JobContext, Stage, UnitDone};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::generate_summaries::describe;
use super::view::View;
use super::{Clustering, generation, matching};

pub(super) struct AssignCommunities<'a> {
    pub(super) clustering: &'a Clustering<'a>,
}

impl AssignCommunities<'_> {
    pub(super) const NAME: &'static str = "assign_communities";
}

/// Communities with ids and titles, finest level first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Assigned {
    levels: u64,
    modularity: f64,
    entities_assigned: u64,
    entities_without_relations: u64,
    ids: Vec<CommunityId>,
    titles: Vec<String>,
}

impl Assigned {
    pub(super) fn id(&self, at: usize) -> CommunityId {
        self.ids[at]
    }

    pub(super) fn title(&self, at: usize) -> &str {
        &self.titles[at]
    }

    /// What a completed job says of it.
    pub fn metadata(&self) -> Map<String, Value> {
        Map::from_iter([
            ("communities".to_owned(), json!(self.ids.len())),
            ("levels".to_owned(), json!(self.levels)),
            ("modularity".to_owned(), json!((self.modularity * 1e6).round() / 1e6)),
            ("entities_assigned".to_owned(), json!(self.entities_assigned)),
            ("entities_without_relations".to_owned(), json!(self.entities_without_relations)),
            ("summaries_generated".to_owned(), json!(0)),
        ])
    }
}

/// Ids and titles of all communities.
pub(super) async fn assign(
    clustering: &Clustering<'_>,
    context: &JobContext,
    collection: &CollectionId,
    stage: &str,
    shown: std::ops::Range<f64>,
) -> Result<Bytes, Interruption> {
    let view = clustering.view(context).await?;
    let graph = &*clustering.services.graph;
    let previous = matching::Previous::read(graph, context, collection, &view.entities).await?;
    let (of, named) = (view.clone(), collection.clone());
    let ids = context.compute(move |_| matching::ids(&named, &of, &previous)).await?;
    let total = ids.len();
    let mut titles = Vec::with_capacity(total);
    for place in view.places() {
        graphmill_core::fault_point!("clustering.title");
        let input: CommunityInput = describe(clustering, context, collection, view, place).await?;
        titles.push(input.plain_title());
        if titles.len().is_multiple_of(64) {
            context.alive(format!("community {} of {total}", titles.len()));
            let part = shown.start + (shown.end - shown.start) * titles.len() as f64 / total as f64;
            context.progress(stage, part, format!("Assigning communities ({}/{total})", titles.len()));
        }
    }
    encode(&assigned(view, ids, titles))
}

fn assigned(view: &View, ids: Vec<CommunityId>, titles: Vec<String>) -> Assigned {
    Assigned {
        levels: view.levels.len() as u64,
        modularity: view.modularity,
        entities_assigned: view.entities.len() as u64,
        entities_without_relations: view.without_relation,
        ids,
        titles,
    }
}

#[async_trait]
impl Stage for AssignCommunities<'_> {
    const NAME: &'static str = Self::NAME;
    type Unit = ();
    type Output = Assigned;

    async fn plan(&self, _context: &JobContext) -> Result<Vec<()>, Interruption> {
        Ok(vec![()])
    }

    async fn run(&self, context: &JobContext, _unit: &()) -> Result<UnitDone, Interruption> {
        let collection = &context.job().job.collection;
        Ok(UnitDone { output: assign(self.clustering, context, collection, Self::NAME, 0.0..0.8).await? })
    }

    async fn finish(&self, context: &JobContext, _units: &[()]) -> Result<Assigned, Interruption> {
        let assigned: Assigned = decode(&context.unit_output(Self::NAME, 0).await?)?;
        if !self.clustering.options.generate_summaries {
            let collection = &context.job().job.collection;
            generation::publish(self.clustering, context, collection, &assigned, None).await?;
        }
        Ok(assigned)
    }

    fn message(&self, _done: u64, _total: u64) -> String {
        "Assigning communities".to_owned()
    }
}
