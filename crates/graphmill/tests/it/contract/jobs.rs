//! One job: its page from the upload to its end, cancel, delete, retry, re-ingestion, cleanup.

use graphmill_testkit::TestApp;
use serde_json::{Value, json};

use super::{assert_error, assert_says, hold, keys, start_held, time};
use crate::support::{assert_completed, markdown, real_document, start};

const STAGES: [&str; 5] = ["loading", "chunking", "embedding", "entity_extraction", "persistence"];

fn stage<'a>(page: &'a Value, name: &str) -> &'a Value {
    page["stages"]
        .as_array()
        .unwrap()
        .iter()
        .find(|s| s["name"] == name)
        .unwrap_or_else(|| panic!("no {name}: {page:#}"))
}

/// `job-` and a UUID of version 7.
fn assert_job_id(id: &str) {
    let uuid = id.strip_prefix("job-").unwrap_or_else(|| panic!("{id}"));
    let groups: Vec<usize> = uuid.split('-').map(str::len).collect();
    assert_eq!(groups, [8, 4, 4, 4, 12], "{id}");
    assert!(uuid.chars().all(|c| c == '-' || c.is_ascii_digit() || ('a'..='f').contains(&c)), "{id}");
    assert_eq!(uuid.as_bytes()[14], b'7', "{id}");
}

/// Waits until the job stands at the stage.
async fn at_stage(app: &TestApp, job: &str, name: &str) -> Value {
    app.wait_job(job, |page| stage(page, name)["status"] == "running").await.unwrap()
}

/// `… (95/147)`: answers the two numbers.
fn counts(message: &str) -> (u64, u64) {
    let inner = message.rsplit_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).and_then(|c| c.split_once('/'));
    let (done, total) = inner.unwrap_or_else(|| panic!("no counts in {message:?}"));
    (done.parse().unwrap(), total.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_pdf_from_the_upload_to_the_end() {
    let pdf = real_document("gnuplot.pdf");
    let size = pdf.len();
    // Stands still after some chunks were embedded, so that a running job can be looked at.
    let app = start_held("stage.embedding.unit=3*off->1*sleep(2000)", 1).await;
    let (status, accepted) = app.upload("gnuplot.pdf", pdf, &[]).await.unwrap();
    assert_eq!(status, 202, "{accepted}");
    assert_eq!(keys(&accepted), ["job_id", "document_id", "filename", "status"]);
    assert_eq!((accepted["filename"].as_str(), accepted["status"].as_str()), (Some("gnuplot.pdf"), Some("pending")));
    let job = accepted["job_id"].as_str().unwrap();
    assert_job_id(job);
    let document = accepted["document_id"].as_str().unwrap();
    assert!(document.starts_with("doc-") && document.len() == 30 && document.to_lowercase() == document, "{document}");

    let page =
        app.wait_job(job, |p| stage(p, "embedding")["progress"].as_f64().is_some_and(|p| p > 0.0)).await.unwrap();
    assert_eq!(
        keys(&page),
        [
            "job_id",
            "job_type",
            "status",
            "progress",
            "message",
            "created_at",
            "started_at",
            "metadata",
            "stages",
            "errors",
            "attempts"
        ]
    );
    assert_eq!((page["job_type"].as_str(), page["status"].as_str()), (Some("ingestion"), Some("running")));
    let progress = page["progress"].as_f64().unwrap();
    assert!(progress > 0.0 && progress < 1.0, "{page:#}");
    let (done, total) = counts(page["message"].as_str().unwrap());
    assert!(done > 0 && done < total, "{page:#}");
    assert!(page["message"].as_str().unwrap().starts_with("Processing chunks ("), "{page:#}");
    assert!(time(&page["created_at"]) <= time(&page["started_at"]), "{page:#}");
    let metadata = &page["metadata"];
    for (key, value) in [
        ("filename", json!("gnuplot.pdf")),
        ("document_id", json!(document)),
        ("source", json!("gnuplot.pdf")),
        ("collection", json!("default")),
        ("file_size", json!(size)),
    ] {
        assert_eq!(metadata[key], value, "{page:#}");
    }
    assert!(metadata["page_count"].as_u64().unwrap() >= 50, "{page:#}");
    let names: Vec<&str> = page["stages"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, STAGES);
    for name in ["loading", "chunking"] {
        assert_eq!(keys(stage(&page, name)), ["name", "status", "progress", "duration_seconds"]);
        assert_eq!(
            (&stage(&page, name)["status"], &stage(&page, name)["progress"]),
            (&json!("completed"), &json!(1.0))
        );
        assert!(stage(&page, name)["duration_seconds"].is_number(), "{page:#}");
    }
    assert_eq!(keys(stage(&page, "embedding")), ["name", "status", "progress", "duration_seconds"], "{page:#}");
    for name in ["entity_extraction", "persistence"] {
        assert_eq!(stage(&page, name), &json!({"name": name, "status": "pending", "progress": 0.0}));
    }
    assert_eq!(page["errors"], json!([]));
    assert_eq!(keys(&page["attempts"][0])[..2], ["number", "started_at"], "{page:#}");

    // In a list it has no stages.
    let (_, list) = app.get("/api/jobs?status=running").await.unwrap();
    assert_eq!(keys(&list), ["jobs", "total", "limit", "offset", "has_more"]);
    assert_eq!(
        keys(&list["jobs"][0]),
        ["job_id", "job_type", "status", "progress", "message", "created_at", "started_at", "metadata"]
    );
    let refused = app.delete(&format!("/api/jobs/{job}")).await.unwrap();
    assert_error(&refused, 400, "cannot_delete");
    assert_eq!(refused.1["error"], "Cannot delete running job. Cancel it first.");

    let page = app.wait_ended(job).await.unwrap();
    assert_completed(&page);
    assert_eq!(
        keys(&page),
        [
            "job_id",
            "job_type",
            "status",
            "progress",
            "message",
            "created_at",
            "started_at",
            "completed_at",
            "metadata",
            "stages",
            "errors",
            "attempts"
        ]
    );
    assert_eq!(page["message"], "Document ingestion complete");
    assert!(time(&page["started_at"]) <= time(&page["completed_at"]), "{page:#}");
    assert!(page["metadata"]["chunks_created"].as_u64().unwrap() > 500, "{page:#}");
    assert!(page["metadata"]["entities_extracted"].as_u64().unwrap() > 100, "{page:#}");
    let attempt = &page["attempts"][0];
    assert_eq!(keys(attempt), ["number", "started_at", "ended_at", "outcome", "stages"]);
    assert_eq!(
        (&attempt["number"], &attempt["outcome"], &attempt["stages"]),
        (&json!(1), &json!("completed"), &json!(STAGES))
    );
    assert!(time(&attempt["started_at"]) <= time(&attempt["ended_at"]), "{page:#}");

    let refused = app.post(&format!("/api/jobs/{job}/cancel")).await.unwrap();
    assert_error(&refused, 400, "cannot_cancel");
    assert_eq!(refused.1["error"], "Cannot cancel completed job");
    assert_error(&app.post(&format!("/api/jobs/{job}/retry")).await.unwrap(), 400, "cannot_retry");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_delete_and_retry_of_jobs_in_each_state() {
    let app = start_held(&hold("embedding"), 1).await;
    let running = app.upload_job("running.md", markdown(1, 20), &[]).await.unwrap();
    at_stage(&app, &running, "embedding").await;
    let pending = app.upload_job("pending.md", markdown(2, 20), &[]).await.unwrap();
    let (_, page) = app.get(&format!("/api/jobs/{pending}")).await.unwrap();
    assert_eq!(page["status"], "pending", "{page:#}");
    // Absent until they are known.
    assert!(page.get("started_at").is_none() && page.get("completed_at").is_none(), "{page:#}");
    assert_eq!(page["attempts"], json!([]));
    for stage in page["stages"].as_array().unwrap() {
        assert_eq!(keys(stage), ["name", "status", "progress"], "{page:#}");
    }
    for (job, word) in [(&running, "running"), (&pending, "pending")] {
        let refused = app.delete(&format!("/api/jobs/{job}")).await.unwrap();
        assert_error(&refused, 400, "cannot_delete");
        assert_eq!(refused.1["error"], format!("Cannot delete {word} job. Cancel it first."));
        assert_says(&app.post(&format!("/api/jobs/{job}/retry")).await.unwrap(), 400, "cannot_retry", &[word]);
    }
    for job in [&pending, &running] {
        let (status, answer) = app.post(&format!("/api/jobs/{job}/cancel")).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        assert_eq!(
            answer.to_string(),
            json!({"job_id": job, "status": "cancelled", "message": "Job cancelled successfully"}).to_string()
        );
        let (_, page) = app.get(&format!("/api/jobs/{job}")).await.unwrap();
        assert_eq!(page["status"], "cancelled", "{page:#}");
        time(&page["completed_at"]);
        let refused = app.post(&format!("/api/jobs/{job}/cancel")).await.unwrap();
        assert_error(&refused, 400, "cannot_cancel");
        assert_eq!(refused.1["error"], "Cannot cancel cancelled job");
    }
    let (status, answer) = app.delete(&format!("/api/jobs/{running}")).await.unwrap();
    assert_eq!((status, answer.to_string()), (200, json!({"message": "Job deleted", "job_id": running}).to_string()));
    // A job that is gone and ids that never were are all the same: 404 with the id.
    for id in [
        running.as_str(),
        "job-0193a0b0-6c5e-7a3e-9d2f-3b7c1e5a9f10",
        "job-123-abc",
        "nonsense",
        "%00",
        "..%2f..",
        "😀",
    ] {
        assert_error(&app.get(&format!("/api/jobs/{id}")).await.unwrap(), 404, "not_found");
        assert_error(&app.get(&format!("/api/jobs/{id}/logs")).await.unwrap(), 404, "not_found");
        assert_error(&app.delete(&format!("/api/jobs/{id}")).await.unwrap(), 404, "not_found");
        for call in ["cancel", "retry"] {
            assert_error(&app.post(&format!("/api/jobs/{id}/{call}")).await.unwrap(), 404, "not_found");
        }
    }
    assert_says(&app.get("/api/jobs/job-123-abc").await.unwrap(), 404, "not_found", &["job-123-abc"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_waits_its_turn_and_is_refused_when_something_later_stands_in_the_way() {
    let app = start_held(&hold("embedding"), 1).await;
    let blocker = app.upload_job("blocker.md", markdown(1, 20), &[]).await.unwrap();
    at_stage(&app, &blocker, "embedding").await;
    let job = app.upload_job("report.md", markdown(2, 20), &[]).await.unwrap();
    assert_eq!(app.post(&format!("/api/jobs/{job}/cancel")).await.unwrap().0, 200);
    let (status, answer) = app.post(&format!("/api/jobs/{job}/retry")).await.unwrap();
    assert_eq!((status, &answer["job_id"], &answer["status"]), (202, &json!(job), &json!("pending")), "{answer}");
    assert!(answer["message"].is_string(), "{answer}");
    let (_, page) = app.get(&format!("/api/jobs/{job}")).await.unwrap();
    assert_eq!(page["status"], "pending", "{page:#}");
    assert!(page.get("completed_at").is_none(), "{page:#}");
    // A second retry finds it pending.
    assert_error(&app.post(&format!("/api/jobs/{job}/retry")).await.unwrap(), 400, "cannot_retry");

    assert_eq!(app.post(&format!("/api/jobs/{job}/cancel")).await.unwrap().0, 200);
    let later = app.upload_job("report.md", markdown(3, 20), &[]).await.unwrap();
    assert_says(&app.post(&format!("/api/jobs/{job}/retry")).await.unwrap(), 409, "overtaken", &[&later]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_overtaken_job_ends_cancelled_and_says_by_what() {
    let app = start_held(&hold("embedding"), 1).await;
    let blocker = app.upload_job("blocker.md", markdown(1, 20), &[]).await.unwrap();
    at_stage(&app, &blocker, "embedding").await;
    let job = app.upload_job("report.md", markdown(2, 20), &[]).await.unwrap();
    let (_, page) = app.get(&format!("/api/jobs/{job}")).await.unwrap();
    let document = page["metadata"]["document_id"].as_str().unwrap().to_owned();
    // The deletion of its document overtakes it while it waits.
    let (status, answer) = app.delete(&format!("/api/documents/{document}")).await.unwrap();
    assert!(matches!(status, 200 | 202), "{answer}");
    let page = app.wait_ended(&job).await.unwrap();
    assert_eq!(page["status"], "cancelled", "{page:#}");
    assert!(page["message"].as_str().unwrap().to_lowercase().contains("delet"), "{page:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_upload_overtakes_an_earlier_one_that_still_runs() {
    // The first job stands at its first chunks while the second one runs to its end.
    let app = start_held("stage.embedding.unit=1*sleep(1500)", 2).await;
    let first = app.upload_job("report.md", markdown(2, 20), &[]).await.unwrap();
    at_stage(&app, &first, "embedding").await;
    let (status, answer) = app.upload("report.md", markdown(3, 20), &[]).await.unwrap();
    assert_eq!(status, 202, "{answer}");
    assert_eq!(keys(&answer), ["job_id", "document_id", "filename", "status", "replaces"]);
    assert_eq!(answer["replaces"], answer["document_id"]);
    let second = answer["job_id"].as_str().unwrap();
    assert_completed(&app.wait_ended(second).await.unwrap());
    let page = app.wait_ended(&first).await.unwrap();
    assert_eq!(page["status"], "cancelled", "{page:#}");
    assert!(page["message"].as_str().unwrap().to_lowercase().contains("overtaken"), "{page:#}");
    assert_error(&app.post(&format!("/api/jobs/{first}/retry")).await.unwrap(), 409, "overtaken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_original_is_ingested_again() {
    let app = start().await;
    let job = app.upload_job("report.md", markdown(1, 20), &[("source", "plant/report.md")]).await.unwrap();
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    let before = app.export("default").await.unwrap();
    let document = page["metadata"]["document_id"].as_str().unwrap();
    let body = json!({"job_type": "ingestion", "params": {"document_id": document}});
    let (status, answer) = app.post_json("/api/jobs", &body).await.unwrap();
    assert_eq!(status, 202, "{answer}");
    assert_eq!(keys(&answer)[..3], ["job_id", "job_type", "status"], "{answer}");
    assert_eq!(answer["metadata"]["document_id"], document, "{answer}");
    let again = answer["job_id"].as_str().unwrap();
    assert_ne!(again, job);
    let page = app.wait_ended(again).await.unwrap();
    assert_completed(&page);
    assert_eq!(page["metadata"]["source"], "plant/report.md", "{page:#}");
    assert_eq!(app.export("default").await.unwrap(), before);

    let unknown = "doc-aaaaaaaaaaaaaaaaaaaaaaaaaa";
    for (body, status, code, words) in [
        (json!({"job_type": "ingestion", "params": {"document_id": unknown}}), 404, "not_found", vec![unknown]),
        (json!({"job_type": "ingestion", "params": {"document_id": "x"}}), 404, "not_found", vec!["x"]),
        (json!({"job_type": "ingestion", "params": {}}), 400, "invalid_parameter", vec!["document_id"]),
        (json!({"job_type": "ingestion"}), 400, "invalid_parameter", vec!["params"]),
        (json!({"params": {"document_id": document}}), 400, "invalid_parameter", vec!["job_type"]),
        (
            json!({"job_type": "baking", "params": {}}),
            400,
            "invalid_parameter",
            vec!["baking", "ingestion", "reindex", "clustering"],
        ),
        (
            json!({"job_type": "ingestion", "params": {"document_id": document}, "colour": 1}),
            400,
            "invalid_parameter",
            vec!["colour"],
        ),
        (
            json!({"job_type": "ingestion", "params": {"document_id": document, "chunk_size": 0}}),
            400,
            "invalid_parameter",
            vec!["chunk_size", "0"],
        ),
    ] {
        assert_says(&app.post_json("/api/jobs", &body).await.unwrap(), status, code, &words);
    }
}

async fn cleanup(app: &TestApp, body: Option<Value>) -> (u16, Value) {
    match body {
        Some(body) => app.post_json("/api/jobs/cleanup", &body).await.unwrap(),
        None => app.post("/api/jobs/cleanup").await.unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cleanup_removes_records_and_never_documents() {
    let app = start_held("stage.embedding.unit=3*off->sleep(300000)", 1).await;
    let completed = app.upload_job("one.md", markdown(1, 3), &[]).await.unwrap();
    assert_completed(&app.wait_ended(&completed).await.unwrap());
    let failed = app.upload_job("blank.html", "<p> </p><script>1</script>", &[]).await.unwrap();
    assert_eq!(app.wait_ended(&failed).await.unwrap()["status"], "failed");
    let running = app.upload_job("held.md", markdown(2, 300), &[]).await.unwrap();
    at_stage(&app, &running, "embedding").await;
    let pending = app.upload_job("waiting.md", markdown(3, 3), &[]).await.unwrap();
    let cancelled = app.upload_job("cancelled.md", markdown(4, 3), &[]).await.unwrap();
    assert_eq!(app.post(&format!("/api/jobs/{cancelled}/cancel")).await.unwrap().0, 200);
    let export = app.export("default").await.unwrap();

    // Nothing is seven days old; an empty body asks for just that.
    for body in [None, Some(json!({})), Some(json!({"older_than_days": 1, "status": ["completed"]}))] {
        let (status, answer) = cleanup(&app, body).await;
        assert_eq!((status, keys(&answer)), (200, vec!["message", "jobs_deleted", "space_freed_mb"]), "{answer}");
        assert_eq!((&answer["message"], &answer["jobs_deleted"]), (&json!("Cleanup complete"), &json!(0)), "{answer}");
        assert_eq!(answer["space_freed_mb"].as_f64(), Some(0.0), "{answer}");
    }
    for (body, words) in [
        (json!({"status": ["running"]}), vec!["running", "completed", "failed", "cancelled"]),
        (json!({"status": ["pending"]}), vec!["pending"]),
        (json!({"status": ["done"]}), vec!["done", "completed"]),
        (json!({"status": "completed"}), vec!["status"]),
        (json!({"older_than_days": -1}), vec!["older_than_days", "-1"]),
        (json!({"older_than_days": 1.5}), vec!["older_than_days", "1.5"]),
        (json!({"older_than_days": "7"}), vec!["older_than_days", "7"]),
        (json!({"older_then_days": 7}), vec!["older_then_days", "older_than_days"]),
    ] {
        assert_says(&cleanup(&app, Some(body)).await, 400, "invalid_parameter", &words);
    }
    // Zero days: all that ended; cancelled jobs only when asked.
    let (status, answer) = cleanup(&app, Some(json!({"older_than_days": 0}))).await;
    assert_eq!((status, &answer["jobs_deleted"]), (200, &json!(2)), "{answer}");
    assert!(answer["space_freed_mb"].as_f64().unwrap() > 0.0, "bytes are measured: {answer}");
    for (job, status) in [(&completed, 404), (&failed, 404), (&running, 200), (&pending, 200), (&cancelled, 200)] {
        assert_eq!(app.get(&format!("/api/jobs/{job}")).await.unwrap().0, status, "{job}");
    }
    let (_, answer) = cleanup(&app, Some(json!({"older_than_days": 0, "status": ["cancelled"]}))).await;
    assert_eq!(answer["jobs_deleted"], 1, "{answer}");
    assert_eq!(app.get(&format!("/api/jobs/{cancelled}")).await.unwrap().0, 404);
    assert_eq!(app.export("default").await.unwrap(), export);
    let (_, documents) = app.get("/api/documents").await.unwrap();
    assert_eq!(documents["total"], 1, "{documents:#}");
}
