//! Documents, the graph's counts and its export, over real HTTP.

use std::time::{Duration, Instant};

use graphmill_testkit::TestApp;
use serde_json::{Value, json};

use crate::contract::{assert_error, assert_says, hold, keys, start_held, time};
use crate::support::{assert_completed, eventually, export_count, markdown, real_document, start, start_with_faults};

async fn ingest(app: &TestApp, name: &str, content: impl Into<Vec<u8>>, fields: &[(&str, &str)]) -> String {
    let job = app.upload_job(name, content, fields).await.unwrap();
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    page["metadata"]["document_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_pdf_its_page_and_its_chunks() {
    let app = start().await;
    let pdf = real_document("gnuplot.pdf");
    let size = pdf.len();
    let id = ingest(&app, "gnuplot.pdf", pdf, &[]).await;
    let (status, list) = app.get("/api/documents").await.unwrap();
    assert_eq!((status, keys(&list)), (200, vec!["documents", "total", "limit", "offset", "has_more"]));
    assert_eq!(
        (&list["total"], &list["limit"], &list["offset"], &list["has_more"]),
        (&json!(1), &json!(50), &json!(0), &json!(false))
    );
    let listed = &list["documents"][0];
    let (status, page) = app.get(&format!("/api/documents/{id}")).await.unwrap();
    assert_eq!(status, 200, "{page}");
    for (key, value) in listed.as_object().unwrap() {
        assert_eq!(&page[key], value, "{key}");
    }
    for (key, value) in [
        ("document_id", json!(id)),
        ("collection", json!("default")),
        ("source", json!("gnuplot.pdf")),
        ("filename", json!("gnuplot.pdf")),
        ("mime_type", json!("application/pdf")),
        ("file_size", json!(size)),
    ] {
        assert_eq!(page[key], value, "{page:#}");
    }
    assert!(page["page_count"].as_u64().unwrap() >= 50, "{page:#}");
    assert!(time(&page["created_at"]) <= time(&page["updated_at"]));
    assert_eq!(page["job"]["status"], "completed", "{page:#}");

    let total = page["chunk_count"].as_u64().unwrap();
    let (status, chunks) = app.get(&format!("/api/documents/{id}/chunks?limit=1000")).await.unwrap();
    assert_eq!((status, keys(&chunks)), (200, vec!["document_id", "chunks", "total", "limit", "offset", "has_more"]));
    let all = chunks["chunks"].as_array().unwrap();
    assert_eq!((all.len() as u64, chunks["total"].as_u64()), (total.min(1000), Some(total)));
    let mut last_page = 1;
    for (n, chunk) in all.iter().enumerate() {
        assert_eq!(chunk["chunk_index"], n, "document order");
        assert!(chunk["chunk_id"].as_str().unwrap().starts_with("chk-"), "{chunk}");
        let (from, to) = (chunk["page_start"].as_u64().unwrap(), chunk["page_end"].as_u64().unwrap());
        assert!(from <= to && from >= 1 && to <= page["page_count"].as_u64().unwrap() && to >= last_page, "{chunk}");
        last_page = to;
        assert!(chunk["start_char"].as_u64() < chunk["end_char"].as_u64(), "{chunk}");
        assert!(!chunk["text"].as_str().unwrap().trim().is_empty(), "{chunk}");
    }
    let (_, some) = app.get(&format!("/api/documents/{id}/chunks?limit=3&offset=2")).await.unwrap();
    assert_eq!((some["chunks"].as_array().unwrap(), &some["has_more"]), (&all[2..5].to_vec(), &json!(true)));
    let (_, none) = app.get(&format!("/api/documents/{id}/chunks?offset=99999999999")).await.unwrap();
    assert_eq!((none["chunks"].as_array().unwrap().len(), &none["has_more"]), (0, &json!(false)));

    let (_, stats) = app.get("/api/graph/stats").await.unwrap();
    assert_eq!(keys(&stats)[..6], ["documents", "chunks", "entities", "relations", "similarities", "communities"]);
    for (name, count) in stats.as_object().unwrap().iter().filter(|(name, _)| *name != "layers") {
        assert!(count.is_u64(), "{name}: {count}");
    }
    assert_eq!((&stats["documents"], &stats["chunks"]), (&json!(1), &json!(total)), "{stats}");
    assert!(stats["entities"].as_u64().unwrap() > 100 && stats["relations"].as_u64().unwrap() > 100, "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_by_collection_and_page_and_what_is_refused() {
    let app = start().await;
    for n in 0..3 {
        ingest(&app, &format!("{n}.md"), markdown(n, 2), &[]).await;
    }
    let other = ingest(&app, "other.md", markdown(9, 2), &[("collection", "plant")]).await;
    let (_, list) = app.get("/api/documents?collection=plant").await.unwrap();
    assert_eq!((&list["total"], &list["documents"][0]["document_id"]), (&json!(1), &json!(other)));
    let (_, list) = app.get("/api/documents?collection=default&limit=2").await.unwrap();
    assert_eq!(
        (&list["total"], list["documents"].as_array().unwrap().len(), &list["has_more"]),
        (&json!(3), 2, &json!(true))
    );
    let (_, rest) = app.get("/api/documents?collection=default&limit=2&offset=2").await.unwrap();
    assert_eq!((rest["documents"].as_array().unwrap().len(), &rest["has_more"]), (1, &json!(false)));
    let (_, stats) = app.get("/api/graph/stats?collection=plant").await.unwrap();
    assert_eq!(stats["documents"], 1, "{stats}");
    let (_, stats) = app.get("/api/graph/stats").await.unwrap();
    assert_eq!(stats["documents"], 4, "{stats}");
    let (_, stats) = app.get("/api/graph/stats?collection=nobody").await.unwrap();
    assert_eq!(stats["documents"], 0, "{stats}");
    for (path, words) in [
        ("/api/documents?limit=0", vec!["limit", "1000"]),
        ("/api/documents?offset=-1", vec!["offset", "-1"]),
        ("/api/documents?collection=No%20Such", vec!["No Such"]),
        ("/api/graph/stats?collection=No%20Such", vec!["No Such"]),
        ("/api/graph/export?collection=No%20Such", vec!["No Such"]),
    ] {
        assert_says(&app.get(path).await.unwrap(), 400, "invalid_parameter", &words);
    }
    for id in ["doc-aaaaaaaaaaaaaaaaaaaaaaaaaa", "doc-1", "nonsense", "%00"] {
        for path in [format!("/api/documents/{id}"), format!("/api/documents/{id}/chunks")] {
            assert_error(&app.get(&path).await.unwrap(), 404, "not_found");
        }
        assert_error(&app.delete(&format!("/api/documents/{id}")).await.unwrap(), 404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_that_was_never_published_is_shown_with_its_job() {
    let app = start_held(&hold("embedding"), 1).await;
    let (_, answer) = app.upload("report.md", markdown(1, 20), &[("source", "a/report.md")]).await.unwrap();
    let (job, id) = (answer["job_id"].as_str().unwrap(), answer["document_id"].as_str().unwrap());
    app.wait_job(job, |page| page["status"] == "running").await.unwrap();
    let (status, page) = app.get(&format!("/api/documents/{id}")).await.unwrap();
    assert_eq!((status, &page["document_id"], &page["status"]), (200, &json!(id), &json!("running")), "{page:#}");
    assert_eq!(
        (&page["source"], &page["filename"], &page["collection"]),
        (&json!("a/report.md"), &json!("report.md"), &json!("default"))
    );
    assert_eq!((&page["job"]["job_id"], &page["job"]["status"]), (&json!(job), &json!("running")), "{page:#}");
    assert_eq!(app.get("/api/documents").await.unwrap().1["total"], 0, "the list has published ones");
    assert_error(&app.get(&format!("/api/documents/{id}/chunks")).await.unwrap(), 404, "not_found");
    // A deletion takes it away before it ever came.
    let (status, answer) = app.delete(&format!("/api/documents/{id}")).await.unwrap();
    assert!(matches!(status, 200 | 202), "{answer}");
    assert_eq!(app.wait_ended(job).await.unwrap()["status"], "cancelled");
    eventually(&app, &format!("/api/documents/{id}"), 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_done_at_once_or_promised_and_never_lost() {
    let app = start().await;
    let keep = ingest(&app, "keep.md", markdown(1, 3), &[]).await;
    let before = app.export("default").await.unwrap();
    let gone = ingest(&app, "gone.md", markdown(2, 3), &[]).await;
    let asked = Instant::now();
    let (status, answer) = app.delete(&format!("/api/documents/{gone}")).await.unwrap();
    assert_eq!((status, &answer["document_id"]), (200, &json!(gone)), "{answer}");
    assert!(asked.elapsed() < Duration::from_secs(1));
    assert_error(&app.get(&format!("/api/documents/{gone}")).await.unwrap(), 404, "not_found");
    // Asked again while it is still being noted as done, it is the same deletion; then there is no such document.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = app.delete(&format!("/api/documents/{gone}")).await.unwrap();
        if answer.0 == 404 {
            assert_error(&answer, 404, "not_found");
            break;
        }
        assert!(matches!(answer.0, 200 | 202) && Instant::now() < deadline, "{answer:?}");
    }
    assert_eq!(app.export("default").await.unwrap(), before, "what is left is what the other document says");
    assert_eq!(app.get(&format!("/api/documents/{keep}")).await.unwrap().0, 200);
    // The name is free again, and the document comes back as the same one.
    assert_eq!(ingest(&app, "gone.md", markdown(2, 3), &[]).await, gone);

    // A deletion that takes long is promised after a second and outlives a kill.
    let mut app = start_with_faults("remove.before_commit=1*sleep(3000)").await;
    let id = ingest(&app, "gone.md", markdown(2, 3), &[]).await;
    let asked = Instant::now();
    let (status, answer) = app.delete(&format!("/api/documents/{id}")).await.unwrap();
    assert_eq!((status, &answer["document_id"]), (202, &json!(id)), "{answer}");
    let took = asked.elapsed();
    assert!(took > Duration::from_millis(900) && took < Duration::from_millis(2_000), "{took:?}");
    app.restart_quiet().await.unwrap();
    eventually(&app, &format!("/api/documents/{id}"), 404).await;
    let (_, stats) = app.get("/api/graph/stats").await.unwrap();
    assert_eq!(
        (&stats["documents"], &stats["chunks"], &stats["entities"]),
        (&json!(0), &json!(0), &json!(0)),
        "{stats}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_export_is_the_same_whatever_the_order() {
    let app = start().await;
    let answer = app.http().get(format!("{}/api/graph/export", app.url())).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    let empty = answer.text().await.unwrap();
    assert_eq!(empty.lines().count(), 2, "an empty collection has its own line and the last one: {empty}");

    let documents = [("a.md", markdown(1, 5)), ("b.md", markdown(2, 5)), ("c.md", markdown(3, 5))];
    for (name, text) in &documents {
        ingest(&app, name, text.clone(), &[]).await;
    }
    let export = app.export("default").await.unwrap();
    let other = start().await;
    for (name, text) in documents.iter().rev() {
        ingest(&other, name, text.clone(), &[]).await;
    }
    assert_eq!(other.export("default").await.unwrap(), export);
    assert_eq!(app.export("default").await.unwrap(), export);

    assert_eq!(export_count(&export, "documents"), 3);
    let lines: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for forbidden in ["job-", "\"seq\"", "created_at", "updated_at", "generation", "community_id", "\"original\""] {
        assert!(!export.contains(forbidden), "{forbidden} is no part of the export");
    }
    let (_, stats) = app.get("/api/graph/stats").await.unwrap();
    for name in ["documents", "chunks", "entities", "relations"] {
        assert_eq!(json!(export_count(&export, name)), stats[name], "{name}: {stats}");
    }
    assert!(lines.len() as u64 > export_count(&export, "chunks") + export_count(&export, "entities"));
    // Another collection has nothing of it.
    assert_eq!(app.export("plant").await.unwrap().lines().count(), 2);
}
