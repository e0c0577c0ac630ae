//! What people see of the layers beside the truth, and what an interruption leaves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use graphmill_core::{ChunkId, CollectionId, CommunityId, EntityId, EntityName, ManualClock, Seq, Timestamp};
use graphmill_graph::GraphStore;
use graphmill_graph::conformance::fixtures::{DIMENSION, Draft, sweep_all};
use graphmill_graph::neo4j::{Neo4jConnection, Neo4jGraph, Neo4jSettings, Params};
use graphmill_graph::records::{CommunityRow, Layer, SimilarityRow};
use graphmill_testkit::neo4j::shared::{self, SharedNeo4j};
use serde_json::{Map, json};

async fn graph() -> (Neo4jGraph, SharedNeo4j) {
    let database = tokio::task::spawn_blocking(|| shared::database().unwrap()).await.unwrap();
    (open(&database).await, database)
}

async fn open(database: &SharedNeo4j) -> Neo4jGraph {
    let settings = Neo4jSettings::parse(&database.url(), None, None).unwrap();
    let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_700_000_000_000)));
    Neo4jGraph::open(settings, clock, std::env::temp_dir()).await.unwrap()
}

fn row(chunk: ChunkId, neighbours: &[(ChunkId, f32)]) -> SimilarityRow {
    SimilarityRow { chunk, neighbours: neighbours.to_vec(), cut_at: None }
}

async fn texts(neo4j: &Neo4jConnection, query: &'static str) -> Vec<String> {
    let rows = neo4j.read(query, Params::new()).await.unwrap();
    rows.into_iter().map(|mut row| row.take("text").unwrap()).collect()
}

/// `<text of the chunk> <rank> <text of its neighbour> <score>` of each relationship.
async fn similar(graph: &Neo4jGraph) -> Vec<String> {
    let query = "MATCH (c:Chunk)-[s:SIMILAR_TO]->(n:Chunk) \
                 RETURN c.text + ' ' + s.rank + ' ' + n.text + ' ' + s.score AS text ORDER BY c.text, s.rank";
    texts(graph.connection(), query).await
}

async fn three_chunks(graph: &Neo4jGraph) -> (Draft, Vec<ChunkId>) {
    let mut draft = Draft::new("a.md", &["A", "B", "C"]);
    draft.spaces = vec![graph.ensure_space(&draft.collection, "model", DIMENSION).await.unwrap().id];
    draft.put(graph, 1).await;
    let chunks = draft.staged().into_iter().map(|c| c.id).collect();
    (draft, chunks)
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_the_rows_that_readers_see() {
    let (graph, _keep) = graph().await;
    let (draft, c) = three_chunks(&graph).await;
    let two: Map<_, _> = json!({"top_k": 1}).as_object().unwrap().clone();
    let full = graph.begin_run(&draft.collection, Layer::Similarities, true).await.unwrap();
    let rows = vec![row(c[0], &[(c[1], 0.75), (c[2], 0.5)]), row(c[1], &[(c[0], 0.75)])];
    graph.put_similarities(&full, rows).await.unwrap();
    assert!(similar(&graph).await.is_empty());
    graph.finish_run(&full, 1, two.clone()).await.unwrap();
    assert_eq!(similar(&graph).await, ["A 1 B 0.75", "B 1 A 0.75"]);
    let delta = graph.begin_run(&draft.collection, Layer::Similarities, false).await.unwrap();
    graph.put_similarities(&delta, vec![row(c[1], &[]), row(c[2], &[(c[0], 0.5)])]).await.unwrap();
    graph.finish_run(&delta, 1, two.clone()).await.unwrap();
    assert_eq!(similar(&graph).await, ["A 1 B 0.75", "C 1 A 0.5"]);
    // Rows of generations that nobody reads are gone.
    let left = "MATCH (s:GmSimilarity) RETURN toString(s.generation) AS text";
    assert_eq!(texts(graph.connection(), left).await, vec![full.number.to_string(); 3]);
    // What is removed is seen no more before it is swept, and leaves nothing after.
    Draft { chunks: draft.chunks[..2].to_vec(), ..draft.clone() }.put(&graph, 2).await;
    assert_eq!(similar(&graph).await, ["A 1 B 0.75"]);
    sweep_all(&graph).await;
    assert_eq!(texts(graph.connection(), "MATCH (s:GmSimilarity) RETURN 'x' AS text").await.len(), 2);
    let last = graph.begin_run(&draft.collection, Layer::Similarities, true).await.unwrap();
    graph.finish_run(&last, 2, two).await.unwrap();
    assert!(similar(&graph).await.is_empty());
}

/// As a crash right after the end of a delta leaves it: the pointer is set, nothing is merged.
#[tokio::test(flavor = "multi_thread")]
async fn a_delta_that_was_not_merged_is_seen_and_merged_later() {
    let (graph, database) = graph().await;
    let (draft, c) = three_chunks(&graph).await;
    let heads =
        graph.vectors(&draft.collection, graph.spaces(&draft.collection).await.unwrap()[0].id, 0..u64::MAX, 9).await;
    let order: Vec<ChunkId> = heads.unwrap().heads.iter().map(|head| head.chunk).collect();
    let full = graph.begin_run(&draft.collection, Layer::Similarities, true).await.unwrap();
    let rows = vec![row(c[0], &[(c[1], 0.75)]), row(c[1], &[(c[0], 0.75)])];
    graph.put_similarities(&full, rows).await.unwrap();
    graph.finish_run(&full, 1, Map::new()).await.unwrap();
    let delta = graph.begin_run(&draft.collection, Layer::Similarities, false).await.unwrap();
    graph.put_similarities(&delta, vec![row(c[1], &[(c[2], 0.5)]), row(c[2], &[(c[1], 0.5)])]).await.unwrap();
    let cut = "MATCH (l:GmLayer {layer: 'similarities'}) SET l.overlay = l.run, l.merged = 0, l.finished = l.run";
    graph.connection().statement(cut, Params::new()).await.unwrap();
    let seen = async |graph: &Neo4jGraph, from: u64, limit: u32| {
        let rows = graph.similarities(&draft.collection, from..u64::MAX, limit).await.unwrap();
        rows.into_iter().map(|(_, row)| (row.chunk, row.neighbours[0].0)).collect::<Vec<_>>()
    };
    let mut whole = [(c[0], c[1]), (c[1], c[2]), (c[2], c[1])];
    whole.sort_by_key(|(chunk, _)| order.iter().position(|id| id == chunk));
    assert_eq!(seen(&graph, 0, 10).await, whole);
    assert_eq!(seen(&graph, 0, 2).await, whole[..2]);
    let stats = graph.stats(None).await.unwrap();
    assert_eq!(stats.similarities, 3);
    let again = open(&database).await;
    let begun = Instant::now();
    let pending = "MATCH (l:GmLayer) WHERE l.overlay IS NOT NULL OR l.copied IS NOT NULL RETURN l.key AS text";
    while !texts(again.connection(), pending).await.is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody merges it");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(seen(&again, 0, 10).await, whole);
    assert_eq!(similar(&again).await, ["A 1 B 0.75", "B 1 C 0.5", "C 1 B 0.5"]);
}

fn community(level: u32, key: &str, parent: Option<CommunityId>, members: &[&str]) -> CommunityRow {
    let collection = CollectionId::default();
    let entity = |name: &&str| EntityId::new(&collection, &EntityName::new(name).unwrap());
    CommunityRow {
        id: CommunityId::new(&collection, level, key.as_bytes()),
        level,
        parent,
        title: key.to_owned(),
        summary: String::new(),
        modularity_share_millionths: 1,
        members: members.iter().map(entity).collect(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_the_communities_that_readers_see() {
    let (graph, _keep) = graph().await;
    let draft = Draft::new("a.md", &["A>B", "C"]);
    let other = Draft::new("b.md", &["D"]);
    draft.put(&graph, 1).await;
    other.put(&graph, 2).await;
    let members = "MATCH (e:Entity)-[i:IN_COMMUNITY]->(c:Community) \
                   RETURN e.name + ' ' + i.level + ' ' + c.title AS text ORDER BY i.level, e.name";
    let parents = "MATCH (c:Community)-[:PARENT]->(p:Community) RETURN c.title + ' ' + p.title AS text ORDER BY text";
    let named =
        "MATCH (e:Entity) MATCH (c:Community {id: e.community_id}) RETURN e.name + ' ' + c.title AS text ORDER BY text";
    for salt in ["x", "y"] {
        let run = graph.begin_run(&draft.collection, Layer::Communities, true).await.unwrap();
        let top = community(1, &format!("top {salt}"), None, &["A", "B", "C"]);
        let rows = vec![
            community(0, &format!("ab {salt}"), Some(top.id), &["A", "B"]),
            community(0, &format!("c {salt}"), Some(top.id), &["C"]),
            community(0, &format!("d {salt}"), None, &["D"]),
            top,
        ];
        for _ in 0..2 {
            graph.put_communities(&run, rows.clone()).await.unwrap();
        }
        graph.finish_run(&run, 2, Map::new()).await.unwrap();
        let of = |text: &str| text.replace('_', salt);
        let neo4j = graph.connection();
        let expected = ["A 0 ab _", "B 0 ab _", "C 0 c _", "D 0 d _", "A 1 top _", "B 1 top _", "C 1 top _"];
        assert_eq!(texts(neo4j, members).await, expected.map(of));
        assert_eq!(texts(neo4j, parents).await, ["ab _ top _", "c _ top _"].map(of));
        assert_eq!(texts(neo4j, named).await, ["A ab _", "B ab _", "C c _", "D d _"].map(of));
        let sizes = "MATCH (c:GmCommunity) WHERE c.size = COUNT { (c)<-[:IN_COMMUNITY]-() } AND c.gm_by_size = -c.size RETURN c.id AS text";
        assert_eq!(texts(neo4j, sizes).await.len(), 4, "sizes are counted, and the generation before is gone");
    }
    graph.remove(&other.collection, other.id(), Seq(3)).await.unwrap();
    let left = "MATCH (c:GmCommunity) RETURN c.title AS text ORDER BY text";
    assert_eq!(texts(graph.connection(), left).await, ["ab y", "c y", "top y"]);
    let less = Draft::new("a.md", &["A", "C"]);
    less.put(&graph, 4).await;
    let sizes = "MATCH (c:Community) RETURN c.title + ' ' + c.size AS text ORDER BY text";
    assert_eq!(texts(graph.connection(), sizes).await, ["ab y 1", "c y 1", "top y 2"]);
}

/// Relationships and nodes of others that hang on ours do not go with them, and a large community is swept in steps.
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_leaves_what_is_not_ours() {
    let (graph, _keep) = graph().await;
    let (draft, _) = three_chunks(&graph).await;
    let foreign = "MATCH (c:GmChunk) MERGE (n:Note {text: 'theirs'}) CREATE (n)-[:ABOUT]->(c)";
    graph.connection().statement(foreign, Params::new()).await.unwrap();
    graph.begin_collection_removal(&draft.collection, Seq(9)).await.unwrap();
    while !graph.sweep_collection(&draft.collection).await.unwrap() {}
    let left = "MATCH (n) RETURN coalesce(n.text, n.id) AS text ORDER BY text";
    assert_eq!(texts(graph.connection(), left).await, ["positions", "store", "theirs"]);
    let indexes = "SHOW VECTOR INDEXES YIELD name WHERE name STARTS WITH 'gm_' RETURN name AS text";
    let found = graph.connection().statement(indexes, Params::new()).await.unwrap();
    assert!(found.is_empty(), "the index of a space goes with it");
}
