//! After the removal of collections no table has a row of them.

use std::collections::BTreeMap;
use std::path::Path;

use graphmill_core::{CollectionId, Seq};
use graphmill_graph::conformance::collections::{sweep_whole, two_full_collections};
use rusqlite::Connection;

use crate::Embedded;

/// Rows of every table of the file that holds anything.
fn rows(path: &Path) -> BTreeMap<String, i64> {
    let conn = Connection::open(path).unwrap();
    // Of the index over all names, the rows are counted; the rest of it is what every FTS5 index has.
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT IN ('sqlite_sequence', 'meta', \
                  'entity_words', 'entity_words_data', 'entity_words_idx', 'entity_words_config')";
    let mut statement = conn.prepare(tables).unwrap();
    let names: Vec<String> = statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let count =
        |name: &String| conn.query_row(&format!("SELECT count(*) FROM \"{name}\""), [], |row| row.get(0)).unwrap();
    names.iter().map(|name| (name.clone(), count(name))).filter(|(_, n)| *n > 0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_row_of_a_removed_collection_is_left() {
    let graph = two_full_collections(&Embedded).await;
    let store = graph.store.as_ref();
    let folder: &tempfile::TempDir = graph.keep.downcast_ref().unwrap();
    let path = folder.path().join("graph.db");
    let both = rows(&path);
    for table in [
        "collection",
        "document",
        "chunk",
        "placement",
        "unplaced",
        "vector",
        "entity",
        "relation",
        "contains",
        "document_relation",
        "entity_text",
        "relation_text",
        "space",
        "layer",
        "similarity",
        "community",
        "community_member",
    ] {
        assert!(both[table] >= 2, "the test has nothing in {table}: {both:?}");
    }
    let team: CollectionId = "team".parse().unwrap();
    store.begin_collection_removal(&team, Seq(200)).await.unwrap();
    sweep_whole(store, &team).await;
    let one = rows(&path);
    for (table, n) in &one {
        assert_eq!(*n * 2, both[table], "{table}: {one:?}");
    }
    store.begin_collection_removal(&CollectionId::default(), Seq(201)).await.unwrap();
    sweep_whole(store, &CollectionId::default()).await;
    assert_eq!(rows(&path), BTreeMap::new());
}
