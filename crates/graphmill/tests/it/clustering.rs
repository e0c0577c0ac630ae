//! Clustering jobs: what they find, what they say, who waits for whom.

use graphmill_testkit::TestApp;
use serde_json::{Value, json};

use crate::support::{BINARY, assert_completed, export_count, markdown, start, start_with_faults};

/// Uploads documents whose entities hang together.
pub(crate) async fn ingest(app: &TestApp, documents: u32) {
    for n in 0..documents {
        let job = app.upload_job(&format!("{n}.md"), markdown(n, 8), &[]).await.unwrap();
        assert_completed(&app.wait_ended(&job).await.unwrap());
    }
}

/// Puts a clustering into the queue; answers its id.
pub(crate) async fn begin(app: &TestApp, params: Value) -> String {
    let (status, answer) =
        app.post_json("/api/jobs", &json!({"job_type": "clustering", "params": params})).await.unwrap();
    assert_eq!(status, 202, "{answer}");
    answer["job_id"].as_str().unwrap().to_owned()
}

/// Clusters and waits; answers the job's page.
pub(crate) async fn cluster(app: &TestApp, params: Value) -> Value {
    let job = begin(app, params).await;
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    page
}

/// Members of each community of the coarsest level, sorted.
fn coarsest(export: &str) -> Vec<Vec<String>> {
    let lines: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let communities: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "community").collect();
    let top = communities.iter().map(|c| c["level"].as_u64().unwrap()).max().unwrap_or(0);
    let members =
        |c: &&Value| c["members"].as_array().unwrap().iter().map(|m| m.as_str().unwrap().to_owned()).collect();
    let mut found: Vec<Vec<String>> =
        communities.into_iter().filter(|c| c["level"] == top).map(|c| members(&c)).collect();
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_gets_its_communities() {
    let app = start().await;
    ingest(&app, 3).await;
    let page = cluster(&app, json!({})).await;
    let names: Vec<&str> = page["stages"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["build_projection", "run_leiden", "assign_communities"]);
    let metadata = &page["metadata"];
    assert_eq!((&metadata["resolution"], &metadata["seed"]), (&json!(1.0), &json!(42)), "{page:#}");
    assert_eq!(page["message"], "Clustering complete");
    let export = app.export("default").await.unwrap();
    let (_, stats) = app.get("/api/graph/stats").await.unwrap();
    let communities = metadata["communities"].as_u64().unwrap();
    assert!(communities > 0 && metadata["levels"].as_u64().unwrap() > 0, "{page:#}");
    assert_eq!(stats["communities"], communities, "{stats}");
    let (assigned, without) =
        (metadata["entities_assigned"].as_u64().unwrap(), metadata["entities_without_relations"].as_u64().unwrap());
    assert_eq!(stats["entities"], assigned + without, "no entity is lost: {page:#}");
    let members: usize = coarsest(&export).iter().map(Vec::len).sum();
    assert_eq!(members as u64, assigned, "each entity that has a relation is in one community of a level");
    for line in export.lines().filter(|line| line.contains("\"kind\":\"community\"")) {
        let community: Value = serde_json::from_str(line).unwrap();
        assert!(!community["title"].as_str().unwrap().is_empty(), "{line}");
    }
    let again = cluster(&app, json!({})).await;
    assert_eq!(again["metadata"]["modularity"], metadata["modularity"]);
    assert_eq!(app.export("default").await.unwrap(), export);
    let fine = cluster(&app, json!({"resolution": 20, "max_levels": 1})).await;
    assert_eq!(fine["metadata"]["levels"], 1, "{fine:#}");
    assert!(coarsest(&app.export("default").await.unwrap()).len() > coarsest(&export).len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_request_is_named() {
    let app = start().await;
    for (body, status, part) in [
        (json!({"job_type": "clustering", "params": {"resolution": 0}}), 400, "resolution is 0"),
        (json!({"job_type": "clustering", "params": {"sead": 1}}), 400, "\"sead\" is not known"),
        (json!({"job_type": "clustering", "params": {"generate_summaries": 1}}), 400, "true or false"),
        (json!({"job_type": "clustering", "collection": "nobody"}), 404, "nobody"),
    ] {
        let (found, answer) = app.post_json("/api/jobs", &body).await.unwrap();
        assert_eq!(found, status, "{answer}");
        assert!(answer["error"].as_str().unwrap().contains(part), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_cluster_is_no_failure() {
    let app = start().await;
    let page = cluster(&app, json!({"generate_summaries": true})).await;
    assert_eq!(
        (&page["metadata"]["communities"], &page["metadata"]["summaries_generated"], &page["metadata"]["modularity"]),
        (&json!(0), &json!(0), &json!(0.0)),
        "{page:#}"
    );
    // Entities, and no relation between them.
    let job = app.upload_job("a.txt", "Northgate Pump.\n\nHalden Works.", &[]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    let page = cluster(&app, json!({})).await;
    let (_, stats) = app.get("/api/graph/stats").await.unwrap();
    let counted = page["metadata"]["entities_without_relations"].as_u64().unwrap()
        + page["metadata"]["entities_assigned"].as_u64().unwrap();
    assert!(counted > 0, "{page:#}");
    assert_eq!(stats["entities"], counted, "{page:#}");
}

/// Case c29, in the product: threads change nothing, and the partition is the same for each of some seeds.
#[tokio::test(flavor = "multi_thread")]
async fn c29_threads_and_the_order_of_documents_change_nothing() {
    let mut exports = Vec::new();
    for (threads, order) in [("1", [0, 1, 2]), ("2", [2, 0, 1]), ("4", [1, 2, 0])] {
        let app = TestApp::start_with(BINARY, |s| s.env("GRAPHMILL_CPU_THREADS", threads)).await.unwrap();
        for n in order {
            let job = app.upload_job(&format!("{n}.md"), markdown(n, 8), &[]).await.unwrap();
            assert_completed(&app.wait_ended(&job).await.unwrap());
        }
        cluster(&app, json!({"seed": 7})).await;
        exports.push(app.export("default").await.unwrap());
    }
    assert!(export_count(&exports[0], "communities") > 0);
    assert!(exports.iter().all(|export| *export == exports[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_waits_and_an_identical_one_is_the_same_job() {
    let mut app = start().await;
    ingest(&app, 1).await;
    app.restart(|s| s.env("FAILPOINTS", "stage.run_leiden.unit=1*sleep(1500)")).await.unwrap();
    let first = begin(&app, json!({"seed": 1})).await;
    app.wait_job(&first, |page| page["status"] == "running").await.unwrap();
    let second = begin(&app, json!({"seed": 2})).await;
    let body = json!({"job_type": "clustering", "params": {"seed": 2, "resolution": 1.0}});
    let (status, same) = app.post_json("/api/jobs", &body).await.unwrap();
    assert_eq!((status, same["job_id"].as_str()), (200, Some(second.as_str())), "{same}");
    let (_, waiting) = app.get(&format!("/api/jobs/{second}")).await.unwrap();
    assert_eq!(waiting["status"], "pending", "{waiting:#}");
    let ended = app.wait_ended(&first).await.unwrap();
    assert_completed(&ended);
    let later = app.wait_ended(&second).await.unwrap();
    assert_completed(&later);
    assert!(later["started_at"].as_str() >= ended["completed_at"].as_str(), "{later:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_in_each_stage_leaves_the_communities_of_before() {
    for stage in ["build_projection", "run_leiden", "assign_communities", "generate_summaries"] {
        let app = start_with_faults(&format!("stage.{stage}.unit=1*off->1*sleep(600)->off")).await;
        ingest(&app, 1).await;
        cluster(&app, json!({"generate_summaries": true})).await;
        let before = app.export("default").await.unwrap();
        let job = begin(&app, json!({"generate_summaries": true, "resolution": 20, "max_levels": 1})).await;
        app.wait_job(&job, |page| {
            page["stages"].as_array().unwrap().iter().any(|s| s["name"] == stage && s["status"] == "running")
        })
        .await
        .unwrap_or_else(|e| panic!("{stage}: {e:#}"));
        let asked = std::time::Instant::now();
        let (status, answer) = app.post(&format!("/api/jobs/{job}/cancel")).await.unwrap();
        assert_eq!(status, 200, "{stage}: {answer}");
        assert!(asked.elapsed() < std::time::Duration::from_secs(1), "{stage}: {:?}", asked.elapsed());
        // The next one begins only when the cancelled one has let go, and is none the worse for it.
        tokio::time::sleep(std::time::Duration::from_millis(900)).await;
        let (_, page) = app.get(&format!("/api/jobs/{job}")).await.unwrap();
        assert_eq!(page["status"], "cancelled", "{page:#}");
        assert_eq!(app.export("default").await.unwrap(), before, "{stage}");
        cluster(&app, json!({"generate_summaries": true})).await;
        assert_eq!(app.export("default").await.unwrap(), before, "{stage}");
    }
}

/// A reindex with clustering gives the communities of a clustering job.
#[tokio::test(flavor = "multi_thread")]
async fn a_reindex_clusters_as_its_last_stage() {
    let app = start().await;
    ingest(&app, 2).await;
    let body = json!({"job_type": "reindex", "params": {"run_clustering": true, "mode": "full"}});
    let (status, answer) = app.post_json("/api/jobs", &body).await.unwrap();
    assert_eq!(status, 202, "{answer}");
    let page = app.wait_ended(answer["job_id"].as_str().unwrap()).await.unwrap();
    assert_completed(&page);
    assert_eq!(page["stages"].as_array().unwrap().last().unwrap()["name"], "clustering", "{page:#}");
    assert!(page["metadata"]["communities"].as_u64().unwrap() > 0, "{page:#}");
    let export = app.export("default").await.unwrap();
    cluster(&app, json!({})).await;
    assert_eq!(app.export("default").await.unwrap(), export);
}
