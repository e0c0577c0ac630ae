//! Lists and details of a large collection: `cargo run --release -p graphmill-graph --example reading_speed [chunks] [names] [folder]`.
//!
//! By default 100,000 chunks in 1,000 documents and 300,000 names, of which each chunk mentions 12 by Zipf's law and 3 that are new. A folder that is
//! given is kept and used again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use graphmill_core::{
    ChunkFacts, ChunkId, CollectionId, CommunityId, ContentHash, DocumentId, EntityId, EntityName, Mention, Seq,
    Statement, SystemClock,
};
use graphmill_graph::listing::{DocumentQuery, EntityQuery, EntitySort, NameMatch, PageStart};
use graphmill_graph::records::{CommunityRow, DocumentProperties, Layer, Placement, Publication, StagedChunk};
use graphmill_graph::{EmbeddedGraph, EmbeddedOptions, GraphStore};

const PER_DOCUMENT: usize = 100;
const FIRST: PageStart = PageStart::Offset(0);

struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn zipf(&mut self, end: usize) -> usize {
        let uniform = (self.next() % 1_000_000) as f64 / 1e6;
        ((end as f64).powf(uniform) as usize).min(end) - 1
    }
}

/// Every tenth is Chinese; the others are two or three made-up words.
fn name(n: usize) -> String {
    let mut numbers = Numbers(n as u64 * 2_654_435_761 + 88_172_645_463_325_252);
    numbers.next();
    if n.is_multiple_of(10) {
        return (0..3 + n % 4)
            .filter_map(|_| char::from_u32(0x4E00 + (numbers.zipf(3_000) as u32)))
            .chain(n.to_string().chars().take(2))
            .collect();
    }
    let mut word = || -> String {
        let syllables =
            ["ka", "ro", "mi", "ten", "sol", "ver", "pum", "dra", "lin", "gate", "ox", "bel", "quo", "stra"];
        (0..2 + numbers.next() % 2).map(|_| syllables[(numbers.next() % 14) as usize]).collect()
    };
    format!("{} {} {}", word(), word(), n % 97)
}

fn chunk(document: &DocumentId, at: usize, names: usize, total: usize, numbers: &mut Numbers) -> StagedChunk {
    let of = |n: usize, i: usize| Mention {
        spelling: name(n),
        entity_type: ["product", "concept", "person", "location"][n % 4].into(),
        description: String::new(),
        spans: vec![(i as u32 * 50, i as u32 * 50 + 10)],
    };
    let fresh = names.div_ceil(total);
    let mut mentions: Vec<Mention> = (0..12).map(|i| of(numbers.zipf(names), i)).collect();
    mentions.extend((0..fresh).map(|i| of((at * fresh + i) % names, 12 + i)));
    let statements = (0..mentions.len() - 1)
        .map(|i| Statement {
            source: mentions[i].spelling.clone(),
            target: mentions[i + 1].spelling.clone(),
            relation_type: "related_to".into(),
            description: String::new(),
            strength_millionths: 500_000,
        })
        .collect();
    let (facts, _) = ChunkFacts::canonical(mentions, statements, Vec::new());
    let text = format!("chunk {at} of {document}");
    let content_hash = ContentHash::of(text.as_bytes());
    StagedChunk {
        id: ChunkId::new(document, &content_hash, &facts.hash(), 0),
        text,
        content_hash,
        token_count: 200,
        facts,
        vectors: Vec::new(),
        embedding_quarantined: false,
        context: None,
    }
}

async fn fill(store: &EmbeddedGraph, chunks: usize, names: usize) {
    let (collection, mut numbers) = (CollectionId::default(), Numbers(88_172_645_463_325_252));
    for number in 0..chunks / PER_DOCUMENT {
        let source = format!("manuals/part {}/document {number}.pdf", number % 17);
        let document = DocumentId::new(&collection, &source);
        let staged: Vec<StagedChunk> = (0..PER_DOCUMENT)
            .map(|i| chunk(&document, number * PER_DOCUMENT + i, names, chunks, &mut numbers))
            .collect();
        let placements = staged.iter().enumerate().map(|(i, chunk)| Placement {
            chunk: chunk.id,
            start_char: i as u64 * 800,
            end_char: i as u64 * 800 + 1_000,
            page_start: 1,
            page_end: 1,
            heading_path: Vec::new(),
        });
        let hash = ContentHash::of(source.as_bytes());
        let publication = Publication {
            collection: collection.clone(),
            document,
            seq: Seq(number as u64 + 1),
            placements: placements.collect(),
            properties: DocumentProperties {
                filename: format!("document {number}.pdf"),
                source,
                content_hash: hash,
                settings_hash: hash,
                settings: serde_json::Map::new(),
                file_size: number as u64 * 7,
                page_count: 1,
                mime_type: "application/pdf".into(),
                title: None,
                language: None,
                original: format!("o/{document}"),
                page_text: format!("p/{document}"),
                quarantined_chunks: 0,
            },
            spaces: Vec::new(),
            times: None,
        };
        store.stage(&collection, document, staged).await.expect("chunks are staged");
        store.publish(&publication).await.expect("it is published");
    }
}

fn id(n: usize) -> EntityId {
    EntityId::new(&CollectionId::default(), &EntityName::new(&name(n)).expect("a name"))
}

/// Two levels: communities of 100, and 20 of a twentieth of all.
async fn cluster(store: &EmbeddedGraph, names: usize) -> CommunityId {
    let collection = CollectionId::default();
    let run = store.begin_run(&collection, Layer::Communities, true).await.expect("a run begins");
    let large = CommunityId::new(&collection, 1, b"0");
    for (level, size) in [(1u32, names / 20), (0, 100)] {
        for (n, members) in (0..names).collect::<Vec<_>>().chunks(size).enumerate() {
            let row = CommunityRow {
                id: CommunityId::new(&collection, level, n.to_string().as_bytes()),
                level,
                parent: (level == 0).then_some(large),
                title: format!("Community {n}"),
                summary: String::new(),
                modularity_share_millionths: 1,
                members: members.iter().map(|n| id(*n)).collect(),
            };
            store.put_communities(&run, vec![row]).await.expect("it is written");
        }
    }
    store.finish_run(&run, 1, serde_json::Map::new()).await.expect("the run ends");
    large
}

/// Median, 95th percentile and the longest of many calls.
async fn measure<F: Future<Output = usize>>(what: &str, calls: usize, mut call: impl FnMut(usize) -> F) {
    let (mut times, mut rows) = (Vec::with_capacity(calls), 0);
    for n in 0..calls {
        let began = Instant::now();
        rows += call(n).await;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    let at = |share: usize| times[(times.len() * share / 100).min(times.len() - 1)];
    let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
    println!(
        "{what:42} p50 {:7.2}  p95 {:7.2}  max {:7.2} ms  {:6.1} rows",
        ms(at(50)),
        ms(at(95)),
        ms(at(100)),
        rows as f64 / calls as f64
    );
}

async fn read(store: &EmbeddedGraph, names: usize, chunks: usize, large: CommunityId) {
    let collection = &CollectionId::default();
    let list = async |query: EntityQuery, start: PageStart| {
        store.entities(collection, &query, &start, 50).await.expect("entities are listed").items.len()
    };
    let part = |n: usize, from: usize, length: usize| -> EntityQuery {
        let q: String = name(n).chars().skip(from).take(length).collect();
        EntityQuery { q: Some(q), ..EntityQuery::default() }
    };
    let random = |n: usize| (n * 7_919 + 13) % names;
    for sort in [EntitySort::Importance, EntitySort::MentionCount, EntitySort::Name] {
        let query = EntityQuery { sort, ..EntityQuery::default() };
        measure(&format!("entities by {}", sort.as_str()), 200, |n| {
            list(query.clone(), PageStart::Offset(n as u64 * 50))
        })
        .await;
    }
    measure("parts of 2 characters", 200, |n| list(part(random(n), n % 4, 2), FIRST)).await;
    measure("parts of 4 characters", 200, |n| list(part(random(n), n % 4, 4), FIRST)).await;
    measure("parts of 8 characters", 200, |n| list(part(random(n), n % 4, 8), FIRST)).await;
    measure("two Chinese characters", 200, |n| list(part(random(n) / 10 * 10, 0, 2), FIRST)).await;
    measure("prefixes of 3 characters", 200, |n| {
        list(EntityQuery { name_match: NameMatch::Prefix, ..part(random(n), 0, 3) }, FIRST)
    })
    .await;
    measure("parts of 4 characters and a type, by name", 200, |n| {
        list(EntityQuery { entity_type: Some("person".into()), sort: EntitySort::Name, ..part(random(n), 0, 4) }, FIRST)
    })
    .await;
    measure("of a type", 200, |n| {
        list(EntityQuery { entity_type: Some("person".into()), ..EntityQuery::default() }, PageStart::Offset(n as u64))
    })
    .await;
    let detail = async |n: usize| {
        store.entity(id(n), &FIRST, 50).await.expect("it is read").map_or(0, |e| e.mentions.items.len())
    };
    measure("an entity, the 200 most mentioned", 200, detail).await;
    measure("an entity, any", 200, |n| detail(random(n))).await;
    for hops in [1, 2] {
        measure(&format!("neighbours within {hops}, any"), 100, async |n| {
            store.expand(collection, &[id(random(n))], hops, 51).await.expect("they are read").entities.len()
        })
        .await;
    }
    measure("documents by part of the name", 100, async |n| {
        let query = DocumentQuery { q: Some(format!("document {}", n * 3)), ..DocumentQuery::default() };
        store.documents(&query, &FIRST, 50).await.expect("documents are listed").items.len()
    })
    .await;
    measure("entities of a document", 100, async |n| {
        let n = n * 7 % (chunks / PER_DOCUMENT);
        let document = DocumentId::new(collection, &format!("manuals/part {}/document {n}.pdf", n % 17));
        store.document_entities(document, &FIRST, 50).await.expect("they are read").map_or(0, |p| p.items.len())
    })
    .await;
    measure("communities", 100, async |n| {
        let start = PageStart::Offset(n as u64 * 10);
        store.communities(collection, Some(0), &start, 50).await.expect("communities are listed").page.items.len()
    })
    .await;
    measure("a community of a twentieth of all", 50, async |n| {
        let start = PageStart::Offset(n as u64 * 50);
        store.community(large, &start, 50).await.expect("it is read").map_or(0, |c| c.members.items.len())
    })
    .await;
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| arguments.next().map_or(default, |a| a.parse::<usize>().expect("a number"));
    let (chunks, names) = (number(100_000), number(300_000));
    let temporary = tempfile::tempdir().expect("a folder is made");
    let folder = arguments.next().map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let path = folder.join("graph.db");
    let store = EmbeddedGraph::open(EmbeddedOptions::new(&path, Arc::new(SystemClock))).expect("the graph opens");
    let began = Instant::now();
    if store.stats(None).await.expect("stats are read").documents == 0 {
        fill(&store, chunks, names).await;
        println!("filled in {:.0?}", began.elapsed());
    }
    let began = Instant::now();
    let large = cluster(&store, names).await;
    println!("communities written in {:.1?}", began.elapsed());
    println!("{:?}", store.stats(None).await.expect("stats are read"));
    read(&store, names, chunks, large).await;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap_or_default();
    println!("{memory}; file {} MB", std::fs::metadata(&path).map_or(0, |m| m.len() >> 20));
}
