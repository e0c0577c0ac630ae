//! Reads that the conformance suite is too small for: searches through the server's indexes, a check that finds what is wrong, spools that go.

use std::path::Path;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use graphmill_core::{CollectionId, CommunityId, ManualClock, Seq, Timestamp};
use graphmill_graph::conformance::fixtures::{
    DIMENSION, Draft, Numbers, assert_whole, entity, export_default, vector_of,
};
use graphmill_graph::listing::{DocumentQuery, EntityQuery, EntitySort, Order, PageStart};
use graphmill_graph::neo4j::{Neo4jGraph, Neo4jSettings, Params, Row};
use graphmill_graph::records::{CommunityRow, Layer, SearchFilter, SearchHit, Space};
use graphmill_graph::{EmbeddedGraph, EmbeddedOptions, GraphStore};
use graphmill_testkit::neo4j::shared::{self, SharedNeo4j};

async fn graph(spool: &Path) -> (Neo4jGraph, SharedNeo4j) {
    let database = tokio::task::spawn_blocking(|| shared::database().unwrap()).await.unwrap();
    let settings = Neo4jSettings::parse(&database.url(), None, None).unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
    (Neo4jGraph::open(settings, clock, spool.to_owned()).await.unwrap(), database)
}

const WORDS: [&str; 12] =
    ["pump", "valve", "basin", "gauge", "seal", "北门泵站", "naïve", "line", "steel", "the", "inspection", "手册"];

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

/// The same documents in a graph: one that is live no more, one that is only staged.
async fn fill(store: &dyn GraphStore) -> (Space, Vec<Draft>) {
    let space = store.ensure_space(&CollectionId::default(), "model", DIMENSION).await.unwrap();
    let mut numbers = Numbers(11);
    let drafts: Vec<Draft> = (0..7).map(|n| draft(&format!("{n}.md"), 250, &space, &mut numbers)).collect();
    for (n, draft) in drafts[..6].iter().enumerate() {
        draft.put(store, n as u64 + 1).await;
    }
    store.remove(&CollectionId::default(), drafts[0].id(), Seq(50)).await.unwrap();
    drafts[6].stage(store).await;
    (space, drafts)
}

/// What a search by words answers, scores apart: those depend on what else an index holds.
async fn text(store: &dyn GraphStore, query: &str, filter: &SearchFilter) -> Vec<SearchHit> {
    let mut hits = store.fulltext(&CollectionId::default(), query, 10_000, filter).await.unwrap();
    hits.iter_mut().for_each(|hit| hit.score = 0.0);
    hits.sort_by_key(|hit| hit.chunk);
    hits
}

/// More vectors than are all compared, words of more chunks than are asked for at first.
#[tokio::test(flavor = "multi_thread")]
async fn searches_answer_what_the_embedded_graph_answers() {
    let folder = tempfile::tempdir().unwrap();
    let (graph, _keep) = graph(folder.path()).await;
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
    let embedded = EmbeddedGraph::open(EmbeddedOptions::new(folder.path().join("graph.db"), clock)).unwrap();
    let (space, drafts) = fill(&graph).await;
    assert_eq!(fill(&embedded).await.0.id, space.id);
    let all = SearchFilter::default();
    let two = SearchFilter { documents: vec![drafts[2].id(), drafts[4].id()], ..all.clone() };
    for query in ["pump", "naive 泵站", "手", "the steel line", "\"valve\" OR -seal"] {
        for filter in [&all, &two] {
            let expected = text(&embedded, query, filter).await;
            assert!(expected.len() > 100 && text(&graph, query, filter).await == expected, "{query} {filter:?}");
            for limit in [1, 10, 60, 2_000] {
                let of = async |store: &dyn GraphStore| {
                    let vector = vector_of(query);
                    store.nearest(&CollectionId::default(), space.id, &vector, limit, filter).await.unwrap()
                };
                let (found, expected) = (of(&graph).await, of(&embedded).await);
                assert_eq!(found, expected, "{query} {limit} {filter:?}");
            }
        }
        let best = graph.fulltext(&CollectionId::default(), query, 7, &all).await.unwrap();
        let whole = graph.fulltext(&CollectionId::default(), query, 5_000, &all).await.unwrap();
        assert_eq!(best, whole[..7], "the best of few are the best of all: {query}");
    }
    graph.compact_search(&CollectionId::default()).await.unwrap();
    assert_whole(&graph).await;
}

/// Each of these is found, and told under its name.
#[tokio::test(flavor = "multi_thread")]
async fn a_check_finds_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let damages = [
        ("counter", "MATCH (o:GmCollection) SET o.relations = o.relations + 1"),
        ("counter", "MATCH (s:GmSpace) SET s.live_vectors = 7"),
        ("orphan_chunk", "MATCH (c:Chunk) WITH c LIMIT 1 SET c.unplaced_of = c.document_id"),
        ("orphan_chunk", "MATCH (c:Chunk) WITH c LIMIT 1 REMOVE c:Chunk"),
        ("contains_entity", "MATCH ()-[r:CONTAINS_ENTITY]->() WITH r LIMIT 1 DELETE r"),
        ("contains_entity", "MATCH ()-[r:CONTAINS_ENTITY]->() WITH r LIMIT 1 SET r.gm_entity = 'ent-x'"),
        ("alias", "MATCH ()-[a:GM_ALIAS]->() WITH a LIMIT 1 SET a.chunk = 'chk-x'"),
        ("contains_entity", "MATCH ()-[a:GM_ALIAS]->() WITH a LIMIT 1 DELETE a"),
        ("relation_fold", "MATCH ()-[r:RELATED_TO]->() WITH r LIMIT 1 SET r.gm_key = 'ent-x>ent-y'"),
        ("missing_relation", "MATCH ()-[r:RELATED_TO]->() WITH r LIMIT 1 DELETE r"),
        ("relation_fold", "MATCH ()-[r:RELATED_TO]->() WITH r LIMIT 1 SET r.support = r.support + 1"),
        ("relation_listed", "MATCH ()-[r:RELATED_TO]->() WITH r LIMIT 1 SET r.description = 'of somebody else'"),
        ("missing_entity", "MATCH (e:GmEntity) WITH e LIMIT 1 DETACH DELETE e"),
        ("entity_fold", "MATCH (e:GmEntity) WITH e LIMIT 1 SET e.document_count = e.document_count + 1"),
        ("entity_listed", "MATCH (e:GmEntity) WITH e LIMIT 1 SET e.gm_by_weight = 0"),
        ("placement", "MATCH (:GmDocument)-[h:HAS_CHUNK {chunk_index: 1}]->() WITH h LIMIT 1 SET h.chunk_index = 9"),
        ("placement", "MATCH (:GmDocument)-[h:HAS_CHUNK]->() WITH h LIMIT 1 SET h.gm_document = 'doc-x'"),
        ("next_chunk", "MATCH ()-[n:NEXT_CHUNK]->() WITH n LIMIT 1 DELETE n"),
        ("next_chunk", "MATCH (a)-[:NEXT_CHUNK]->(b) WITH a, b LIMIT 1 CREATE (b)-[:NEXT_CHUNK]->(a)"),
        ("document_counts", "MATCH (d:Document) WITH d LIMIT 1 SET d.entity_count = 0"),
    ];
    let (graph, _keep) = graph(folder.path()).await;
    let mut numbers = Numbers(3);
    let collection = CollectionId::default();
    let space = graph.ensure_space(&collection, "model", DIMENSION).await.unwrap();
    let drafts: Vec<Draft> = (0..4)
        .map(|n| {
            let draft = graphmill_graph::conformance::fixtures::random_draft(&format!("{n}.md"), &mut numbers);
            Draft { spaces: vec![space.id], ..draft }
        })
        .collect();
    for (kind, damage) in damages {
        for (n, draft) in drafts.iter().enumerate() {
            draft.put(&graph, n as u64 + 1).await;
        }
        assert_whole(&graph).await;
        graph.connection().statement(damage, Params::new()).await.unwrap();
        let found = graph.check(&collection, 100).await.unwrap();
        assert!(found.iter().any(|finding| finding.kind == kind), "{damage}: {found:?}");
        assert_eq!(graph.check(&collection, 1).await.unwrap().len(), 1, "no more than were asked for");
        graph
            .connection()
            .statement("MATCH (n) WHERE NOT n:GmStore AND NOT n:GmSpace DETACH DELETE n", Params::new())
            .await
            .unwrap();
        graph.connection().statement("MATCH (s:GmSpace) SET s.live_vectors = 0", Params::new()).await.unwrap();
    }
}

/// Whether it is read to its end, given up or fails: nothing stays in the folder.
#[tokio::test(flavor = "multi_thread")]
async fn the_spool_of_an_export_goes() {
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    let (graph, _keep) = graph(&spool).await;
    Draft::new("a.md", &["Pump>Valve", "Basin>Pump"]).put(&graph, 1).await;
    let left = || std::fs::read_dir(&spool).map_or(0, Iterator::count);
    let whole = export_default(&graph).await;
    assert!(whole.contains("\"end\"") && left() == 0);
    let mut stream = graph.export(&CollectionId::default()).await.unwrap();
    assert!(stream.next().await.is_some());
    drop(stream);
    assert_eq!(left(), 0);
    std::fs::remove_dir_all(&spool).unwrap();
    std::fs::write(&spool, "no folder").unwrap();
    let refused = graph.export(&CollectionId::default()).await.err().expect("there is no folder to write to");
    assert!(refused.to_string().contains("spool"), "{refused}");
    std::fs::remove_file(&spool).unwrap();
    assert_eq!(export_default(&graph).await, whole);
}

/// Operators of a plan, from the last to the first.
fn operators(mut plan: Row) -> Vec<String> {
    let mut all = vec![plan.take::<String>("operator").unwrap()];
    for side in ["lhs", "rhs"] {
        all.extend(plan.take::<Row>(side).map(operators).unwrap_or_default());
    }
    all
}

/// Pages are read in the order of an index, from where they begin: nothing is sorted but what a page holds, and nothing is looked through. Asked of the plans
/// that the server really made.
#[tokio::test(flavor = "multi_thread")]
async fn pages_are_read_in_the_order_of_an_index() {
    let folder = tempfile::tempdir().unwrap();
    // The server collects the queries of all databases in its process: those of other tests too, if it were shared.
    let server = super::server().await;
    let settings = Neo4jSettings::parse(&server.url(), None, None).unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
    let graph = Neo4jGraph::open(settings, clock, folder.path().to_owned()).await.unwrap();
    let collection = CollectionId::default();
    for n in 0..3 {
        Draft::new(&format!("{n}.md"), &["Pump>Valve", "Basin>Pump", "Gate>Pump"]).put(&graph, n + 1).await;
    }
    let run = graph.begin_run(&collection, Layer::Communities, true).await.unwrap();
    let community = |level, key: &str, parent| CommunityRow {
        id: CommunityId::new(&collection, level, key.as_bytes()),
        level,
        parent,
        title: String::new(),
        summary: String::new(),
        modularity_share_millionths: 1,
        members: ["Pump", "Valve", "Basin", "Gate"].map(entity).to_vec(),
    };
    let top = community(1, "top", None);
    graph
        .put_communities(&run, vec![community(0, "a", Some(top.id)), community(0, "b", Some(top.id)), top.clone()])
        .await
        .unwrap();
    graph.finish_run(&run, 3, serde_json::Map::new()).await.unwrap();
    let neo4j = graph.connection();
    neo4j.statement("CALL db.stats.clear('QUERIES')", Params::new()).await.unwrap();
    neo4j.statement("CALL db.stats.collect('QUERIES')", Params::new()).await.unwrap();

    for collection in [Some(collection.clone()), None] {
        for order in [Order::Asc, Order::Desc] {
            let query = DocumentQuery { collection: collection.clone(), order, ..DocumentQuery::default() };
            let first = graph.documents(&query, &PageStart::default(), 1).await.unwrap();
            let next = PageStart::Cursor(first.next_cursor.unwrap());
            assert_eq!(graph.documents(&query, &next, 1).await.unwrap().items.len(), 1);
        }
    }
    for sort in [EntitySort::Importance, EntitySort::MentionCount, EntitySort::Name] {
        let query = EntityQuery { sort, ..EntityQuery::default() };
        let first = graph.entities(&collection, &query, &PageStart::default(), 1).await.unwrap();
        let next = PageStart::Cursor(first.next_cursor.unwrap());
        assert_eq!(graph.entities(&collection, &query, &next, 1).await.unwrap().items.len(), 1);
    }
    let detail = graph.entity(entity("Pump"), &PageStart::default(), 1).await.unwrap().unwrap();
    let next = PageStart::Cursor(detail.mentions.next_cursor.unwrap());
    assert_eq!(graph.entity(entity("Pump"), &next, 1).await.unwrap().unwrap().mentions.items.len(), 1);
    let first = graph.communities(&collection, None, &PageStart::default(), 1).await.unwrap();
    let next = PageStart::Cursor(first.page.next_cursor.unwrap());
    assert_eq!(graph.communities(&collection, None, &next, 1).await.unwrap().page.items.len(), 1);
    assert_eq!(graph.communities(&collection, Some(1), &PageStart::default(), 1).await.unwrap().page.total, 1);
    assert_eq!(graph.community(top.id, &PageStart::default(), 2).await.unwrap().unwrap().child_total, 2);
    let document = Draft::new("1.md", &[]).id();
    assert_eq!(graph.chunks(document, 1, 1).await.unwrap().len(), 1);
    assert_eq!(graph.document_part(document, Seq(2), 1, 1).await.unwrap().unwrap().len(), 1);
    assert_eq!(graph.chunk_texts(&collection, None, 1).await.unwrap().len(), 1);
    let rows: Vec<_> = graph.projection(&collection).await.unwrap().try_concat().await.unwrap();
    assert_eq!(rows.len(), 7);
    let present: Vec<_> = graph.present_communities(&collection).await.unwrap().try_concat().await.unwrap();
    assert_eq!(present.len(), 3);

    neo4j.statement("CALL db.stats.stop('QUERIES')", Params::new()).await.unwrap();
    let mut looked_at = 0;
    for mut row in neo4j.statement("CALL db.stats.retrieve('QUERIES')", Params::new()).await.unwrap() {
        let mut data: Row = row.take("data").unwrap();
        let query: String = data.take("query").unwrap();
        // A community with few members sorts these.
        if !query.contains("USING INDEX") || !query.contains("ORDER BY") {
            continue;
        }
        looked_at += 1;
        let operators = operators(data.take("queryExecutionPlan").unwrap());
        let at = |name: &str| operators.iter().position(|operator| operator.contains(name));
        for slow in ["Top", "AllNodesScan", "LabelScan", "TypeScan", "RelationshipIndexScan"] {
            assert!(at(slow).is_none(), "{query}\n{operators:?}");
        }
        if let Some(sort) = at("Sort") {
            assert!(
                at("Limit").is_some_and(|limit| limit > sort),
                "more than a page is sorted: {query}\n{operators:?}"
            );
        }
    }
    assert!(looked_at >= 20, "{looked_at} queries are too few: the server did not tell of all");
}
