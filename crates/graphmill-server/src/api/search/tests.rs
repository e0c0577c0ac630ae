use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use graphmill_core::{CacheKey, ChunkFacts, ChunkId, CollectionId, ContentHash, DocumentId, Mention, Seq, SystemClock};
use graphmill_graph::records::{DocumentProperties, Placement, Publication, StagedChunk};
use graphmill_models::offline::OfflineEmbedder;
use graphmill_models::{
    CallContext, EmbedAnswer, EmbedInput, Embedder, Error as ModelError, ModelId, SpaceDescription,
};
use serde_json::{Map, Value};

use crate::ServerConfig;
use crate::test_server::TestServer;

/// The offline model, as long as it is not told to be something else.
#[derive(Default)]
struct Moody {
    /// 0 well, 1 silent, 2 down, 3 another model.
    mood: AtomicU32,
    asked: AtomicU32,
}

#[async_trait]
impl Embedder for Moody {
    fn space(&self) -> SpaceDescription {
        let known = OfflineEmbedder.space();
        if self.mood.load(Ordering::SeqCst) == 3 {
            SpaceDescription { model: ModelId::new("other"), ..known }
        } else {
            known
        }
    }

    async fn embed(
        &self,
        collection: &CollectionId,
        inputs: &[EmbedInput<'_>],
        ctx: &CallContext,
    ) -> Result<Vec<EmbedAnswer>, ModelError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        match self.mood.load(Ordering::SeqCst) {
            1 => std::future::pending().await,
            2 => {
                let (model, host, after) = ("m".to_owned(), "h:1".to_owned(), Duration::from_secs(30));
                Err(ModelError::Unavailable { model, host, reason: "connection refused".into(), after })
            }
            _ => OfflineEmbedder.embed(collection, inputs, ctx).await,
        }
    }

    async fn probe(&self, _: &CallContext) -> Result<SpaceDescription, ModelError> {
        Ok(self.space())
    }

    fn cache_key(&self, _: &CollectionId, _: &str) -> Option<CacheKey> {
        None
    }
}

/// Publishes a document of these chunks, with vectors; each word in capitals is an entity.
async fn publish(server: &TestServer, collection: &str, source: &str, seq: u64, texts: &[&str]) -> DocumentId {
    let collection: CollectionId = collection.parse().unwrap();
    let document = DocumentId::new(&collection, source);
    let graph = server.state.graph();
    let described = OfflineEmbedder.space();
    let space = graph.ensure_space(&collection, described.model.as_str(), described.dimension.unwrap()).await.unwrap();
    let inputs: Vec<_> = texts.iter().map(|text| EmbedInput { text }).collect();
    let vectors = OfflineEmbedder.embed(&collection, &inputs, &CallContext::new()).await.unwrap();
    let (mut staged, mut placements) = (Vec::new(), Vec::new());
    for ((n, text), vector) in (0u32..).zip(texts).zip(vectors) {
        let capitals = text.split_whitespace().filter(|w| w.len() > 1 && w.chars().all(char::is_uppercase));
        let mention = |w: &str| Mention {
            spelling: w.into(),
            entity_type: "product".into(),
            description: String::new(),
            spans: vec![],
        };
        let facts = ChunkFacts::canonical(capitals.map(mention).collect(), vec![], vec![]).0;
        let content_hash = ContentHash::of(text.as_bytes());
        let id = ChunkId::new(&document, &content_hash, &facts.hash(), n);
        placements.push(Placement {
            chunk: id,
            start_char: u64::from(n) * 100,
            end_char: u64::from(n) * 100 + 100,
            page_start: n + 1,
            page_end: n + 1,
            heading_path: vec!["Top".into()],
        });
        let vectors = vec![(space.id, vector.unwrap().into())];
        let text = (*text).to_owned();
        staged.push(StagedChunk {
            id,
            text,
            content_hash,
            token_count: 3,
            facts,
            vectors,
            embedding_quarantined: false,
            context: None,
        });
    }
    graph.stage(&collection, document, staged).await.unwrap();
    let properties = DocumentProperties {
        source: source.into(),
        filename: source.rsplit('/').next().unwrap().into(),
        content_hash: ContentHash::of(b"file"),
        settings_hash: ContentHash::of(b"settings"),
        settings: Map::new(),
        file_size: 1,
        page_count: texts.len() as u32,
        mime_type: "text/plain".into(),
        title: None,
        language: None,
        original: "o".into(),
        page_text: "p".into(),
        quarantined_chunks: 0,
    };
    let publication = Publication {
        collection,
        document,
        seq: Seq(seq),
        placements,
        properties,
        spaces: vec![space.id],
        times: None,
    };
    graph.publish(&publication).await.unwrap();
    document
}

async fn search(server: &TestServer, query: &str) -> Value {
    let answer = server.get(&format!("/api/search?{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

fn texts(answer: &Value) -> Vec<&str> {
    answer["hits"].as_array().unwrap().iter().map(|hit| hit["text"].as_str().unwrap()).collect()
}

const MANUAL: [&str; 3] =
    ["The PUMP feeds the basin.", "A VALVE closes the line behind the PUMP.", "Seals are replaced every year."];

#[tokio::test]
async fn a_hit_has_what_an_answer_shows() {
    let server = TestServer::start().await;
    let document = publish(&server, "default", "plant/manual.txt", 1, &MANUAL).await;
    let answer = search(&server, "q=pump+basin&limit=2").await;
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(keys(&answer), "query mode collection hits took_ms");
    assert_eq!(
        (&answer["query"], &answer["mode"], &answer["collection"]),
        (&"pump basin".into(), &"hybrid".into(), &"default".into())
    );
    let hit = &answer["hits"][0];
    let expected = "chunk_id document_id filename source collection score scores chunk_index page_start page_end heading_path text \
                    highlights entities";
    assert_eq!(keys(hit), expected);
    assert_eq!((&hit["document_id"], &hit["filename"]), (&document.to_string().into(), &"manual.txt".into()));
    assert_eq!(
        (&hit["text"], &hit["page_start"], &hit["heading_path"][0]),
        (&MANUAL[0].into(), &1.into(), &"Top".into())
    );
    assert_eq!(hit["highlights"], serde_json::json!([{"start": 4, "end": 8}, {"start": 19, "end": 24}]));
    assert_eq!((&hit["entities"][0]["name"], &hit["entities"][0]["type"]), (&"PUMP".into(), &"product".into()));
    assert!(hit["scores"]["text"].as_f64().unwrap() > 0.0 && hit["scores"]["vector"].as_f64().unwrap() > 0.0);
    assert!((hit["score"].as_f64().unwrap() - 2.0 / 61.0).abs() < 1e-12, "first of both lists: {hit}");
    assert_eq!(answer["hits"].as_array().unwrap().len(), 2);
    for (mode, with, without) in [("text", "text", "vector"), ("vector", "vector", "text")] {
        let answer = search(&server, &format!("q=pump&mode={mode}")).await;
        let hit = &answer["hits"][0];
        assert_eq!(hit["score"], hit["scores"][with], "{hit}");
        assert!(hit["scores"].get(without).is_none(), "{hit}");
    }
}

#[tokio::test]
async fn filters_narrow_and_collections_do_not_meet() {
    let server = TestServer::start().await;
    let manual = publish(&server, "default", "manual.txt", 1, &MANUAL).await;
    let other = publish(&server, "default", "other.txt", 2, &["Another pump."]).await;
    publish(&server, "plant", "manual.txt", 3, &["The pump of the plant."]).await;
    let found = search(&server, "q=pump&mode=text").await;
    assert_eq!(texts(&found).len(), 3);
    for mode in ["text", "vector", "hybrid"] {
        let found = search(&server, &format!("q=pump&mode={mode}&document={other}")).await;
        assert_eq!(texts(&found), ["Another pump."], "{mode}");
        let found = search(&server, &format!("q=pump&mode={mode}&entity=valves")).await;
        assert_eq!(texts(&found), [MANUAL[1]], "{mode}");
        let found = search(&server, &format!("q=pump&mode={mode}&updated_after=2100-01-01T00:00:00Z")).await;
        assert!(texts(&found).is_empty(), "{mode}");
        let found = search(&server, &format!("q=pump&mode={mode}&collection=plant")).await;
        assert_eq!(texts(&found), ["The pump of the plant."], "{mode}");
        let found = search(&server, &format!("q=pump&mode={mode}&collection=nobody")).await;
        assert!(texts(&found).is_empty(), "{mode}");
    }
    let both =
        search(&server, &format!("q=pump&mode=text&document={manual},{other}&updated_before=2100-01-01T00:00:00Z"))
            .await;
    assert_eq!(texts(&both).len(), 3);
    let none = search(&server, "q=pump&mode=vector&collection=nobody").await;
    assert_eq!(none["warnings"][0], "no chunk of this collection has a vector yet");
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let server = TestServer::start().await;
    let long = format!("q={}", "x".repeat(4_001));
    for (query, words) in [
        ("", "the parameter q is missing"),
        ("q=++", "the parameter q is missing"),
        (long.as_str(), "4001 characters; at most 4000"),
        ("q=a&mode=fuzzy", "\"fuzzy\" is none of hybrid, text, vector"),
        ("q=a&limit=0", "from 1 to 100"),
        ("q=a&limit=101", "from 1 to 100"),
        ("q=a&document=doc-1", "doc-1"),
        ("q=a&entity=%21%21", "neither an id nor a name"),
        ("q=a&updated_after=yesterday", "yesterday"),
        ("q=a&collection=No+Such", "No Such"),
    ] {
        let (status, code, message) = server.get(&format!("/api/search?{query}")).await.error();
        assert_eq!((status, code.as_str()), (400, "invalid_parameter"), "{query}: {message}");
        assert!(message.contains(words), "{query}: {message}");
    }
    for odd in ["%22", "pump%22*", "a+OR", "NEAR(", "%5Epump", "-", "col:umn", "(", "%7Ba%7D:+c", "%F0%9F%99%82", "%00"]
    {
        assert!(texts(&search(&server, &format!("q={odd}")).await).is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_model_that_fails_leaves_search_by_text() {
    let embedder = Arc::new(Moody::default());
    let server = TestServer::with_embedder(ServerConfig::default(), Arc::new(SystemClock), embedder.clone()).await;
    publish(&server, "default", "manual.txt", 1, &MANUAL).await;
    assert_eq!(texts(&search(&server, "q=pump&mode=vector").await).len(), 3);
    for (mood, words) in [(1, "within 3 s"), (2, "connection refused")] {
        tokio::time::advance(Duration::from_secs(6)).await;
        embedder.mood.store(mood, Ordering::SeqCst);
        let answer = search(&server, "q=pump").await;
        assert_eq!(texts(&answer).len(), 2);
        assert!(answer["warnings"][0].as_str().unwrap().contains(words), "{answer}");
        assert!(answer["hits"][0]["scores"].get("vector").is_none());
        let asked = embedder.asked.load(Ordering::SeqCst);
        let answer = server.get("/api/search?q=pump&mode=vector").await;
        assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str().unwrap()), (503, "model_unavailable"));
        assert!(answer.json()["hint"].as_str().unwrap().contains("mode=text"));
        assert_eq!(embedder.asked.load(Ordering::SeqCst), asked, "a model that just failed is left alone");
        assert_eq!(texts(&search(&server, "q=pump&mode=text").await).len(), 2);
    }
    tokio::time::advance(Duration::from_secs(6)).await;
    embedder.mood.store(0, Ordering::SeqCst);
    assert!(search(&server, "q=pump").await.get("warnings").is_none(), "it is asked again after a while");
    embedder.mood.store(3, Ordering::SeqCst);
    let answer = search(&server, "q=pump").await;
    assert!(answer["warnings"][0].as_str().unwrap().contains("are of lexical-v1"), "{answer}");
    let answer = server.get("/api/search?q=pump&mode=vector").await;
    assert_eq!((answer.error().0, answer.error().1.as_str()), (409, "space_mismatch"));
    assert!(answer.json()["hint"].as_str().unwrap().contains("rebuild_embeddings"));
}
