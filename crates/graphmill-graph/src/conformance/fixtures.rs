//! Documents of tests, and the steps by which they get into a graph.

use std::collections::HashMap;
use std::sync::Arc;

use futures::TryStreamExt;
use graphmill_core::{
    AliasEvidence, ChunkFacts, ChunkId, CollectionId, ContentHash, DocumentId, EntityId, EntityName, Mention, Seq,
    Statement,
};
use serde_json::json;

use crate::GraphStore;
use crate::records::{
    DocumentProperties, Placement, Publication, PublishOutcome, PublishedCounts, SpaceId, StagedChunk,
};

/// Components of the vectors of [`Draft`].
pub const DIMENSION: u32 = 4;

/// Numbers that look random and are the same at each run (SplitMix64).
#[derive(Debug, Clone)]
pub struct Numbers(pub u64);

impl Numbers {
    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % end as u64) as usize
    }

    /// One of `items`.
    pub fn pick<T: Clone>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())].clone()
    }
}

/// A document as a test writes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// Its collection.
    pub collection: CollectionId,
    /// Its source.
    pub source: String,
    /// Text and facts of its chunks, in order.
    pub chunks: Vec<(String, ChunkFacts)>,
    /// Spaces in which its chunks get vectors.
    pub spaces: Vec<SpaceId>,
}

impl Draft {
    /// A document of the collection `default` whose chunks state relations: `"A>B"` mentions both and states the first to the second;
    /// a word without `>` is a mention alone.
    pub fn new(source: &str, chunks: &[&str]) -> Self {
        let chunks = chunks.iter().map(|text| ((*text).to_owned(), facts_of(text))).collect();
        Self { collection: CollectionId::default(), source: source.to_owned(), chunks, spaces: Vec::new() }
    }

    /// The document's id.
    pub fn id(&self) -> DocumentId {
        DocumentId::new(&self.collection, &self.source)
    }

    /// Its chunks, ready to be staged.
    pub fn staged(&self) -> Vec<StagedChunk> {
        let mut seen: HashMap<(ContentHash, ContentHash), u32> = HashMap::new();
        let stage = |(text, facts): &(String, ChunkFacts)| {
            let (content_hash, facts_hash) = (ContentHash::of(text.as_bytes()), facts.hash());
            let occurrence = seen.entry((content_hash, facts_hash)).or_default();
            let id = ChunkId::new(&self.id(), &content_hash, &facts_hash, *occurrence);
            *occurrence += 1;
            StagedChunk {
                id,
                text: text.clone(),
                content_hash,
                token_count: text.split_whitespace().count() as u32,
                facts: facts.clone(),
                vectors: self.spaces.iter().map(|space| (*space, vector_of(text))).collect(),
                embedding_quarantined: false,
                context: None,
            }
        };
        self.chunks.iter().map(stage).collect()
    }

    /// Its publication under a ticket.
    pub fn publication(&self, seq: u64) -> Publication {
        let mut at = 0;
        let place = |chunk: StagedChunk| {
            let start_char = at;
            at += chunk.text.chars().count() as u64;
            Placement {
                chunk: chunk.id,
                start_char,
                end_char: at,
                page_start: 1,
                page_end: 2,
                heading_path: vec!["Top".into(), format!("Part of {}", self.source)],
            }
        };
        let placements = self.staged().into_iter().map(place).collect();
        Publication {
            collection: self.collection.clone(),
            document: self.id(),
            seq: Seq(seq),
            placements,
            properties: self.properties(),
            spaces: self.spaces.clone(),
            times: None,
        }
    }

    /// Its properties.
    pub fn properties(&self) -> DocumentProperties {
        let whole: String = self.chunks.iter().map(|(text, _)| text.as_str()).collect();
        let serde_json::Value::Object(settings) = json!({"chunk_size": 1000, "extractor": "offline/1"}) else {
            unreachable!("an object was written")
        };
        DocumentProperties {
            source: self.source.clone(),
            filename: self.source.rsplit('/').next().unwrap_or_default().to_owned(),
            content_hash: ContentHash::of(whole.as_bytes()),
            settings_hash: ContentHash::of(b"settings"),
            settings,
            file_size: whole.len() as u64,
            page_count: 2,
            mime_type: "text/markdown".into(),
            title: Some(format!("Title of {}", self.source)),
            language: None,
            original: format!("original/{}", self.source),
            page_text: format!("page_text/{}", self.source),
            quarantined_chunks: 0,
        }
    }

    /// Stages all its chunks.
    pub async fn stage(&self, store: &dyn GraphStore) {
        store.stage(&self.collection, self.id(), self.staged()).await.expect("chunks are staged");
    }

    /// Publishes what was staged.
    pub async fn publish(&self, store: &dyn GraphStore, seq: u64) -> PublishOutcome {
        store.publish(&self.publication(seq)).await.expect("a publication is answered")
    }

    /// Stages and publishes, as a job does: what is missing is staged again.
    pub async fn upload(&self, store: &dyn GraphStore, seq: u64) -> PublishOutcome {
        self.stage(store).await;
        for _ in 0..100 {
            match self.publish(store, seq).await {
                PublishOutcome::Incomplete(_) => self.stage(store).await,
                done => return done,
            }
        }
        panic!("{} was swept a hundred times while it was published", self.source);
    }

    /// [`Draft::upload`] that nothing stands against.
    pub async fn put(&self, store: &dyn GraphStore, seq: u64) -> PublishedCounts {
        match self.upload(store, seq).await {
            PublishOutcome::Published(counts) => counts,
            other => panic!("{} should have been published under {seq}: {other:?}", self.source),
        }
    }
}

/// Facts of a text in the notation of [`Draft::new`].
pub fn facts_of(text: &str) -> ChunkFacts {
    let (mut mentions, mut statements) = (Vec::new(), Vec::new());
    let mut at = 0;
    for word in text.split_inclusive(' ') {
        let bare = word.trim();
        let ends: Vec<&str> = bare.split('>').filter(|end| !end.is_empty()).collect();
        for end in &ends {
            mentions.push(mention(end, "product", &format!("{end} in a text of {} bytes", text.len() % 7), &[at]));
        }
        if let [source, target] = ends[..] {
            statements.push(statement(source, target, &format!("{source} feeds {target}")));
        }
        at += word.chars().count() as u32;
    }
    ChunkFacts::canonical(mentions, statements, Vec::new()).0
}

/// A mention; each of `starts` is a span of one character.
pub fn mention(spelling: &str, entity_type: &str, description: &str, starts: &[u32]) -> Mention {
    Mention {
        spelling: spelling.to_owned(),
        entity_type: entity_type.to_owned(),
        description: description.to_owned(),
        spans: starts.iter().map(|start| (*start, start + 1)).collect(),
    }
}

/// A statement of strength 1.
pub fn statement(source: &str, target: &str, description: &str) -> Statement {
    Statement {
        source: source.to_owned(),
        target: target.to_owned(),
        relation_type: "feeds".to_owned(),
        description: description.to_owned(),
        strength_millionths: 1_000_000,
    }
}

/// A vector that depends on the text alone and is never zero.
pub fn vector_of(text: &str) -> Arc<[f32]> {
    let hash = ContentHash::of(text.as_bytes());
    hash.as_bytes()[..DIMENSION as usize].iter().map(|b| f32::from(*b) / 64.0 - 2.0 + 0.001).collect()
}

/// Id of an entity of the collection `default`.
pub fn entity(name: &str) -> EntityId {
    EntityId::new(&CollectionId::default(), &EntityName::new(name).expect("a name of a test names an entity"))
}

/// The export as text.
pub async fn export_text(store: &dyn GraphStore, collection: &CollectionId) -> String {
    let stream = store.export(collection).await.expect("the export begins");
    let pieces: Vec<bytes::Bytes> = stream.try_collect().await.expect("the export ends");
    for piece in &pieces {
        assert_eq!(piece.last(), Some(&b'\n'), "a piece of the export is whole lines");
    }
    String::from_utf8(pieces.concat()).expect("the export is UTF-8")
}

/// The export of the collection `default`.
pub async fn export_default(store: &dyn GraphStore) -> String {
    export_text(store, &CollectionId::default()).await
}

/// That `check` finds nothing in the collection `default`.
pub async fn assert_whole(store: &dyn GraphStore) {
    let found = store.check(&CollectionId::default(), 20).await.expect("the check ends");
    assert!(found.is_empty(), "the stored folds differ from the facts: {found:#?}");
}

/// Sweeps whatever is not placed.
pub async fn sweep_all(store: &dyn GraphStore) {
    for document in store.unplaced_documents(1_000).await.expect("unplaced documents are listed") {
        store.sweep_document(document).await.expect("a document is swept");
    }
    assert!(store.unplaced_documents(1).await.expect("unplaced documents are listed").is_empty());
}

/// A document of random chunks over a small set of entities, so that documents share them.
pub fn random_draft(source: &str, numbers: &mut Numbers) -> Draft {
    let count = 1 + numbers.below(6);
    let chunks = (0..count).map(|_| random_chunk(numbers)).collect();
    Draft { collection: CollectionId::default(), source: source.to_owned(), chunks, spaces: Vec::new() }
}

/// Another version of `draft`: some chunks go, come or change places.
pub fn random_edit(draft: &Draft, numbers: &mut Numbers) -> Draft {
    let mut edited = draft.clone();
    match numbers.below(4) {
        0 => edited.chunks.insert(numbers.below(edited.chunks.len() + 1), random_chunk(numbers)),
        1 if edited.chunks.len() > 1 => drop(edited.chunks.remove(numbers.below(edited.chunks.len()))),
        2 => edited.chunks.rotate_left(1),
        _ => {
            let at = numbers.below(edited.chunks.len());
            edited.chunks[at] = random_chunk(numbers);
        }
    }
    edited
}

/// A chunk with random facts; now and then one that was set aside.
fn random_chunk(numbers: &mut Numbers) -> (String, ChunkFacts) {
    const NAMES: [&str; 9] =
        ["Pump", "pumps", "PUMP", "Valve", "valves", "Halden Works", "halden works", "Basin Four", "泵站"];
    const TYPES: [&str; 4] = ["product", "organization", "location", "spaceship"];
    const TEXTS: [&str; 7] = ["", "made of steel", "stands in the north", "a thing", "old", "new and old", "wet"];
    if numbers.below(20) == 0 {
        return (format!("unreadable {}", numbers.below(3)), ChunkFacts::quarantined());
    }
    let mut mentions = Vec::new();
    for _ in 0..1 + numbers.below(5) {
        let spans: Vec<u32> = (0..numbers.below(4) as u32).map(|i| i * 5).collect();
        mentions.push(mention(numbers.pick(&NAMES), numbers.pick(&TYPES), numbers.pick(&TEXTS), &spans));
    }
    let mut statements = Vec::new();
    for _ in 0..numbers.below(5) {
        let (source, target) = (numbers.pick(&mentions).spelling, numbers.pick(&mentions).spelling);
        let mut stated = statement(&source, &target, numbers.pick(&TEXTS));
        stated.relation_type = ["feeds", "part_of"][numbers.below(2)].to_owned();
        stated.strength_millionths = numbers.below(5_000_000) as u64;
        statements.push(stated);
    }
    let ends = (numbers.pick(&mentions).spelling, numbers.pick(&mentions).spelling);
    let aliases = vec![AliasEvidence { short: ends.0, long: ends.1 }];
    let (facts, _) = ChunkFacts::canonical(mentions, statements, aliases);
    (format!("text {}", numbers.below(40)), facts)
}
