//! `GET /api/jobs`: filters, pages, cursors, and what is said about values that are not allowed.

use graphmill_testkit::TestApp;
use serde_json::{Value, json};

use super::{assert_says, hold, keys, start_held, time};
use crate::support::{assert_completed, start};

async fn list(app: &TestApp, query: &str) -> Value {
    let (status, page) = app.get(&format!("/api/jobs?{query}")).await.unwrap();
    assert_eq!(status, 200, "{query}: {page}");
    page
}

fn ids(page: &Value) -> Vec<&str> {
    page["jobs"].as_array().unwrap().iter().map(|job| job["job_id"].as_str().unwrap()).collect()
}

async fn ingested(app: &TestApp, name: &str, fields: &[(&str, &str)]) -> String {
    let job = app.upload_job(name, format!("The pump of {name} is dry."), fields).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_list_has_all_keys_and_the_defaults() {
    let app = start().await;
    let page = list(&app, "").await;
    assert_eq!(page.to_string(), r#"{"jobs":[],"total":0,"limit":50,"offset":0,"has_more":false}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_by_offset_and_by_cursor() {
    let app = start().await;
    let mut jobs = Vec::new();
    for n in 0..5 {
        jobs.push(ingested(&app, &format!("{n}.txt"), &[]).await);
    }
    jobs.reverse();
    let all = list(&app, "").await;
    assert_eq!(ids(&all), jobs, "newest first");
    let created: Vec<&str> = all["jobs"].as_array().unwrap().iter().map(|job| time(&job["created_at"])).collect();
    assert!(created.is_sorted_by(|a, b| a >= b), "{created:?}");
    for job in all["jobs"].as_array().unwrap() {
        assert_eq!(
            keys(job),
            [
                "job_id",
                "job_type",
                "status",
                "progress",
                "message",
                "created_at",
                "started_at",
                "completed_at",
                "metadata"
            ]
        );
    }
    let page = list(&app, "limit=2&offset=1").await;
    assert_eq!(ids(&page), jobs[1..3]);
    assert_eq!(
        (&page["total"], &page["limit"], &page["offset"], &page["has_more"]),
        (&json!(5), &json!(2), &json!(1), &json!(true))
    );
    let page = list(&app, "limit=2&offset=3").await;
    assert_eq!((ids(&page), &page["has_more"]), (vec![jobs[3].as_str(), &jobs[4]], &json!(false)));
    let page = list(&app, "offset=99").await;
    assert_eq!((ids(&page).len(), &page["total"], &page["has_more"]), (0, &json!(5), &json!(false)));
    assert_eq!(ids(&list(&app, "limit=1000").await).len(), 5);

    // The next page stands in the header Link, with the filter.
    let answer = app.http().get(format!("{}/api/jobs?limit=3&status=completed", app.url())).send().await.unwrap();
    let link = answer.headers()["link"].to_str().unwrap().to_owned();
    let target =
        link.strip_prefix('<').and_then(|l| l.strip_suffix(">; rel=\"next\"")).unwrap_or_else(|| panic!("{link}"));
    assert!(target.contains("cursor=") && target.contains("status=completed") && target.contains("limit=3"), "{link}");
    let answer = app.http().get(format!("{}{target}", app.url())).send().await.unwrap();
    assert!(answer.headers().get("link").is_none(), "the last page has no next");
    let page: Value = answer.json().await.unwrap();
    assert_eq!((ids(&page), &page["has_more"]), (vec![jobs[3].as_str(), &jobs[4]], &json!(false)));
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_alone_and_together() {
    let app = start().await;
    let pump = ingested(&app, "Pump Station.txt", &[]).await;
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let valve = ingested(&app, "valve.txt", &[("collection", "plant-b"), ("source", "halls/north/valve.txt")]).await;
    let blank = app.upload_job("blank.html", "<p> </p><script>1</script>", &[]).await.unwrap();
    assert_eq!(app.wait_ended(&blank).await.unwrap()["status"], "failed");

    for (query, expected) in [
        ("status=completed", vec![&valve, &pump]),
        ("status=failed", vec![&blank]),
        ("status=pending", vec![]),
        ("status=cancelled", vec![]),
        ("status=", vec![&blank, &valve, &pump]),
        ("job_type=ingestion", vec![&blank, &valve, &pump]),
        ("job_type=reindex", vec![]),
        ("job_type=clustering", vec![]),
        ("collection=plant-b", vec![&valve]),
        ("collection=default", vec![&blank, &pump]),
        ("collection=nobody", vec![]),
        ("q=Pump%20Station", vec![&pump]),
        ("q=pump", vec![&pump]),
        ("q=valve.txt", vec![&valve]),
        ("q=halls/north", vec![&valve]),
        ("q=%25", vec![]),
        ("q=_", vec![]),
        ("q=absent", vec![]),
        ("q=valve&collection=default", vec![]),
        ("status=completed&collection=default&job_type=ingestion", vec![&pump]),
    ] {
        let page = list(&app, query).await;
        assert_eq!(
            (ids(&page), &page["total"]),
            (expected.iter().map(|s| s.as_str()).collect(), &json!(expected.len())),
            "{query}"
        );
    }
    // One that nobody knows is refused, not ignored.
    let answer = app.get("/api/jobs?unknown_parameter=1&status=failed").await.unwrap();
    assert_says(&answer, 400, "invalid_parameter", &["unknown_parameter", "status"]);
    // By id, as a person who has one would search.
    assert_eq!(ids(&list(&app, &format!("q={valve}")).await), [valve.as_str()]);
    // Dates: from an instant on, and before one.
    let at = list(&app, "collection=plant-b").await["jobs"][0]["created_at"].as_str().unwrap().to_owned();
    let after =
        ids(&list(&app, &format!("created_after={at}")).await).iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    let before =
        ids(&list(&app, &format!("created_before={at}")).await).iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    assert!(after.contains(&blank) && !after.contains(&pump), "{after:?}");
    assert!(before.contains(&pump) && !before.contains(&blank), "{before:?}");
    assert_eq!(
        ids(&list(&app, "created_after=2000-01-01T00:00:00Z&created_before=2001-01-01T00:00:00Z").await).len(),
        0
    );
    assert_eq!(
        ids(&list(&app, "created_after=2000-01-01T02:00:00%2B02:00").await).len(),
        3,
        "other zones are understood"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_are_not_allowed_are_named() {
    let app = start().await;
    for (query, words) in [
        ("status=done", vec!["status", "done", "pending", "running", "completed", "failed", "cancelled"]),
        ("status=Running", vec!["Running", "running"]),
        ("job_type=baking", vec!["job_type", "baking", "ingestion", "reindex", "clustering"]),
        ("limit=0", vec!["limit", "0", "1", "1000"]),
        ("limit=1001", vec!["limit", "1001", "1", "1000"]),
        ("limit=many", vec!["limit", "many"]),
        ("limit=-5", vec!["limit", "-5"]),
        ("limit=5.0", vec!["limit", "5.0"]),
        ("limit=99999999999999999999999", vec!["limit", "9999"]),
        ("offset=-1", vec!["offset", "-1"]),
        ("offset=x", vec!["offset", "x"]),
        ("cursor=rubbish!", vec!["cursor", "rubbish!"]),
        ("created_after=yesterday", vec!["created_after", "yesterday"]),
        ("created_before=2024-13-01T00:00:00Z", vec!["created_before", "2024-13-01"]),
        ("collection=No%20Such", vec!["collection", "No Such"]),
        ("status=failed&status=running", vec!["status"]),
    ] {
        assert_says(&app.get(&format!("/api/jobs?{query}")).await.unwrap(), 400, "invalid_parameter", &words);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_higher_priority_goes_first() {
    let app = start_held(&hold("embedding"), 1).await;
    let blocker = app.upload_job("blocker.txt", "A pump.", &[]).await.unwrap();
    app.wait_job(&blocker, |page| page["status"] == "running").await.unwrap();
    let low = app.upload_job("low.txt", "A pump.", &[]).await.unwrap();
    let high = app.upload_job("high.txt", "A pump.", &[("priority", "10")]).await.unwrap();
    assert_eq!(app.post(&format!("/api/jobs/{blocker}/cancel")).await.unwrap().0, 200);
    app.wait_job(&high, |page| page["status"] == "running").await.unwrap();
    let (_, page) = app.get(&format!("/api/jobs/{low}")).await.unwrap();
    assert_eq!(page["status"], "pending", "{page:#}");
}
