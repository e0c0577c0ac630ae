use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use bytes::Bytes;
use futures::{StreamExt, stream};
use graphmill_core::{DocumentId, SystemClock};
use graphmill_store::requests::{JobFilter, PageStart};
use serde_json::json;

use crate::test_server::{BOUNDARY, TestServer, completed, form, form_body, form_of};
use crate::{Limits, ServerConfig};

const TEXT: &[u8] = b"Pumps pump.";

async fn small_limits() -> TestServer {
    let limits = Limits { file_bytes: 1024 * 1024, files: 3, ..Limits::default() };
    TestServer::with(ServerConfig { limits, ..ServerConfig::default() }, Arc::new(SystemClock)).await
}

async fn jobs(server: &TestServer) -> u64 {
    server.state.jobs().list(&JobFilter::default(), PageStart::Offset(0), 1).await.unwrap().total
}

/// Nothing of a refused request stays.
async fn nothing_stayed(server: &TestServer) {
    server.no_blobs_left().await;
    assert_eq!(jobs(server).await, 0);
}

#[tokio::test]
async fn one_file_and_its_fields_in_any_order() {
    let server = TestServer::start().await;
    let parts: &[(&str, Option<&str>, &[u8])] = &[
        ("chunk_size", None, b"500"),
        ("file", Some("../../readme.md"), TEXT),
        ("source", None, b"wiki/pumps/readme.md"),
        ("collection", None, b"team-a"),
        ("extract_entities", None, b"false"),
        ("chunk_overlap", None, b"50"),
        ("priority", None, b"7"),
        ("force", None, b""),
    ];
    let answer = server.send(form(parts)).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let json = answer.json();
    let document = DocumentId::new(&"team-a".parse().unwrap(), "wiki/pumps/readme.md");
    let job: graphmill_core::JobId = json["job_id"].as_str().unwrap().parse().unwrap();
    let expected = json!({"job_id": job, "document_id": document, "filename": "readme.md", "status": "pending"});
    assert_eq!(answer.text, expected.to_string());
    let detail = server.state.jobs().job(job).await.unwrap();
    assert_eq!(detail.job.priority, 7);
    assert_eq!((&detail.params["chunk_size"], &detail.params["chunk_overlap"]), (&json!(500), &json!(50)));
    assert_eq!(detail.params["mime_type"], "text/markdown");
    assert_eq!(detail.job.metadata["source"], "wiki/pumps/readme.md");
    assert!(detail.stages.iter().all(|s| s.name != "entity_extraction"));
    let key = detail.params["original"].as_str().unwrap();
    assert_eq!(server.state.services.blobs.read(key).await.unwrap(), TEXT);
}

#[tokio::test]
async fn many_files_are_a_list_and_one_folder_is_no_other() {
    let server = TestServer::start().await;
    let parts: &[(&str, Option<&str>, &[u8])] = &[
        ("source", None, b"pumps/readme.md"),
        ("file", Some("readme.md"), TEXT),
        ("file", Some("readme.md"), b"Valves close."),
        ("source", None, b"valves/readme.md"),
    ];
    let json = server.send(form(parts)).await.json();
    let jobs = json["jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), 2);
    assert_ne!(jobs[0]["document_id"], jobs[1]["document_id"]);
    let record = server.record(jobs[1]["job_id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(record.metadata["source"], "valves/readme.md");
}

#[tokio::test]
async fn a_known_document_is_replaced_and_that_is_said() {
    let server = TestServer::start().await;
    let upload = async || server.send(form(&[("file", Some("a.txt"), TEXT)])).await.json();
    let first = upload().await;
    assert!(first.get("replaces").is_none());
    let claimed = server.claim().await;
    let document = server.publish(&claimed.job).await;
    assert_eq!(upload().await["replaces"], document.to_string());
    server.end(claimed.fence, completed()).await;
    assert_eq!(server.delete(&format!("/api/documents/{document}")).await.status, 200);
    while !server.state.jobs().open_document_deletes(1).await.unwrap().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(upload().await.get("replaces").is_none(), "what was deleted is not replaced");
    assert_eq!(upload().await["replaces"], document.to_string(), "one under way is");
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_with_a_sentence() {
    let server = small_limits().await;
    let big = vec![b'x'; 1024 * 1024 + 1];
    let nul = "a\0b.txt";
    type Part<'a> = (&'a str, Option<&'a str>, &'a [u8]);
    let cases: &[(&[Part<'_>], u16, &str, &str)] = &[
        (&[("file", Some("e.pdf"), b"")], 400, "empty_file", "e.pdf"),
        (&[("file", Some("b.txt"), "\u{feff} \u{a0}\u{2003}\r\n".as_bytes())], 400, "no_text", "no text"),
        (&[("file", Some("big.txt"), &big)], 413, "too_large", "limit of 1 MB (1048576 bytes)"),
        (
            &[("file", Some("x.md"), b"\x7fELF\x02\x01\x01\0\0\0\0\0")],
            415,
            "unsupported_format",
            "PDF (application/pdf)",
        ),
        (&[("file", Some("x.pdf"), b"PK\x03\x04\x14\0\0\0")], 415, "unsupported_format", "x.pdf"),
        (&[("file", Some(nul), TEXT)], 400, "invalid_parameter", "U+0000"),
        (&[("file", Some(".."), TEXT)], 400, "invalid_parameter", "names no file"),
        (&[("file", None, TEXT)], 400, "invalid_parameter", "names no file"),
        (&[("files", Some("a.txt"), TEXT)], 400, "invalid_parameter", "must be named file"),
        (&[("chunk_size", None, b"1000")], 400, "invalid_parameter", "no file"),
        (
            &[("file", Some("a.txt"), TEXT), ("chunk_size", None, b"10"), ("chunk_overlap", None, b"10")],
            400,
            "invalid_parameter",
            "overlap",
        ),
        (&[("file", Some("a.txt"), TEXT), ("colection", None, b"x")], 400, "invalid_parameter", "colection"),
        (&[("file", Some("a.txt"), TEXT), ("file", Some("a.txt"), TEXT)], 400, "invalid_parameter", "two files"),
        (
            &[("file", Some("a.txt"), TEXT), ("file", Some("b.txt"), TEXT), ("source", None, b"x")],
            400,
            "invalid_parameter",
            "2 files and 1 sources",
        ),
        (
            &[("file", Some("a.txt"), TEXT), ("file", Some("bad.bin"), b"\0\x01\x02\x03\xff\xfe\xfd\0\0\x9c")],
            415,
            "unsupported_format",
            "bad.bin",
        ),
        (
            &[
                ("file", Some("1.txt"), TEXT),
                ("file", Some("2.txt"), TEXT),
                ("file", Some("3.txt"), TEXT),
                ("file", Some("4.txt"), TEXT),
            ],
            413,
            "too_large",
            "more than 3 files",
        ),
        (&[("file", Some("a.txt"), TEXT), ("source", None, &big[..5000])], 413, "too_large", "source"),
    ];
    for (parts, status, code, part) in cases {
        let (found, found_code, error) = server.send(form(parts)).await.error();
        assert_eq!((found, found_code.as_str()), (*status, *code), "{error}");
        assert!(error.contains(part), "{error}");
    }
    nothing_stayed(&server).await;
}

#[tokio::test]
async fn odd_names_are_kept() {
    let server = TestServer::start().await;
    let long = "x".repeat(300);
    for name in ["\u{5de}\u{5e1}\u{5de}\u{5da}.txt", "\u{1f642}.txt", &long, "say %22hi%22.txt"] {
        let json = server.send(form(&[("file", Some(name), TEXT)])).await.json();
        assert_eq!(json["filename"], name.replace("%22", "\""));
    }
}

#[tokio::test]
async fn a_wrong_content_type_or_a_broken_body_leaves_nothing() {
    let server = TestServer::start().await;
    let request =
        Request::post("/api/upload").header("content-type", "application/pdf").body(Body::from("%PDF-")).unwrap();
    assert_eq!(server.send(request).await.error().1, "wrong_content_type");
    let whole = form_body(&[("file", Some("a.txt"), TEXT), ("file", Some("b.txt"), &[b'y'; 200_000])]);
    for end in [0, 20, 100, 180, 100_000, whole.len() - 8] {
        let answer = server.send(form_of(Body::from(whole[..end].to_vec()))).await;
        assert_eq!((answer.error().0, answer.error().1.as_str()), (400, "invalid_multipart"), "{end}");
    }
    // A client that vanishes: the body ends in an error.
    let begin = stream::iter([Ok(Bytes::from(whole[..150_000].to_vec()))]);
    let body = Body::from_stream(begin.chain(stream::iter([Err(std::io::Error::other("connection reset"))])));
    assert_eq!(server.send(form_of(body)).await.error().1, "invalid_multipart");
    nothing_stayed(&server).await;
}

#[tokio::test]
async fn a_request_that_is_dropped_in_the_middle_leaves_nothing() {
    let server = TestServer::start().await;
    let begin = form_body(&[("file", Some("a.txt"), TEXT), ("file", Some("b.txt"), &[b'y'; 300_000])]);
    let begin = stream::iter([Ok::<_, std::io::Error>(Bytes::from(begin[..250_000].to_vec()))]);
    let request = form_of(Body::from_stream(begin.chain(stream::pending())));
    let sent = tokio::time::timeout(std::time::Duration::from_millis(500), server.send(request)).await;
    assert!(sent.is_err());
    nothing_stayed(&server).await;
}

#[tokio::test]
async fn what_is_of_no_accepted_type_is_known_before_it_is_read() {
    let server = TestServer::start().await;
    let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n");
    let read = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = read.clone();
    let endless = stream::repeat_with(move || {
        counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        Ok(Bytes::from(vec![0_u8; 64 * 1024]))
    });
    // 64 MiB at most are read after the answer, so that a client that is still sending gets it.
    let body = Body::from_stream(stream::iter([Ok::<_, std::io::Error>(Bytes::from(head))]).chain(endless));
    assert_eq!(server.send(form_of(body)).await.error().1, "unsupported_format");
    assert!(read.load(std::sync::atomic::Ordering::SeqCst) < 10);
    nothing_stayed(&server).await;
}

#[tokio::test]
async fn a_full_disk_stops_uploads_alone() {
    let server = TestServer::start().await;
    server.state.services.disk.note_full();
    let answer = server.send(form(&[("file", Some("a.txt"), TEXT)])).await;
    assert_eq!((answer.error().0, answer.error().1.as_str()), (507, "storage_full"));
    assert!(answer.json()["hint"].is_string());
    assert_eq!(server.get("/api/jobs").await.status, 200);
    nothing_stayed(&server).await;
}

#[tokio::test]
async fn a_hundred_at_once_are_all_accepted() {
    let server = TestServer::start().await;
    let names: Vec<String> = (0..100).map(|n| format!("{n}.txt")).collect();
    let uploads = names.iter().map(|name| server.upload(name, "Pumps pump."));
    let ids: std::collections::HashSet<_> = futures::future::join_all(uploads).await.into_iter().collect();
    assert_eq!((ids.len(), jobs(&server).await), (100, 100));
}
