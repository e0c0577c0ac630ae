//! A parser child that goes wrong costs its document, never the server or another job.

use graphmill_testkit::TestApp;

use crate::support::{BINARY, assert_completed, markdown};

#[tokio::test(flavor = "multi_thread")]
async fn a_parser_that_goes_wrong_costs_one_document() {
    // (how it goes wrong, code of the job's error)
    let faults = [
        ("abort", "parser_crashed"),
        ("overflow_stack", "parser_crashed"),
        ("eat_memory", "parser_memory"),
        ("kill", "parser_crashed"),
        ("garbage", "parser_crashed"),
        ("exit", "parser_crashed"),
        ("panic", "parser_crashed"),
        ("hang", "parser_timeout"),
        ("spin", "parser_timeout"),
    ];
    for (fault, code) in faults {
        let app = TestApp::start_with(BINARY, |s| {
            s.env("PARSER_FAULTS", fault)
                .env("GRAPHMILL_PARSER_PAGE_SECONDS", "2")
                .env("GRAPHMILL_PARSER_CPU_SECONDS", "1")
                .env("GRAPHMILL_PARSER_MEMORY_MB", "256")
        })
        .await
        .unwrap();
        let bad = app.upload_job("bad.md", markdown(1, 3), &[]).await.unwrap();
        // The fault is the first document's; wait until its parser has it.
        app.wait_job(&bad, |page| page["status"] != "pending").await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let good = app.upload_job("good.md", markdown(2, 3), &[]).await.unwrap();
        assert_completed(&app.wait_ended(&good).await.unwrap());
        let page = app.wait_ended(&bad).await.unwrap();
        assert_eq!(page["status"], "failed", "{fault}: {page:#}");
        let error = &page["errors"][0];
        assert_eq!(error["code"], code, "{fault}: {page:#}");
        assert!(error["message"].as_str().is_some_and(|m| m.len() > 20), "{fault}: {page:#}");
        assert!(error["hint"].is_string(), "{fault}: {page:#}");
        assert_eq!(error["stage"], "loading", "{fault}: {page:#}");
        let (_, stats) = app.get("/api/graph/stats").await.unwrap();
        assert_eq!(stats["documents"], 1, "{fault}: {stats}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_hangs_is_abandoned_and_tried_again() {
    let app = TestApp::start_with(BINARY, |s| {
        s.env("FAILPOINTS", "stage.embedding.unit=1*sleep(20000)").env("GRAPHMILL_STALL_SECONDS", "1")
    })
    .await
    .unwrap();
    let job = app.upload_job("report.md", markdown(1, 50), &[]).await.unwrap();
    let page = app.wait_job(&job, |page| !page["errors"].as_array().unwrap().is_empty()).await.unwrap();
    let error = &page["errors"][0];
    assert_eq!(
        (error["code"].as_str(), error["stage"].as_str()),
        (Some("stage_stalled"), Some("embedding")),
        "{page:#}"
    );
    assert!(error["message"].as_str().unwrap().contains("embedding"), "{page:#}");
    // Another job is not held up, and the abandoned one ends well at its next try.
    let other = app.upload_job("other.md", markdown(2, 3), &[]).await.unwrap();
    assert_completed(&app.wait_ended(&other).await.unwrap());
    assert_completed(&app.wait_ended(&job).await.unwrap());
}
