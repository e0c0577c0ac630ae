//! Searches over many chunks, and the ranking of words for a comparison with another program; `benches/search` runs both.
//!
//! - `search_speed fill FOLDER TEXT_FILE CHUNKS DIMENSION`: fills the folder with chunks cut from the text (1,000 characters each) and random vectors
//!   around random centres, and compares the ten nearest with those by brute force.
//! - `search_speed time FOLDER DIMENSION QUERIES`: times searches of each mode; prints a JSON line a figure.
//! - `search_speed rank FOLDER PAGES QUERIES`: PAGES and QUERIES hold one text a line; prints for each query the ten best pages by their line numbers.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use graphmill_core::{ChunkFacts, ChunkId, CollectionId, ContentHash, DocumentId, Seq, SystemClock};
use graphmill_graph::records::{
    DocumentProperties, Placement, Publication, PublishOutcome, SearchFilter, SpaceId, StagedChunk,
};
use graphmill_graph::{EmbeddedGraph, EmbeddedOptions, GraphStore};

const CHARACTERS: usize = 1_000;
const CHUNKS_OF_DOCUMENT: usize = 250;
const CENTRES: usize = 500;
const LIMIT: u32 = 10;

struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// About normal: the sum of twelve uniform numbers.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| (self.next() % 65_536) as f32 / 65_536.0).sum::<f32>() - 6.0
    }

    fn vector(&mut self, dimension: usize) -> Vec<f32> {
        (0..dimension).map(|_| self.normal()).collect()
    }

    fn near(&mut self, centre: &[f32]) -> Vec<f32> {
        centre.iter().map(|x| x + 0.7 * self.normal()).collect()
    }
}

fn open(folder: &Path) -> EmbeddedGraph {
    std::fs::create_dir_all(folder).expect("the folder can be made");
    let options = EmbeddedOptions::new(folder.join("graph.db"), Arc::new(SystemClock));
    EmbeddedGraph::open(options).expect("the graph opens")
}

async fn put(graph: &EmbeddedGraph, number: usize, texts: &[String], vectors: Vec<Vec<f32>>, space: Option<SpaceId>) {
    let collection = CollectionId::default();
    let source = format!("{number}.md");
    let document = DocumentId::new(&collection, &source);
    let (mut staged, mut placements) = (Vec::new(), Vec::new());
    let mut vectors = vectors.into_iter();
    for (n, text) in (0u32..).zip(texts) {
        let (content_hash, facts) = (ContentHash::of(text.as_bytes()), ChunkFacts::default());
        let id = ChunkId::new(&document, &content_hash, &facts.hash(), n);
        placements.push(Placement {
            chunk: id,
            start_char: u64::from(n),
            end_char: u64::from(n) + 1,
            page_start: 1,
            page_end: 1,
            heading_path: vec![format!("page {n}")],
        });
        let vectors = space.and_then(|space| Some((space, Arc::from(vectors.next()?)))).into_iter().collect();
        let text = text.clone();
        staged.push(StagedChunk {
            id,
            text,
            content_hash,
            token_count: 250,
            facts,
            vectors,
            embedding_quarantined: false,
            context: None,
        });
    }
    graph.stage(&collection, document, staged).await.expect("chunks are staged");
    let properties = DocumentProperties {
        filename: source.clone(),
        source,
        content_hash: ContentHash::of(b"file"),
        settings_hash: ContentHash::of(b"settings"),
        settings: serde_json::Map::new(),
        file_size: 1,
        page_count: 1,
        mime_type: "text/markdown".into(),
        title: None,
        language: None,
        original: "o".into(),
        page_text: "p".into(),
        quarantined_chunks: 0,
    };
    let (seq, spaces) = (Seq(number as u64 + 1), space.into_iter().collect());
    let publication = Publication { collection, document, seq, placements, properties, spaces, times: None };
    let outcome = graph.publish(&publication).await.expect("it is published");
    assert!(matches!(outcome, PublishOutcome::Published(_)), "{outcome:?}");
}

/// Texts of about 1,000 characters; after the end of the file it goes on from the beginning, cut elsewhere, with one word in ten made another.
fn texts(whole: &str, count: usize, numbers: &mut Numbers) -> Vec<String> {
    let words: Vec<&str> = whole.split_whitespace().collect();
    let mut all: Vec<String> = Vec::with_capacity(count);
    let (mut at, mut round) = (0, 0);
    while all.len() < count {
        let mut text = String::with_capacity(CHARACTERS + 40);
        while text.len() < CHARACTERS {
            if at >= words.len() {
                (at, round) = (numbers.below(100), round + 1);
            }
            let other = round > 0 && numbers.below(10) == 0;
            text.push_str(if other { words[numbers.below(words.len())] } else { words[at] });
            text.push(' ');
            at += 1;
        }
        all.push(text);
    }
    all
}

/// One to six words of a text, as people ask: now and then the frequent ones alone.
fn query(text: &str, numbers: &mut Numbers) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (from, count) = (numbers.below(words.len().saturating_sub(6).max(1)), 1 + numbers.below(6));
    words[from..words.len().min(from + count)].join(" ")
}

fn near_one(numbers: &mut Numbers, centres: &[Vec<f32>]) -> Vec<f32> {
    let at = numbers.below(centres.len());
    numbers.near(&centres[at])
}

fn figure(name: &str, value: f64, unit: &str) {
    println!("{}", serde_json::json!({"figure": name, "value": (value * 1000.0).round() / 1000.0, "unit": unit}));
}

fn percentiles(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: f64| times[((times.len() as f64 * share) as usize).min(times.len() - 1)].as_secs_f64() * 1e3;
    figure(&format!("{name} p50"), at(0.5), "ms");
    figure(&format!("{name} p95"), at(0.95), "ms");
    figure(&format!("{name} max"), at(1.0), "ms");
}

/// A line of `/proc/self/status`, in MB.
fn memory(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<f64>().ok()).unwrap_or_default() / 1e3
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
}

/// Seed of the centres and of all that is random.
const SEED: u64 = 88_172_645_463_325_252;

async fn fill(folder: &Path, text: &str, chunks: usize, dimension: usize) {
    let mut numbers = Numbers(SEED);
    let centres: Vec<Vec<f32>> = (0..CENTRES).map(|_| numbers.vector(dimension)).collect();
    let texts = texts(text, chunks, &mut numbers);
    let graph = open(folder);
    let space = graph.ensure_space(&CollectionId::default(), "bench", dimension as u32).await.expect("a space is made");
    let begun = Instant::now();
    let mut all = Vec::with_capacity(chunks);
    for (number, part) in texts.chunks(CHUNKS_OF_DOCUMENT).enumerate() {
        let vectors: Vec<_> = part.iter().map(|_| near_one(&mut numbers, &centres)).collect();
        all.extend(vectors.iter().cloned());
        put(&graph, number, part, vectors, Some(space.id)).await;
    }
    figure("fill", begun.elapsed().as_secs_f64(), "s");
    let queries: Vec<_> = (0..50).map(|_| near_one(&mut numbers, &centres)).collect();
    figure("recall@10 of vector", recall(&graph, space.id, &all, &queries).await, "");
}

/// Searches of a filled folder in a process of its own, so that its memory is that of the searches.
async fn time(folder: &Path, dimension: usize, queries: usize) {
    let mut numbers = Numbers(SEED);
    let centres: Vec<Vec<f32>> = (0..CENTRES).map(|_| numbers.vector(dimension)).collect();
    let graph = open(folder);
    let collection = CollectionId::default();
    let space = graph.spaces(&collection).await.expect("spaces are read")[0].id;
    let stats = graph.stats(Some(&collection)).await.expect("stats are read");
    let mut asked = Vec::new();
    for _ in 0..queries {
        let document = DocumentId::new(&collection, &format!("{}.md", numbers.below(stats.documents as usize)));
        let chunk = graph.chunks(document, numbers.below(50) as u32, 1).await.expect("chunks are read").remove(0);
        asked.push((query(&chunk.text, &mut numbers), near_one(&mut numbers, &centres)));
    }
    let none = SearchFilter::default();
    let begun = Instant::now();
    graph.nearest(&collection, space, &asked[0].1, LIMIT, &none).await.expect("it is searched");
    figure("first vector search after opening", begun.elapsed().as_secs_f64() * 1e3, "ms");
    for mode in ["text", "vector", "hybrid"] {
        let (mut times, cpu) = (Vec::with_capacity(queries), cpu_seconds());
        for (words, vector) in &asked {
            let begun = Instant::now();
            let hits = match mode {
                "text" => graph.fulltext(&collection, words, LIMIT, &none).await,
                "vector" => graph.nearest(&collection, space, vector, LIMIT, &none).await,
                _ => {
                    let (text, vector) = tokio::join!(
                        graph.fulltext(&collection, words, 100, &none),
                        graph.nearest(&collection, space, vector, 100, &none)
                    );
                    vector.expect("it is searched");
                    text
                }
            };
            shown(&graph, &hits.expect("it is searched")).await;
            times.push(begun.elapsed());
        }
        percentiles(mode, times);
        figure(&format!("{mode}, CPU time of a search"), (cpu_seconds() - cpu) * 1e3 / queries as f64, "ms");
    }
    let mut worst = Vec::new();
    for words in ["the", "the of and to in a is that for", "to be or not to be"] {
        let begun = Instant::now();
        graph.fulltext(&collection, words, LIMIT, &none).await.expect("it is searched");
        worst.push(begun.elapsed());
    }
    percentiles("text, the most frequent words alone", worst);
    figure("resident memory, anonymous", memory("RssAnon"), "MB");
    figure("resident memory, pages of files", memory("RssFile"), "MB");
    for name in ["graph.db", "graph.search.db"] {
        figure(name, std::fs::metadata(folder.join(name)).map_or(0.0, |m| m.len() as f64 / 1e6), "MB");
    }
}

/// User and system time of this process, to 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// What an answer shows of its hits.
async fn shown(graph: &EmbeddedGraph, hits: &[graphmill_graph::records::SearchHit]) {
    let ids: Vec<ChunkId> = hits.iter().take(LIMIT as usize).map(|hit| hit.chunk).collect();
    graph.found_chunks(&CollectionId::default(), &ids, 10).await.expect("chunks are read");
}

/// Share of the ten nearest by brute force that are answered.
async fn recall(graph: &EmbeddedGraph, space: SpaceId, all: &[Vec<f32>], queries: &[Vec<f32>]) -> f64 {
    let (mut found, mut wanted) = (0usize, 0usize);
    for query in queries {
        let mut scores: Vec<f64> = all.iter().map(|vector| cosine(vector, query)).collect();
        scores.sort_unstable_by(|a, b| b.total_cmp(a));
        let hits = graph.nearest(&CollectionId::default(), space, query, LIMIT, &SearchFilter::default()).await;
        let hits = hits.expect("it is searched");
        wanted += LIMIT as usize;
        found += hits.iter().zip(&scores).filter(|(hit, score)| (hit.score - **score).abs() < 1e-9).count();
    }
    found as f64 / wanted as f64
}

async fn rank(folder: &Path, pages: &str, queries: &str) {
    let graph = open(folder);
    let pages: Vec<String> = pages.lines().map(str::to_owned).collect();
    for (number, part) in pages.chunks(CHUNKS_OF_DOCUMENT).enumerate() {
        put(&graph, number, part, Vec::new(), None).await;
    }
    let (collection, mut out) = (CollectionId::default(), std::io::stdout().lock());
    for query in queries.lines() {
        let hits = graph.fulltext(&collection, query, LIMIT, &SearchFilter::default()).await.expect("it is searched");
        let ids: Vec<ChunkId> = hits.iter().map(|hit| hit.chunk).collect();
        let shown = graph.found_chunks(&collection, &ids, 0).await.expect("chunks are read");
        let lines: Vec<String> = shown
            .iter()
            .map(|found| {
                let document: usize = found.source.trim_end_matches(".md").parse().expect("a number");
                (document * CHUNKS_OF_DOCUMENT + found.chunk.chunk_index as usize).to_string()
            })
            .collect();
        writeln!(out, "{}", lines.join(" ")).expect("standard output is open");
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let number = |text: &str| text.parse::<usize>().unwrap_or_else(|e| panic!("{text}: {e}"));
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["fill", folder, text, chunks, dimension] => {
            fill(Path::new(folder), &read(text), number(chunks), number(dimension)).await;
        }
        ["time", folder, dimension, queries] => time(Path::new(folder), number(dimension), number(queries)).await,
        ["rank", folder, pages, queries] => rank(Path::new(folder), &read(pages), &read(queries)).await,
        _ => panic!(
            "usage: search_speed fill FOLDER TEXT_FILE CHUNKS DIMENSION | time FOLDER DIMENSION QUERIES | rank FOLDER PAGES QUERIES"
        ),
    }
}
