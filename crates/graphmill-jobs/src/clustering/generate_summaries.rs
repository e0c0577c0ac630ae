//! Stage `generate_summaries`: a description of each community. Offline a unit is 64 of them and a few sentences that follow from members and relations; with
//! a model server it is one, as it is one call. Then the generation is written with its summaries, and the pointer moves.

use std::time::Duration;

use async_trait::async_trait;
use graphmill_core::CollectionId;
use graphmill_graph::records::EntityRecord;
use graphmill_models::{CommunityInput, ErrorClass, MemberInput, RelationInput, Summary};
use graphmill_runtime::stage::{decode, encode};
use graphmill_runtime::{Interruption, JobContext, Stage, UnitDone};
use graphmill_store::records::LogLevel;
use graphmill_store::requests::NewJobError;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::assign_communities::{AssignCommunities, Assigned};
use super::view::{Place, View};
use super::{Clustering, generation};
use crate::interruption::{of_graph, of_model};

/// Communities of a unit without a model server.
const OFFLINE_UNIT: u32 = 64;
/// Most relations that a summary looks at.
const MOST_RELATIONS: usize = 30;
/// Communities of fewer members are described without a model: there is nothing to sum up.
const LEAST_FOR_MODEL: usize = 2;

pub(super) struct GenerateSummaries<'a> {
    pub(super) clustering: &'a Clustering<'a>,
}

impl GenerateSummaries<'_> {
    pub(super) const NAME: &'static str = "generate_summaries";
}

/// Communities `from` to `to` (not included), in the order of [`View::places`].
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Range {
    from: u32,
    to: u32,
}

/// A summary as it lies between the stages.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Written {
    title: String,
    summary: String,
    /// Why the model did not write it.
    set_aside: Option<(graphmill_core::ErrorCode, String)>,
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Summarised {
    pub(super) generated: u64,
    set_aside: u64,
}

/// The most important members of a community and the relations among them, as the graph has them now.
pub(super) async fn describe(
    clustering: &Clustering<'_>,
    context: &JobContext,
    collection: &CollectionId,
    view: &View,
    place: Place,
) -> Result<CommunityInput, Interruption> {
    let top = view.top_members(place);
    let graph = &clustering.services.graph;
    let mut around = graph.expand(collection, &top, 0, top.len() as u32).await.map_err(of_graph)?;
    context.alive("a community");
    around.entities.sort_by(|a, b| {
        let rank = |e: &EntityRecord| (e.mention_count, e.document_count);
        b.importance.total_cmp(&a.importance).then_with(|| rank(b).cmp(&rank(a))).then_with(|| a.id.cmp(&b.id))
    });
    around.relations.sort_by(|a, b| {
        b.strength.total_cmp(&a.strength).then_with(|| (a.source, a.target).cmp(&(b.source, b.target)))
    });
    let name = |id| around.entities.iter().find(|e| e.id == id).map_or_else(String::new, |e| e.name.clone());
    let relations = around.relations.iter().filter(|r| r.source != r.target).take(MOST_RELATIONS);
    Ok(CommunityInput {
        size: view.members(place).len() as u64,
        relations: relations
            .map(|r| RelationInput {
                source: name(r.source),
                target: name(r.target),
                relation_type: r.relation_type.clone(),
                description: r.description.clone(),
            })
            .collect(),
        members: around
            .entities
            .iter()
            .map(|e| MemberInput {
                name: e.name.clone(),
                entity_type: e.entity_type.clone(),
                description: e.description.clone(),
            })
            .collect(),
    })
}

impl GenerateSummaries<'_> {
    async fn summarise(
        &self,
        context: &JobContext,
        collection: &CollectionId,
        input: &CommunityInput,
        members: usize,
    ) -> Result<Written, Interruption> {
        let clustering = self.clustering;
        let plain = |set_aside| {
            let Summary { title, summary } = input.plain_summary();
            Written { title, summary, set_aside }
        };
        if members < LEAST_FOR_MODEL {
            return Ok(plain(None));
        }
        let summariser = &clustering.summariser;
        let mut call = std::pin::pin!(summariser.summarise(collection, input, &clustering.calls));
        let answer = loop {
            match tokio::time::timeout(Duration::from_secs(1), &mut call).await {
                Ok(answer) => break answer,
                // A wait on purpose (rate limit, pause between tries) is no stall.
                Err(_) if clustering.calls.usage.paused() > 0 => context.alive("waiting for the model server"),
                Err(_) => {}
            }
        };
        match answer {
            Ok(Summary { title, summary }) => Ok(Written { title, summary, set_aside: None }),
            Err(error) => match error.class() {
                ErrorClass::Quarantine { code } => Ok(plain(Some((code, error.to_string())))),
                _ => Err(of_model(&error)),
            },
        }
    }
}

#[async_trait]
impl Stage for GenerateSummaries<'_> {
    const NAME: &'static str = Self::NAME;
    type Unit = Range;
    type Output = Summarised;

    async fn plan(&self, context: &JobContext) -> Result<Vec<Range>, Interruption> {
        let total = u32::try_from(self.clustering.view(context).await?.communities()).unwrap_or(u32::MAX);
        let step = if self.clustering.summariser.is_offline() { OFFLINE_UNIT } else { 1 };
        Ok((0..total).step_by(step as usize).map(|from| Range { from, to: (from + step).min(total) }).collect())
    }

    async fn run(&self, context: &JobContext, range: &Range) -> Result<UnitDone, Interruption> {
        let collection = &context.job().job.collection;
        let view = self.clustering.view(context).await?;
        let mut written = Vec::new();
        for place in view.places().skip(range.from as usize).take((range.to - range.from) as usize) {
            let input = describe(self.clustering, context, collection, view, place).await?;
            written.push(self.summarise(context, collection, &input, view.members(place).len()).await?);
        }
        Ok(UnitDone { output: encode(&written)? })
    }

    async fn finish(&self, context: &JobContext, _units: &[Range]) -> Result<Summarised, Interruption> {
        let collection = &context.job().job.collection;
        let assigned: Assigned = decode(&context.unit_output(AssignCommunities::NAME, 0).await?)?;
        let (mut summaries, mut errors) = (Vec::new(), Vec::new());
        context
            .each_unit_output(Self::NAME, |_, bytes| {
                for written in decode::<Vec<Written>>(&bytes)? {
                    if let Some((code, reason)) = written.set_aside {
                        let id = assigned.id(summaries.len());
                        errors.push(set_aside(code, &format!("{id} ({})", written.title), &reason));
                    }
                    summaries.push(Summary { title: written.title, summary: written.summary });
                }
                Ok(())
            })
            .await?;
        let done = Summarised { generated: (summaries.len() - errors.len()) as u64, set_aside: errors.len() as u64 };
        generation::publish(self.clustering, context, collection, &assigned, Some(&summaries)).await?;
        context.add_errors(errors).await?;
        let usage = self.clustering.calls.usage.snapshot();
        context.log(
            LogLevel::Info,
            format!("Described {} communities", done.generated),
            json!({"set_aside": done.set_aside, "model_requests": usage.requests, "cache_hits": usage.cache_hits}),
        );
        Ok(done)
    }

    fn size(&self, range: &Range) -> u64 {
        u64::from(range.to - range.from)
    }

    fn concurrency(&self, _context: &JobContext) -> usize {
        if self.clustering.summariser.is_offline() { 1 } else { self.clustering.services.model_concurrency }
    }

    fn message(&self, done: u64, total: u64) -> String {
        format!("Describing communities ({done}/{total})")
    }
}

fn set_aside(code: graphmill_core::ErrorCode, community: &str, reason: &str) -> NewJobError {
    NewJobError {
        code,
        message: format!("The community {community} was described without the model: {reason}"),
        hint: Some("run the clustering again; only what was set aside is asked again".to_owned()),
        stage: Some(GenerateSummaries::NAME.to_owned()),
        chunk_id: None,
        page: None,
    }
}
