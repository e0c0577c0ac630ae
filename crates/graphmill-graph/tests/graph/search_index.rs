//! The index of searches: derived, brought up, made again; never more than the graph says.

use std::fs;
use std::path::{Path, PathBuf};

use graphmill_core::{CollectionId, Seq};
use graphmill_graph::conformance::fixtures::{DIMENSION, Draft, Numbers, sweep_all, vector_of};
use graphmill_graph::records::{SearchFilter, SearchHit, Space};
use graphmill_graph::{EmbeddedGraph, GraphStore};

use super::open;

const WORDS: [&str; 12] =
    ["pump", "valve", "basin", "gauge", "seal", "北门泵站", "naïve", "line", "steel", "the", "inspection", "手册"];

fn index_file(folder: &Path) -> PathBuf {
    folder.join("graph.search.db")
}

/// A document of random words with vectors.
fn draft(source: &str, chunks: usize, space: &Space, numbers: &mut Numbers) -> Draft {
    let text = |numbers: &mut Numbers| {
        let words: Vec<String> = (0..3 + numbers.below(20)).map(|_| numbers.pick(&WORDS).to_owned()).collect();
        format!("{} {}", words.join(" "), numbers.below(1_000_000))
    };
    let texts: Vec<String> = (0..chunks).map(|_| text(numbers)).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut draft = Draft::new(source, &texts);
    draft.chunks.iter_mut().for_each(|(_, facts)| *facts = graphmill_core::ChunkFacts::default());
    draft.spaces = vec![space.id];
    draft
}

async fn space(graph: &EmbeddedGraph) -> Space {
    graph.ensure_space(&CollectionId::default(), "model", DIMENSION).await.unwrap()
}

async fn text(graph: &EmbeddedGraph, query: &str, limit: u32) -> Vec<SearchHit> {
    graph.fulltext(&CollectionId::default(), query, limit, &SearchFilter::default()).await.unwrap()
}

async fn nearest(graph: &EmbeddedGraph, space: &Space, query: &str, limit: u32) -> Vec<SearchHit> {
    let all = SearchFilter::default();
    graph.nearest(&CollectionId::default(), space.id, &vector_of(query), limit, &all).await.unwrap()
}

/// What searches answer to some queries, scores apart: those of words depend on chunks that wait to be swept too.
async fn answers(graph: &EmbeddedGraph, space: &Space) -> Vec<Vec<SearchHit>> {
    let mut all = Vec::new();
    for query in ["pump", "naive 泵站", "手", "the steel line"] {
        let mut hits = text(graph, query, 10_000).await;
        hits.iter_mut().for_each(|hit| hit.score = 0.0);
        hits.sort_by_key(|hit| hit.chunk);
        all.push(hits);
        all.push(nearest(graph, space, query, 50).await);
    }
    all
}

/// The chunks of the drafts that have one of the words, and all of them by exact cosine.
fn expected(drafts: &[Draft], query: &str, limit: usize) -> (Vec<SearchHit>, Vec<SearchHit>) {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let asked = vector_of(query);
    let (mut by_text, mut by_vector) = (Vec::new(), Vec::new());
    for draft in drafts {
        for chunk in draft.staged() {
            let (id, document, vector) = (chunk.id, draft.id(), &chunk.vectors[0].1);
            if query.split(' ').any(|word| chunk.text.split(' ').any(|w| w == word)) {
                by_text.push(SearchHit { chunk: id, document, score: 0.0 });
            }
            let score = dot(vector, &asked) / (dot(vector, vector).sqrt() * dot(&asked, &asked).sqrt());
            by_vector.push(SearchHit { chunk: id, document, score });
        }
    }
    by_text.sort_by_key(|hit| hit.chunk);
    by_vector.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.chunk.cmp(&b.chunk)));
    by_vector.truncate(limit);
    (by_text, by_vector)
}

async fn assert_as_expected(graph: &EmbeddedGraph, space: &Space, drafts: &[Draft]) {
    for query in ["pump", "gauge seal", "inspection"] {
        let (by_text, by_vector) = expected(drafts, query, 25);
        let mut hits = text(graph, query, 100_000).await;
        assert!(hits.windows(2).all(|pair| pair[0].score >= pair[1].score));
        let best: Vec<_> = hits.iter().take(7).cloned().collect();
        assert_eq!(text(graph, query, 7).await, best, "a short list is the beginning of a long one");
        hits.iter_mut().for_each(|hit| hit.score = 0.0);
        hits.sort_by_key(|hit| hit.chunk);
        assert_eq!(hits, by_text, "{query}");
        let hits = nearest(graph, space, query, 25).await;
        let ids = |hits: &[SearchHit]| hits.iter().map(|hit| hit.chunk).collect::<Vec<_>>();
        assert_eq!(ids(&hits), ids(&by_vector), "{query}");
        assert!(hits.iter().zip(&by_vector).all(|(a, b)| (a.score - b.score).abs() < 1e-9));
    }
}

#[tokio::test]
async fn random_lives_are_found_exactly_whatever_is_merged_or_gone() {
    let folder = tempfile::tempdir().unwrap();
    let graph = open(folder.path()).unwrap();
    let space = space(&graph).await;
    let mut numbers = Numbers(11);
    let mut drafts: Vec<Draft> = Vec::new();
    // Many small documents, some large ones, replacements and removals: segments of all sizes come, are merged and go.
    for seq in 1..=160u64 {
        let chunks = if seq % 40 == 0 { 700 } else { 1 + numbers.below(12) };
        match numbers.below(10) {
            0..=5 => drafts.push(draft(&format!("{seq}.md"), chunks, &space, &mut numbers)),
            6..=7 if !drafts.is_empty() => {
                let at = numbers.below(drafts.len());
                let old = drafts.remove(at);
                drafts.push(draft(&old.source, chunks, &space, &mut numbers));
            }
            _ if !drafts.is_empty() => {
                let gone = drafts.remove(numbers.below(drafts.len()));
                graph.remove(&gone.collection, gone.id(), Seq(seq)).await.unwrap();
                continue;
            }
            _ => continue,
        }
        drafts.last().unwrap().put(&graph, seq).await;
        if seq % 20 == 0 {
            assert_as_expected(&graph, &space, &drafts).await;
        }
        if seq % 50 == 0 {
            sweep_all(&graph).await;
        }
    }
    assert_as_expected(&graph, &space, &drafts).await;
    let gone = drafts.split_off(3);
    for (seq, draft) in (200..).zip(&gone) {
        graph.remove(&draft.collection, draft.id(), Seq(seq)).await.unwrap();
    }
    sweep_all(&graph).await;
    let last = draft("last.md", 5, &space, &mut numbers);
    last.put(&graph, 900).await;
    drafts.push(last);
    assert_as_expected(&graph, &space, &drafts).await;
    let conn = rusqlite::Connection::open(index_file(folder.path())).unwrap();
    let (segments, chunks): (i64, i64) =
        conn.query_row("SELECT count(*), sum(chunks) FROM text_segment", [], |r| Ok((r.get(0)?, r.get(1)?))).unwrap();
    assert!(segments < 40 && chunks < 1_200, "{segments} segments of {chunks} chunks");
}

/// What is done to the file, and how.
type Damage = (&'static str, fn(&Path));

#[tokio::test]
async fn a_lost_damaged_foreign_or_older_index_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let graph = open(folder.path()).unwrap();
    let space = space(&graph).await;
    let mut numbers = Numbers(5);
    let drafts: Vec<Draft> = (0..12).map(|i| draft(&format!("{i}.md"), 30, &space, &mut numbers)).collect();
    for (seq, draft) in (1..).zip(&drafts) {
        draft.put(&graph, seq).await;
    }
    let wanted = answers(&graph, &space).await;
    drop(graph);
    let path = index_file(folder.path());
    let damage: [Damage; 7] = [
        ("lost", |path| fs::remove_file(path).unwrap()),
        ("empty", |path| fs::write(path, b"").unwrap()),
        ("no database", |path| {
            fs::write(path, b"this is no database, it is a poem of some length".repeat(200)).unwrap()
        }),
        ("cut", |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("a bit of a block", |path| {
            let conn = rusqlite::Connection::open(path).unwrap();
            let codes: Vec<u8> = conn.query_row("SELECT codes FROM vector_block", [], |r| r.get(0)).unwrap();
            let mut codes = codes;
            let at = codes.len() - 5;
            codes[at] ^= 0x40;
            conn.execute(
                "UPDATE vector_block SET codes = ?1 WHERE block = (SELECT min(block) FROM vector_block)",
                [codes],
            )
            .unwrap();
        }),
        ("a table is missing", |path| {
            rusqlite::Connection::open(path).unwrap().execute_batch("DROP TABLE posting").unwrap();
        }),
        ("of another state of the graph", |path| {
            let conn = rusqlite::Connection::open(path).unwrap();
            conn.execute_batch("UPDATE meta SET text_to = 1000000; DELETE FROM posting").unwrap();
        }),
    ];
    for (what, damage) in damage {
        damage(&path);
        let graph = open(folder.path()).unwrap();
        assert_eq!(answers(&graph, &space).await, wanted, "{what}");
        drop(graph);
        assert!(path.exists(), "{what}");
    }
}

#[tokio::test]
async fn what_happens_while_the_server_runs_is_survived_too() {
    let folder = tempfile::tempdir().unwrap();
    let graph = open(folder.path()).unwrap();
    let space = space(&graph).await;
    let mut numbers = Numbers(6);
    let first = draft("a.md", 40, &space, &mut numbers);
    first.put(&graph, 1).await;
    let wanted = answers(&graph, &space).await;
    let conn = rusqlite::Connection::open(index_file(folder.path())).unwrap();
    conn.execute_batch("UPDATE posting SET list = x'ffffffffffffffffffff'; UPDATE vector_block SET codes = x'00'")
        .unwrap();
    drop(conn);
    assert_eq!(answers(&graph, &space).await, wanted);
    let second = draft("b.md", 40, &space, &mut numbers);
    second.put(&graph, 2).await;
    assert_as_expected(&graph, &space, &[first, second]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn searches_beside_publications_see_whole_states_alone() {
    let folder = tempfile::tempdir().unwrap();
    let graph = std::sync::Arc::new(open(folder.path()).unwrap());
    let space = space(&graph).await;
    let mut numbers = Numbers(8);
    // Each version has as many chunks, all with a word and all of one kind.
    let versions: Vec<Draft> = (0..12).map(|_| draft("a.md", 20, &space, &mut numbers)).collect();
    let versions: Vec<Draft> = versions
        .into_iter()
        .map(|mut draft| {
            draft.chunks.iter_mut().for_each(|(text, _)| text.push_str(" marker"));
            draft
        })
        .collect();
    versions[0].put(&*graph, 1).await;
    let publisher = tokio::spawn({
        let (graph, versions) = (graph.clone(), versions.clone());
        async move {
            for (seq, draft) in (2..).zip(&versions[1..]) {
                draft.put(&*graph, seq).await;
                graph.sweep_document(draft.id()).await.unwrap();
            }
        }
    });
    let sets: Vec<std::collections::BTreeSet<_>> =
        versions.iter().map(|draft| draft.staged().into_iter().map(|chunk| chunk.id).collect()).collect();
    while !publisher.is_finished() {
        for hits in [text(&graph, "marker", 100).await, nearest(&graph, &space, "marker", 100).await] {
            let found: std::collections::BTreeSet<_> = hits.iter().map(|hit| hit.chunk).collect();
            assert_eq!(found.len(), hits.len(), "none twice");
            assert!(sets.contains(&found), "a mixture of versions");
        }
    }
    publisher.await.unwrap();
    assert_as_expected(&graph, &space, &versions[11..]).await;
}

#[tokio::test]
async fn nothing_of_a_removed_collection_stays_in_the_index() {
    let folder = tempfile::tempdir().unwrap();
    let graph = open(folder.path()).unwrap();
    let team: CollectionId = "team".parse().unwrap();
    let other = graph.ensure_space(&team, "model", DIMENSION).await.unwrap();
    let space = space(&graph).await;
    let mut numbers = Numbers(4);
    let kept = draft("kept.md", 20, &space, &mut numbers);
    kept.put(&graph, 1).await;
    let gone = Draft { collection: team.clone(), ..draft("gone.md", 20, &other, &mut numbers) };
    gone.put(&graph, 2).await;
    let all = SearchFilter::default();
    // So few chunks are left to the first search.
    assert_eq!(graph.nearest(&team, other.id, &vector_of("x"), 99, &all).await.unwrap().len(), 20);
    assert_as_expected(&graph, &space, std::slice::from_ref(&kept)).await;
    let rows = |sql: &str| -> i64 {
        let conn = rusqlite::Connection::open(index_file(folder.path())).unwrap();
        conn.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let counts =
        ["SELECT count(*) FROM text_segment", "SELECT count(*) FROM vector_space", "SELECT count(*) FROM vector_block"];
    assert_eq!(counts.map(rows), [2, 2, 2]);
    graph.begin_collection_removal(&team, Seq(9)).await.unwrap();
    while !graph.sweep_collection(&team).await.unwrap() {}
    assert_eq!(counts.map(rows), [1, 1, 1]);
    assert_eq!(rows("SELECT count(*) FROM posting WHERE segment NOT IN (SELECT segment FROM text_segment)"), 0);
    assert_as_expected(&graph, &space, &[kept]).await;
}

/// What a purge asks for: however little is gone, its words and vectors leave the index, and what is live is found as before.
#[tokio::test]
async fn a_compaction_leaves_nothing_of_what_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let graph = open(folder.path()).unwrap();
    let space = space(&graph).await;
    let mut numbers = Numbers(11);
    let mut drafts = Vec::new();
    for n in 0..5 {
        let mut draft = draft(&format!("{n}.md"), 120, &space, &mut numbers);
        draft.chunks[3].0 = format!("secretword{n} pump");
        draft.put(&graph, n + 1).await;
        drafts.push(draft);
    }
    assert_as_expected(&graph, &space, &drafts).await;
    let rows = |sql: &str| -> i64 {
        let conn = rusqlite::Connection::open(index_file(folder.path())).unwrap();
        conn.query_row(sql, [], |row| row.get(0)).unwrap()
    };
    let indexed = || {
        let vectors = rows("SELECT sum(vectors) FROM vector_block");
        assert_eq!(rows("SELECT vectors FROM vector_space"), vectors);
        (rows("SELECT sum(chunks) FROM text_segment"), vectors)
    };
    let secret = |n: u64| rows(&format!("SELECT count(*) FROM posting WHERE term = 'secretword{n}'"));
    assert_eq!((indexed(), secret(1)), ((600, 600), 1));
    let gone = drafts.remove(1);
    graph.remove(&CollectionId::default(), gone.id(), Seq(20)).await.unwrap();
    assert_eq!(graph.sweep_document(gone.id()).await.unwrap(), 120);
    assert_eq!((indexed(), secret(1)), ((600, 600), 1), "so few are not worth a merge");
    for _ in 0..2 {
        graph.compact_search(&CollectionId::default()).await.unwrap();
        assert_eq!((indexed(), secret(1), secret(2)), ((480, 480), 0, 1));
        assert_as_expected(&graph, &space, &drafts).await;
    }
    for draft in std::mem::take(&mut drafts) {
        graph.remove(&CollectionId::default(), draft.id(), Seq(30)).await.unwrap();
        graph.sweep_document(draft.id()).await.unwrap();
    }
    graph.compact_search(&CollectionId::default()).await.unwrap();
    let counts =
        ["text_segment", "posting", "vector_block"].map(|table| rows(&format!("SELECT count(*) FROM {table}")));
    assert_eq!(counts, [0, 0, 0]);
    let last = draft("last.md", 20, &space, &mut numbers);
    last.put(&graph, 40).await;
    assert_as_expected(&graph, &space, &[last]).await;
}

/// Compactions and merges beside publications read earlier states than the index was brought up to: nothing that is live is lost by them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn compactions_beside_publications_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let graph = std::sync::Arc::new(open(folder.path()).unwrap());
    let space = space(&graph).await;
    let done = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let compacting = tokio::spawn({
        let (graph, done) = (graph.clone(), done.clone());
        async move {
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                graph.compact_search(&CollectionId::default()).await.unwrap();
            }
        }
    });
    let mut writers = Vec::new();
    for writer in 0..4_u64 {
        let (graph, space) = (graph.clone(), space.clone());
        writers.push(tokio::spawn(async move {
            let (mut numbers, mut kept) = (Numbers(writer + 50), Vec::new());
            for n in 0..12 {
                let draft = draft(&format!("{writer}-{n}.md"), 30, &space, &mut numbers);
                draft.put(&*graph, 1 + writer * 1_000 + n).await;
                if n % 3 == 0 {
                    graph.remove(&CollectionId::default(), draft.id(), Seq(9_000 + writer * 100 + n)).await.unwrap();
                    graph.sweep_document(draft.id()).await.unwrap();
                } else {
                    kept.push(draft);
                }
            }
            kept
        }));
    }
    let mut kept = Vec::new();
    for writer in writers {
        kept.extend(writer.await.unwrap());
    }
    done.store(true, std::sync::atomic::Ordering::SeqCst);
    compacting.await.unwrap();
    assert_as_expected(&graph, &space, &kept).await;
}
