//! `/api/collections`.

pub(crate) mod change;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod list;
pub(crate) mod show;

use graphmill_core::{CollectionId, CollectionSettings, ErrorCode, Quota, Timestamp};
use graphmill_graph::records::SpaceState;
use graphmill_jobs::ingestion::ChosenOptions;
use graphmill_models::ModelChoice;
use graphmill_store::collection_store::{CollectionDeletion, CollectionRecord};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::body::Fields;
use crate::openapi::refusals;
use crate::{AppState, Error, Result, Scope};

/// Fields of the settings.
const SETTINGS: &[&str] = &[
    "embedding_model",
    "extraction_model",
    "chunk_size",
    "chunk_overlap",
    "extract_entities",
    "entity_types",
    "quota",
];

refusals! {
    /// The key is bound to a collection.
    CannotManage {
        Forbidden => "this key is bound to the collection team-a and cannot make, change or delete collections",
    }
    /// It is being deleted.
    Deleting { CollectionDeleting => "the collection manuals is being deleted" }
}

/// A collection as it is shown.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Collection)]
pub(crate) struct CollectionShape {
    name: CollectionId,
    state: State,
    created_at: Timestamp,
    /// What it was told; what is absent follows the server's settings.
    settings: CollectionSettings,
    /// Published ones.
    documents: u64,
    chunks: u64,
    entities: u64,
    /// Jobs that stand in the store.
    jobs: u64,
    /// Of the originals, as the quota counts them.
    bytes: u64,
    /// What the quota counts: published documents and accepted uploads.
    usage: Usage,
    /// What a person should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deletion: Option<DeletionShape>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[schema(as = CollectionState)]
#[serde(rename_all = "snake_case")]
enum State {
    Active,
    Deleting,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = CollectionUsage)]
struct Usage {
    documents: u64,
    bytes: u64,
}

/// How far a deletion is.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = CollectionDeletion)]
pub(crate) struct DeletionShape {
    accepted_at: Timestamp,
    /// 0 to 1.
    progress: f64,
    /// Jobs, documents, chunks and entities that are left.
    left: u64,
    /// What there was of them when it was accepted.
    total: u64,
}

/// Everything that is shown of a collection.
async fn shape(state: &AppState, record: CollectionRecord) -> Result<CollectionShape> {
    let stats = state.graph().stats(Some(&record.name)).await?;
    let deletion = match &record.deletion {
        Some(deletion) => Some(progress(state, &record, deletion).await?),
        None => None,
    };
    let warnings = if deletion.is_some() { Vec::new() } else { warnings(state, &record).await? };
    Ok(CollectionShape {
        name: record.name,
        state: if deletion.is_some() { State::Deleting } else { State::Active },
        created_at: record.created_at,
        settings: record.settings,
        documents: stats.documents,
        chunks: stats.chunks,
        entities: stats.entities,
        jobs: record.jobs,
        bytes: record.usage.bytes,
        usage: Usage { documents: record.usage.documents, bytes: record.usage.bytes },
        warnings,
        deletion,
    })
}

/// The graph's part is what is left under the mark; before the mark, all that readers still see.
async fn progress(state: &AppState, record: &CollectionRecord, deletion: &CollectionDeletion) -> Result<DeletionShape> {
    let in_graph = match state.graph().collection_removal(&record.name).await? {
        Some(removal) => removal.left,
        None => graph_items(state, &record.name).await?,
    };
    let total = deletion.total.max(1);
    let left = record.jobs.saturating_add(in_graph).min(total);
    #[expect(clippy::cast_precision_loss, reason = "for people; counts stay far below 2^53")]
    let progress = 1.0 - left as f64 / total as f64;
    Ok(DeletionShape { accepted_at: deletion.accepted_at, progress, left, total: deletion.total })
}

/// A deletion as statistics show it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = DeletionUnderWay)]
pub(crate) struct UnderWay {
    collection: CollectionId,
    #[serde(flatten)]
    deletion: DeletionShape,
}

/// The deletions under way, of one collection or of all.
pub(crate) async fn under_way(state: &AppState, only: Option<&CollectionId>) -> Result<Vec<UnderWay>> {
    let mut found = Vec::new();
    for (collection, deletion) in state.jobs().deleting_collections().await? {
        if only.is_some_and(|only| *only != collection) {
            continue;
        }
        if let Some(record) = state.jobs().collection(&collection).await? {
            let deletion = progress(state, &record, &deletion).await?;
            found.push(UnderWay { collection, deletion });
        }
    }
    Ok(found)
}

/// Documents, chunks and entities of a collection.
async fn graph_items(state: &AppState, name: &CollectionId) -> Result<u64> {
    let stats = state.graph().stats(Some(name)).await?;
    Ok(stats.documents + stats.chunks + stats.unplaced_chunks + stats.entities)
}

async fn warnings(state: &AppState, record: &CollectionRecord) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    let models = match state.services.models.of(&ModelChoice::from(&record.settings)) {
        Ok(models) => models,
        Err(error) => return Ok(vec![error.to_string()]),
    };
    let spaces = state.graph().spaces(&record.name).await?;
    let configured = models.embedder.space().model;
    if let Some(active) = spaces.iter().find(|space| space.state == SpaceState::Active)
        && active.model != configured.as_str()
    {
        warnings.push(format!(
            "searches use vectors of {}; the embedding model is {configured}: POST /api/jobs {{\"job_type\":\"reindex\",\"collection\":\"{}\",\
             \"params\":{{\"rebuild_embeddings\":true}}}} makes vectors of it and switches",
            active.model, record.name
        ));
    }
    Ok(warnings)
}

/// Settings as a request gives them; `null`: the server's own.
#[derive(utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a description: `checked` reads the fields")]
struct SettingsRequest {
    /// Embedding model at the configured server, or `offline`.
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*[!-~][^\x00-\x1f\x7f-\x9f]*$")]
    embedding_model: Option<String>,
    /// Extraction model at the configured server, or `offline`.
    #[schema(min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*[!-~][^\x00-\x1f\x7f-\x9f]*$")]
    extraction_model: Option<String>,
    /// Characters of a chunk.
    #[schema(minimum = 1, maximum = 100_000)]
    chunk_size: Option<u64>,
    /// Characters that a chunk shares with the one before; fewer than it has.
    chunk_overlap: Option<u64>,
    /// Whether entities are extracted.
    extract_entities: Option<bool>,
    /// The only types that an entity may have: letters, digits, `_`, `-` and spaces, at most 40.
    #[schema(min_items = 1, max_items = 50)]
    entity_types: Option<Vec<String>>,
    /// How much it may hold.
    quota: Option<QuotaRequest>,
}

/// How much a collection may hold; `null`: unlimited.
#[derive(utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "a description: `checked` reads the fields")]
struct QuotaRequest {
    /// Documents, published and accepted.
    documents: Option<u64>,
    /// Bytes of their originals.
    bytes: Option<u64>,
}

/// Settings of a request that can be kept: known fields, a chunk that is larger than its overlap, models that there is a server for.
fn checked(state: &AppState, settings: Map<String, Value>) -> Result<CollectionSettings> {
    let settings = read(settings)?.checked().map_err(Error::invalid)?;
    ChosenOptions::default().over(&settings).chunking().map_err(|e| Error::invalid(format!("the settings: {e}")))?;
    state.services.models.of(&ModelChoice::from(&settings)).map_err(|e| Error::invalid(e.to_string()))?;
    Ok(settings)
}

/// The fields of `settings`, each with a message that names it as it stands in the body.
fn read(settings: Map<String, Value>) -> Result<CollectionSettings> {
    let mut fields = Fields::within("settings", settings);
    let mut quota = Fields::within("settings.quota", fields.object("quota")?.unwrap_or_default());
    let count = |fields: &mut Fields, name| Ok::<_, Error>(fields.number(name, 0, i64::MAX)?.map(i64::unsigned_abs));
    let settings = CollectionSettings {
        embedding_model: fields.text("embedding_model")?,
        extraction_model: fields.text("extraction_model")?,
        chunk_size: count(&mut fields, "chunk_size")?,
        chunk_overlap: count(&mut fields, "chunk_overlap")?,
        extract_entities: fields.flag("extract_entities")?,
        entity_types: fields.texts("entity_types")?,
        quota: Quota { documents: count(&mut quota, "documents")?, bytes: count(&mut quota, "bytes")? },
    };
    quota.finish(&["documents", "bytes"])?;
    fields.finish(SETTINGS)?;
    Ok(settings)
}

/// Settings, quota and deletion are for who runs the server, not for a key of one collection.
fn check_manages(scope: &Scope, name: &CollectionId) -> Result<()> {
    scope.reading(Some(name.clone()))?;
    match scope.bound() {
        None => Ok(()),
        Some(own) => Err(Error::new(
            ErrorCode::Forbidden,
            format!("this key is bound to the collection {own} and cannot make, change or delete collections"),
        )
        .hint("use a key that is bound to none")),
    }
}
