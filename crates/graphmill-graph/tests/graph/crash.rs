//! A process that is killed between any two steps leaves a graph that is whole, and doing the same again ends as if nothing had happened.
#![cfg(feature = "fault-points")]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use graphmill_core::{ChunkId, CollectionId, Seq};
use graphmill_graph::conformance::fixtures::{DIMENSION, Draft, assert_whole, export_default, sweep_all, vector_of};
use graphmill_graph::records::{SearchFilter, SearchHit};
use graphmill_graph::{EmbeddedGraph, GraphStore};

use super::open;

const FOLDER: &str = "GRAPHMILL_TEST_CRASH_FOLDER";
const POINTS: [&str; 13] = [
    "stage.before_commit",
    "stage.after_commit",
    "publish.begin",
    "publish.after_placements",
    "publish.after_folds",
    "publish.before_commit",
    "publish.after_commit",
    "remove.before_commit",
    "remove.after_commit",
    "sweep.before_commit",
    "sweep.after_commit",
    "index.before_commit",
    "index.after_commit",
];

/// A life of three documents: uploads, a replacement, a removal, sweeps, and searches between them, which bring the index up.
async fn live(graph: &EmbeddedGraph) {
    let space = graph.ensure_space(&CollectionId::default(), "model", DIMENSION).await.unwrap();
    let draft = |source, chunks| Draft { spaces: vec![space.id], ..Draft::new(source, chunks) };
    let a = draft("a.md", &["Pump>Valve", "Basin>Pump", "Pump"]);
    let b = draft("b.md", &["Pump>Valve", "Gate"]);
    let gone = draft("c.md", &["Gate>Pump", "Basin"]);
    for (seq, draft) in [(1, &a), (2, &b), (3, &gone)] {
        draft.upload(graph, seq).await;
    }
    searches(graph).await;
    let replaced = draft("a.md", &["Basin>Pump", "Gauge>Pump"]);
    replaced.upload(graph, 4).await;
    graph.sweep_document(replaced.id()).await.unwrap();
    graph.remove(&gone.collection, gone.id(), Seq(5)).await.unwrap();
    graph.sweep_document(gone.id()).await.unwrap();
    searches(graph).await;
}

/// What searches answer; scores of words depend on chunks that wait to be swept, so they are left out.
async fn searches(graph: &EmbeddedGraph) -> (BTreeSet<ChunkId>, Vec<SearchHit>) {
    let (collection, all) = (CollectionId::default(), SearchFilter::default());
    let space = graph.spaces(&collection).await.unwrap()[0].id;
    let words = graph.fulltext(&collection, "pump basin gate", 99, &all).await.unwrap();
    let near = graph.nearest(&collection, space, &vector_of("Pump"), 99, &all).await.unwrap();
    (words.into_iter().map(|hit| hit.chunk).collect(), near)
}

/// What the killed process does; nothing when it is not asked for.
#[tokio::test]
async fn child() {
    if let Ok(folder) = std::env::var(FOLDER) {
        graphmill_core::fault::setup();
        live(&open(Path::new(&folder)).unwrap()).await;
    }
}

/// Runs the child until it ends or is killed; answers whether it was killed.
fn run_child(folder: &Path, failpoints: &str) -> bool {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child", "--quiet"])
        .env(FOLDER, folder)
        .env("FAILPOINTS", failpoints)
        .stdout(std::process::Stdio::null())
        .status()
        .unwrap();
    assert!(status.success() || status.code().is_none(), "the child failed by itself: {status}");
    !status.success()
}

#[tokio::test]
async fn a_kill_at_any_point_loses_nothing() {
    let undisturbed = tempfile::tempdir().unwrap();
    let graph = open(undisturbed.path()).unwrap();
    live(&graph).await;
    sweep_all(&graph).await;
    let (expected, found) = (export_default(&graph).await, searches(&graph).await);
    assert_eq!((found.0.len(), found.1.len()), (4, 4));
    for point in POINTS {
        let mut kills = 0;
        for passes in 0.. {
            let folder = tempfile::tempdir().unwrap();
            if !run_child(folder.path(), &format!("{point}={passes}*off->return(kill)")) {
                break;
            }
            kills += 1;
            let graph = open(folder.path()).unwrap();
            assert_whole(&graph).await;
            live(&graph).await;
            sweep_all(&graph).await;
            assert_whole(&graph).await;
            assert_eq!(export_default(&graph).await, expected, "killed at pass {passes} of {point}");
            assert_eq!(searches(&graph).await, found, "killed at pass {passes} of {point}");
        }
        assert!(kills > 0, "{point} was never passed");
    }
}
