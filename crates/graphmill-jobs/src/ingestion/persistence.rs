//! Stage `persistence`: chunks with facts and vectors are staged in batches; then the document is published, at once, once.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use graphmill_core::{ChunkFacts, ChunkId, ContentHash, ErrorCode};
use graphmill_graph::records::{
    DocumentProperties, Placement, Publication, PublishOutcome, PublishedCounts, StagedChunk,
};
use graphmill_runtime::{Interruption, JobContext, Stage, UnitDone};
use graphmill_store::records::LogLevel;
use graphmill_store::requests::NewJobError;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::OnceCell;
use tracing::Instrument;

use super::embedding::{Embedded, Embedding, SetAside, get_vectors};
use super::entity_extraction::{EntityExtraction, get_facts, get_header};
use super::loading::Loaded;
use super::segments::{SEGMENT, Segments};
use super::settings::settings_hash;
use super::{Ingestion, overtaken};
use crate::interruption::of_graph;
use crate::unnamed_blobs::delete_unnamed;

/// Segments staged in one transaction.
const SEGMENTS_A_UNIT: u32 = 4;
/// How often a publication whose staged chunks were swept in between is staged anew.
const STAGE_TRIES: u32 = 5;

pub(super) struct Persistence<'a> {
    ingestion: &'a Ingestion<'a>,
    loaded: &'a Loaded,
    segments: Arc<Segments>,
    embedded: Embedded,
    layout: OnceCell<Layout>,
}

/// Ids and places of all chunks, made the same way in every run of the stage.
struct Layout {
    placements: Vec<Placement>,
    /// Chunks whose facts or vector were set aside, with the place for people.
    errors: Vec<NewJobError>,
    quarantined: u64,
}

/// What was published.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Persisted {
    chunks: u64,
    entities: u64,
    relations: u64,
    publish_number: u64,
    pub quarantined: u64,
}

impl Persisted {
    pub(super) fn counts(&self) -> PublishedCounts {
        PublishedCounts {
            chunks: self.chunks,
            entities: self.entities,
            relations: self.relations,
            publish_number: self.publish_number,
        }
    }
}

impl<'a> Persistence<'a> {
    pub(super) fn new(
        ingestion: &'a Ingestion<'a>,
        loaded: &'a Loaded,
        segments: Arc<Segments>,
        embedded: Embedded,
    ) -> Self {
        Self { ingestion, loaded, segments, embedded, layout: OnceCell::new() }
    }

    fn extracts(&self) -> bool {
        self.ingestion.params.options.extract_entities
    }

    async fn layout(&self, context: &JobContext) -> Result<&Layout, Interruption> {
        self.layout.get_or_try_init(|| self.make_layout(context)).await
    }

    async fn make_layout(&self, context: &JobContext) -> Result<Layout, Interruption> {
        let mut set_aside: Vec<(u32, SetAside)> = Vec::new();
        let mut facts_hashes: Vec<ContentHash> = Vec::new();
        if self.extracts() {
            context
                .each_unit_output(EntityExtraction::NAME, |_, bytes| {
                    let header = get_header(&bytes)?;
                    let segment = facts_hashes.len() as u32 / SEGMENT as u32;
                    set_aside.extend(header.set_aside.iter().map(|s| (segment, s.clone())));
                    facts_hashes.extend(header.hashes());
                    Ok(())
                })
                .await?;
        } else {
            facts_hashes = vec![ChunkFacts::default().hash(); self.segments.chunks as usize];
        }
        context
            .each_unit_output(Embedding::NAME, |segment, bytes| {
                set_aside.extend(get_vectors(bytes)?.1.into_iter().map(|s| (segment, s)));
                Ok(())
            })
            .await?;
        let mut hashes = facts_hashes.into_iter();
        let mut occurrences: HashMap<(ContentHash, ContentHash), u32> = HashMap::new();
        let mut placements = Vec::with_capacity(self.segments.chunks as usize);
        for segment in 0..self.segments.count() {
            for chunk in self.segments.read(context, segment).await? {
                // With its context, so that a chunk under another table head is another one and gets a vector of its own.
                let content = ContentHash::of(chunk.text_in_context().as_bytes());
                let facts = hashes.next().ok_or_else(|| incomplete("facts"))?;
                let occurrence = occurrences.entry((content, facts)).or_default();
                let id = ChunkId::new(&self.ingestion.document, &content, &facts, *occurrence);
                *occurrence += 1;
                placements.push(Placement {
                    chunk: id,
                    start_char: chunk.start_char,
                    end_char: chunk.end_char,
                    page_start: chunk.page_start,
                    page_end: chunk.page_end,
                    heading_path: chunk.heading_path,
                });
            }
        }
        let mut chunks: Vec<u32> = set_aside.iter().map(|(segment, s)| segment * SEGMENT as u32 + s.index).collect();
        let errors = set_aside.iter().zip(&chunks).map(|((_, s), n)| quarantine_error(s, *n, &placements)).collect();
        chunks.sort_unstable();
        chunks.dedup();
        Ok(Layout { placements, errors, quarantined: chunks.len() as u64 })
    }

    async fn stage_segments(&self, context: &JobContext, from: u32) -> Result<(), Interruption> {
        let layout = self.layout(context).await?;
        let mut staged = Vec::new();
        for segment in from..(from + SEGMENTS_A_UNIT).min(self.segments.count()) {
            let chunks = self.segments.read(context, segment).await?;
            let (vectors, _) = get_vectors(context.unit_output(Embedding::NAME, segment).await?)?;
            let facts = self.facts(context, segment).await?;
            if chunks.len() != vectors.len() || chunks.len() != facts.len() {
                return Err(incomplete("facts or vectors"));
            }
            for ((chunk, vector), facts) in chunks.into_iter().zip(vectors).zip(facts) {
                staged.push(StagedChunk {
                    id: layout.placements[chunk.index as usize].chunk,
                    content_hash: ContentHash::of(chunk.text.as_bytes()),
                    text: chunk.text,
                    context: chunk.context,
                    token_count: chunk.token_count,
                    facts,
                    embedding_quarantined: vector.is_none(),
                    vectors: vector.map(|v| (self.embedded.space, v)).into_iter().collect(),
                });
            }
        }
        let graph = &self.ingestion.handler.graph;
        let collection = &context.job().job.collection;
        graph.stage(collection, self.ingestion.document, staged).await.map_err(of_graph)
    }

    /// Facts of a segment's chunks; one unit's output holds a segment (offline) or one chunk (with a model server).
    async fn facts(&self, context: &JobContext, segment: u32) -> Result<Vec<ChunkFacts>, Interruption> {
        let wanted = self.segments.size(segment) as usize;
        if !self.extracts() {
            return Ok(vec![ChunkFacts::default(); wanted]);
        }
        let first = get_header(&context.unit_output(EntityExtraction::NAME, 0).await?)?;
        if first.hashes.len() > 1 || self.segments.chunks == 1 {
            return Ok(get_facts(&context.unit_output(EntityExtraction::NAME, segment).await?)?.1);
        }
        let mut facts = Vec::with_capacity(wanted);
        for unit in 0..wanted as u32 {
            let bytes = context.unit_output(EntityExtraction::NAME, segment * SEGMENT as u32 + unit).await?;
            facts.extend(get_facts(&bytes)?.1);
        }
        Ok(facts)
    }

    /// Files of what is published now: nothing may name them once this takes its place, and the record of the job that brought them may be gone already.
    async fn replaced_blobs(&self, publication: &Publication) -> Vec<String> {
        let published = self.ingestion.handler.graph.document(publication.document).await.ok().flatten();
        let ours = &publication.properties;
        let keys = published.map(|d| vec![d.properties.original, d.properties.page_text]).unwrap_or_default();
        keys.into_iter().filter(|key| *key != ours.original && *key != ours.page_text).collect()
    }

    fn publication(&self, context: &JobContext, layout: &Layout) -> Publication {
        let params = &self.ingestion.params;
        let settings = self.ingestion.settings();
        Publication {
            collection: context.job().job.collection.clone(),
            document: self.ingestion.document,
            seq: self.ingestion.seq,
            placements: layout.placements.clone(),
            properties: DocumentProperties {
                source: params.source.clone(),
                filename: params.filename.clone(),
                content_hash: params.content_hash,
                settings_hash: settings_hash(&settings),
                settings,
                file_size: params.file_size,
                page_count: self.loaded.pages,
                mime_type: params.mime_type.clone(),
                title: self.loaded.title.clone(),
                language: self.loaded.language.clone(),
                original: params.original.clone(),
                page_text: self.loaded.page_text.clone(),
                quarantined_chunks: u32::try_from(layout.quarantined).unwrap_or(u32::MAX),
            },
            spaces: vec![self.embedded.space],
            times: None,
        }
    }
}

#[async_trait]
impl Stage for Persistence<'_> {
    const NAME: &'static str = "persistence";
    /// First segment of a batch.
    type Unit = u32;
    type Output = Persisted;

    async fn plan(&self, context: &JobContext) -> Result<Vec<u32>, Interruption> {
        let layout = self.layout(context).await?;
        if !layout.errors.is_empty() {
            context.add_errors(layout.errors.clone()).await?;
        }
        Ok((0..self.segments.count()).step_by(SEGMENTS_A_UNIT as usize).collect())
    }

    async fn run(&self, context: &JobContext, from: &u32) -> Result<UnitDone, Interruption> {
        self.stage_segments(context, *from).await?;
        Ok(UnitDone::default())
    }

    async fn finish(&self, context: &JobContext, units: &[u32]) -> Result<Persisted, Interruption> {
        let layout = self.layout(context).await?;
        let publication = self.publication(context, layout);
        let _turn = self.ingestion.handler.turns.take(publication.document).await;
        let replaced = self.replaced_blobs(&publication).await;
        graphmill_core::fault_point!("publishing.before_intent");
        context.store().commit_intent(context.fence()).await?;
        graphmill_core::fault_point!("publishing.after_intent");
        for _ in 0..STAGE_TRIES {
            let span = tracing::info_span!(
                target: graphmill_core::trace::TARGET,
                "graph.publish",
                document.id = %publication.document,
                chunks = publication.placements.len()
            );
            let published = self.ingestion.handler.graph.publish(&publication).instrument(span).await;
            match published.map_err(of_graph)? {
                PublishOutcome::Published(counts) | PublishOutcome::AlreadyDone(counts) => {
                    graphmill_core::fault_point!("publishing.after_publish");
                    let (store, graph) = (context.store(), &*self.ingestion.handler.graph);
                    delete_unnamed(store, graph, context.blobs(), replaced).await;
                    context.log(
                        LogLevel::Info,
                        "Published",
                        json!({"chunks": counts.chunks, "entities": counts.entities}),
                    );
                    return Ok(Persisted {
                        chunks: counts.chunks,
                        entities: counts.entities,
                        relations: counts.relations,
                        publish_number: counts.publish_number,
                        quarantined: layout.quarantined,
                    });
                }
                PublishOutcome::Overtaken { deleted, .. } => return Err(overtaken(deleted)),
                PublishOutcome::Incomplete(missing) => {
                    let details = json!({"missing": missing.len()});
                    context.log(LogLevel::Warning, "Staged chunks were swept; staging them again", details);
                    for from in units {
                        self.stage_segments(context, *from).await?;
                        context.alive("staging again");
                    }
                }
            }
        }
        Err(Interruption::retry(ErrorCode::Internal, format!("the staged chunks were swept {STAGE_TRIES} times")))
    }

    fn size(&self, from: &u32) -> u64 {
        (*from..(from + SEGMENTS_A_UNIT).min(self.segments.count())).map(|s| u64::from(self.segments.size(s))).sum()
    }

    fn message(&self, done: u64, total: u64) -> String {
        format!("Saving chunks ({done}/{total})")
    }
}

fn quarantine_error(set_aside: &SetAside, chunk: u32, placements: &[Placement]) -> NewJobError {
    let placement = placements.get(chunk as usize);
    NewJobError {
        code: ErrorCode::ChunkQuarantined,
        message: format!("chunk {chunk} was set aside: {} ({})", set_aside.reason, set_aside.code),
        hint: Some("retry the job: only the chunks that were set aside are asked again".into()),
        stage: None,
        chunk_id: placement.map(|p| p.chunk.to_string()),
        page: placement.map(|p| p.page_start),
    }
}

fn incomplete(what: &str) -> Interruption {
    Interruption::retry(ErrorCode::Internal, format!("the {what} of some chunks are missing"))
}
