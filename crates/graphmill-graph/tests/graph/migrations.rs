//! A file of schema 1 becomes one of the present schema, with everything in it.

use std::path::Path;
use std::sync::Arc;

use graphmill_core::{CollectionId, SystemClock};
use graphmill_graph::conformance::fixtures::{Numbers, random_draft};
use graphmill_graph::listing::{DocumentQuery, EntityQuery, PageStart};
use graphmill_graph::{EmbeddedGraph, EmbeddedOptions, GraphStore};
use graphmill_sqlite::shape;
use rusqlite::Connection;

/// `graph.db` as schema 1 made it, with a collection in it.
fn old_file(path: &Path) {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch(concat!(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; BEGIN;",
        include_str!("../../src/embedded/migrations/1.sql"),
        "INSERT INTO collection (name, normaliser, publish_number) VALUES ('default', 1, 7);
         INSERT INTO space (collection, model, dimension, state) VALUES (1, 'old model', 4, 1);
         PRAGMA application_id = 0x474d6772; PRAGMA user_version = 1; COMMIT;"
    ))
    .unwrap();
}

/// The rows of a file of the present schema in a file of schema 1: what the older version would have written.
fn old_file_of(new: &Path, old: &Path) {
    let conn = Connection::open(old).unwrap();
    conn.execute_batch(concat!(
        "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; BEGIN;",
        include_str!("../../src/embedded/migrations/1.sql"),
        "DELETE FROM meta; PRAGMA application_id = 0x474d6772; PRAGMA user_version = 1; COMMIT;"
    ))
    .unwrap();
    conn.execute("ATTACH ?1 AS new", [new.to_str().unwrap()]).unwrap();
    let tables = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name <> 'sqlite_sequence'";
    let tables: Vec<String> =
        conn.prepare(tables).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    for table in tables {
        let columns = format!("SELECT group_concat(name) FROM pragma_table_info('{table}', 'main')");
        let columns: String = conn.query_row(&columns, [], |row| row.get(0)).unwrap();
        conn.execute_batch(&format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM new.{table}")).unwrap();
    }
    conn.execute_batch(
        "CREATE VIRTUAL TABLE main.chunk_text_1 USING fts5(text, content='', contentless_delete=1, \
         tokenize='unicode61 remove_diacritics 2'); \
         INSERT INTO main.chunk_text_1 (rowid, text) SELECT key, text FROM main.chunk; DETACH new;",
    )
    .unwrap();
}

/// What lists and details need is counted from the facts that an older version left.
#[tokio::test]
async fn lists_of_an_old_file_are_those_of_a_new_one() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old.db"), dir.path().join("new.db"));
    let open = |path: &Path| EmbeddedGraph::open(EmbeddedOptions::new(path, Arc::new(SystemClock))).unwrap();
    let collection = CollectionId::default();
    let mut numbers = Numbers(7);
    let graph = open(&new);
    for n in 0..20 {
        random_draft(&format!("Ordner/ÄPFEL {n}.md"), &mut numbers).put(&graph, n + 1).await;
    }
    let page = PageStart::Offset(0);
    let read = async |graph: &EmbeddedGraph| {
        let entities = graph.entities(&collection, &EntityQuery::default(), &page, 100).await.unwrap().items;
        let mut details = Vec::new();
        for entity in &entities {
            details.push(graph.entity(entity.id, &page, 100).await.unwrap().unwrap());
        }
        let q = DocumentQuery { q: Some("äpfel 1".into()), ..DocumentQuery::default() };
        let found = EntityQuery { q: Some("泵".into()), ..EntityQuery::default() };
        let found = graph.entities(&collection, &found, &page, 100).await.unwrap();
        (details, graph.documents(&q, &page, 100).await.unwrap(), found)
    };
    let expected = read(&graph).await;
    assert!(expected.0.len() >= 5 && expected.1.total == 11 && expected.2.total == 1);
    assert!(expected.0.iter().any(|entity| entity.alias_total > 0), "the test has aliases");
    drop(graph);
    old_file_of(&new, &old);
    let graph = open(&old);
    assert_eq!(read(&graph).await, expected);
    assert_eq!(graph.check(&collection, 10).await.unwrap(), []);
}

#[tokio::test]
async fn a_file_of_schema_1_is_brought_up_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (dir.path().join("old.db"), dir.path().join("new.db"));
    old_file(&old);
    let open = |path: &Path| EmbeddedGraph::open(EmbeddedOptions::new(path, Arc::new(SystemClock))).unwrap();
    drop(open(&new));
    let graph = open(&old);
    let collection = CollectionId::default();
    assert_eq!(graph.spaces(&collection).await.unwrap()[0].model, "old model");
    assert_eq!(graph.stats(Some(&collection)).await.unwrap().publish_number, 7);
    drop(graph);
    assert_eq!(shape(&old).unwrap(), shape(&new).unwrap(), "brought up or made anew, the schema is the same");
    let copy = dir.path().join(format!("old.db.before-schema-{}", EmbeddedGraph::SCHEMA_VERSION));
    let version: i64 =
        Connection::open(&copy).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 1, "the file as it was is kept");
}
