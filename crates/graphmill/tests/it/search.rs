//! Searching over real HTTP: real manuals and Chinese, filters, deletions and replacements beside searches, kills, and model servers that fail.

use std::collections::BTreeSet;
use std::time::Duration;

use graphmill_testkit::{FakeConfig, FakeModels, Mode, TestApp};
use serde_json::{Value, json};

use crate::contract::{assert_error, assert_says, keys};
use crate::support::{BINARY, assert_completed, eventually, markdown, real_document, start};

async fn ingest(app: &TestApp, name: &str, content: impl Into<Vec<u8>>, fields: &[(&str, &str)]) -> String {
    let job = app.upload_job(name, content, fields).await.unwrap();
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    page["metadata"]["document_id"].as_str().unwrap().to_owned()
}

fn encoded(query: &str) -> String {
    url_form(&[("q", query)])
}

fn url_form(pairs: &[(&str, &str)]) -> String {
    let escape = |text: &str| text.bytes().map(|b| format!("%{b:02X}")).collect::<String>();
    pairs.iter().map(|(k, v)| format!("{k}={}", escape(v))).collect::<Vec<_>>().join("&")
}

async fn search(app: &TestApp, query: &str) -> Value {
    let (status, answer) = app.get(&format!("/api/search?{query}")).await.unwrap();
    assert_eq!(status, 200, "{query}: {answer}");
    answer
}

fn hits(answer: &Value) -> &Vec<Value> {
    answer["hits"].as_array().unwrap()
}

/// What holds for every answer: order, pages, highlights that lie in the text, no chunk twice.
fn assert_sound(answer: &Value) {
    let hits = hits(answer);
    let scores: Vec<f64> = hits.iter().map(|hit| hit["score"].as_f64().unwrap()).collect();
    assert!(scores.is_sorted_by(|a, b| a >= b), "{scores:?}");
    let ids: BTreeSet<&str> = hits.iter().map(|hit| hit["chunk_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), hits.len(), "a chunk twice");
    for hit in hits {
        let text: Vec<char> = hit["text"].as_str().unwrap().chars().collect();
        let mut last = 0;
        for place in hit["highlights"].as_array().unwrap() {
            let (from, to) = (place["start"].as_u64().unwrap() as usize, place["end"].as_u64().unwrap() as usize);
            assert!(last <= from && from < to && to <= text.len(), "{hit}");
            last = to;
        }
        assert!(hit["page_start"].as_u64().unwrap() >= 1 && hit["page_start"].as_u64() <= hit["page_end"].as_u64());
        assert!(hit["entities"].as_array().unwrap().len() <= 10);
    }
}

fn highlighted(hit: &Value) -> Vec<String> {
    let text: Vec<char> = hit["text"].as_str().unwrap().chars().collect();
    let at = |place: &Value, end: &str| place[end].as_u64().unwrap() as usize;
    let places = hit["highlights"].as_array().unwrap().iter();
    places.map(|p| text[at(p, "start")..at(p, "end")].iter().collect::<String>().to_lowercase()).collect()
}

const CHINESE: &str = "# 北门泵站手册\n\n北门泵站由海尔登工厂制造。每年检查一次密封件。\n\n## 维护\n\n更换阀门之前,请先关闭管线。使用 RFC-7231 规定的 foo_bar 接口。\n";

#[tokio::test(flavor = "multi_thread")]
async fn real_manuals_and_chinese_are_found_with_page_and_words() {
    let app = start().await;
    let gnuplot = ingest(&app, "gnuplot.pdf", real_document("gnuplot.pdf"), &[("source", "manuals/gnuplot.pdf")]).await;
    let faq = ingest(&app, "debian-faq.txt", real_document("debian-faq.txt"), &[]).await;
    let chinese = ingest(&app, "手册.md", CHINESE, &[]).await;
    for mode in ["text", "hybrid"] {
        let answer =
            search(&app, &format!("{}&mode={mode}&limit=20", encoded("logarithmic scaling of the x axis"))).await;
        assert_sound(&answer);
        assert_eq!((hits(&answer).len(), &answer["mode"]), (20, &json!(mode)));
        let first = &hits(&answer)[0];
        assert_eq!(
            (&first["document_id"], &first["source"]),
            (&json!(gnuplot), &json!("manuals/gnuplot.pdf")),
            "{first}"
        );
        assert!(first["page_start"].as_u64().unwrap() > 1, "{first}");
        assert!(!highlighted(first).is_empty(), "{first}");
    }
    let answer = search(&app, &format!("{}&mode=text", encoded("what does the name Debian mean"))).await;
    assert_eq!(hits(&answer)[0]["document_id"], json!(faq));
    // A chunk is the nearest to its own words.
    let (_, chunks) = app.get(&format!("/api/documents/{gnuplot}/chunks?offset=120&limit=3")).await.unwrap();
    for chunk in chunks["chunks"].as_array().unwrap() {
        let words: String = chunk["text"].as_str().unwrap().chars().take(600).collect();
        let answer = search(&app, &format!("{}&mode=vector&limit=5", encoded(&words))).await;
        assert_sound(&answer);
        let found: Vec<&Value> = hits(&answer).iter().map(|hit| &hit["chunk_id"]).collect();
        assert!(found.contains(&&chunk["chunk_id"]), "{chunk}");
    }
    for (query, words) in [
        ("海尔登工厂", vec!["海尔登工厂"]),
        ("泵", vec!["泵"]),
        ("阀门 管线", vec!["阀门", "管线"]),
        ("rfc-7231", vec!["rfc", "7231"]),
        ("FOO_BAR", vec!["foo", "bar"]),
    ] {
        let answer = search(&app, &format!("{}&mode=text&document={chinese}", encoded(query))).await;
        assert_sound(&answer);
        assert_eq!(hits(&answer)[0]["document_id"], json!(chinese), "{query}");
        for word in words {
            assert!(highlighted(&hits(&answer)[0]).iter().any(|h| h == word), "{query}: {}", hits(&answer)[0]);
        }
    }
    let answer = search(&app, &format!("{}&mode=text", encoded("海尔登工厂"))).await;
    assert_eq!(hits(&answer)[0]["document_id"], json!(chinese), "among all documents too");
    for odd in ["\"", "pump\"*", "a OR", "NEAR(x", "^pump", "-", "col:umn", "{a b}: c", "the", "🙂", "\u{0}", "\u{308}"]
    {
        for mode in ["text", "vector", "hybrid"] {
            assert_sound(&search(&app, &format!("{}&mode={mode}", encoded(odd))).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_collections_and_what_is_refused() {
    let app = start().await;
    let first = ingest(&app, "one.md", markdown(1, 6), &[]).await;
    let second = ingest(&app, "two.md", markdown(2, 6), &[]).await;
    let elsewhere = ingest(&app, "one.md", markdown(3, 6), &[("collection", "plant")]).await;
    let (_, page) = app.get(&format!("/api/documents/{second}")).await.unwrap();
    let updated = page["updated_at"].as_str().unwrap();
    let documents = |answer: &Value| {
        hits(answer).iter().map(|hit| hit["document_id"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    for mode in ["text", "vector", "hybrid"] {
        let asked = format!("q=inspected+pump&mode={mode}&limit=100");
        let both = search(&app, &asked).await;
        assert_eq!(documents(&both), BTreeSet::from([first.clone(), second.clone()]), "without a collection: default");
        let answer = search(&app, &format!("{asked}&document={second}")).await;
        assert_eq!(documents(&answer), BTreeSet::from([second.clone()]));
        let answer = search(&app, &format!("{asked}&document={first},{second}")).await;
        assert_eq!(hits(&answer).len(), hits(&both).len());
        let answer = search(&app, &format!("{asked}&updated_after={updated}")).await;
        assert_eq!(documents(&answer), BTreeSet::from([second.clone()]));
        let answer = search(&app, &format!("{asked}&updated_before={updated}")).await;
        assert_eq!(documents(&answer), BTreeSet::from([first.clone()]));
        let answer = search(&app, &format!("{asked}&collection=plant")).await;
        assert_eq!((documents(&answer), &answer["collection"]), (BTreeSet::from([elsewhere.clone()]), &json!("plant")));
        let named = search(&app, &format!("{asked}&{}", url_form(&[("entity", "Northgate Pumps")]))).await;
        assert!(!hits(&named).is_empty() && hits(&named).len() < hits(&both).len(), "{named}");
        let mut id = String::new();
        for hit in hits(&named) {
            let entities = hit["entities"].as_array().unwrap();
            let entity = entities.iter().find(|e| e["name"] == "Northgate Pump");
            id = entity.unwrap_or_else(|| panic!("{hit}"))["id"].as_str().unwrap().to_owned();
        }
        let by_id = search(&app, &format!("{asked}&entity={id}")).await;
        assert_eq!(hits(&by_id).len(), hits(&named).len());
    }
    for (query, words) in [
        ("", vec!["q is missing"]),
        ("q=a&mode=fuzzy", vec!["fuzzy", "hybrid, text, vector"]),
        ("q=a&limit=101", vec!["limit", "100"]),
        ("q=a&collection=No%20Such", vec!["No Such"]),
        ("q=a&document=doc-1", vec!["doc-1"]),
    ] {
        assert_says(&app.get(&format!("/api/search?{query}")).await.unwrap(), 400, "invalid_parameter", &words);
    }
    assert_error(&app.post("/api/search").await.unwrap(), 405, "method_not_allowed");
    let answer = search(&app, "q=pump&limit=1").await;
    assert_eq!(keys(&answer), ["query", "mode", "collection", "hits", "took_ms"]);
}

/// A key that is bound to a collection searches that one and sees no other, whatever it asks for.
#[tokio::test(flavor = "multi_thread")]
async fn a_bound_key_searches_its_own_collection() {
    let app = start().await;
    let default = ingest(&app, "one.md", markdown(1, 3), &[]).await;
    let plant = ingest(&app, "one.md", markdown(2, 3), &[("collection", "plant")]).await;
    let key = json!({"name": "plant", "collection": "plant"});
    // Who may read the data folder may make the first key.
    let lock = std::fs::read_to_string(app.settings().data_dir().join("graphmill.lock")).unwrap();
    let lock: Value = serde_json::Deserializer::from_str(&lock).into_iter().next().unwrap().unwrap();
    let asked = app.http().post(format!("{}/api/keys", app.url())).bearer_auth(lock["token"].as_str().unwrap());
    let made: Value = asked.json(&key).send().await.unwrap().error_for_status().unwrap().json().await.unwrap();
    let token = made["token"].as_str().unwrap();
    let get = async |query: &str| {
        let request = app.http().get(format!("{}/api/search?{query}", app.url())).bearer_auth(token);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Value>().await.unwrap())
    };
    for query in ["q=inspected", "q=inspected&collection=plant", "q=inspected&mode=vector"] {
        let (status, answer) = get(query).await;
        assert_eq!((status, &answer["collection"]), (200, &json!("plant")), "{answer}");
        assert!(!hits(&answer).is_empty() && hits(&answer).iter().all(|hit| hit["document_id"] == json!(plant)));
    }
    let (status, answer) = get(&format!("q=inspected&document={default}")).await;
    assert_eq!((status, hits(&answer).len()), (200, 0), "{answer}");
    let other = get("q=inspected&collection=default").await;
    let nobody = get("q=inspected&collection=nobody").await;
    assert_eq!((other.0, nobody.0), (404, 404), "{} {}", other.1, nobody.1);
}

/// Versions of one document replace each other while others come and go: each answer is of one state, and what is deleted is found no more.
#[tokio::test(flavor = "multi_thread")]
async fn searches_beside_replacements_and_deletions_tell_the_truth() {
    let app = start().await;
    let kept = ingest(&app, "kept.md", markdown(1, 10), &[]).await;
    let version = |n: u32| {
        (0..12)
            .map(|i| {
                format!("## Part {i}\n\nThe marker of version{n} stands in part {i} of it, beside other words.\n\n")
            })
            .collect::<String>()
    };
    let replaced = ingest(&app, "replaced.md", version(0), &[]).await;
    let changes = async {
        for n in 1..8 {
            let gone = ingest(&app, "gone.md", markdown(n, 4), &[]).await;
            ingest(&app, "replaced.md", version(n), &[]).await;
            let (status, answer) = app.delete(&format!("/api/documents/{gone}")).await.unwrap();
            assert!(matches!(status, 200 | 202), "{answer}");
            if status == 200 {
                let found = search(&app, &format!("q=inspected+pump&limit=100&document={gone}")).await;
                assert!(hits(&found).is_empty(), "what is deleted is found: {found}");
            }
            let newest = search(&app, &format!("q=version{n}&mode=text&limit=100")).await;
            assert!(!hits(&newest).is_empty(), "what is published is found");
            let older = search(&app, &format!("q=version{}&mode=text", n - 1)).await;
            assert!(hits(&older).is_empty(), "what was replaced is found: {older}");
        }
    };
    let searches = async {
        loop {
            for mode in ["text", "vector", "hybrid"] {
                let answer = search(&app, &format!("q=marker+inspected&mode={mode}&limit=100")).await;
                assert_sound(&answer);
                let versions: BTreeSet<&str> = hits(&answer)
                    .iter()
                    .filter(|hit| hit["document_id"] == json!(replaced))
                    .map(|hit| {
                        hit["text"].as_str().unwrap().split("version").nth(1).unwrap().split(' ').next().unwrap()
                    })
                    .collect();
                if mode != "hybrid" {
                    assert!(versions.len() <= 1, "two versions in one answer: {versions:?}");
                }
            }
        }
    };
    tokio::select! {
        () = changes => {}
        () = searches => {}
    }
    let answer = search(&app, "q=inspected&mode=text&limit=100").await;
    assert!(hits(&answer).iter().all(|hit| hit["document_id"] == json!(kept)), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_the_same_after_a_kill_and_without_the_index() {
    let mut app = start().await;
    for n in 0..4 {
        ingest(&app, &format!("{n}.md"), markdown(n, 8), &[]).await;
    }
    let queries =
        ["q=northgate+pump&mode=text&limit=30", "q=northgate+pump&mode=vector&limit=30", "q=inspected&limit=30"];
    let mut wanted = Vec::new();
    for query in queries {
        wanted.push(search(&app, query).await["hits"].clone());
    }
    let index = app.settings().data_dir().join("graph.search.db");
    assert!(index.exists());
    for damage in 0..3 {
        app.kill().await.unwrap();
        match damage {
            0 => {}
            1 => std::fs::remove_file(&index).unwrap(),
            _ => std::fs::write(&index, b"no database".repeat(1_000)).unwrap(),
        }
        app.restart_quiet().await.unwrap();
        for (query, wanted) in queries.iter().zip(&wanted) {
            assert_eq!(&search(&app, query).await["hits"], wanted, "{query} after damage {damage}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_server_that_is_down_leaves_the_words() {
    let models = FakeModels::start(FakeConfig { mode: Mode::default(), ..FakeConfig::default() }).await.unwrap();
    let url = models.url();
    let mut app = TestApp::start_with(BINARY, |s| {
        s.env("GRAPHMILL_EMBEDDING_URL", url.clone()).env("GRAPHMILL_EMBEDDING_MODEL", "fake-embedding")
    })
    .await
    .unwrap();
    ingest(&app, "a.md", markdown(1, 6), &[]).await;
    let answer = search(&app, "q=northgate+pump").await;
    assert!(answer.get("warnings").is_none(), "{answer}");
    assert!(hits(&answer)[0]["scores"]["vector"].is_number(), "{answer}");
    assert!(!hits(&search(&app, "q=northgate+pump&mode=vector").await).is_empty());
    drop(models);
    // What was asked before comes from the content cache.
    assert!(search(&app, "q=northgate+pump").await.get("warnings").is_none());
    let begun = std::time::Instant::now();
    let answer = search(&app, "q=something+new+about+the+pump").await;
    assert!(answer["warnings"][0].as_str().unwrap().contains("searched by text alone"), "{answer}");
    assert!(!hits(&answer).is_empty() && begun.elapsed() < Duration::from_secs(30));
    let refused = app.get("/api/search?q=another+new+thing&mode=vector").await.unwrap();
    assert_says(&refused, 503, "model_unavailable", &["no vector"]);
    assert!(refused.1["hint"].as_str().unwrap().contains("mode=text"), "{}", refused.1);
    // Another model than the one that made the vectors.
    app.restart(|s| s.env("GRAPHMILL_EMBEDDING_MODEL", "another-model")).await.unwrap();
    let answer = search(&app, "q=northgate+pump").await;
    assert!(answer["warnings"][0].as_str().unwrap().contains("are of fake-embedding"), "{answer}");
    let refused = app.get("/api/search?q=pump&mode=vector").await.unwrap();
    assert_says(&refused, 409, "space_mismatch", &["another-model"]);
    assert!(!hits(&search(&app, "q=pump&mode=text").await).is_empty());
    eventually(&app, "/api/search?q=pump", 200).await;
}
