//! Files that are damaged, foreign or too new, and folds that are not what the facts say.

use std::fs;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

use graphmill_core::{CollectionId, Seq};
use graphmill_graph::conformance::fixtures::{Draft, assert_whole, entity, export_default};
use graphmill_graph::{Error, GraphStore};

use super::open;

async fn filled(folder: &Path) {
    let graph = open(folder).unwrap();
    Draft::new("a.md", &["Pump>Valve", "Basin>Pump", "Pump"]).put(&graph, 1).await;
    Draft::new("b.md", &["Pump>Valve", "Gate"]).put(&graph, 2).await;
    let gone = Draft::new("c.md", &["Gate>Pump"]);
    gone.put(&graph, 3).await;
    graph.remove(&gone.collection, gone.id(), Seq(4)).await.unwrap();
}

fn unusable(folder: &Path) -> String {
    match open(folder) {
        Err(Error::Unusable(why)) => why,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("the file was opened"),
    }
}

#[tokio::test]
async fn a_graph_is_the_same_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let graph = open(folder.path()).unwrap();
    let (before, stats) = (export_default(&graph).await, graph.stats(None).await.unwrap());
    drop(graph);
    assert!(!folder.path().join("graph.db-wal").exists(), "a graph that was closed is one file");
    let graph = open(folder.path()).unwrap();
    assert_eq!(export_default(&graph).await, before);
    assert_eq!(graph.stats(None).await.unwrap(), stats);
    assert_eq!(graph.highest_seq().await.unwrap(), Seq(4));
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    // The index of searches has files of its own.
    let ours = names.filter(|name| !name.starts_with("graph.search.db")).count();
    assert_eq!(ours, 3, "no spool of an export is left behind");
}

#[tokio::test]
async fn each_kind_of_damage_is_found() {
    let cases = [
        ("entity_fold", "UPDATE entity SET mentions = mentions + 1 WHERE normalised = 'pump'"),
        ("entity_fold", "UPDATE entity SET documents = 1 WHERE normalised = 'pump'"),
        ("missing_entity", "DELETE FROM entity WHERE normalised = 'basin'"),
        ("relation_fold", "UPDATE relation SET strength = 1"),
        ("missing_relation", "DELETE FROM relation"),
        ("counter", "UPDATE collection SET chunks = 99"),
        ("counter", "UPDATE collection SET unplaced_chunks = 0"),
        ("placement", "UPDATE placement SET chunk_index = 7 WHERE chunk = 1"),
        ("document_counts", "UPDATE document SET entity_count = 0"),
        ("document_relation", "UPDATE document_relation SET statements = 5"),
        ("contains_entity", "DELETE FROM contains WHERE chunk = 1"),
        ("orphan_placement", "DELETE FROM chunk WHERE key = 1"),
        ("orphan_chunk", "DELETE FROM unplaced"),
        ("description", "UPDATE entity_text SET chunk = 99 WHERE chunk = 1"),
    ];
    for (kind, damage) in cases {
        let folder = tempfile::tempdir().unwrap();
        filled(folder.path()).await;
        assert_whole(&open(folder.path()).unwrap()).await;
        let conn = rusqlite::Connection::open(folder.path().join("graph.db")).unwrap();
        conn.pragma_update(None, "foreign_keys", false).unwrap();
        assert!(conn.execute(damage, []).unwrap() > 0, "{damage}");
        drop(conn);
        let found = open(folder.path()).unwrap().check(&CollectionId::default(), 50).await.unwrap();
        assert!(found.iter().any(|d| d.kind == kind), "{damage}: {found:?}");
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let conn = rusqlite::Connection::open(folder.path().join("graph.db")).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    drop(conn);
    let why = unusable(folder.path());
    assert!(why.contains("schema 99") && why.contains("start the newer version"), "{why}");
}

#[tokio::test]
async fn what_is_no_graph_of_ours_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.db");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    let before = fs::read(&path).unwrap();
    assert!(unusable(folder.path()).contains("another program"));
    assert_eq!(fs::read(&path).unwrap(), before);
    fs::write(
        &path,
        b"this is no database, whatever its name says; it is long enough to have a header of its own".repeat(9),
    )
    .unwrap();
    let why = unusable(folder.path());
    assert!(why.contains("damaged") && why.contains("restore it from a backup"), "{why}");
    fs::remove_dir_all(folder.path()).unwrap();
    let why = unusable(folder.path());
    assert!(why.contains("cannot be opened") && why.contains("folder exists"), "{why}");
}

#[tokio::test]
async fn damage_in_the_middle_is_told_when_it_is_met() {
    let folder = tempfile::tempdir().unwrap();
    filled(folder.path()).await;
    let path = folder.path().join("graph.db");
    let conn = rusqlite::Connection::open(&path).unwrap();
    let page: i64 =
        conn.query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'chunk'", [], |r| r.get(0)).unwrap();
    drop(conn);
    let mut file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.seek(SeekFrom::Start((page as u64 - 1) * 4096)).unwrap();
    file.write_all(&[0xff; 4096]).unwrap();
    drop(file);
    let graph = open(folder.path()).unwrap();
    let draft = Draft::new("a.md", &["Pump>Valve"]);
    let read = graph.chunks(draft.id(), 0, 5).await;
    assert!(matches!(&read, Err(e @ Error::Unusable(why)) if why.contains("damaged") && !e.is_retryable()), "{read:?}");
    let written = graph.stage(&draft.collection, draft.id(), Draft::new("a.md", &["New"]).staged()).await;
    assert!(matches!(written, Err(Error::Unusable(_))), "{written:?}");
    let around = graph.expand(&draft.collection, &[entity("pump")], 0, 5).await.unwrap();
    assert_eq!(around.entities.len(), 1, "what is whole can still be read");
}
