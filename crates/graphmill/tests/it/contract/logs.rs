//! `GET /api/jobs/{job_id}/logs`.

use serde_json::{Value, json};

use super::{assert_says, keys, time};
use crate::support::{assert_completed, real_document, start};

fn lines(page: &Value) -> &Vec<Value> {
    page["logs"].as_array().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_tells_the_course_of_a_job() {
    let app = start().await;
    let job = app.upload_job("gnuplot.pdf", real_document("gnuplot.pdf"), &[]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    let get = async |query: &str| app.get(&format!("/api/jobs/{job}/logs?{query}")).await.unwrap();

    let (status, page) = get("").await;
    assert_eq!((status, keys(&page), &page["job_id"]), (200, vec!["job_id", "logs", "total"], &json!(job)), "{page:#}");
    for line in lines(&page) {
        assert_eq!(keys(line), ["timestamp", "level", "message", "context"], "{page:#}");
        assert!(line["context"].is_object(), "{line}");
        assert!(["debug", "info", "warning", "error"].contains(&line["level"].as_str().unwrap()), "{line}");
    }
    let times: Vec<&str> = lines(&page).iter().map(|line| time(&line["timestamp"])).collect();
    assert!(times.is_sorted(), "oldest first: {page:#}");
    let find = |start: &str, end: &str| {
        let found = lines(&page).iter().find(|line| {
            let message = line["message"].as_str().unwrap();
            message.starts_with(start) && message.ends_with(end)
        });
        found.unwrap_or_else(|| panic!("no {start}…{end}: {page:#}"))
    };
    // The lines of the page.
    assert_eq!(find("Starting document ingestion", "")["context"]["filename"], "gnuplot.pdf");
    let loaded = find("Loaded ", " pages");
    assert!(loaded["context"]["duration_seconds"].is_number(), "{loaded}");
    let created = find("Created ", " chunks");
    assert_eq!((&created["context"]["chunk_size"], &created["context"]["overlap"]), (&json!(1000), &json!(200)));

    // level is the least severity shown; total counts all that match, whatever the limit.
    let total = page["total"].as_u64().unwrap();
    let (_, everything) = get("level=debug&limit=1000").await;
    assert_eq!(lines(&everything).len() as u64, everything["total"].as_u64().unwrap());
    for (level, shown) in [
        ("debug", &["debug", "info", "warning", "error"][..]),
        ("info", &["info", "warning", "error"]),
        ("warning", &["warning", "error"]),
        ("error", &["error"]),
    ] {
        let (_, filtered) = get(&format!("level={level}&limit=1000")).await;
        let expected = lines(&everything).iter().filter(|l| shown.contains(&l["level"].as_str().unwrap())).count();
        assert_eq!((lines(&filtered).len(), &filtered["total"]), (expected, &json!(expected)), "{level}: {filtered:#}");
    }
    let (_, two) = get("limit=2").await;
    assert_eq!((lines(&two), &two["total"]), (&lines(&page)[..2].to_vec(), &json!(total)));
    let (_, last) = get("order=desc&limit=2").await;
    let (_, all) = get("limit=1000").await;
    let reversed: Vec<Value> = lines(&all).iter().rev().take(2).cloned().collect();
    assert_eq!((lines(&last), &last["total"]), (&reversed, &json!(total)));
    // after an instant
    let middle = lines(&all)[lines(&all).len() / 2]["timestamp"].as_str().unwrap();
    let (_, rest) = get(&format!("limit=1000&after={middle}")).await;
    let expected: Vec<Value> =
        lines(&all).iter().filter(|l| l["timestamp"].as_str().unwrap() > middle).cloned().collect();
    assert_eq!((lines(&rest), &rest["total"]), (&expected, &json!(expected.len())));

    for (query, words) in [
        ("level=loud", vec!["level", "loud", "debug", "info", "warning", "error"]),
        ("order=up", vec!["order", "up", "asc", "desc"]),
        ("limit=0", vec!["limit", "1000"]),
        ("limit=1001", vec!["limit", "1001"]),
        ("after=now", vec!["after", "now"]),
    ] {
        assert_says(&get(query).await, 400, "invalid_parameter", &words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_in_the_log_and_in_the_errors() {
    let app = start().await;
    let job = app.upload_job("blank.html", "<p> </p><script>1</script>", &[]).await.unwrap();
    let page = app.wait_ended(&job).await.unwrap();
    assert_eq!(page["status"], "failed", "{page:#}");
    time(&page["completed_at"]);
    let error = &page["errors"][0];
    assert_eq!(keys(error), ["code", "message", "hint", "stage", "attempt", "timestamp"], "{page:#}");
    assert_eq!((&error["code"], &error["stage"], &error["attempt"]), (&json!("no_text"), &json!("loading"), &json!(1)));
    time(&error["timestamp"]);
    let loading = page["stages"].as_array().unwrap().iter().find(|s| s["name"] == "loading").unwrap();
    assert_eq!(loading["status"], "failed", "{page:#}");
    assert_eq!(
        (&page["attempts"][0]["outcome"], &page["attempts"][0]["number"]),
        (&json!("failed"), &json!(1)),
        "{page:#}"
    );
    assert!(page["message"].as_str().unwrap().contains("no text"), "{page:#}");
    let (_, logs) = app.get(&format!("/api/jobs/{job}/logs?level=error")).await.unwrap();
    assert!(lines(&logs).iter().any(|line| line["message"].as_str().unwrap().contains("no text")), "{logs:#}");
}
