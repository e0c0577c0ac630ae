//! Bad input: each with a clear error, and nothing lost. After each the server answers, another upload completes, and no row or file is left behind.

pub(crate) mod pdf;

use std::path::Path;
use std::time::{Duration, Instant};

use graphmill_testkit::TestApp;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::contract::{assert_error, assert_says, connect, raw};
use crate::support::{assert_completed, markdown, real_document, start};

fn files_under(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files_under(&path)) } else { found.push(path.display().to_string()) }
    }
    found
}

/// Waits until no file is left among the blobs: what was refused or broke off is removed beside the answer.
pub(crate) async fn assert_no_blobs(app: &TestApp) {
    let folder = app.settings().data_dir().join("blobs");
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let found = files_under(&folder);
        if found.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "left behind: {found:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The server works: an upload completes. Then everything is taken away again, and nothing is left.
pub(crate) async fn assert_well(app: &TestApp) {
    let job = app.upload_job("afterwards.md", markdown(1, 3), &[("source", "afterwards")]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    let all = json!({"older_than_days": 0, "status": ["completed", "failed", "cancelled"]});
    let (status, answer) = app.post_json("/api/jobs/cleanup", &all).await.unwrap();
    assert_eq!(status, 200, "{answer}");
    let (_, page) = app.get("/api/documents?limit=1000").await.unwrap();
    for document in page["documents"].as_array().unwrap() {
        let id = document["document_id"].as_str().unwrap();
        let (status, answer) = app.delete(&format!("/api/documents/{id}")).await.unwrap();
        assert!(matches!(status, 200 | 202), "{answer}");
        crate::support::eventually(app, &format!("/api/documents/{id}"), 404).await;
    }
    assert_eq!(app.get("/api/jobs").await.unwrap().1["total"], 0);
    // What was placed is swept beside the answer.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (_, stats) = app.get("/api/graph/stats").await.unwrap();
        let names = ["documents", "chunks", "entities", "relations", "unplaced_chunks"];
        if names.iter().all(|name| stats[name] == 0) {
            break;
        }
        assert!(Instant::now() < deadline, "left behind: {stats}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_no_blobs(app).await;
}

/// Uploads; answers the error that the request or its job ended with: code, message, whether there is a hint.
async fn refusal(app: &TestApp, name: &str, content: impl Into<Vec<u8>>) -> (String, String, bool) {
    let (status, answer) = app.upload(name, content, &[]).await.unwrap();
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{name}: {answer:#}")).to_owned();
    if status != 202 {
        assert!((400..500).contains(&status), "{name}: {status} {answer}");
        return (text(&answer["code"]), text(&answer["error"]), answer["hint"].is_string());
    }
    let page = app.wait_ended(answer["job_id"].as_str().unwrap()).await.unwrap();
    assert_eq!(page["status"], "failed", "{name}: {page:#}");
    assert_eq!(page["attempts"].as_array().unwrap().len(), 1, "no attempt is repeated for {name}: {page:#}");
    let error = &page["errors"][0];
    assert_eq!(page["errors"].as_array().unwrap().len(), 1, "{name}: {page:#}");
    (text(&error["code"]), text(&error["message"]), error["hint"].is_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_without_anything_to_read() {
    let app = start().await;
    for (name, content, code) in [
        ("empty.pdf", Vec::new(), "empty_file"),
        ("empty.txt", Vec::new(), "empty_file"),
        ("blank.txt", b" \n\t\r\n \n".to_vec(), "no_text"),
        ("blank.md", "\u{feff}\n\u{a0}\n".into(), "no_text"),
        ("blank.html", b"<html><body> <p>&nbsp;</p></body></html>".to_vec(), "no_text"),
        ("blank.pdf", pdf::blank(), "no_text"),
        ("no-pages.pdf", pdf::without_pages(), "damaged"),
        ("encrypted-rc4.pdf", pdf::encrypted_rc4(), "encrypted"),
        ("encrypted-aes.pdf", pdf::encrypted_aes(), "encrypted"),
        ("header.pdf", b"%PDF-1.7\n".to_vec(), "damaged"),
        ("noise.pdf", [b"%PDF-1.7\n".to_vec(), noise(20_000)].concat(), "damaged"),
        ("noise.md", noise(20_000), "unsupported_format"),
        ("noise.txt", noise(300), "unsupported_format"),
        ("zeros.txt", vec![0; 5_000], "unsupported_format"),
    ] {
        let (given, message, hint) = refusal(&app, name, content).await;
        assert_eq!(given, code, "{name}: {message}");
        assert!(message.len() > 15 && hint, "{name}: {message}, hint {hint}");
    }
    assert_eq!(app.get("/api/documents").await.unwrap().1["total"], 0);
    assert_well(&app).await;
}

/// Bytes without any order; the same each time.
fn noise(bytes: u32) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 24) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pdf_that_was_cut_ends_in_text_or_in_a_clear_error() {
    let app = start().await;
    let whole = real_document("gnuplot.pdf");
    let cuts = [1_u64, 10, 100, 250, 500, 750, 900, 990, 999];
    let uploads = cuts.map(|cut| {
        let length = usize::try_from(whole.len() as u64 * cut / 1000).unwrap();
        app.upload_job(
            "cut.pdf",
            &whole[..length],
            Box::leak(Box::new([("source", format!("cut-{cut}").leak() as &str), ("extract_entities", "false")])),
        )
    });
    for (job, cut) in futures::future::join_all(uploads).await.into_iter().zip(cuts) {
        let page = app.wait_ended(&job.unwrap()).await.unwrap();
        assert_eq!(page["attempts"].as_array().unwrap().len(), 1, "{cut} ‰: {page:#}");
        match page["status"].as_str() {
            Some("completed") => {
                assert!(page["metadata"]["chunks_created"].as_u64().unwrap() > 0, "{cut} ‰: {page:#}");
                // Nothing is dropped silently: the log says that the document is not whole.
                let id = page["job_id"].as_str().unwrap();
                let (_, logs) = app.get(&format!("/api/jobs/{id}/logs?level=warning")).await.unwrap();
                assert!(logs["total"].as_u64().unwrap() > 0, "{cut} ‰ is read without a warning: {page:#}");
            }
            _ => {
                let error = &page["errors"][0];
                assert!(matches!(error["code"].as_str(), Some("damaged" | "no_text")), "{cut} ‰: {page:#}");
                assert!(error["hint"].is_string(), "{cut} ‰: {page:#}");
            }
        }
    }
    assert_well(&app).await;
}

/// The text of a document's chunks.
async fn text_of(app: &TestApp, job: &str) -> String {
    let page = app.wait_ended(job).await.unwrap();
    assert_completed(&page);
    let id = page["metadata"]["document_id"].as_str().unwrap();
    let (_, chunks) = app.get(&format!("/api/documents/{id}/chunks")).await.unwrap();
    chunks["chunks"].as_array().unwrap().iter().map(|c| c["text"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_be_read_is_read_whatever_its_name_or_encoding() {
    let app = start().await;
    let text = "Northgate Pump stands in Basin Four. It feeds Halden Works.";
    let utf16 = |big: bool, mark: bool| {
        let mut bytes = Vec::new();
        for unit in format!("{}{text}", if mark { "\u{feff}" } else { "" }).encode_utf16() {
            bytes.extend(if big { unit.to_be_bytes() } else { unit.to_le_bytes() });
        }
        bytes
    };
    for (name, content) in [
        ("manual.txt", pdf::with_text(text)),
        ("manual", pdf::with_text(text)),
        ("junk-before.pdf", [b"\n\n  ".to_vec(), pdf::with_text(text)].concat()),
        ("owner-only.pdf", pdf::encrypted_for_owner_only()),
        ("utf8-mark.txt", format!("\u{feff}{text}").into_bytes()),
        ("utf16-le.txt", utf16(false, true)),
        ("utf16-be.txt", utf16(true, true)),
        ("invalid-utf8.txt", [text.as_bytes(), b" Caf\xe9 \xff\xfe \xc3\x28."].concat()),
        ("latin-1.md", [b"# Geb\xe4ude\n\n".to_vec(), text.as_bytes().to_vec()].concat()),
        ("page.pdf", format!("<!doctype html><html><body><p>{text}</p></body></html>").into_bytes()),
    ] {
        let job = app.upload_job(name, content, &[]).await.unwrap_or_else(|e| panic!("{name}: {e:#}"));
        let read = text_of(&app, &job).await;
        assert!(read.contains("Northgate Pump stands in Basin Four."), "{name}: {read:?}");
    }
    assert_well(&app).await;
}

/// A multipart body of one file part with the head as given.
fn body_with_head(head: &str, content: &[u8]) -> Vec<u8> {
    let mut body = format!("--XX\r\n{head}\r\n\r\n").into_bytes();
    body.extend(content);
    body.extend(b"\r\n--XX--\r\n");
    body
}

async fn post_multipart(app: &TestApp, content_type: &str, body: Vec<u8>) -> (u16, Value) {
    let request = app.http().post(format!("{}/api/upload", app.url())).header("content-type", content_type).body(body);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

const XX: &str = "multipart/form-data; boundary=XX";

#[tokio::test(flavor = "multi_thread")]
async fn names_that_are_traps() {
    let app = start().await;
    let long = format!("{}.txt", "x".repeat(296));
    for (given, shown) in [
        ("../../etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("/etc/shadow", "shadow"),
        (long.as_str(), long.as_str()),
        ("מסמך עברי.txt", "מסמך עברי.txt"),
        ("report\u{202e}fdp.txt", "reportfdp.txt"),
        ("🙂🔧 pump.txt", "🙂🔧 pump.txt"),
        ("a b;c=d.txt", "a b;c=d.txt"),
        ("%2e%2e%2fx.txt", "%2e%2e%2fx.txt"),
        ("con", "con"),
        (".hidden", ".hidden"),
        ("-rf", "-rf"),
        ("$(reboot).txt", "$(reboot).txt"),
        ("'; DROP TABLE job; --", "'; DROP TABLE job; --"),
        ("<img src=x>.txt", "<img src=x>.txt"),
    ] {
        let head = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{given}\"");
        let (status, answer) = post_multipart(&app, XX, body_with_head(&head, b"Northgate Pump is dry.")).await;
        assert_eq!((status, answer["filename"].as_str()), (202, Some(shown)), "{given}: {answer}");
        let page = app.wait_ended(answer["job_id"].as_str().unwrap()).await.unwrap();
        assert_completed(&page);
        let (_, found) = app.get(&format!("/api/documents/{}", answer["document_id"].as_str().unwrap())).await.unwrap();
        assert_eq!(found["filename"], shown, "{found}");
    }
    for given in ["a\0b.txt", "..", "a/..", "x".repeat(5_000).as_str(), "a\u{7}b.txt"] {
        let head = format!("Content-Disposition: form-data; name=\"file\"; filename=\"{given}\"");
        let answer = post_multipart(&app, XX, body_with_head(&head, b"Northgate Pump is dry.")).await;
        assert_eq!(answer.0, 400, "{given:?}: {}", answer.1);
        assert!(
            matches!(answer.1["code"].as_str(), Some("invalid_parameter" | "invalid_multipart")),
            "{given:?}: {}",
            answer.1
        );
        assert!(!answer.1["error"].as_str().unwrap().contains('\0'), "{}", answer.1);
    }
    let (_, answer) = app.upload("a.txt", "A pump.", &[("source", "a\0b")]).await.unwrap();
    assert_eq!(answer["code"], "invalid_parameter", "{answer}");
    // A source is a name, not a path: nothing is written by it.
    let job = app.upload_job("a.txt", "A pump.", &[("source", "../../../outside.txt")]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    let dir = app.settings().data_dir();
    assert!(!dir.join("../outside.txt").exists() && !dir.join("passwd").exists());
    assert_well(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_multipart_body() {
    let app = start().await;
    let good =
        body_with_head("Content-Disposition: form-data; name=\"file\"; filename=\"a.txt\"", b"Northgate Pump is dry.");
    let endless_head =
        format!("Content-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\nX-Long: {}", "x".repeat(100_000));
    for (what, content_type, body) in [
        ("no boundary", "multipart/form-data", good.clone()),
        ("another boundary", "multipart/form-data; boundary=YY", good.clone()),
        ("empty", XX, Vec::new()),
        ("cut in the data", XX, good[..good.len() - 20].to_vec()),
        ("cut before the last hyphens", XX, good[..good.len() - 4].to_vec()),
        ("cut in the head", XX, good[..30].to_vec()),
        ("no disposition", XX, body_with_head("Content-Type: text/plain", b"A pump.")),
        ("no name", XX, body_with_head("Content-Disposition: form-data; filename=\"a.txt\"", b"A pump.")),
        ("an endless head", XX, body_with_head(&endless_head, b"A pump.")),
        ("noise", XX, noise(50_000)),
    ] {
        let answer = post_multipart(&app, content_type, body).await;
        assert_error(&answer, 400, "invalid_multipart");
        assert!(answer.1["hint"].is_string(), "{what}: {}", answer.1);
    }
    let only_end = post_multipart(&app, XX, b"--XX--\r\n".to_vec()).await;
    assert_says(&only_end, 400, "invalid_parameter", &["file"]);
    assert_eq!(app.get("/api/jobs").await.unwrap().1["total"], 0);
    assert_no_blobs(&app).await;
    assert_well(&app).await;
}

/// The head of an upload request, and the beginning of its body up to the file's first byte.
fn upload_head(app: &TestApp, length: usize) -> Vec<u8> {
    let host = app.url().trim_start_matches("http://");
    let part = "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n";
    let total = part.len() + length + "\r\n--XX--\r\n".len();
    format!("POST /api/upload HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: {XX}\r\nContent-Length: {total}\r\n\r\n{part}").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_in_an_upload() {
    let app = start().await;
    let piece = "The pump is dry. ".repeat(4_096);
    for pieces in [0, 1, 40] {
        let mut stream = connect(&app).await;
        stream.write_all(&upload_head(&app, 20_000_000)).await.unwrap();
        for _ in 0..pieces {
            stream.write_all(piece.as_bytes()).await.unwrap();
        }
        if pieces == 40 {
            // It got as far as the disk.
            let folder = app.settings().data_dir().join("blobs");
            let deadline = Instant::now() + Duration::from_secs(10);
            while files_under(&folder).is_empty() {
                assert!(Instant::now() < deadline, "nothing was written of 2.7 MB");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        drop(stream);
        assert_no_blobs(&app).await;
    }
    // Vanishing in the middle of the head leaves nothing either.
    let mut stream = connect(&app).await;
    stream.write_all(b"POST /api/upload HTTP/1.1\r\nHost: ").await.unwrap();
    drop(stream);
    assert_eq!(app.get("/api/jobs").await.unwrap().1["total"], 0);
    assert_well(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_is_served_and_holds_up_nobody() {
    let app = start().await;
    let text = "Northgate Pump stands in Basin Four. ".repeat(20);
    let mut stream = connect(&app).await;
    let mut request = upload_head(&app, text.len());
    request.extend(text.bytes());
    request.extend(b"\r\n--XX--\r\n");
    for piece in request.chunks(request.len() / 30) {
        stream.write_all(piece).await.unwrap();
        let asked = Instant::now();
        assert_eq!(app.get("/api/jobs").await.unwrap().0, 200);
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    let body: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_completed(&app.wait_ended(body["job_id"].as_str().unwrap()).await.unwrap());
    assert_well(&app).await;
}

/// Sends a request of `head` and `pieces` times `piece`, reading meanwhile; answers what the server said.
async fn pour(app: &TestApp, head: &str, piece: &[u8], pieces: usize) -> String {
    let (mut read, mut write) = connect(app).await.into_split();
    let (head, piece) = (head.as_bytes().to_vec(), piece.to_vec());
    let writer = tokio::spawn(async move {
        if write.write_all(&head).await.is_ok() {
            for _ in 0..pieces {
                if write.write_all(&piece).await.is_err() {
                    break; // the server has said what it had to say
                }
            }
        }
    });
    let mut bytes = Vec::new();
    let all = tokio::time::timeout(Duration::from_secs(30), read.read_to_end(&mut bytes)).await;
    writer.abort();
    all.unwrap_or_else(|_| panic!("no end after {} bytes of an answer", bytes.len())).ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn large_and_deep_json() {
    let app = start().await;
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", app.pid().unwrap())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = resident();
    let host = app.url().trim_start_matches("http://");
    let piece = vec![b' '; 1_000_000];
    for path in ["/api/jobs", "/api/jobs/cleanup"] {
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\n");
        let counted = pour(&app, &format!("{head}Content-Length: 100000000\r\n\r\n"), &piece, 100).await;
        assert!(counted.starts_with("HTTP/1.1 413") && counted.contains("\"too_large\""), "{path}: {counted:?}");
        let chunk = [format!("{:x}\r\n", piece.len()).into_bytes(), piece.clone(), b"\r\n".to_vec()].concat();
        let uncounted = pour(&app, &format!("{head}Transfer-Encoding: chunked\r\n\r\n"), &chunk, 100).await;
        assert!(uncounted.starts_with("HTTP/1.1 413") && uncounted.contains("\"too_large\""), "{path}: {uncounted:?}");
        for deep in
            ["[".repeat(60_000), "{\"a\":".repeat(12_000), format!("{}{}", "[".repeat(30_000), "]".repeat(30_000))]
        {
            let request =
                app.http().post(format!("{}{path}", app.url())).header("content-type", "application/json").body(deep);
            let answer = request.send().await.unwrap();
            assert_error(&(answer.status().as_u16(), answer.json().await.unwrap()), 400, "invalid_json");
        }
        let nested = format!("{{\"params\":{}1{}}}", "{\"a\":".repeat(100), "}".repeat(100));
        let request =
            app.http().post(format!("{}{path}", app.url())).header("content-type", "application/json").body(nested);
        assert_eq!(request.send().await.unwrap().status(), 400, "{path}");
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 16 * 1024, "the peak grew by {grown} kB");
    assert_well(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_http_is_answered_or_closed() {
    let app = start().await;
    let host = app.url().trim_start_matches("http://");
    let long = "x".repeat(300_000);
    for request in [
        noise(2_000),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"\r\n\r\n\r\n\r\n".to_vec(),
        b"GET\r\n\r\n".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        format!("GET /livez HTTP/1.1\r\nHost: {host}\r\nContent-Length: -5\r\n\r\n").into_bytes(),
        format!("POST /api/jobs HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n")
            .into_bytes(),
        format!("GET /livez HTTP/1.1\r\nHost: {host}\r\nX-Long: {long}\r\n\r\n").into_bytes(),
        format!("GET /{long} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes(),
        format!("GET /livez HTTP/1.1\r\nHost: {host}\r\n{}\r\n", "X-Many: 1\r\n".repeat(2_000)).into_bytes(),
    ] {
        let shown = String::from_utf8_lossy(&request[..request.len().min(60)]).into_owned();
        // Nobody answers these with more than a refusal; the half of a connection that is still open must not keep it.
        let mut stream = connect(&app).await;
        let _ = stream.write_all(&request).await;
        let _ = stream.shutdown().await;
        let mut bytes = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut bytes)).await;
        assert!(read.is_ok(), "{shown:?} is neither answered nor closed");
        let answer = String::from_utf8_lossy(&bytes);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{shown:?}: {answer}");
    }
    let answer = raw(&app, format!("GET /livez HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_well(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_uploads_at_once_and_none_lost() {
    let app = start().await;
    let uploads = (0..100).map(|n| {
        let app = &app;
        async move { app.upload_job(&format!("{n}.md"), markdown(n, 2), &[]).await.unwrap() }
    });
    let mut jobs = futures::future::join_all(uploads).await;
    for job in &jobs {
        assert_completed(&app.wait_ended(job).await.unwrap());
    }
    jobs.sort();
    jobs.dedup();
    assert_eq!(jobs.len(), 100);
    let (_, page) = app.get("/api/jobs?status=completed").await.unwrap();
    assert_eq!(page["total"], 100);
    let (_, page) = app.get("/api/documents").await.unwrap();
    assert_eq!(page["total"], 100);
    assert_well(&app).await;
}
