//! What readers ask for in pages, and what they get: documents, entities with their evidence, communities, how far behind the layers are.

use graphmill_core::{ChunkId, CollectionId, CommunityId, DocumentId, EntityId, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::records::{DocumentRecord, EntityRecord, SpaceState};

/// Above this many, what matches a filter is no longer counted ([`Page::total_capped`]).
pub const TOTAL_CAP: u64 = 10_000;

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageStart {
    /// Skip this many.
    Offset(u64),
    /// After the row that an earlier page's `next_cursor` names (opaque; [`crate::Error::Invalid`] when it is none, or of another order).
    Cursor(String),
}

impl Default for PageStart {
    fn default() -> Self {
        Self::Offset(0)
    }
}

/// Some rows of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// In the order that was asked for.
    pub items: Vec<T>,
    /// How many match in all.
    pub total: u64,
    /// Counting stopped at `total`: there may be more.
    pub total_capped: bool,
    /// Names the last row of this page; `None` when nothing follows.
    pub next_cursor: Option<String>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self { items: Vec::new(), total: 0, total_capped: false, next_cursor: None }
    }
}

/// Words of a parameter and what they mean.
macro_rules! words {
    ($name:ident, {$($variant:ident = $word:literal),+ $(,)?}) => {
        impl $name {
            /// The word of the API.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word),+
                }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(s: &str) -> Result<Self, String> {
                match s {
                    $($word => Ok(Self::$variant),)+
                    _ => {
                        let shown: String = s.chars().take(80).collect();
                        Err(format!("{shown:?} is none of {}", [$($word),+].join(", ")))
                    }
                }
            }
        }
    };
}

/// By what documents are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(rename_all = "snake_case"))]
pub enum DocumentSort {
    /// When it was last published.
    #[default]
    UpdatedAt,
    /// When it was first published.
    CreatedAt,
    /// By name, upper and lower case alike.
    Filename,
    /// Bytes of the original.
    FileSize,
    /// Placed chunks.
    ChunkCount,
}

words!(DocumentSort, {
    UpdatedAt = "updated_at", CreatedAt = "created_at", Filename = "filename", FileSize = "file_size", ChunkCount = "chunk_count"
});

/// Which way a list goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(rename_all = "snake_case"))]
pub enum Order {
    /// The least first.
    Asc,
    /// The greatest first.
    #[default]
    Desc,
}

words!(Order, {Asc = "asc", Desc = "desc"});

/// A name in lower case, as lists look through it and sort by it.
pub(crate) fn lower(text: &str) -> String {
    text.to_lowercase()
}

/// File name and source in lower case, on a line each.
pub(crate) fn folded(filename: &str, source: &str) -> String {
    format!("{}\n{}", lower(filename), lower(source))
}

/// Which documents a list shows. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DocumentQuery {
    /// Only this collection.
    pub collection: Option<CollectionId>,
    /// Substring of source or file name, upper and lower case alike.
    pub q: Option<String>,
    /// Only this media type.
    pub mime_type: Option<String>,
    /// Beginning of the source (a folder: `manuals/`).
    pub source_prefix: Option<String>,
    /// Published last at or after.
    pub updated_after: Option<Timestamp>,
    /// Published last before.
    pub updated_before: Option<Timestamp>,
    /// By what.
    pub sort: DocumentSort,
    /// Which way; rows that are equal go by id, the other way round when rising.
    pub order: Order,
}

/// An entity of a document.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentEntity {
    /// The entity as the whole collection sees it.
    pub entity: EntityRecord,
    /// How often this document mentions it.
    pub mentions_here: u64,
    /// In how many of its chunks.
    pub chunks_here: u64,
}

/// By what entities are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(rename_all = "snake_case"))]
pub enum EntitySort {
    /// The most important first.
    #[default]
    Importance,
    /// By normalised name.
    Name,
    /// The most mentioned first.
    MentionCount,
}

words!(EntitySort, {Importance = "importance", Name = "name", MentionCount = "mention_count"});

/// Where in a name what is looked for stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(rename_all = "snake_case"))]
pub enum NameMatch {
    /// Anywhere.
    #[default]
    Contains,
    /// At its beginning.
    Prefix,
}

words!(NameMatch, {Contains = "contains", Prefix = "prefix"});

/// Which entities of a collection a list shows. All conditions must hold.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EntityQuery {
    /// Part of its name, normalised as names are: case, width, white space and plural do not matter.
    pub q: Option<String>,
    /// Where that part stands.
    pub name_match: NameMatch,
    /// Only those whose most voted type is this.
    pub entity_type: Option<String>,
    /// By what; rows that are equal go by id.
    pub sort: EntitySort,
}

/// A word with its votes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Vote {
    /// The word.
    pub value: String,
    /// Mentions that said it.
    pub votes: u64,
}

/// An entity with the evidence for all that is said of it, of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityDetail {
    /// Its collection.
    pub collection: CollectionId,
    /// The fold.
    pub entity: EntityRecord,
    /// Types, most votes first.
    pub type_votes: Vec<Vote>,
    /// Spellings, most votes first; at most [`EntityDetail::SPELLINGS`].
    pub spelling_votes: Vec<Vote>,
    /// How many distinct spellings there are.
    pub spelling_total: u64,
    /// Relations that it is the source of, and the target of.
    pub relations_out: u64,
    /// See `relations_out`.
    pub relations_in: u64,
    /// Other names that the texts themselves define, most evidence first; at most [`EntityDetail::ALIASES`].
    pub aliases: Vec<EntityAlias>,
    /// How many there are.
    pub alias_total: u64,
    /// Its communities in the generation that readers see, finest first.
    pub communities: Vec<CommunityOf>,
    /// Chunks that mention it.
    pub mentions: Page<MentionRecord>,
}

impl EntityDetail {
    /// Most spellings that are shown.
    pub const SPELLINGS: usize = 50;
    /// Most aliases that are shown.
    pub const ALIASES: usize = 50;
    /// Most chunks that are shown as the evidence of one alias.
    pub const EVIDENCE: usize = 5;
}

/// Which of two names is the short form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum AliasRole {
    /// The other name is the short form of this entity's.
    ShortForm,
    /// The other name is the long form of this entity's.
    LongForm,
}

/// Another name of an entity: `Central Processing Unit (CPU)` says that each of the two is the other's.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityAlias {
    /// The other entity.
    pub entity: EntityId,
    /// Its name.
    pub name: String,
    /// What the other name is to this one.
    pub role: AliasRole,
    /// Live chunks that define it.
    pub evidence_count: u64,
    /// The first of them.
    pub evidence: Vec<ChunkPlace>,
}

/// A live chunk and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkPlace {
    /// The chunk.
    pub chunk: ChunkId,
    /// Its document.
    pub document: DocumentId,
    /// Name to show.
    pub filename: String,
    /// Its index in the document, from 0.
    pub chunk_index: u32,
    /// Page of its first character, from 1.
    pub page_start: u32,
    /// Page of its last character.
    pub page_end: u32,
}

/// A chunk that mentions an entity.
#[derive(Debug, Clone, PartialEq)]
pub struct MentionRecord {
    /// Where.
    pub place: ChunkPlace,
    /// First character of the chunk in the document's text.
    pub start_char: u64,
    /// What it says of the entity, one a spelling and type.
    pub said: Vec<graphmill_core::Mention>,
}

/// A community that an entity is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CommunityOf {
    /// The community.
    pub community_id: CommunityId,
    /// 0 = finest.
    pub level: u32,
    /// Title; may be empty.
    pub title: String,
}

/// A community as readers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct CommunityRecord {
    /// Its id.
    pub id: CommunityId,
    /// 0 = finest.
    pub level: u32,
    /// The coarser community that holds it.
    pub parent: Option<CommunityId>,
    /// Title; may be empty.
    pub title: String,
    /// Summary; may be empty.
    pub summary: String,
    /// Live members.
    pub size: u64,
    /// Its part of the modularity.
    pub modularity_share: f64,
}

/// Which generation an answer is of: all of an answer is of the same.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GenerationRecord {
    /// Its number; 0 = none was made yet.
    pub generation: u64,
    /// Publish number that it was made from.
    pub stands_at: u64,
    /// The collection's publish number now.
    pub publish_number: u64,
}

/// Communities with a live member, the finest level first, in a level the largest first, then by id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CommunityList {
    /// What they are of.
    pub generation: GenerationRecord,
    /// The communities.
    pub page: Page<CommunityRecord>,
}

/// A community with its kin, of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct CommunityDetail {
    /// Its collection.
    pub collection: CollectionId,
    /// What all of this is of.
    pub generation: GenerationRecord,
    /// The community.
    pub community: CommunityRecord,
    /// Communities that it holds, the largest first; at most [`CommunityDetail::CHILDREN`].
    pub children: Vec<CommunityRecord>,
    /// How many there are.
    pub child_total: u64,
    /// Live members, the most important first, then by id.
    pub members: Page<EntityRecord>,
}

impl CommunityDetail {
    /// Most children that are shown.
    pub const CHILDREN: usize = 100;
}

/// How far a derived layer is behind the live graph.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LayerStaleness {
    /// Generation that readers see; 0 = none.
    pub generation: u64,
    /// Publish number that it stands at.
    pub stands_at: u64,
    /// Publications (and removals, and vectors of placed chunks) since then.
    pub behind: u64,
    /// Whether a run would change it: it is behind, or was never made although there is something to make it of.
    pub stale: bool,
    /// Parameters of the run that made it.
    pub parameters: Map<String, Value>,
}

/// A space of vectors and what it lacks.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SpaceStaleness {
    /// Name and version of the model.
    pub model: String,
    /// Components of a vector.
    pub dimension: u32,
    /// Its state.
    pub state: SpaceState,
    /// Placed, not quarantined chunks without a vector in it.
    pub chunks_without_vector: u64,
}

/// How far behind the vectors are.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EmbeddingStaleness {
    /// Placed, not quarantined chunks without a vector in the active space.
    pub chunks_without_vector: u64,
    /// Whether there are such.
    pub stale: bool,
    /// The spaces, by id; retired ones are left out.
    pub spaces: Vec<SpaceStaleness>,
}

/// How far behind the layers of a collection are.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LayerReport {
    /// Vectors.
    pub embeddings: EmbeddingStaleness,
    /// `SIMILAR_TO`.
    pub similarities: LayerStaleness,
    /// Communities.
    pub communities: LayerStaleness,
}

/// A page of documents.
pub type DocumentPage = Page<DocumentRecord>;
