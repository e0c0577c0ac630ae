//! A file of schema 1 becomes one of the present schema, with everything in it.

use std::path::Path;
use std::sync::Arc;

use graphmill_core::{CollectionId, SystemClock};
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
