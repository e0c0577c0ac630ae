//! CPU time of staging and publishing: `cargo run --release -p graphmill-graph --example publish_speed [chunks] [chunks per document]`.
//!
//! Chunks are like those of Markdown: 1,000 characters, 12 mentions, 12 statements, a vector of 256 components. Words and entities follow
//! Zipf's law, so that some entities are in every document and most in few.

use std::sync::Arc;
use std::time::{Duration, Instant};

use graphmill_core::{
    ChunkFacts, ChunkId, CollectionId, ContentHash, DocumentId, Mention, Seq, Statement, SystemClock,
};
use graphmill_graph::records::{
    DocumentProperties, Placement, Publication, PublishOutcome, SearchFilter, SpaceId, StagedChunk,
};
use graphmill_graph::{EmbeddedGraph, EmbeddedOptions, GraphStore};

const WORDS: usize = 30_000;
const NAMES: usize = 40_000;
const DIMENSION: u32 = 256;
const BATCH: usize = 200;

struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// One of `end` numbers, the lower the more often.
    fn zipf(&mut self, end: usize) -> usize {
        let uniform = (self.next() % 1_000_000) as f64 / 1e6;
        ((end as f64).powf(uniform) as usize).min(end) - 1
    }
}

struct Source {
    words: Vec<String>,
    names: Vec<String>,
    numbers: Numbers,
}

impl Source {
    fn new() -> Self {
        let mut numbers = Numbers(88_172_645_463_325_252);
        let mut word = |least: u64| -> String {
            (0..least + numbers.next() % 7).map(|_| (b'a' + (numbers.next() % 26) as u8) as char).collect()
        };
        let words = (0..WORDS).map(|_| word(2)).collect();
        let names = (0..NAMES).map(|_| format!("{} {}", word(4), word(5))).collect();
        Self { words, names, numbers }
    }

    fn chunk(&mut self, document: &DocumentId, space: SpaceId) -> StagedChunk {
        let mut text = String::with_capacity(1_010);
        while text.len() < 1_000 {
            text.push_str(&self.words[self.numbers.zipf(WORDS)]);
            text.push(' ');
        }
        let mentions: Vec<Mention> = (0..12)
            .map(|i| Mention {
                spelling: self.names[self.numbers.zipf(NAMES)].clone(),
                entity_type: "concept".into(),
                description: String::new(),
                spans: vec![(i * 70, i * 70 + 12)],
            })
            .collect();
        let statements = (0..12)
            .map(|i| Statement {
                source: mentions[i].spelling.clone(),
                target: mentions[(i + 1 + i % 3) % 12].spelling.clone(),
                relation_type: "related_to".into(),
                description: String::new(),
                strength_millionths: 500_000,
            })
            .collect();
        let (facts, _) = ChunkFacts::canonical(mentions, statements, Vec::new());
        let content_hash = ContentHash::of(text.as_bytes());
        let vector: Arc<[f32]> = (0..DIMENSION).map(|_| (self.numbers.next() % 2_000) as f32 / 1_000.0 - 1.0).collect();
        StagedChunk {
            id: ChunkId::new(document, &content_hash, &facts.hash(), 0),
            text,
            content_hash,
            token_count: 200,
            facts,
            vectors: vec![(space, vector)],
            embedding_quarantined: false,
            context: None,
        }
    }
}

fn publication(document: DocumentId, seq: u64, chunks: &[StagedChunk], space: SpaceId) -> Publication {
    let placements = chunks
        .iter()
        .enumerate()
        .map(|(i, chunk)| Placement {
            chunk: chunk.id,
            start_char: i as u64 * 800,
            end_char: i as u64 * 800 + 1_000,
            page_start: 1,
            page_end: 1,
            heading_path: vec!["Manual".into(), format!("Chapter {}", i / 10)],
        })
        .collect();
    let hash = ContentHash::of(&seq.to_le_bytes());
    Publication {
        collection: CollectionId::default(),
        document,
        seq: Seq(seq),
        placements,
        properties: DocumentProperties {
            source: format!("{document}.md"),
            filename: format!("{document}.md"),
            content_hash: hash,
            settings_hash: hash,
            settings: serde_json::Map::new(),
            file_size: 1,
            page_count: 1,
            mime_type: "text/markdown".into(),
            title: None,
            language: None,
            original: format!("o/{document}"),
            page_text: format!("p/{document}"),
            quarantined_chunks: 0,
        },
        spaces: vec![space],
        times: None,
    }
}

/// CPU time of the process so far.
fn cpu() -> Duration {
    let ticks = |field: &str| field.parse::<u64>().unwrap_or(0);
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    // User and system time, in hundredths of a second.
    Duration::from_millis((ticks(fields.get(11).unwrap_or(&"")) + ticks(fields.get(12).unwrap_or(&""))) * 10)
}

fn memory_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap_or_default().to_owned();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1024
}

struct Totals {
    chunks: usize,
    stage: Duration,
    publish: Duration,
    longest_publish: Duration,
}

async fn ingest(
    store: &EmbeddedGraph,
    source: &mut Source,
    chunks: usize,
    per_document: usize,
    space: SpaceId,
) -> Totals {
    let collection = CollectionId::default();
    let mut totals = Totals { chunks, stage: Duration::ZERO, publish: Duration::ZERO, longest_publish: Duration::ZERO };
    for number in 0..chunks.div_ceil(per_document) {
        let document = DocumentId::new(&collection, &format!("document {number}"));
        let staged: Vec<StagedChunk> = (0..per_document).map(|_| source.chunk(&document, space)).collect();
        let publication = publication(document, number as u64 + 1, &staged, space);
        let mut batches: Vec<Vec<StagedChunk>> = staged.chunks(BATCH).map(<[_]>::to_vec).collect();
        let before = cpu();
        for batch in batches.drain(..) {
            store.stage(&collection, document, batch).await.expect("chunks are staged");
        }
        let between = cpu();
        let began = Instant::now();
        let outcome = store.publish(&publication).await.expect("it is published");
        assert!(matches!(outcome, PublishOutcome::Published(_)), "{outcome:?}");
        totals.longest_publish = totals.longest_publish.max(began.elapsed());
        totals.stage += between - before;
        totals.publish += cpu() - between;
    }
    totals
}

/// One chunk of a long document changes.
async fn replace_one(store: &EmbeddedGraph, source: &mut Source, space: SpaceId) {
    let collection = CollectionId::default();
    let document = DocumentId::new(&collection, "replaced");
    let mut chunks: Vec<StagedChunk> = (0..5_000).map(|_| source.chunk(&document, space)).collect();
    store.stage(&collection, document, chunks.clone()).await.expect("chunks are staged");
    store.publish(&publication(document, 900_001, &chunks, space)).await.expect("it is published");
    chunks[2_500] = source.chunk(&document, space);
    store.stage(&collection, document, vec![chunks[2_500].clone()]).await.expect("a chunk is staged");
    let changed = publication(document, 900_002, &chunks, space);
    let began = Instant::now();
    store.publish(&changed).await.expect("it is published");
    println!("one of 5,000 chunks replaced in {:?}", began.elapsed());
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<usize>().expect("a number of chunks"));
    let (chunks, per_document) = (arguments.next().unwrap_or(10_000), arguments.next().unwrap_or(100));
    let folder = tempfile::tempdir().expect("a folder is made");
    let path = folder.path().join("graph.db");
    let store = EmbeddedGraph::open(EmbeddedOptions::new(&path, Arc::new(SystemClock))).expect("the graph opens");
    let collection = CollectionId::default();
    let space = store.ensure_space(&collection, "model", DIMENSION).await.expect("a space is made").id;
    let mut source = Source::new();
    let done = ingest(&store, &mut source, chunks, per_document, space).await;
    let each = |time: Duration| time.as_micros() as f64 / done.chunks as f64;
    println!("{chunks} chunks, {per_document} a document");
    println!("stage    {:7.1} µs CPU a chunk", each(done.stage));
    println!("publish  {:7.1} µs CPU a chunk, the longest {:?}", each(done.publish), done.longest_publish);
    println!("together {:7.1} µs CPU a chunk", each(done.stage + done.publish));
    let size = |suffix: &str| {
        let name = format!("{}{suffix}", path.display());
        std::fs::metadata(name).map_or(0, |m| m.len())
    };
    println!("file {} B a chunk, log {} MB, memory {} MB", size("") / chunks as u64, size("-wal") >> 20, memory_mb());
    let began = Instant::now();
    let query: Vec<f32> = (0..DIMENSION).map(|i| i as f32).collect();
    let hits = store.nearest(&collection, space, &query, 10, &SearchFilter::default()).await.expect("it is searched");
    println!("nearest: {} hits in {:?}", hits.len(), began.elapsed());
    let began = Instant::now();
    let words = format!("{} {}", source.words[20], source.words[400]);
    let hits = store.fulltext(&collection, &words, 10, &SearchFilter::default()).await.expect("it is searched");
    println!("fulltext: {} hits in {:?}", hits.len(), began.elapsed());
    replace_one(&store, &mut source, space).await;
    let began = Instant::now();
    let first = DocumentId::new(&collection, "document 0");
    store.remove(&collection, first, Seq(1_000_000)).await.expect("it is removed");
    println!("removal of one document in {:?}", began.elapsed());
    let began = Instant::now();
    store.sweep_document(first).await.expect("it is swept");
    println!("its sweep in {:?}; {:?}", began.elapsed(), store.stats(None).await.expect("stats are read"));
}
