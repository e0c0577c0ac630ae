//! Model servers: what was answered is never paid again, whatever happens to us or to them.

use std::time::Duration;

use graphmill_testkit::{AppSettings, FakeConfig, FakeModels, Fault, Mode, TestApp};
use serde_json::{Value, json};

use crate::support::{BINARY, assert_completed, markdown};

async fn fake(mode: Mode) -> FakeModels {
    FakeModels::start(FakeConfig { mode, ..FakeConfig::default() }).await.unwrap()
}

fn with_models(settings: AppSettings, models: &FakeModels, at_once: u32) -> AppSettings {
    settings
        .env("GRAPHMILL_EMBEDDING_URL", models.url())
        .env("GRAPHMILL_EMBEDDING_MODEL", "fake-embedding")
        .env("GRAPHMILL_LLM_URL", models.url())
        .env("GRAPHMILL_LLM_MODEL", "fake-chat")
        .env("GRAPHMILL_MODEL_CONCURRENCY", at_once.to_string())
}

async fn start(models: &FakeModels, at_once: u32, points: &str) -> TestApp {
    TestApp::start_with(BINARY, |s| with_models(s, models, at_once).env("FAILPOINTS", points)).await.unwrap()
}

/// The export of an undisturbed run over the same model server.
async fn undisturbed(text: &str) -> String {
    let models = fake(Mode::default()).await;
    let app = start(&models, 8, "").await;
    let job = app.upload_job("report.md", text, &[]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    assert!(models.stats().asked_again().is_empty(), "even a quiet run asks twice: {:?}", models.stats().asked_again());
    app.export("default").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_that_was_recorded_is_paid_again_after_a_kill() {
    let text = markdown(5, 40);
    let expected = undisturbed(&text).await;
    // One request at a time, so that it is exact which answers had come and been recorded: (point, passes, texts asked again).
    let embedding_batch = 64.min(expected.matches("\"chunk_index\"").count().max(1)) as u64;
    for (point, passes, again) in [
        ("models.embedding.recorded", 0, 0),
        ("models.extraction.recorded", 0, 0),
        ("models.extraction.recorded", 7, 0),
        ("models.extraction.answered", 3, 1),
        ("models.embedding.answered", 0, embedding_batch),
        ("store.stage.after_commit", 3, 0),
        ("publishing.after_intent", 0, 0),
    ] {
        let models = fake(Mode::default()).await;
        let mut app = start(&models, 1, &format!("{point}={passes}*off->return(kill)")).await;
        let job = app.upload_job("report.md", text.clone(), &[]).await.unwrap();
        app.wait_gone().await.unwrap_or_else(|e| panic!("{point}: {e:#}"));
        app.restart_quiet().await.unwrap();
        assert_completed(&app.wait_ended(&job).await.unwrap());
        let stats = models.stats();
        let paid_again: u64 = stats.items.iter().map(|item| item.asked_after_answer).sum();
        assert!(
            paid_again <= again,
            "{point} after {passes}: {paid_again} texts were asked again: {:?}",
            stats.asked_again()
        );
        assert_eq!(app.export("default").await.unwrap(), expected, "{point} after {passes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_fails_one_call_in_three_costs_time_and_nothing_else() {
    let text = markdown(6, 40);
    let expected = undisturbed(&text).await;
    let models = fake(Mode {
        fail_rate: 0.33,
        faults: vec![Fault::RateLimited, Fault::InternalError, Fault::Unavailable, Fault::Cut],
        ..Mode::default()
    })
    .await;
    let app = start(&models, 4, "").await;
    let job = app.upload_job("report.md", text, &[]).await.unwrap();
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    assert_eq!(page["metadata"].get("chunks_quarantined"), None, "{page:#}");
    assert_eq!(app.export("default").await.unwrap(), expected);
    assert!(models.stats().asked_again().is_empty(), "{:?}", models.stats().asked_again());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_and_an_outage_snooze_the_job_without_using_an_attempt() {
    for (fault, words, code) in [
        (Fault::RateLimited, "rate limited", "model_rate_limited"),
        (Fault::Unavailable, "not available", "model_unavailable"),
    ] {
        let script = vec![fault; 200];
        let models = fake(Mode { script, retry_after: "30".into(), ..Mode::default() }).await;
        let app = start(&models, 2, "").await;
        let job = app.upload_job("report.md", markdown(7, 5), &[]).await.unwrap();
        let page = app
            .wait_job(&job, |page| {
                page["status"] == "pending" && page["message"].as_str().unwrap().starts_with("Waiting until")
            })
            .await
            .unwrap();
        assert!(page["message"].as_str().unwrap().contains(words), "{page:#}");
        assert_eq!(page["attempts"].as_array().unwrap().last().unwrap()["outcome"], "snoozed", "{page:#}");
        // Told once as an error that will be retried, and no attempt of ours is used.
        assert_eq!(page["errors"].as_array().unwrap().len(), 1, "{page:#}");
        assert_eq!(page["errors"][0]["code"], code, "{page:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_fails_the_job_with_a_hint_and_never_shows_the_key() {
    let models = fake(Mode { api_key: "right-key".into(), ..Mode::default() }).await;
    let app = TestApp::start_with(BINARY, |s| {
        with_models(s, &models, 2).env("GRAPHMILL_EMBEDDING_API_KEY", "sk-wrong-secret")
    })
    .await
    .unwrap();
    let job = app.upload_job("report.md", markdown(8, 3), &[]).await.unwrap();
    let page = app.wait_ended(&job).await.unwrap();
    assert_eq!(
        (page["status"].as_str(), page["errors"][0]["code"].as_str()),
        (Some("failed"), Some("model_refused")),
        "{page:#}"
    );
    assert!(page["errors"][0]["hint"].is_string(), "{page:#}");
    let (_, logs) = app.get(&format!("/api/jobs/{job}/logs?level=debug")).await.unwrap();
    for text in [page.to_string(), logs.to_string(), app.log()] {
        assert!(!text.contains("sk-wrong-secret"), "the key is shown: {text}");
    }
}

/// A chunk whose answer cannot be used is set aside with its page; the rest goes on; a retry asks for it alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_without_a_usable_answer_is_set_aside_and_retried_alone() {
    let text = markdown(9, 12);
    let expected = undisturbed(&text).await;
    let bad = graphmill_testkit::FaultFor { contains: "Section 4 of report 9".into(), fault: Fault::Garbage };
    let models = fake(Mode { texts: vec![bad], ..Mode::default() }).await;
    let app = TestApp::start_with(BINARY, |s| {
        s.env("GRAPHMILL_LLM_URL", models.url()).env("GRAPHMILL_LLM_MODEL", "fake-chat")
    })
    .await
    .unwrap();
    let job = app.upload_job("report.md", text.clone(), &[]).await.unwrap();
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    let set_aside = page["metadata"]["chunks_quarantined"].as_u64().unwrap();
    assert!((1..=3).contains(&set_aside), "{page:#}");
    let errors = page["errors"].as_array().unwrap();
    assert_eq!(errors.len() as u64, set_aside, "{page:#}");
    assert!(
        errors.iter().all(|e| e["code"] == "chunk_quarantined"
            && e["page"] == 1
            && e["chunk_id"].as_str().unwrap().starts_with("chk-")),
        "{page:#}"
    );

    models.set_mode(Mode::default());
    models.reset();
    let (status, again) = app.post(&format!("/api/jobs/{job}/retry")).await.unwrap();
    assert_eq!(status, 202, "{again}");
    let again = app.wait_ended(again["job_id"].as_str().unwrap()).await.unwrap();
    assert_completed(&again);
    assert_eq!(again["metadata"]["retry_of"], json!(job), "{again:#}");
    assert_eq!(models.stats().requests, set_aside, "only what was set aside is asked: {:?}", models.stats().items);
    assert_eq!(app.export("default").await.unwrap(), expected);
    let (_, stats) = app.get("/api/graph/stats").await.unwrap();
    assert_eq!((&stats["quarantined_chunks"], &stats["documents"]), (&json!(0), &json!(1)), "{stats}");
}

/// c28: cancel at once, retry without paying again.
#[tokio::test(flavor = "multi_thread")]
async fn c28_no_request_starts_after_a_cancel_and_none_is_repeated_by_the_retry() {
    let text = markdown(10, 40);
    let expected = undisturbed(&text).await;
    let models = fake(Mode { latency_ms: 150, ..Mode::default() }).await;
    let app = start(&models, 2, "").await;
    let job = app.upload_job("report.md", text, &[]).await.unwrap();
    // In the stage that asks the model.
    let answered = |page: &Value| {
        let count = page["message"].as_str().unwrap().strip_prefix("Extracting entities (");
        let count = count.and_then(|m| m.split('/').next()?.parse::<u32>().ok());
        page["stages"][3]["status"] == "running" && count.is_some_and(|count| count >= 10)
    };
    app.wait_job(&job, answered).await.unwrap();
    let (status, _) = app.post(&format!("/api/jobs/{job}/cancel")).await.unwrap();
    assert_eq!(status, 200);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let after_a_second = models.stats().requests;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(models.stats().requests, after_a_second, "a request started later than 1 s after the cancel");
    let (_, page) = app.get(&format!("/api/jobs/{job}")).await.unwrap();
    assert_eq!(page["status"], "cancelled", "{page:#}");
    let (_, stats) = app.get("/api/graph/stats").await.unwrap();
    assert_eq!(
        (&stats["documents"], &stats["chunks"], &stats["entities"]),
        (&json!(0), &json!(0), &json!(0)),
        "{stats}"
    );

    assert_eq!(app.post(&format!("/api/jobs/{job}/retry")).await.unwrap().0, 202);
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    let ran = page["attempts"].as_array().unwrap().last().unwrap()["stages"].to_string();
    assert!(!ran.contains("loading") && !ran.contains("chunking") && !ran.contains("embedding"), "{page:#}");
    assert!(models.stats().asked_again().is_empty(), "{:?}", models.stats().asked_again());
    assert_eq!(app.export("default").await.unwrap(), expected);
}

/// c21: names that a store may refuse.
#[tokio::test(flavor = "multi_thread")]
async fn c21_odd_names_are_stored_exactly_or_dropped_alone() {
    let long = format!("Section {}", "7".repeat(9_000));
    let text = format!(
        "The `dial` meter and the \"outer\" gate stand beside D'Arcy's fan. D:\\mill\\hall3 is its folder. The three-line\nboard hangs \
         there. Gate Nine is open; {long} is not. MATCH (n) DETACH DELETE n; '); DROP TABLE entity; --"
    );
    let names = json!([
        "`dial` meter",
        "\"outer\" gate",
        "D'Arcy's fan",
        "D:\\mill\\hall3",
        "three-line\nboard",
        "Gate\u{0} Nine",
        long,
        "MATCH (n) DETACH DELETE n;",
        "'); DROP TABLE entity; --"
    ]);
    let entities: Vec<Value> =
        names.as_array().unwrap().iter().map(|n| json!({"name": n, "type": "thing", "description": "d"})).collect();
    let mut says = json!({"entities": entities, "relationships": []}).to_string();
    // A lone surrogate cannot be written by a JSON library.
    says = says.replacen(
        "\"entities\":[",
        "\"entities\":[{\"name\":\"Pump \\ud83d\",\"type\":\"thing\",\"description\":\"d\"},",
        1,
    );
    let models = fake(Mode { chat_says: says, ..Mode::default() }).await;
    let app = TestApp::start_with(BINARY, |s| s.env("GRAPHMILL_LLM_URL", models.url()).env("GRAPHMILL_LLM_MODEL", "m"))
        .await
        .unwrap();
    let job = app.upload_job("odd.txt", text, &[("chunk_size", "20000")]).await.unwrap();
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    let export = app.export("default").await.unwrap();
    let stored: Vec<String> = export
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["kind"] == "entity" || line["type"] == "entity" || line.get("entity").is_some())
        .map(|line| line["name"].as_str().or(line["entity"]["name"].as_str()).unwrap_or_default().to_owned())
        .collect();
    for name in ["`dial` meter", "\"outer\" gate", "D'Arcy's fan", "D:\\mill\\hall3", "three-line board", "Gate Nine"] {
        assert!(stored.iter().any(|s| s == name), "{name:?} is not among {stored:?}");
    }
    assert!(stored.iter().all(|s| s.len() < 3_000 && !s.contains('\u{fffd}') && !s.contains('\0')), "{stored:?}");
    let (_, logs) = app.get(&format!("/api/jobs/{job}/logs?level=warning")).await.unwrap();
    assert!(logs["total"].as_u64().unwrap() >= 1 && logs.to_string().contains("Section 777"), "{logs:#}");
    let document = page["metadata"]["document_id"].as_str().unwrap();
    assert!(matches!(app.delete(&format!("/api/documents/{document}")).await.unwrap().0, 200 | 202));
    assert_eq!(app.delete(&format!("/api/jobs/{job}")).await.unwrap().0, 200);
}
