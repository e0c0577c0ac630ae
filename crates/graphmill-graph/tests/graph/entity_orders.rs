//! Lists of entities that the embedded graph keeps coarsely or late: the orders by bands, the names that wait for their index.

use graphmill_core::{CollectionId, Seq};
use graphmill_graph::conformance::fixtures::Draft;
use graphmill_graph::listing::{EntityQuery, EntitySort, NameMatch, PageStart};
use graphmill_graph::records::EntityRecord;
use graphmill_graph::{EmbeddedGraph, GraphStore};

use super::open;

async fn page(graph: &EmbeddedGraph, query: &EntityQuery, start: &PageStart, limit: u32) -> Vec<EntityRecord> {
    graph.entities(&CollectionId::default(), query, start, limit).await.unwrap().items
}

/// All of a list by cursors, and the same by offsets.
async fn whole(graph: &EmbeddedGraph, query: &EntityQuery) -> Vec<EntityRecord> {
    let (mut all, mut start) = (Vec::new(), PageStart::Offset(0));
    loop {
        let page = graph.entities(&CollectionId::default(), query, &start, 7).await.unwrap();
        all.extend(page.items);
        match page.next_cursor {
            Some(cursor) => start = PageStart::Cursor(cursor),
            None => break,
        }
    }
    for offset in (0..all.len()).step_by(11) {
        let found = page(graph, query, &PageStart::Offset(offset as u64), 11).await;
        assert_eq!(found, all[offset..all.len().min(offset + 11)], "from {offset}");
    }
    all
}

/// Entity n is in n documents, so that there are some in bands of one number, in those of many and in the lowest.
#[tokio::test]
async fn bands_do_not_show_in_the_order() {
    const MOST: usize = 45;
    let folder = tempfile::tempdir().unwrap();
    let graph = open(folder.path()).unwrap();
    let draft = |n: usize| {
        let names: Vec<String> = (n..=MOST).flat_map(|k| [format!("shared{k}"), format!("{k}pair")]).collect();
        let alone: Vec<String> = (0..5).map(|k| format!("alone{n}x{k}")).collect();
        let text = [names, alone].concat().join(" ");
        // A second chunk of the same names in some documents: mentions and documents differ.
        let chunks = if n.is_multiple_of(3) { vec![text.clone(), text + " more"] } else { vec![text] };
        Draft::new(&format!("{n}.md"), &chunks.iter().map(String::as_str).collect::<Vec<_>>())
    };
    for n in 1..=MOST {
        draft(n).put(&graph, n as u64).await;
    }
    let expect_sorted = async |graph: &EmbeddedGraph| {
        for sort in [EntitySort::Importance, EntitySort::MentionCount] {
            let all = whole(graph, &EntityQuery { sort, ..EntityQuery::default() }).await;
            let total = graph.stats(None).await.unwrap().entities;
            assert_eq!(all.len() as u64, total);
            let rank = |e: &EntityRecord| match sort {
                EntitySort::Importance => e.mention_count * e.document_count,
                _ => e.mention_count,
            };
            let place = |e: &EntityRecord| (std::cmp::Reverse(rank(e)), e.id);
            assert!(all.windows(2).all(|two| place(&two[0]) < place(&two[1])), "{sort:?}");
        }
        let part = EntityQuery { q: Some("pair".into()), ..EntityQuery::default() };
        let pairs = whole(graph, &part).await;
        assert!(pairs.iter().all(|e| e.name.contains("pair")) && pairs.len() > 20);
        assert_eq!(graph.check(&CollectionId::default(), 9).await.unwrap(), []);
    };
    expect_sorted(&graph).await;
    // Numbers fall as well.
    for n in 1..20 {
        let draft = draft(n);
        graph.remove(&draft.collection, draft.id(), Seq(1_000 + n as u64)).await.unwrap();
    }
    expect_sorted(&graph).await;
}

#[tokio::test]
async fn names_are_found_while_they_wait_and_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let graph = open(folder.path()).unwrap();
    let indexed = || -> i64 {
        let conn = rusqlite::Connection::open(folder.path().join("graph.db")).unwrap();
        conn.query_row("SELECT count(*) FROM entity_words_docsize", [], |row| row.get(0)).unwrap()
    };
    let draft = |source: &str, names: std::ops::Range<usize>| {
        let names: Vec<String> = names.map(|n| format!("pump{n}x")).collect();
        Draft::new(source, &[&names.join(" ")])
    };
    let found = async |part: &str| {
        let query = EntityQuery { q: Some(part.into()), name_match: NameMatch::Contains, ..EntityQuery::default() };
        let names = page(&graph, &query, &PageStart::Offset(0), 99).await;
        let mut names: Vec<String> = names.into_iter().map(|e| e.name).collect();
        names.sort_unstable();
        names
    };
    let (few, many, newer) = (draft("few.md", 0..30), draft("many.md", 30..3_000), draft("newer.md", 3_000..3_030));
    few.put(&graph, 1).await;
    assert_eq!((indexed(), found("mp29x").await), (0, vec!["pump29x".to_owned()]));
    many.put(&graph, 2).await;
    newer.put(&graph, 3).await;
    assert_eq!(indexed(), 3_000);
    assert_eq!(found("p302").await.len(), 11, "pump302x of the index, pump3020x and those after it that wait");
    assert_eq!(graph.check(&CollectionId::default(), 9).await.unwrap(), []);
    for (n, gone) in [few, newer].iter().enumerate() {
        graph.remove(&gone.collection, gone.id(), Seq(10 + n as u64)).await.unwrap();
    }
    assert_eq!((indexed(), found("mp29x").await.len()), (2_970, 0));
    assert_eq!(found("p302").await, ["pump302x"]);
    assert_eq!(graph.check(&CollectionId::default(), 9).await.unwrap(), []);
}
