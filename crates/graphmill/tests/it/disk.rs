//! The data folder: full, read-only, damaged, of a newer version, in use. These tests mount small file systems of their own, so they run as root.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use graphmill_testkit::{AppSettings, TestApp};
use serde_json::{Value, json};

use crate::contract::{assert_error, assert_says};
use crate::support::{BINARY, assert_completed, markdown, start};

/// A file system of a given size, gone when dropped.
struct SmallDisk {
    dir: tempfile::TempDir,
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    let output = std::process::Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{program}: {e}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{program} {args:?}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

impl SmallDisk {
    fn mount(megabytes: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (size, at) = (format!("size={megabytes}m"), dir.path().to_str().unwrap());
        run("mount", &["-t", "tmpfs", "-o", &size, "tmpfs", at])
            .unwrap_or_else(|e| panic!("this test mounts a small tmpfs and must be allowed to (run the tests as root or in a user namespace): {e}"));
        Self { dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The data folder on it; the filler lies beside.
    fn data(&self) -> PathBuf {
        self.path().join("data")
    }

    /// Takes all room that is left.
    fn fill(&self) {
        use std::io::Write;
        let mut filler =
            std::fs::OpenOptions::new().create(true).append(true).open(self.path().join("filler")).unwrap();
        for size in [64 * 1024, 4096, 1] {
            let block = vec![0_u8; size];
            while filler.write_all(&block).is_ok() {}
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.path().join("filler")).unwrap();
    }

    fn read_only(&self) {
        run("mount", &["-o", "remount,ro", self.path().to_str().unwrap()]).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(error) = run("umount", &["-l", self.path().to_str().unwrap()]) {
            eprintln!("{error}");
        }
    }
}

/// Large enough that each of its stages needs more room than the reserve gives.
fn document() -> String {
    markdown(1, 600)
}

fn stage<'a>(page: &'a Value, name: &str) -> &'a Value {
    page["stages"].as_array().unwrap().iter().find(|s| s["name"] == name).unwrap()
}

/// The disk fills up while the job is in this stage.
async fn full_in(stage_name: &str, expected: &str) {
    let disk = SmallDisk::mount(96);
    let settings = AppSettings::new(BINARY, disk.data())
        .env("FAILPOINTS", format!("stage.{stage_name}.unit=1*off->1*sleep(1500)"))
        .env("GRAPHMILL_RESERVE_MB", "1")
        .env("TOKIO_WORKER_THREADS", "8");
    let app = TestApp::launch(settings).await.unwrap();
    // The first pass of the point is this one's.
    let early = app.upload_job("early.md", "Northgate Pump is dry.", &[]).await.unwrap();
    let early_page = app.wait_ended(&early).await.unwrap();
    assert_completed(&early_page);
    let job = app.upload_job("report.md", document(), &[]).await.unwrap();
    app.wait_job(&job, |page| stage(page, stage_name)["status"] == "running").await.unwrap();
    disk.fill();

    let page = app.wait_job(&job, |page| page["status"] != "running").await.unwrap();
    assert_eq!(page["status"], "pending", "{stage_name}: a full disk is no failure: {page:#}");
    let message = page["message"].as_str().unwrap();
    assert!(
        message.contains("disk") || message.contains("room") || message.contains("storage_full"),
        "{stage_name}: {page:#}"
    );
    let error =
        page["errors"].as_array().unwrap().last().unwrap_or_else(|| panic!("{stage_name}: no error is kept: {page:#}"));
    assert_eq!(error["code"], "storage_full", "{stage_name}: {page:#}");
    assert_eq!(error["stage"], stage_name, "{page:#}");
    assert!(error["hint"].is_string(), "{stage_name}: {page:#}");
    assert_eq!(page["attempts"].as_array().unwrap().last().unwrap()["outcome"], "snoozed", "{stage_name}: {page:#}");

    let (status, ready) = app.get("/readyz").await.unwrap();
    assert_eq!((status, &ready["status"]), (200, &json!("degraded")), "{stage_name}: {ready}");
    let answer = app.upload("late.md", markdown(2, 3), &[]).await.unwrap();
    assert_says(&answer, 507, "storage_full", &["room"]);
    assert!(answer.1["hint"].is_string(), "{answer:?}");
    // What frees room goes on.
    let (status, answer) = app.delete(&format!("/api/jobs/{early}")).await.unwrap();
    assert_eq!(status, 200, "{stage_name}: {answer}");
    let (status, answer) = app.post_json("/api/jobs/cleanup", &json!({"older_than_days": 0})).await.unwrap();
    assert_eq!(status, 200, "{stage_name}: {answer}");
    let document = early_page["metadata"]["document_id"].as_str().unwrap();
    let (status, answer) = app.delete(&format!("/api/documents/{document}")).await.unwrap();
    assert!(matches!(status, 200 | 202), "{stage_name}: {status} {answer}");
    let (status, _) = app.get("/api/jobs").await.unwrap();
    assert_eq!(status, 200, "{stage_name}");

    disk.free();
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    crate::support::eventually(&app, &format!("/api/documents/{document}"), 404).await;
    assert_eq!(app.export("default").await.unwrap(), expected, "{stage_name}");
    let (_, ready) = app.get("/readyz").await.unwrap();
    assert_eq!(ready["status"], "ready", "{stage_name}");
    assert!(disk.data().join("reserve").exists(), "{stage_name}: the reserve is made again");
    // It waited and did not fail: no attempt of those that a job has was used, and the wait was told once.
    let outcomes: Vec<&str> =
        page["attempts"].as_array().unwrap().iter().map(|a| a["outcome"].as_str().unwrap()).collect();
    assert!(outcomes.iter().all(|o| ["snoozed", "completed"].contains(o)), "{stage_name}: {outcomes:?}");
    assert_eq!(page["errors"].as_array().unwrap().len(), 1, "{stage_name}: {page:#}");
    crate::faults::assert_well(&app).await;
}

async fn undisturbed() -> String {
    let app = start().await;
    let job = app.upload_job("report.md", document(), &[]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    app.export("default").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_in_each_stage_makes_the_job_wait() {
    let expected = undisturbed().await;
    for stage in ["loading", "chunking", "embedding", "entity_extraction", "persistence"] {
        full_in(stage, &expected).await;
    }
}

/// What is there can be read on a full disk: searches whose index lacks the newest document, or all of them, and exports.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_read_as_before() {
    for searched_before in [true, false] {
        let disk = SmallDisk::mount(96);
        let settings =
            AppSettings::new(BINARY, disk.data()).env("GRAPHMILL_RESERVE_MB", "1").env("GRAPHMILL_AUTO_REINDEX", "off");
        let app = TestApp::launch(settings).await.unwrap();
        let search = async |mode: &str| {
            let (status, answer) =
                app.get(&format!("/api/search?q=northgate+pump+seals&limit=20&mode={mode}")).await.unwrap();
            assert_eq!(status, 200, "{mode}: {answer}");
            answer["hits"].clone()
        };
        for n in 1..=2 {
            if n == 2 && searched_before {
                for mode in ["text", "vector"] {
                    search(mode).await;
                }
            }
            let job = app.upload_job(&format!("{n}.md"), markdown(n, 40), &[]).await.unwrap();
            assert_completed(&app.wait_ended(&job).await.unwrap());
        }
        disk.fill();
        let mut full = Vec::new();
        for mode in ["text", "vector", "hybrid"] {
            full.push(search(mode).await);
            assert!(full[full.len() - 1].as_array().unwrap().len() == 20, "{mode}");
        }
        let exported = app.export("default").await.unwrap();
        assert_eq!(crate::support::export_count(&exported, "documents"), 2);
        disk.free();
        for (mode, full) in ["text", "vector", "hybrid"].into_iter().zip(full) {
            assert_eq!(search(mode).await, full, "{mode}: the same as with room, searched before: {searched_before}");
        }
        assert_eq!(app.export("default").await.unwrap(), exported);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_finds_no_room_leaves_nothing() {
    let disk = SmallDisk::mount(32);
    let settings = AppSettings::new(BINARY, disk.data()).env("GRAPHMILL_RESERVE_MB", "1");
    let app = TestApp::launch(settings).await.unwrap();
    let large = "The pump is dry. ".repeat(40 * 1024 * 1024 / 17);
    // With its length in the head it is refused before it is read, without it when the disk is full.
    let answer = app.upload("large.txt", large.clone(), &[]).await.unwrap();
    assert_error(&answer, 507, "storage_full");
    let pieces: Vec<String> =
        large.as_bytes().chunks(100_000).map(|c| String::from_utf8_lossy(c).into_owned()).collect();
    let stream = futures::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
    let part = reqwest::multipart::Part::stream(reqwest::Body::wrap_stream(stream)).file_name("large.txt");
    let request = app
        .http()
        .post(format!("{}/api/upload", app.url()))
        .multipart(reqwest::multipart::Form::new().part("file", part));
    let answer = request.send().await.unwrap();
    assert_error(&(answer.status().as_u16(), answer.json().await.unwrap()), 507, "storage_full");
    crate::faults::assert_no_blobs(&app).await;
    assert_eq!(app.get("/api/jobs").await.unwrap().1["total"], 0);
    // What it had taken is given back, so the server takes uploads again by itself.
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let (status, answer) = app.upload("small.txt", "Northgate Pump is dry.", &[]).await.unwrap();
        if status == 202 {
            assert_completed(&app.wait_ended(answer["job_id"].as_str().unwrap()).await.unwrap());
            break;
        }
        assert!(status == 507 && Instant::now() < deadline, "{status} {answer}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Runs a command to its end: exit code, standard output, standard error.
async fn output(settings: &AppSettings, args: &[&str]) -> (i32, String, String) {
    let run = settings.command(args).output();
    let output = tokio::time::timeout(Duration::from_secs(30), run)
        .await
        .unwrap_or_else(|_| panic!("{args:?} does not end"))
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

const SERVE: &[&str] = &["serve", "--listen", "127.0.0.1:0"];

/// The server must refuse to start; answers what it says.
async fn refuses(settings: &AppSettings) -> String {
    let (code, out, err) = output(settings, SERVE).await;
    assert_eq!(code, 1, "{out}{err}");
    assert!(!out.contains("is ready"), "{out}");
    assert!(err.contains("graphmill: "), "{err}");
    assert!(!err.contains("panicked"), "{err}");
    err
}

/// A data folder with a document in it, closed in good order and with its logs folded in, so that nothing but the database files themselves counts.
async fn filled_folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.md");
    std::fs::write(&file, markdown(1, 60)).unwrap();
    let data = dir.path().join("data");
    let (code, out, err) = output(&AppSettings::new(BINARY, &data), &["ingest", file.to_str().unwrap()]).await;
    assert_eq!(code, 0, "{out}{err}");
    for name in ["jobs.db", "graph.db", "cache.db"] {
        let conn = rusqlite::Connection::open(data.join(name)).unwrap();
        let busy: i64 = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
        assert_eq!(busy, 0, "{name}");
    }
    dir
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_folder_is_refused_with_what_to_do() {
    let disk = SmallDisk::mount(64);
    let settings = AppSettings::new(BINARY, disk.data()).env("GRAPHMILL_RESERVE_MB", "1");
    std::fs::create_dir_all(disk.data()).unwrap();
    let (code, _, err) = output(&settings, &["stats"]).await;
    assert_eq!(code, 0, "{err}");
    disk.read_only();
    for dir in [disk.data(), disk.path().join("new")] {
        let said = refuses(&AppSettings::new(BINARY, &dir)).await;
        assert!(
            said.contains(dir.to_str().unwrap()) && said.contains("ead-only") && said.contains("another folder"),
            "{said}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_databases_are_refused_and_left_alone() {
    let whole = filled_folder().await;
    let noise: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    for name in ["jobs.db", "graph.db"] {
        let content = std::fs::read(whole.path().join("data").join(name)).unwrap();
        let mut first_page = content.clone();
        first_page[..4096].copy_from_slice(&noise[..4096]);
        let mut schema = content.clone();
        schema[100..2_000].copy_from_slice(&noise[..1_900]);
        for (what, damaged) in [
            ("noise", noise.clone()),
            ("its first page noise", first_page),
            ("its schema noise", schema),
            ("cut in the middle", content[..content.len() / 2].to_vec()),
            ("cut to a few bytes", content[..50].to_vec()),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let data = dir.path().join("data");
            run("cp", &["-r", whole.path().join("data").to_str().unwrap(), data.to_str().unwrap()]).unwrap();
            std::fs::write(data.join(name), &damaged).unwrap();
            let said = refuses(&AppSettings::new(BINARY, &data)).await;
            assert!(said.contains(name), "{name}, {what}: {said}");
            assert!(
                ["backup", "restore", "recover", "another program", "keep a copy"]
                    .iter()
                    .any(|word| said.contains(word)),
                "{name}, {what}: it does not say what to do: {said}"
            );
            assert!(std::fs::read(data.join(name)).unwrap() == damaged, "{name}, {what}: the file was changed");
        }
        // A file of a newer version: user_version stands at offset 60 of the header.
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        run("cp", &["-r", whole.path().join("data").to_str().unwrap(), data.to_str().unwrap()]).unwrap();
        let mut newer = content.clone();
        newer[60..64].copy_from_slice(&9_999_u32.to_be_bytes());
        std::fs::write(data.join(name), &newer).unwrap();
        let said = refuses(&AppSettings::new(BINARY, &data)).await;
        assert!(said.contains(name) && said.contains("newer") && said.contains("9999"), "{name}: {said}");
        assert!(std::fs::read(data.join(name)).unwrap() == newer, "{name}: the file was changed");
    }
    // What is said about jobs.db helps: without it and graph.db the folder works.
    let fresh = tempfile::tempdir().unwrap();
    let data = fresh.path().join("data");
    run("cp", &["-r", whole.path().join("data").to_str().unwrap(), data.to_str().unwrap()]).unwrap();
    std::fs::write(data.join("jobs.db"), &noise).unwrap();
    let said = refuses(&AppSettings::new(BINARY, &data)).await;
    assert!(said.contains("it and graph.db away"), "{said}");
    for name in ["jobs.db", "graph.db"] {
        std::fs::remove_file(data.join(name)).unwrap();
    }
    let (code, out, err) = output(&AppSettings::new(BINARY, &data), &["stats"]).await;
    assert_eq!(code, 0, "{out}{err}");
    // Databases of two folders do not go together.
    let other = filled_folder().await;
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    run("cp", &["-r", whole.path().join("data").to_str().unwrap(), data.to_str().unwrap()]).unwrap();
    std::fs::copy(other.path().join("data/graph.db"), data.join("graph.db")).unwrap();
    let said = refuses(&AppSettings::new(BINARY, &data)).await;
    assert!(said.contains("graph") && said.contains("job store"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_is_refused_and_a_dead_ones_lock_is_free_at_once() {
    let mut app = start().await;
    let said = refuses(app.settings()).await;
    assert!(said.contains(&app.pid().unwrap().to_string()) && said.contains(app.url()), "{said}");
    assert_eq!(app.get("/livez").await.unwrap().0, 200, "the first one goes on");
    // A second one elsewhere on the same address.
    let dir = tempfile::tempdir().unwrap();
    let address = app.url().trim_start_matches("http://").to_owned();
    let (code, _, said) = output(&AppSettings::new(BINARY, dir.path()), &["serve", "--listen", &address]).await;
    assert_eq!(code, 1, "{said}");
    assert!(said.contains(&address) && said.contains("--listen"), "{said}");

    app.kill().await.unwrap();
    let begun = Instant::now();
    app.restart_quiet().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(app.get("/livez").await.unwrap().0, 200);
}

/// graph.db is gone: the start says so, and the documents come back from their stored originals.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_graph_is_named_and_comes_back_from_the_originals() {
    let mut app = crate::support::start().await;
    let job = app.upload_job("report.md", markdown(4, 20), &[]).await.unwrap();
    let page = app.wait_ended(&job).await.unwrap();
    let document = page["metadata"]["document_id"].as_str().unwrap().to_owned();
    let expected = app.export("default").await.unwrap();
    app.kill().await.unwrap();
    for name in ["graph.db", "graph.db-wal", "graph.db-shm"] {
        let _ = std::fs::remove_file(app.settings().data_dir().join(name));
    }
    app.restart_quiet().await.unwrap();
    assert!(app.log().contains("the graph is empty although jobs have completed"), "{}", app.log());
    let body = serde_json::json!({"job_type": "ingestion", "params": {"document_id": document}});
    let (status, answer) = app.post_json("/api/jobs", &body).await.unwrap();
    assert_eq!(status, 202, "{answer}");
    let page = app.wait_ended(answer["job_id"].as_str().unwrap()).await.unwrap();
    crate::support::assert_completed(&page);
    assert_eq!(app.export("default").await.unwrap(), expected);
}
