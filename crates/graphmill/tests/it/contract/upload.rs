//! `POST /api/upload`: one and many files, fields, limits, types, what is unchanged.

use graphmill_testkit::TestApp;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use super::{assert_error, assert_says, hold, keys, start_held};
use crate::support::{BINARY, assert_completed, markdown, real_document, start};

async fn send(app: &TestApp, form: Form) -> (u16, Value) {
    let answer = app.http().post(format!("{}/api/upload", app.url())).multipart(form).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn file(name: &str, content: impl Into<Vec<u8>>) -> Part {
    Part::bytes(content.into()).file_name(name.to_owned())
}

async fn completed(app: &TestApp, answer: &Value) -> Value {
    let page = app.wait_ended(answer["job_id"].as_str().unwrap_or_else(|| panic!("{answer}"))).await.unwrap();
    assert_completed(&page);
    page
}

fn stage_names(page: &Value) -> Vec<&str> {
    page["stages"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_and_many() {
    let app = start().await;
    let (status, one) = send(&app, Form::new().part("file", file("a.txt", "A pump."))).await;
    assert_eq!((status, keys(&one)), (202, vec!["job_id", "document_id", "filename", "status"]), "{one}");

    let form = Form::new()
        .part("file", file("b.txt", "Pump B is dry."))
        .part("file", file("c.md", "# C\n\nPump C is dry."))
        .part("file", file("d.html", "<html><body><p>Pump D is dry.</p></body></html>"))
        .part("file", file("gnuplot.pdf", real_document("gnuplot.pdf")));
    let (status, many) = send(&app, form).await;
    assert_eq!((status, keys(&many)), (202, vec!["jobs"]), "{many}");
    let jobs = many["jobs"].as_array().unwrap();
    let names: Vec<&str> = jobs.iter().map(|j| j["filename"].as_str().unwrap()).collect();
    assert_eq!(names, ["b.txt", "c.md", "d.html", "gnuplot.pdf"]);
    for job in jobs {
        assert_eq!(keys(job), ["job_id", "document_id", "filename", "status"]);
        completed(&app, job).await;
    }
    let (_, documents) = app.get("/api/documents").await.unwrap();
    assert_eq!(documents["total"], 5, "{documents:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_before_and_after_the_file() {
    let app = start().await;
    let fields = |form: Form| {
        form.text("collection", "plant")
            .text("source", "north/a.md")
            .text("extract_entities", "false")
            .text("chunk_size", "300")
            .text("chunk_overlap", "0")
    };
    let text = markdown(1, 10);
    let before = fields(Form::new()).part("file", file("a.md", text.clone()));
    let (status, first) = send(&app, before).await;
    assert_eq!(status, 202, "{first}");
    let page = completed(&app, &first).await;
    assert_eq!(
        stage_names(&page),
        ["loading", "chunking", "embedding", "persistence"],
        "a stage that was not asked for is not listed"
    );
    assert_eq!(
        (&page["metadata"]["collection"], &page["metadata"]["source"], &page["metadata"]["filename"]),
        (&json!("plant"), &json!("north/a.md"), &json!("a.md"))
    );
    let (_, stats) = app.get("/api/graph/stats?collection=plant").await.unwrap();
    assert_eq!((&stats["entities"], &stats["relations"]), (&json!(0), &json!(0)), "{stats}");
    let (_, chunks) =
        app.get(&format!("/api/documents/{}/chunks?limit=1000", first["document_id"].as_str().unwrap())).await.unwrap();
    for chunk in chunks["chunks"].as_array().unwrap() {
        assert!(chunk["text"].as_str().unwrap().chars().count() <= 300, "{chunk}");
    }
    assert!(chunks["total"].as_u64().unwrap() > 20, "{chunks:#}");

    // The same request with the fields behind the file means the same: nothing has changed.
    let (status, second) = send(&app, fields(Form::new().part("file", file("a.md", text)))).await;
    assert_eq!(
        (status, &second["document_id"], &second["replaces"]),
        (202, &first["document_id"], &first["document_id"]),
        "{second}"
    );
    assert_eq!(completed(&app, &second).await["metadata"]["unchanged"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_known_source_is_replaced_or_unchanged_and_force_runs_all_the_same() {
    let app = start().await;
    let upload = async |text: &str, fields: &[(&str, &str)]| {
        let (status, answer) = app.upload("report.md", text.as_bytes(), fields).await.unwrap();
        assert_eq!(status, 202, "{answer}");
        let page = completed(&app, &answer).await;
        (answer, page)
    };
    let (first, page) = upload("# A\n\nNorthgate Pump is dry.", &[]).await;
    assert!(first.get("replaces").is_none(), "{first}");
    assert!(page["metadata"].get("unchanged").is_none(), "{page:#}");
    let (same, page) = upload("# A\n\nNorthgate Pump is dry.", &[]).await;
    assert_eq!(same["replaces"], first["document_id"]);
    assert_eq!(page["metadata"]["unchanged"], true, "{page:#}");
    assert!(page["message"].as_str().unwrap().to_lowercase().contains("unchanged"), "{page:#}");
    let (_, page) = upload("# A\n\nNorthgate Pump is dry.", &[("force", "true")]).await;
    assert!(page["metadata"]["unchanged"] != true && page["metadata"]["chunks_created"] == 1, "{page:#}");
    // Other settings are a change.
    let (_, page) = upload("# A\n\nNorthgate Pump is dry.", &[("extract_entities", "false")]).await;
    assert_ne!(page["metadata"]["unchanged"], true, "{page:#}");
    let (other, page) = upload("# A\n\nHalden Valve is shut.", &[]).await;
    assert_eq!(other["document_id"], first["document_id"]);
    assert_ne!(page["metadata"]["unchanged"], true, "{page:#}");
    let export = app.export("default").await.unwrap();
    assert!(export.contains("Halden Valve") && !export.contains("Northgate Pump"), "{export}");
    // The same name elsewhere is another document.
    let (elsewhere, _) = upload("# A\n\nHalden Valve is shut.", &[("source", "other/report.md")]).await;
    let (collection, _) = upload("# A\n\nHalden Valve is shut.", &[("collection", "b")]).await;
    for one in [&elsewhere, &collection] {
        assert_ne!(one["document_id"], first["document_id"]);
        assert!(one.get("replaces").is_none(), "{one}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_are_not_allowed_are_named_and_nothing_is_accepted() {
    let app = start().await;
    for (name, value, words) in [
        ("chunk_size", "0", vec!["chunk_size", "0"]),
        ("chunk_size", "-5", vec!["chunk_size", "-5"]),
        ("chunk_size", "big", vec!["chunk_size", "big"]),
        ("chunk_size", "100001", vec!["chunk_size", "100001", "100000"]),
        ("chunk_overlap", "1000", vec!["chunk_overlap", "1000"]),
        ("chunk_overlap", "-1", vec!["chunk_overlap", "-1"]),
        ("extract_entities", "maybe", vec!["extract_entities", "maybe", "true", "false"]),
        ("force", "yes", vec!["force", "yes", "true", "false"]),
        ("priority", "high", vec!["priority", "high"]),
        ("priority", "100000", vec!["priority", "100000"]),
        ("collection", "No Such", vec!["collection", "No Such"]),
        ("collection", "", vec![]),
        ("chunk-size", "300", vec!["chunk-size", "chunk_size"]),
    ] {
        if words.is_empty() {
            continue; // an empty field is what a form sends for one that was not filled in
        }
        let answer = app.upload("a.txt", "A pump.", &[(name, value)]).await.unwrap();
        assert_says(&answer, 400, "invalid_parameter", &words);
    }
    assert_says(&send(&app, Form::new().text("collection", "a")).await, 400, "invalid_parameter", &["file"]);
    let wrong_name = Form::new().part("document", file("a.txt", "A pump."));
    assert_says(&send(&app, wrong_name).await, 400, "invalid_parameter", &["document", "file"]);
    let twice = Form::new().part("file", file("a.txt", "1")).part("file", file("a.txt", "2"));
    assert_says(&send(&app, twice).await, 400, "invalid_parameter", &["a.txt"]);
    let sources = Form::new().text("source", "x").part("file", file("a.txt", "1")).part("file", file("b.txt", "2"));
    assert_says(&send(&app, sources).await, 400, "invalid_parameter", &["source"]);
    // One bad file of several: none is accepted.
    let one_bad = Form::new().part("file", file("a.txt", "A pump.")).part("file", file("b.txt", ""));
    assert_says(&send(&app, one_bad).await, 400, "empty_file", &["b.txt"]);
    assert_eq!(app.get("/api/jobs").await.unwrap().1["total"], 0);
    crate::faults::assert_no_blobs(&app).await;
    // With the source of each file, two of one name are two documents.
    let sourced = Form::new().text("source", "x/a.txt").text("source", "y/a.txt");
    let (status, many) =
        send(&app, sourced.part("file", file("a.txt", "One pump.")).part("file", file("a.txt", "Two pumps."))).await;
    assert_eq!((status, many["jobs"].as_array().map(Vec::len)), (202, Some(2)), "{many}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_and_types_have_limits_that_the_errors_say() {
    let app = TestApp::start_with(BINARY, |s| s.env("GRAPHMILL_MAX_FILE_MB", "1")).await.unwrap();
    let just_right = "A pump. ".repeat(1024 * 1024 / 8);
    let (status, answer) = app.upload("fits.txt", just_right.clone(), &[("extract_entities", "false")]).await.unwrap();
    assert_eq!(status, 202, "{answer}");
    for too_large in [format!("{just_right}."), just_right.repeat(40)] {
        let answer = app.upload("large.txt", too_large, &[]).await.unwrap();
        assert_says(&answer, 413, "too_large", &["large.txt", "1 MB"]);
    }
    for (name, content, found) in [
        ("noise.md", (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect::<Vec<u8>>(), "binary"),
        ("photo.txt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0".to_vec(), "PNG"),
        ("archive.pdf", b"PK\x03\x04\x14\0\0\0\x08\0".repeat(20), "ZIP"),
    ] {
        let answer = app.upload(name, content, &[]).await.unwrap();
        assert_says(&answer, 415, "unsupported_format", &[name, "PDF", "HTML", "Markdown", "plain text"]);
        assert!(answer.1["error"].as_str().unwrap().contains(found), "{found}: {}", answer.1);
    }
    assert_says(&app.upload("empty.pdf", "", &[]).await.unwrap(), 400, "empty_file", &["empty.pdf", "empty"]);
    // Type by content, not by name: a PDF named .txt is a PDF, a text named .pdf a text.
    let (_, pdf) = app
        .upload("manual.txt", crate::faults::pdf::with_text("Northgate Pump stands in Basin Four."), &[])
        .await
        .unwrap();
    completed(&app, &pdf).await;
    let (_, text) = app.upload("notes.pdf", "Halden Valve closes Line Seven.", &[]).await.unwrap();
    completed(&app, &text).await;
    let mime = async |answer: &Value| {
        let (_, page) = app.get(&format!("/api/documents/{}", answer["document_id"].as_str().unwrap())).await.unwrap();
        page["mime_type"].as_str().unwrap().to_owned()
    };
    assert_eq!((mime(&pdf).await.as_str(), mime(&text).await.as_str()), ("application/pdf", "text/plain"));

    let url = format!("{}/api/upload", app.url());
    let json = app.http().post(&url).json(&json!({"file": "x"})).send().await.unwrap();
    let answer = (json.status().as_u16(), json.json().await.unwrap());
    assert_says(&answer, 415, "wrong_content_type", &["application/json", "multipart/form-data"]);
    let none = app.post("/api/upload").await.unwrap();
    assert_error(&none, 415, "wrong_content_type");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_a_file_is_fifty_megabytes_by_default() {
    let app = start().await;
    let over = vec![b'a'; 50 * 1024 * 1024 + 1];
    assert_says(&app.upload("large.txt", over, &[]).await.unwrap(), 413, "too_large", &["50 MB"]);
    crate::faults::assert_no_blobs(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_chunks_than_a_document_may_have_fail_with_a_hint() {
    let app = start().await;
    let text = "The pump is dry. ".repeat(60_000);
    let fields = [("chunk_size", "10"), ("chunk_overlap", "0"), ("extract_entities", "false")];
    let job = app.upload_job("long.txt", text, &fields).await.unwrap();
    let page = app.wait_ended(&job).await.unwrap();
    let error = &page["errors"][0];
    assert_eq!((&page["status"], &error["code"]), (&json!("failed"), &json!("too_many_chunks")), "{page:#}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("50000") || message.contains("50,000"), "{page:#}");
    assert!(error["hint"].is_string(), "{page:#}");
    assert_eq!(page["attempts"].as_array().unwrap().len(), 1, "{page:#}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_large_upload_grows_no_memory() {
    let app = start_held(&hold("loading"), 1).await;
    let resident = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", app.pid().unwrap())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    app.upload_job("small.txt", "A pump.", &[]).await.unwrap();
    let before = resident();
    // Comes in pieces, as from a disk; the server has to be the one who does not hold it.
    let piece = "The pump is dry. ".repeat(4096);
    let pieces = 49 * 1024 * 1024 / piece.len();
    let stream = futures::stream::iter((0..pieces).map(move |_| Ok::<_, std::io::Error>(piece.clone())));
    let part = Part::stream(reqwest::Body::wrap_stream(stream)).file_name("large.txt");
    let (status, answer) = send(&app, Form::new().part("file", part)).await;
    assert_eq!(status, 202, "{answer}");
    let grown = resident().saturating_sub(before);
    assert!(grown < 24 * 1024, "the peak grew by {grown} kB for a file of 49 MB");
}

/// curl asks before it sends a body of more than 1 MB.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_asks_before_it_sends() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let app = start().await;
    let host = app.url().trim_start_matches("http://");
    let body = "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nA pump.\r\n--XX--\r\n";
    let head = format!(
        "POST /api/upload HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nExpect: 100-continue\r\n\
         Content-Type: multipart/form-data; boundary=XX\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = crate::contract::connect(&app).await;
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    let asked = tokio::time::timeout(std::time::Duration::from_secs(5), stream.read_exact(&mut first)).await;
    asked.expect("no word within 5 s").unwrap();
    assert_eq!(&first, b"HTTP/1.1 100");
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.contains("HTTP/1.1 202"), "{rest}");
}
