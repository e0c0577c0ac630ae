//! Reading the graph over real HTTP: documents with original, pages and entities; entities with their evidence and neighbours; communities; how far
//! layers are behind. On a real manual.

use std::collections::BTreeSet;

use graphmill_testkit::TestApp;
use reqwest::header::{HeaderMap, RANGE};
use serde_json::{Value, json};

use crate::contract::{assert_error, assert_says, keys};
use crate::support::{assert_completed, eventually, markdown, real_document, start};

async fn ingest(app: &TestApp, name: &str, content: impl Into<Vec<u8>>, fields: &[(&str, &str)]) -> String {
    let job = app.upload_job(name, content, fields).await.unwrap();
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    page["metadata"]["document_id"].as_str().unwrap().to_owned()
}

async fn ok(app: &TestApp, path: &str) -> Value {
    let (status, answer) = app.get(path).await.unwrap();
    assert_eq!(status, 200, "{path}: {answer}");
    answer
}

/// Status, headers and bytes.
async fn raw(app: &TestApp, path: &str, headers: &[(&'static str, &str)]) -> (u16, HeaderMap, Vec<u8>) {
    let mut request = app.http().get(format!("{}{path}", app.url()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, headers, answer.bytes().await.unwrap().to_vec())
}

/// Walks a list by the header `Link`; answers its items.
async fn walk(app: &TestApp, path: &str, items: &str) -> Vec<Value> {
    let (mut all, mut next) = (Vec::new(), Some(path.to_owned()));
    while let Some(path) = next {
        let (status, headers, bytes) = raw(app, &path, &[]).await;
        let page: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(status, 200, "{path}: {page}");
        all.extend(page[items].as_array().unwrap().iter().cloned());
        let link = headers.get("link").map(|link| link.to_str().unwrap().to_owned());
        assert_eq!(page["has_more"], link.is_some(), "{path}");
        next = link.map(|l| l.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned());
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_manual_its_original_and_its_pages() {
    let app = start().await;
    let pdf = real_document("gnuplot.pdf");
    let id = ingest(&app, "Handbuch gnuplot ✓.pdf", pdf.clone(), &[]).await;
    let path = format!("/api/documents/{id}/original");
    let (status, headers, bytes) = raw(&app, &path, &[]).await;
    assert_eq!((status, bytes == pdf), (200, true));
    let tag = headers["etag"].to_str().unwrap().to_owned();
    let page = ok(&app, &format!("/api/documents/{id}")).await;
    assert_eq!(tag, format!("\"{}\"", page["content_hash"].as_str().unwrap()));
    for (name, value) in [
        ("content-type", "application/pdf"),
        ("content-length", &*pdf.len().to_string()),
        ("accept-ranges", "bytes"),
        ("x-content-type-options", "nosniff"),
        (
            "content-disposition",
            "attachment; filename=\"Handbuch gnuplot _.pdf\"; filename*=UTF-8''Handbuch%20gnuplot%20%E2%9C%93.pdf",
        ),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    let size = pdf.len();
    for (range, from, to) in [("bytes=0-4", 0, 5), ("bytes=-7", size - 7, size), ("bytes=300000-", 300_000, size)] {
        let (status, headers, part) = raw(&app, &path, &[(RANGE.as_str(), range)]).await;
        assert_eq!((status, part == pdf[from..to]), (206, true), "{range}");
        assert_eq!(headers["content-range"], format!("bytes {from}-{}/{size}", to - 1));
        assert_eq!(headers["etag"], *tag);
    }
    let (status, headers, refused) = raw(&app, &path, &[("range", "bytes=999999999-")]).await;
    assert_error(&(status, serde_json::from_slice(&refused).unwrap()), 416, "range_not_satisfiable");
    assert_eq!(headers["content-range"], format!("bytes */{size}"));
    let (status, headers, nothing) = raw(&app, &path, &[("if-none-match", &tag)]).await;
    assert_eq!((status, nothing.len()), (304, 0));
    assert_eq!(headers["etag"], *tag);
    let (status, _, whole) = raw(&app, &path, &[("if-range", "\"another\""), ("range", "bytes=0-4")]).await;
    assert_eq!((status, whole.len()), (200, size));

    // The text of the pages is what the chunks were cut from.
    let pages = page["page_count"].as_u64().unwrap();
    let chunks = ok(&app, &format!("/api/documents/{id}/chunks?limit=1000")).await;
    let inside = chunks["chunks"].as_array().unwrap().iter().filter(|c| c["page_start"] == c["page_end"]);
    let mut compared = 0;
    for chunk in inside.step_by(40) {
        let number = chunk["page_start"].as_u64().unwrap();
        let text = ok(&app, &format!("/api/documents/{id}/pages/{number}")).await;
        assert_eq!(keys(&text), ["document_id", "page", "page_count", "text", "part", "parts"]);
        assert_eq!((&text["page"], &text["page_count"], &text["parts"]), (&json!(number), &json!(pages), &json!(1)));
        let line = chunk["text"].as_str().unwrap().lines().max_by_key(|line| line.len()).unwrap().trim();
        assert!(text["text"].as_str().unwrap().contains(line), "page {number} has no {line:?}");
        compared += 1;
    }
    assert!(compared > 3, "{compared} chunks were compared");
    ok(&app, &format!("/api/documents/{id}/pages/{pages}")).await;
    for number in ["0", "-1", "x", &(pages + 1).to_string(), "99999999999", "%FF"] {
        assert_error(&app.get(&format!("/api/documents/{id}/pages/{number}")).await.unwrap(), 404, "not_found");
    }
    assert_error(&app.get(&format!("/api/documents/{id}/pages/1?part=2")).await.unwrap(), 404, "not_found");
    assert_says(
        &app.get(&format!("/api/documents/{id}/pages/1?part=0")).await.unwrap(),
        400,
        "invalid_parameter",
        &["part"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn entities_of_a_real_manual_with_their_evidence() {
    let app = start().await;
    let id = ingest(&app, "gnuplot.pdf", real_document("gnuplot.pdf"), &[]).await;
    let stats = ok(&app, "/api/graph/stats").await;
    let list = ok(&app, "/api/entities?limit=100").await;
    assert_eq!(keys(&list), ["entities", "total", "limit", "offset", "has_more", "collection"]);
    assert_eq!((&list["total"], &list["has_more"]), (&stats["entities"], &json!(true)));
    let top = &list["entities"].as_array().unwrap()[0];
    assert_eq!(
        keys(top),
        ["entity_id", "name", "type", "description", "importance", "mention_count", "document_count"]
    );
    let entities = walk(&app, "/api/entities?limit=700&sort=name", "entities").await;
    let ids: BTreeSet<&str> = entities.iter().map(|e| e["entity_id"].as_str().unwrap()).collect();
    assert_eq!((ids.len() as u64, entities.len() as u64), (stats["entities"].as_u64().unwrap(), ids.len() as u64));
    // Found by a part of its name in any case; and what is found has that part.
    let name = top["name"].as_str().unwrap();
    let part: String = name.to_uppercase().chars().take(5).collect();
    let encoded: String = part.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let found = ok(&app, &format!("/api/entities?q={encoded}&limit=1000")).await;
    let found = found["entities"].as_array().unwrap();
    assert!(found.iter().any(|e| e["entity_id"] == top["entity_id"]), "{part}");
    assert!(found.len() < entities.len());

    let path = format!("/api/entities/{}", top["entity_id"].as_str().unwrap());
    let detail = ok(&app, &format!("{path}?limit=1000")).await;
    for (key, value) in top.as_object().unwrap() {
        assert_eq!(&detail[key], value, "{key}");
    }
    let votes = |votes: &Value| votes.as_array().unwrap().iter().map(|v| v["votes"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(Some(votes(&detail["type_votes"])), top["mention_count"].as_u64());
    assert_eq!(detail["type_votes"][0]["value"], top["type"]);
    let mentions = walk(&app, &format!("{path}?limit=7"), "mentions").await;
    assert_eq!(detail["total"], json!(mentions.len()));
    let mut counted = 0;
    for mention in &mentions {
        assert_eq!((&mention["document_id"], &mention["filename"]), (&json!(id), &json!("gnuplot.pdf")));
        let chunk = ok(&app, &format!("/api/documents/{id}/chunks?limit=1&offset={}", mention["chunk_index"])).await;
        let chunk = &chunk["chunks"][0];
        for key in ["chunk_id", "page_start", "page_end", "start_char"] {
            assert_eq!(mention[key], chunk[key], "{key}");
        }
        let text: Vec<char> = chunk["text"].as_str().unwrap().chars().collect();
        for said in mention["said"].as_array().unwrap() {
            let spans = said["spans"].as_array().unwrap();
            counted += spans.len().max(1);
            for span in spans {
                let (from, to) = (span[0].as_u64().unwrap() as usize, span[1].as_u64().unwrap() as usize);
                let there: String = text[from..to].iter().collect();
                let (there, spelling) = (there.split_whitespace().collect::<String>(), &said["spelling"]);
                let spelling: String = spelling.as_str().unwrap().split_whitespace().collect();
                assert_eq!(there.to_lowercase(), spelling.to_lowercase());
            }
        }
    }
    assert_eq!(json!(counted), top["mention_count"], "spans and mentions are the same count");

    let of_document = walk(&app, &format!("/api/documents/{id}/entities?limit=900"), "entities").await;
    assert_eq!(json!(of_document.len()), stats["entities"], "all are of the one document");
    let here: Vec<u64> = of_document.iter().map(|e| e["mentions_here"].as_u64().unwrap()).collect();
    assert!(here.is_sorted_by_key(|n| std::cmp::Reverse(*n)));
    assert!(of_document.iter().all(|e| e["mentions_here"] == e["mention_count"]));

    let around = ok(&app, &format!("{path}/neighbours?limit=20")).await;
    assert_eq!(keys(&around), ["entity_id", "hops", "limit", "entities", "relations", "truncated"]);
    let others = around["entities"].as_array().unwrap();
    assert!(!others.is_empty() && others.len() <= 20);
    let known: BTreeSet<&str> =
        others.iter().map(|e| e["entity_id"].as_str().unwrap()).chain(top["entity_id"].as_str()).collect();
    for relation in around["relations"].as_array().unwrap() {
        assert!(
            known.contains(relation["source"].as_str().unwrap())
                && known.contains(relation["target"].as_str().unwrap())
        );
        assert!(relation["support"].as_u64().unwrap() >= 1 && relation["strength"].as_f64().unwrap() > 0.0);
    }
    let further = ok(&app, &format!("{path}/neighbours?hops=2&limit=1000")).await;
    assert!(further["entities"].as_array().unwrap().len() >= others.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn aliases_name_the_chunk_that_defines_them() {
    let app = start().await;
    let text =
        "# Valves\n\nThe Northgate Valve Controller (NVC) opens each valve. The NVC was built by Halden Works.\n";
    let id = ingest(&app, "valves.md", text, &[]).await;
    let find = async |q: &str| ok(&app, &format!("/api/entities?q={q}&match=prefix")).await["entities"][0].clone();
    let short = find("nvc").await;
    let detail = ok(&app, &format!("/api/entities/{}", short["entity_id"].as_str().unwrap())).await;
    let [alias] = &detail["aliases"].as_array().unwrap()[..] else { panic!("{detail:#}") };
    assert_eq!((&alias["role"], &alias["evidence_count"]), (&json!("long_form"), &json!(1)), "{detail:#}");
    assert!(alias["name"].as_str().unwrap().contains("Valve Controller"), "{detail:#}");
    let place = &alias["evidence"][0];
    assert_eq!(
        (&place["document_id"], &place["chunk_index"], &place["page_start"]),
        (&json!(id), &json!(0), &json!(1))
    );
    let long = ok(&app, &format!("/api/entities/{}", alias["entity_id"].as_str().unwrap())).await;
    assert_eq!(long["aliases"][0]["role"], "short_form");
    assert_eq!((&long["aliases"][0]["entity_id"], &long["alias_total"]), (&short["entity_id"], &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_and_what_is_of_another_kind() {
    let app = start().await;
    let document = ingest(&app, "a.md", markdown(1, 3), &[]).await;
    let entity = ok(&app, "/api/entities?limit=1").await["entities"][0]["entity_id"].as_str().unwrap().to_owned();
    let none = "aaaaaaaaaaaaaaaaaaaaaaaaaa";
    for (of, ids) in [
        ("documents", [format!("doc-{none}"), entity.clone(), "doc-1".into(), "%00".into()]),
        ("entities", [format!("ent-{none}"), document.clone(), "ent-1".into(), "%00".into()]),
        ("communities", [format!("com-{none}"), document.clone(), entity.clone(), "%FF".into()]),
    ] {
        let below: &[&str] = match of {
            "documents" => &["", "/entities", "/original", "/pages/1", "/chunks"],
            "entities" => &["", "/neighbours"],
            _ => &[""],
        };
        for id in &ids {
            for tail in below {
                assert_error(&app.get(&format!("/api/{of}/{id}{tail}")).await.unwrap(), 404, "not_found");
            }
        }
    }
    for (path, words) in [
        ("/api/documents?sort=colour".to_owned(), vec!["sort", "colour", "file_size"]),
        ("/api/documents?order=up".to_owned(), vec!["order", "asc"]),
        ("/api/documents?updated_after=soon".to_owned(), vec!["updated_after", "soon"]),
        ("/api/documents?cursor=zz".to_owned(), vec!["cursor", "zz"]),
        ("/api/entities?sort=colour".to_owned(), vec!["sort", "colour", "mention_count"]),
        ("/api/entities?match=like".to_owned(), vec!["match", "prefix"]),
        ("/api/entities?cursor=zz".to_owned(), vec!["cursor"]),
        ("/api/entities?limit=1001".to_owned(), vec!["limit", "1000"]),
        (format!("/api/entities/{entity}?cursor=zz"), vec!["cursor"]),
        (format!("/api/entities/{entity}/neighbours?hops=4"), vec!["hops", "3"]),
        (format!("/api/documents/{document}/entities?cursor=zz"), vec!["cursor"]),
        ("/api/communities?level=-1".to_owned(), vec!["level", "-1"]),
        ("/api/communities?cursor=zz".to_owned(), vec!["cursor"]),
        ("/api/graph/stats?collection=No%20Such".to_owned(), vec!["No Such"]),
    ] {
        assert_says(&app.get(&path).await.unwrap(), 400, "invalid_parameter", &words);
    }
    let stats = ok(&app, "/api/graph/stats").await;
    assert_eq!(keys(&stats["layers"]), ["collection", "embeddings", "similarities", "communities"]);
    assert_eq!(stats["layers"]["embeddings"]["stale"], false, "{stats:#}");
    for layer in ["similarities", "communities"] {
        let layer = &stats["layers"][layer];
        assert_eq!(keys(layer), ["generation", "stands_at", "behind", "stale", "parameters"]);
    }
}

/// A collection's lists have nothing of another; its ids are its own.
#[tokio::test(flavor = "multi_thread")]
async fn collections_do_not_meet() {
    let app = start().await;
    let ours = ingest(&app, "a.md", markdown(1, 4), &[]).await;
    let theirs = ingest(&app, "a.md", markdown(1, 4), &[("collection", "plant")]).await;
    let entities = async |collection: &str| -> BTreeSet<String> {
        let all = walk(&app, &format!("/api/entities?collection={collection}&limit=5"), "entities").await;
        all.iter().map(|e| e["entity_id"].as_str().unwrap().to_owned()).collect()
    };
    let (default, plant) = (entities("default").await, entities("plant").await);
    assert_eq!(default.len(), plant.len());
    assert!(default.is_disjoint(&plant));
    for (document, own) in [(&ours, &default), (&theirs, &plant)] {
        for entity in walk(&app, &format!("/api/documents/{document}/entities"), "entities").await {
            assert!(own.contains(entity["entity_id"].as_str().unwrap()));
        }
    }
    for id in &plant {
        let around = ok(&app, &format!("/api/entities/{id}/neighbours?hops=3&limit=1000")).await;
        for other in around["entities"].as_array().unwrap() {
            assert!(plant.contains(other["entity_id"].as_str().unwrap()));
        }
    }
}

/// Whatever is deleted beside, an answer is whole or says that it is not there.
#[tokio::test(flavor = "multi_thread")]
async fn deletion_beside_reading() {
    let app = start().await;
    ingest(&app, "stays.md", markdown(1, 6), &[]).await;
    let before = ok(&app, "/api/entities?limit=1000").await["entities"].clone();
    for round in 0..4 {
        let id = ingest(&app, "goes.md", markdown(20 + round, 40), &[]).await;
        let entities = walk(&app, &format!("/api/documents/{id}/entities"), "entities").await;
        let entity = entities.last().unwrap()["entity_id"].as_str().unwrap().to_owned();
        let read = async {
            let mut gone = 0;
            while gone < 3 {
                gone = 0;
                for path in [
                    format!("/api/documents/{id}/entities?limit=1000"),
                    format!("/api/documents/{id}/original"),
                    format!("/api/documents/{id}/pages/1"),
                    format!("/api/entities/{entity}"),
                    format!("/api/entities/{entity}/neighbours?hops=3"),
                    "/api/entities?limit=1000&q=l-".to_owned(),
                    "/api/graph/stats".to_owned(),
                ] {
                    let (status, _, bytes) = raw(&app, &path, &[]).await;
                    assert!(matches!(status, 200 | 404), "{path}: {status} {}", String::from_utf8_lossy(&bytes));
                    gone += u32::from(status == 404 && path.contains(&id));
                }
            }
        };
        let delete = async {
            let (status, answer) = app.delete(&format!("/api/documents/{id}")).await.unwrap();
            assert!(matches!(status, 200 | 202), "{answer}");
        };
        tokio::join!(read, delete);
        eventually(&app, &format!("/api/documents/{id}"), 404).await;
    }
    assert_eq!(ok(&app, "/api/entities?limit=1000").await["entities"], before, "what is left is what the other says");
}
