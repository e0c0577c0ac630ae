//! Everything at once for a while (`GRAPHMILL_SOAK_SECONDS`, 45): uploads, replacements, deletions and purges, searches, lists, streams, reindex, clustering,
//! cleanup, backups, collections that come and go. No error answer, memory and open files flat, the folder in proportion to what lives, and the graph is that of
//! the final documents.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use graphmill_testkit::{AppSettings, TestApp};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::events::Events;
use crate::support::{BINARY, assert_completed, markdown, seed};

/// Writers, and documents that each of them has.
const WRITERS: u32 = 3;
const DOCUMENTS: u32 = 12;
/// How much the last samples may be above those after the warm-up: a share, and bytes or files beyond it.
const RSS_SHARE: f64 = 1.2;
const RSS_BEYOND: u64 = 24 << 20;
const FILES_BEYOND: u64 = 24;

/// The server and what is counted.
struct Load {
    app: TestApp,
    until: Instant,
    done: AtomicBool,
    requests: AtomicU64,
}

impl Load {
    fn goes_on(&self) -> bool {
        Instant::now() < self.until
    }

    /// The answer must be one of these.
    fn check(&self, what: &str, (status, body): (u16, Value), allowed: &[u16]) -> Value {
        self.requests.fetch_add(1, Ordering::Relaxed);
        assert!(allowed.contains(&status), "{what}: {status} {body}");
        body
    }

    async fn get(&self, path: &str) -> Value {
        self.check(path, self.app.get(path).await.unwrap(), &[200])
    }

    /// Waits for the end of a job; a cleanup may take it away first.
    async fn ended(&self, job: &str) {
        let deadline = Instant::now() + Duration::from_secs(120);
        loop {
            let (status, page) = self.app.get(&format!("/api/jobs/{job}")).await.unwrap();
            match page["status"].as_str() {
                _ if status == 404 => return,
                Some("completed" | "cancelled") => return,
                Some("failed") => panic!("{page:#}"),
                _ => assert!(Instant::now() < deadline, "{status} {page:#}"),
            }
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
}

/// Uploads, replaces, deletes; answers what its documents are in the end.
async fn write(load: Arc<Load>, writer: u32) -> BTreeMap<String, String> {
    let mut rng = StdRng::seed_from_u64(seed() + u64::from(writer));
    let mut documents: BTreeMap<String, (String, String)> = BTreeMap::new();
    let mut unended = Vec::new();
    while load.goes_on() {
        let name = format!("{writer}-{}.md", rng.random_range(0..DOCUMENTS));
        match documents.get(&name) {
            Some((id, _)) if rng.random_bool(0.3) => {
                let purge = if rng.random_bool(0.5) { "?purge=true" } else { "" };
                let path = format!("/api/documents/{id}{purge}");
                load.check(&path, load.app.delete(&path).await.unwrap(), &[200, 202]);
                documents.remove(&name);
            }
            _ => {
                let text = markdown(rng.random_range(0..60), rng.random_range(1..12));
                let answer = load.check(&name, load.app.upload(&name, text.clone(), &[]).await.unwrap(), &[202]);
                unended.push(answer["job_id"].as_str().unwrap().to_owned());
                documents.insert(name, (answer["document_id"].as_str().unwrap().to_owned(), text));
            }
        }
        if unended.len() > 6 {
            for job in unended.drain(..) {
                load.ended(&job).await;
            }
        }
    }
    for job in unended {
        load.ended(&job).await;
    }
    documents.into_iter().map(|(name, (_, text))| (name, text)).collect()
}

async fn search(load: Arc<Load>, n: usize) {
    let queries = ["pump inspection", "Rotterdam", "pressure and flow", "Anna Berg line", "seals dry"];
    for turn in n.. {
        if !load.goes_on() {
            return;
        }
        let (query, mode) = (queries[turn % 5].replace(' ', "+"), ["text", "vector", "hybrid"][turn % 3]);
        load.get(&format!("/api/search?q={query}&mode={mode}&limit=20")).await;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn look_around(load: Arc<Load>) {
    let paths = [
        "/api/jobs?limit=100",
        "/api/documents?limit=100",
        "/api/entities?limit=50",
        "/api/communities",
        "/api/graph/stats",
        "/api/job-types",
        "/api/collections",
        "/readyz",
        "/openapi.json",
    ];
    for turn in 0.. {
        if !load.goes_on() {
            return;
        }
        load.get(paths[turn % paths.len()]).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Follows all jobs, cut now and then: no event comes twice, and none of a job out of order.
async fn follow(load: Arc<Load>, cut_after: usize) -> u64 {
    let (mut cursor, mut newest, mut seen): (Option<String>, BTreeMap<String, u64>, u64) = (None, BTreeMap::new(), 0);
    let url = format!("{}/api/jobs/events", load.app.url());
    while !load.done.load(Ordering::SeqCst) {
        let mut stream = Events::open(load.app.http(), url.clone(), cursor.as_deref()).await;
        for _ in 0..cut_after {
            let Ok(message) = tokio::time::timeout(Duration::from_secs(1), stream.next()).await else { break };
            let (id, message) = message.expect("the stream goes on");
            if id.is_some() && message["type"] != "hello" {
                let job = message["job_id"].as_str().unwrap().to_owned();
                let seq = message["seq"].as_u64().unwrap();
                let before = newest.insert(job, seq).unwrap_or(0);
                assert!(seq > before, "{message} after {before}");
                seen += 1;
            }
        }
        cursor = stream.id.clone().or(cursor);
    }
    seen
}

async fn layers(load: Arc<Load>) {
    for turn in 0.. {
        if !load.goes_on() {
            return;
        }
        let full = if turn % 4 == 3 { "full" } else { "delta" };
        let body = match turn % 2 {
            0 => json!({"job_type": "reindex", "params": {"mode": full, "run_clustering": turn % 3 == 0}}),
            _ => json!({"job_type": "clustering"}),
        };
        let answer = load.check("layers", load.app.post_json("/api/jobs", &body).await.unwrap(), &[200, 202]);
        load.ended(answer["job_id"].as_str().unwrap()).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Cleanups, backups, and a collection that comes and goes with its documents.
async fn keep_house(load: Arc<Load>) {
    let all = json!({"older_than_days": 0, "status": ["completed", "failed", "cancelled"]});
    for turn in 0_u32.. {
        if !load.goes_on() {
            return;
        }
        let made = load.app.post_json("/api/collections", &json!({"name": "guest"})).await.unwrap();
        load.check("a collection", made, &[201]);
        for n in 0..3 {
            let upload = load.app.upload(&format!("g{n}.md"), markdown(turn % 50, 8), &[("collection", "guest")]).await;
            let answer = load.check("an upload of a guest", upload.unwrap(), &[202]);
            if n < 2 {
                load.ended(answer["job_id"].as_str().unwrap()).await;
            }
        }
        load.check("its end", load.app.delete("/api/collections/guest").await.unwrap(), &[200, 202]);
        crate::support::eventually(&load.app, "/api/collections/guest", 404).await;
        load.check("cleanup", load.app.post_json("/api/jobs/cleanup", &all).await.unwrap(), &[200]);
        if turn % 3 == 0 {
            let answer = load.app.http().get(format!("{}/api/backup", load.app.url())).send().await.unwrap();
            assert_eq!(answer.status().as_u16(), 200);
            let mut pieces = answer.bytes_stream();
            while let Some(piece) = pieces.next().await {
                piece.expect("a whole backup");
            }
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// Memory and open files of the process.
fn sample(pid: u32) -> (u64, u64) {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    (kib << 10, std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count() as u64)
}

async fn watch(load: Arc<Load>) -> Vec<(u64, u64)> {
    let pid = load.app.pid().unwrap();
    let mut samples = Vec::new();
    while load.goes_on() {
        samples.push(sample(pid));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    samples
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values[values.len() / 2]
}

/// Flat: the last quarter is like the second one; the first is the warm-up.
fn assert_flat(samples: &[(u64, u64)]) -> String {
    let quarter = samples.len() / 4;
    let of =
        |from: usize, what: fn(&(u64, u64)) -> u64| median(samples[from..from + quarter].iter().map(what).collect());
    let [early, late] = [quarter, 3 * quarter].map(|from| (of(from, |s| s.0), of(from, |s| s.1)));
    let said = format!("memory {} MB then {} MB, open files {} then {}", early.0 >> 20, late.0 >> 20, early.1, late.1);
    assert!((late.0 as f64) <= early.0 as f64 * RSS_SHARE + RSS_BEYOND as f64, "{said}");
    assert!(late.1 <= early.1 + FILES_BEYOND, "{said}");
    said
}

/// Bytes of the files in a folder, and how many blobs there are.
fn size(folder: &Path) -> (u64, u64) {
    let (mut bytes, mut blobs, mut folders) = (0, 0, vec![folder.to_owned()]);
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(&at).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap() != "reserve" {
                bytes += entry.metadata().unwrap().len();
                blobs += u64::from(path.starts_with(folder.join("blobs")));
            }
        }
    }
    (bytes, blobs)
}

/// What does not depend on how the layers came to be.
fn documents_and_facts(export: &str) -> Vec<&str> {
    let lines = export
        .lines()
        .filter(|line| !line.contains("\"kind\":\"community\"") && !line.contains("\"kind\":\"similarity\""));
    let mut lines: Vec<&str> = lines.collect();
    lines.pop(); // counts of all
    lines
}

/// Ends all jobs, cleans up, stops in order; answers the export and the size of the folder.
async fn settle(mut app: TestApp) -> (String, (u64, u64)) {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let (_, pending) = app.get("/api/jobs?status=pending").await.unwrap();
        let (_, running) = app.get("/api/jobs?status=running").await.unwrap();
        if pending["total"] == 0 && running["total"] == 0 {
            break;
        }
        assert!(Instant::now() < deadline, "{pending} {running}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let export = app.export("default").await.unwrap();
    let all = json!({"older_than_days": 0, "status": ["completed", "failed", "cancelled"]});
    assert_eq!(app.post_json("/api/jobs/cleanup", &all).await.unwrap().0, 200);
    let pid = app.pid().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    app.wait_gone().await.unwrap();
    let size = size(app.settings().data_dir());
    (export, size)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn everything_at_once_costs_no_error_no_memory_and_no_room() {
    let seconds = std::env::var("GRAPHMILL_SOAK_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(45);
    let settings = |s: AppSettings| s.env("GRAPHMILL_AUTO_REINDEX", "3s");
    let app = TestApp::start_with(BINARY, settings).await.unwrap();
    let until = Instant::now() + Duration::from_secs(seconds);
    let load = Arc::new(Load { app, until, done: AtomicBool::new(false), requests: AtomicU64::new(0) });
    let writers: Vec<_> = (0..WRITERS).map(|n| tokio::spawn(write(load.clone(), n))).collect();
    let followers: Vec<_> = [40, 1_000].map(|cut| tokio::spawn(follow(load.clone(), cut))).into();
    let others = [
        tokio::spawn(search(load.clone(), 0)),
        tokio::spawn(search(load.clone(), 1)),
        tokio::spawn(look_around(load.clone())),
        tokio::spawn(layers(load.clone())),
        tokio::spawn(keep_house(load.clone())),
    ];
    let samples = tokio::spawn(watch(load.clone()));
    let mut documents = BTreeMap::new();
    for writer in writers {
        documents.extend(writer.await.unwrap());
    }
    for other in others {
        other.await.unwrap();
    }
    load.done.store(true, Ordering::SeqCst);
    let mut events = HashSet::new();
    for follower in followers {
        events.insert(follower.await.unwrap() > 0);
    }
    assert_eq!(events, HashSet::from([true]), "both followers heard something");
    let said = assert_flat(&samples.await.unwrap());
    let load = Arc::into_inner(load).expect("all tasks have ended");
    let requests = load.requests.into_inner();
    let (export, (bytes, blobs)) = settle(load.app).await;

    let fresh = TestApp::start_with(BINARY, settings).await.unwrap();
    for (name, text) in &documents {
        let job = fresh.upload_job(name, text.clone(), &[]).await.unwrap();
        assert_completed(&fresh.wait_ended(&job).await.unwrap());
    }
    let (expected, (fresh_bytes, fresh_blobs)) = settle(fresh).await;
    println!(
        "{seconds} s, {requests} requests, {} documents: {said}; folder {bytes} bytes, fresh {fresh_bytes}; {blobs} blobs, fresh {fresh_blobs}",
        documents.len()
    );
    assert_eq!(documents_and_facts(&export), documents_and_facts(&expected), "seed {}", seed());
    assert_eq!(blobs, fresh_blobs, "nothing but what lives has files");
    // Free pages are given back by and by: up to a quarter of a file and some thousand pages stay for what comes next.
    assert!(bytes <= 3 * fresh_bytes + (32 << 20), "{bytes} bytes, fresh {fresh_bytes}");
}
