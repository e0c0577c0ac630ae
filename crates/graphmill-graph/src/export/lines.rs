//! The lines of the export. The order of fields is the order in which they are declared.

use graphmill_core::{
    AliasEvidence, ChunkFacts, ChunkId, CollectionId, ContentHash, DocumentId, EntityId, EntityName, IdHasher, Mention,
    Statement,
};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::records::{ChunkRecord, DocumentRecord, EntityRecord, RelationRecord};

/// Version of the format.
pub const FORMAT: u32 = 1;

/// Any line.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Line {
    /// The first line.
    Collection(CollectionLine),
    /// A published document.
    Document(Box<DocumentLine>),
    /// A placed chunk with its facts.
    Chunk(Box<ChunkLine>),
    /// A fold.
    Entity(EntityLine),
    /// A fold.
    Relation(RelationLine),
    /// Neighbours of a chunk.
    Similarity(SimilarityLine),
    /// A community.
    Community(CommunityLine),
}

/// What the export is of.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CollectionLine {
    /// Its name.
    pub id: CollectionId,
    /// See [`FORMAT`].
    pub format: u32,
    /// Version of the rule that makes entities of names.
    pub normaliser: u32,
}

/// A document without its blob keys, ticket and times.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DocumentLine {
    id: DocumentId,
    source: String,
    filename: String,
    content_hash: Hex,
    settings_hash: Hex,
    #[serde(skip_serializing_if = "Map::is_empty")]
    settings: Map<String, Value>,
    file_size: u64,
    page_count: u32,
    mime_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    language: Option<String>,
    chunk_count: u64,
    #[serde(skip_serializing_if = "is_zero")]
    quarantined_chunks: u32,
}

impl From<DocumentRecord> for DocumentLine {
    fn from(record: DocumentRecord) -> Self {
        let p = record.properties;
        Self {
            id: record.id,
            source: p.source,
            filename: p.filename,
            content_hash: Hex(p.content_hash),
            settings_hash: Hex(p.settings_hash),
            settings: sorted(p.settings),
            file_size: p.file_size,
            page_count: p.page_count,
            mime_type: p.mime_type,
            title: p.title.filter(|t| !t.is_empty()),
            language: p.language.filter(|l| !l.is_empty()),
            chunk_count: record.chunk_count,
            quarantined_chunks: p.quarantined_chunks,
        }
    }
}

/// A chunk, where it stands, and what it says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChunkLine {
    id: ChunkId,
    document: DocumentId,
    chunk_index: u32,
    start_char: u64,
    end_char: u64,
    page_start: u32,
    page_end: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    heading_path: Vec<String>,
    token_count: u32,
    content_hash: Hex,
    #[serde(skip_serializing_if = "is_false")]
    facts_quarantined: bool,
    #[serde(skip_serializing_if = "is_false")]
    embedding_quarantined: bool,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mentions: Vec<MentionLine>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    statements: Vec<StatementLine>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<AliasLine>,
}

impl ChunkLine {
    /// From what a reader sees of a chunk, the hash of its text, and its facts.
    pub fn new(collection: &CollectionId, record: ChunkRecord, content_hash: ContentHash, facts: ChunkFacts) -> Self {
        let place = record.placement;
        Self {
            id: place.chunk,
            document: record.document,
            chunk_index: record.chunk_index,
            start_char: place.start_char,
            end_char: place.end_char,
            page_start: place.page_start,
            page_end: place.page_end,
            heading_path: place.heading_path,
            token_count: record.token_count,
            content_hash: Hex(content_hash),
            facts_quarantined: record.facts_quarantined,
            embedding_quarantined: record.embedding_quarantined,
            text: record.text,
            context: record.context,
            mentions: facts.mentions.into_iter().map(|m| MentionLine::new(collection, m)).collect(),
            statements: facts.statements.into_iter().map(StatementLine::from).collect(),
            aliases: facts.aliases.into_iter().map(AliasLine::from).collect(),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct MentionLine {
    /// Absent only if a store kept a spelling that no version of ours would have taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    entity: Option<EntityId>,
    spelling: String,
    #[serde(rename = "type")]
    entity_type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    spans: Vec<(u32, u32)>,
}

impl MentionLine {
    fn new(collection: &CollectionId, mention: Mention) -> Self {
        let name = EntityName::new(&mention.spelling).ok();
        Self {
            entity: name.map(|name| EntityId::new(collection, &name)),
            spelling: mention.spelling,
            entity_type: mention.entity_type,
            description: mention.description,
            spans: mention.spans,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct StatementLine {
    source: String,
    target: String,
    #[serde(rename = "type")]
    relation_type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    strength_millionths: u64,
}

impl From<Statement> for StatementLine {
    fn from(s: Statement) -> Self {
        Self {
            source: s.source,
            target: s.target,
            relation_type: s.relation_type,
            description: s.description,
            strength_millionths: s.strength_millionths,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct AliasLine {
    short: String,
    long: String,
}

impl From<AliasEvidence> for AliasLine {
    fn from(alias: AliasEvidence) -> Self {
        Self { short: alias.short, long: alias.long }
    }
}

/// An entity as readers see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EntityLine {
    id: EntityId,
    name: String,
    #[serde(rename = "type")]
    entity_type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    importance: f64,
    mention_count: u64,
    document_count: u64,
}

impl From<EntityRecord> for EntityLine {
    fn from(r: EntityRecord) -> Self {
        Self {
            id: r.id,
            name: r.name,
            entity_type: r.entity_type,
            description: r.description,
            importance: six_decimals(r.importance),
            mention_count: r.mention_count,
            document_count: r.document_count,
        }
    }
}

/// A relation as readers see it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RelationLine {
    source: EntityId,
    target: EntityId,
    #[serde(rename = "type")]
    relation_type: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    description: String,
    strength: f64,
    support: u64,
}

impl From<RelationRecord> for RelationLine {
    fn from(r: RelationRecord) -> Self {
        Self {
            source: r.source,
            target: r.target,
            relation_type: r.relation_type,
            description: r.description,
            strength: six_decimals(r.strength),
            support: r.support,
        }
    }
}

/// Live neighbours of a live chunk, as many as were asked for, best first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SimilarityLine {
    chunk: ChunkId,
    neighbours: Vec<(ChunkId, f64)>,
}

impl SimilarityLine {
    /// Orders by falling score, ties by id.
    pub fn new(chunk: ChunkId, neighbours: impl IntoIterator<Item = (ChunkId, f32)>) -> Self {
        let mut neighbours: Vec<(ChunkId, f64)> =
            neighbours.into_iter().map(|(id, score)| (id, six_decimals(f64::from(score)))).collect();
        neighbours.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Self { chunk, neighbours }
    }
}

/// A community, named by its level and live members.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CommunityLine {
    /// See [`community_name`].
    pub id: String,
    /// 0 = finest.
    pub level: u32,
    /// Name of the coarser community that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// May be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// May be empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// Live members.
    pub size: u64,
    /// Its part of the modularity.
    pub modularity_share: f64,
    /// Live members, by id.
    pub members: Vec<EntityId>,
}

/// Name of a community in the export: a hash of its level and its live members (sorted by id).
pub fn community_name(level: u32, members: &[EntityId]) -> String {
    let mut hasher = IdHasher::new("community of members").field(&level.to_le_bytes());
    for member in members {
        hasher = hasher.field(member.as_bytes());
    }
    graphmill_core::CommunityId::from_bytes(hasher.finish16()).to_string()
}

/// Rounds to six decimals; the shortest text of the result has no more.
pub fn six_decimals(value: f64) -> f64 {
    let rounded = (value * 1e6).round() / 1e6;
    // Minus zero would be another text.
    if rounded == 0.0 { 0.0 } else { rounded }
}

/// A hash as its 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Hex(ContentHash);

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

/// The order in which settings were written says nothing.
fn sorted(map: Map<String, Value>) -> Map<String, Value> {
    let mut entries: Vec<(String, Value)> = map.into_iter().collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    entries.into_iter().map(|(key, value)| (key, sorted_value(value))).collect()
}

fn sorted_value(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(sorted(map)),
        Value::Array(items) => Value::Array(items.into_iter().map(sorted_value).collect()),
        plain => plain,
    }
}

fn is_zero(value: &u32) -> bool {
    *value == 0
}

fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_have_at_most_six_decimals() {
        assert_eq!(serde_json::to_string(&six_decimals(1.0 / 3.0)).unwrap(), "0.333333");
        assert_eq!(serde_json::to_string(&six_decimals(f64::from(0.1f32))).unwrap(), "0.1");
        assert_eq!(serde_json::to_string(&six_decimals(-0.000_000_1)).unwrap(), "0.0");
    }

    #[test]
    fn settings_are_sorted_at_every_depth() {
        let Value::Object(map) = serde_json::json!({"b": {"d": 1, "c": [{"z": 1, "y": 2}]}, "a": 0}) else { panic!() };
        let text = serde_json::to_string(&sorted(map)).unwrap();
        assert_eq!(text, r#"{"a":0,"b":{"c":[{"y":2,"z":1}],"d":1}}"#);
    }
}
