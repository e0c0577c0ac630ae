//! What a person does to many jobs or to a type of jobs, and what is done once however often it is asked for.

use graphmill_testkit::TestApp;
use serde_json::{Value, json};

use crate::contract::{assert_error, assert_says, hold, keys, start_held};
use crate::support::{BINARY, assert_completed, markdown, start, start_with_faults};

/// An answer with what matters of its head.
#[derive(Debug, PartialEq)]
struct Keyed {
    status: u16,
    replayed: bool,
    body: String,
}

async fn send(request: reqwest::RequestBuilder, key: &str) -> anyhow::Result<Keyed> {
    let answer = request.header("Idempotency-Key", key).send().await?;
    let replayed = answer.headers().get("idempotency-replayed").is_some_and(|v| v == "true");
    Ok(Keyed { status: answer.status().as_u16(), replayed, body: answer.text().await? })
}

async fn upload(app: &TestApp, key: &str, files: &[(&str, String)]) -> anyhow::Result<Keyed> {
    let mut form = reqwest::multipart::Form::new();
    for (name, text) in files {
        let part = reqwest::multipart::Part::bytes(text.clone().into_bytes()).file_name((*name).to_owned());
        form = form.part("file", part);
    }
    send(app.http().post(format!("{}/api/upload", app.url())).multipart(form), key).await
}

async fn total(app: &TestApp) -> Value {
    app.get("/api/jobs").await.unwrap().1["total"].clone()
}

/// Killed after the commit that accepts, before any answer: the repeated upload is answered and makes nothing. Killed before it: nothing was accepted, and
/// the repeated upload makes all jobs.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_survives_a_kill_between_acceptance_and_answer() {
    let files: Vec<(&str, String)> =
        [("a.md", 1), ("b.md", 2), ("c.md", 3)].map(|(name, n)| (name, markdown(n, 5))).into();
    for (point, accepted) in [("store.enqueue.after_commit", true), ("store.enqueue.before_commit", false)] {
        let mut app = start_with_faults(&format!("{point}=return(kill)")).await;
        assert!(upload(&app, "k", &files).await.is_err(), "{point}");
        app.wait_gone().await.unwrap();
        app.restart_quiet().await.unwrap();
        assert_eq!(total(&app).await, if accepted { 3 } else { 0 }, "{point}: all or none");
        let first = upload(&app, "k", &files).await.unwrap();
        assert_eq!((first.status, first.replayed), (202, accepted), "{point}: {first:?}");
        let again = upload(&app, "k", &files).await.unwrap();
        assert_eq!((again.status, again.replayed, &again.body), (202, true, &first.body));
        assert_eq!(total(&app).await, 3, "{point}");
        let body: Value = serde_json::from_str(&first.body).unwrap();
        for job in body["jobs"].as_array().unwrap() {
            assert_eq!(keys(job), ["job_id", "document_id", "filename", "status"], "{body:#}");
            assert_completed(&app.wait_ended(job["job_id"].as_str().unwrap()).await.unwrap());
        }
    }
}

/// The same for a submit and a retry.
#[tokio::test(flavor = "multi_thread")]
async fn a_submit_and_a_retry_are_carried_out_once_over_a_kill() {
    let mut app = start().await;
    let job = app.upload_job("a.md", markdown(1, 5), &[]).await.unwrap();
    let page = app.wait_ended(&job).await.unwrap();
    let document = page["metadata"]["document_id"].clone();
    let body = json!({"job_type": "ingestion", "params": {"document_id": document}});
    let submit = |app: &TestApp, body: &Value| app.http().post(format!("{}/api/jobs", app.url())).json(body);
    app.restart(|s| s.env("FAILPOINTS", "store.enqueue.after_commit=return(kill)")).await.unwrap();
    assert!(send(submit(&app, &body), "s").await.is_err());
    app.wait_gone().await.unwrap();
    app.restart_quiet().await.unwrap();
    let first = send(submit(&app, &body), "s").await.unwrap();
    assert_eq!((first.status, first.replayed), (202, true), "{first:?}");
    let made: Value = serde_json::from_str(&first.body).unwrap();
    assert_eq!(keys(&made)[..3], ["job_id", "job_type", "status"], "{made:#}");
    assert_eq!((total(&app).await, &made["metadata"]["document_id"]), (json!(2), &document));
    assert_completed(&app.wait_ended(made["job_id"].as_str().unwrap()).await.unwrap());
    let mut other = body.clone();
    other["priority"] = json!(1);
    let refused = send(submit(&app, &other), "s").await.unwrap();
    assert_eq!((refused.status, refused.body.contains("idempotency_key_reused")), (409, true), "{refused:?}");
    let bad = send(submit(&app, &body), &"x".repeat(256)).await.unwrap();
    assert_eq!((bad.status, bad.body.contains("Idempotency-Key")), (400, true), "{bad:?}");

    // A retry of a cancelled job.
    let mut app = start_held(&hold("embedding"), 1).await;
    let job = app.upload_job("b.md", markdown(2, 5), &[]).await.unwrap();
    assert_eq!(app.post(&format!("/api/jobs/{job}/cancel")).await.unwrap().0, 200);
    app.restart(|s| s.env("FAILPOINTS", "store.retry.after_commit=return(kill)")).await.unwrap();
    let retry = |app: &TestApp| app.http().post(format!("{}/api/jobs/{job}/retry", app.url()));
    assert!(send(retry(&app), "r").await.is_err());
    app.wait_gone().await.unwrap();
    app.restart_quiet().await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    assert_eq!(app.delete(&format!("/api/jobs/{job}")).await.unwrap().0, 200);
    let replayed = send(retry(&app), "r").await.unwrap();
    assert_eq!((replayed.status, replayed.replayed), (202, true), "also when the job is gone: {replayed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_type_waits_over_a_restart_and_goes_on() {
    let mut app = start().await;
    let (status, paused) = app.post("/api/job-types/ingestion/pause").await.unwrap();
    assert_eq!((status, keys(&paused)), (200, vec!["job_type", "paused", "counts", "workers"]), "{paused}");
    assert_eq!(keys(&paused["counts"]), ["pending", "running", "completed", "failed", "cancelled"]);
    let job = app.upload_job("a.md", markdown(1, 5), &[]).await.unwrap();
    app.restart(|s| s).await.unwrap();
    let (_, types) = app.get("/api/job-types").await.unwrap();
    let ingestion = &types["job_types"][0];
    assert_eq!((&ingestion["job_type"], &ingestion["paused"]), (&json!("ingestion"), &json!(true)), "{types:#}");
    assert_eq!((&ingestion["counts"]["pending"], &ingestion["workers"]), (&json!(1), &json!(2)), "{types:#}");
    let (_, page) = app.get(&format!("/api/jobs/{job}")).await.unwrap();
    assert_eq!((&page["status"], &page["attempts"]), (&json!("pending"), &json!([])), "{page:#}");
    // A job of another restart's first look at the queue would have begun before this.
    app.restart(|s| s).await.unwrap();
    let before = graphmill_core::Clock::now(&graphmill_core::SystemClock);
    let (status, resumed) = app.post("/api/job-types/ingestion/resume").await.unwrap();
    assert_eq!((status, &resumed["paused"]), (200, &json!(false)));
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    let started: graphmill_core::Timestamp = page["started_at"].as_str().unwrap().parse().unwrap();
    assert!(started >= before, "begun while its type was paused: {page:#}");
    assert_eq!(page["attempts"].as_array().unwrap().len(), 1, "{page:#}");
    assert_error(&app.post("/api/job-types/baking/pause").await.unwrap(), 404, "not_found");
    assert_error(&app.get("/api/job-types/ingestion/pause").await.unwrap(), 405, "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_cancelled_retried_and_deleted_by_a_filter() {
    let app = start_held(&hold("embedding"), 2).await;
    let mut jobs = Vec::new();
    for n in 0..12_u32 {
        jobs.push(app.upload_job(&format!("report-{n}.md"), markdown(n, 3), &[]).await.unwrap());
    }
    let other = app.upload_job("other.md", markdown(1, 3), &[("collection", "elsewhere")]).await.unwrap();
    let filter = json!({"filter": {"q": "REPORT-", "collection": "default"}});
    let mut dry = filter.clone();
    dry["dry_run"] = json!(true);
    let (status, answer) = app.post_json("/api/jobs/cancel", &dry).await.unwrap();
    assert_eq!((status, keys(&answer)), (200, vec!["matched", "cancelled", "refused", "refused_total"]), "{answer}");
    assert_eq!((&answer["matched"], &answer["cancelled"]), (&json!(12), &json!(12)), "{answer}");
    assert_eq!(app.get("/api/jobs?status=cancelled").await.unwrap().1["total"], 0);
    let (_, answer) = app.post_json("/api/jobs/cancel", &filter).await.unwrap();
    assert_eq!(answer, json!({"matched": 12, "cancelled": 12, "refused": [], "refused_total": 0}));
    let (_, answer) = app.post_json("/api/jobs/retry", &json!({"filter": {"status": "cancelled"}})).await.unwrap();
    assert_eq!(answer, json!({"matched": 12, "retried": 12, "refused": [], "refused_total": 0}));
    let (_, answer) = app.post_json("/api/jobs/delete", &json!({"all": true})).await.unwrap();
    assert_eq!((&answer["matched"], &answer["deleted"], &answer["refused_total"]), (&json!(13), &json!(0), &json!(13)));
    assert_eq!(keys(&answer["refused"][0]), ["job_id", "error", "code"], "{answer}");
    assert_eq!(answer["refused"][0]["code"], "cannot_delete");
    app.post_json("/api/jobs/cancel", &filter).await.unwrap();
    let (_, answer) = app.post_json("/api/jobs/delete", &filter).await.unwrap();
    assert_eq!((&answer["matched"], &answer["deleted"]), (&json!(12), &json!(12)), "{answer}");
    let (_, left) = app.get("/api/jobs").await.unwrap();
    assert_eq!((&left["total"], &left["jobs"][0]["job_id"]), (&json!(1), &json!(other)));
    for verb in ["cancel", "retry", "delete"] {
        let path = format!("/api/jobs/{verb}");
        let refused = app.post_json(&path, &json!({"filter": {}})).await.unwrap();
        assert_says(&refused, 400, "invalid_parameter", &["no condition"]);
        let refused = app.post_json(&path, &json!({"filter": {"colour": "red"}})).await.unwrap();
        assert_says(&refused, 400, "invalid_parameter", &["colour", "older_than_days"]);
    }
}

/// A snoozed job's stage rests: it is pending with what it has done, as its job is.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_given_back_has_no_running_stage() {
    let mut app =
        TestApp::start_with(BINARY, |s| s.env("FAILPOINTS", "stage.embedding.unit=sleep(1000)")).await.unwrap();
    let job = app.upload_job("report.md", markdown(1, 300), &[]).await.unwrap();
    let page = app
        .wait_job(&job, |p| p["stages"][2]["progress"].as_f64().is_some_and(|progress| progress > 0.0))
        .await
        .unwrap();
    let progress = page["stages"][2]["progress"].clone();
    // Nobody takes it up after the kill.
    app.post("/api/job-types/ingestion/pause").await.unwrap();
    app.restart_quiet().await.unwrap();
    let page = app.wait_job(&job, |p| p["status"] == "pending").await.unwrap();
    let stage = &page["stages"][2];
    assert_eq!((&stage["name"], &stage["status"]), (&json!("embedding"), &json!("pending")), "{page:#}");
    assert!(stage["progress"].as_f64() >= progress.as_f64(), "{page:#}");
    assert!(stage["duration_seconds"].is_number(), "{page:#}");
    app.post("/api/job-types/ingestion/resume").await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
}
