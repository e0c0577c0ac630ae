//! The commands over what was ingested: tables for people, JSON for scripts, exit codes, what they say when something is wrong.

use std::path::Path;
use std::time::Duration;

use graphmill_testkit::{AppSettings, TestApp};
use serde_json::Value;

use crate::support::{BINARY, assert_completed, markdown, start};

/// Runs a command to its end: exit code, standard output, standard error.
async fn run(settings: &AppSettings, args: &[&str]) -> (i32, String, String) {
    let ended = tokio::time::timeout(Duration::from_secs(120), settings.command(args).output()).await;
    let output = ended.unwrap_or_else(|_| panic!("{args:?} does not end")).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// The one JSON value that a command prints.
async fn json(settings: &AppSettings, args: &[&str]) -> Value {
    let (code, out, err) = run(settings, &[&["--json"], args].concat()).await;
    assert_eq!(code, 0, "{args:?}: {out}{err}");
    assert_eq!(out.lines().count(), 1, "{args:?}: {out}");
    serde_json::from_str(&out).unwrap_or_else(|e| panic!("{args:?}: {e}: {out}"))
}

async fn filled() -> TestApp {
    let app = start().await;
    for n in 0..2 {
        let job = app.upload_job(&format!("report-{n}.md"), markdown(n, 6), &[]).await.unwrap();
        assert_completed(&app.wait_ended(&job).await.unwrap());
    }
    app
}

/// Every resource is listed and shown, for people and for scripts.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_ingested_is_listed_and_shown() {
    let app = filled().await;
    let settings = app.settings();
    let page = json(settings, &["documents", "list", "--sort", "filename", "--order", "asc"]).await;
    let document = page["documents"][0]["document_id"].as_str().unwrap().to_owned();
    assert_eq!((&page["total"], &page["documents"][0]["source"]), (&2.into(), &"report-0.md".into()));
    let (code, out, err) = run(settings, &["documents", "list"]).await;
    assert!(
        code == 0 && out.contains(&document) && out.contains("report-1.md") && err.contains("2 of 2"),
        "{out}{err}"
    );
    assert_eq!(json(settings, &["documents", "show", &document]).await["filename"], "report-0.md");
    let (_, out, _) = run(settings, &["documents", "chunks", &document]).await;
    assert!(out.contains("Section 0") && out.contains("[0] page 1"), "{out}");
    let (_, out, _) = run(settings, &["documents", "entities", &document]).await;
    assert!(out.contains("Halden Works"), "{out}");
    let (code, out, _) = run(settings, &["documents", "original", &document]).await;
    assert_eq!((code, out), (0, markdown(0, 6)));
    let page = json(settings, &["entities", "list", "--q", "halden"]).await;
    let entity = page["entities"][0]["entity_id"].as_str().unwrap().to_owned();
    let (_, out, err) = run(settings, &["entities", "show", &entity]).await;
    assert!(out.contains("Halden Works") && out.contains(&document) && err.contains("mentions"), "{out}{err}");
    let (_, out, _) = run(settings, &["entities", "neighbours", &entity]).await;
    assert!(out.contains("Halden Works") && !out.contains(&entity), "its own relations go by its name: {out}");
    let (code, out, err) = run(settings, &["search", "Maintenance", "Manual", "--limit", "2"]).await;
    assert!(code == 0 && out.contains("1. report-") && err.contains("2 hits"), "{out}{err}");
    assert_eq!(
        json(settings, &["search", "Maintenance", "--mode", "text", "--limit", "1"]).await["hits"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let (code, out, _) = run(settings, &["search", "--mode", "text", "xyzzyplugh"]).await;
    assert_eq!((code, out.as_str()), (3, ""));
    let stats = json(settings, &["stats"]).await;
    assert_eq!((&stats["documents"], &stats["layers"]["similarities"]["stale"]), (&2.into(), &true.into()));
    assert!(json(settings, &["jobs", "list", "--q", "report-1"]).await["total"] == 1);
    let (code, out, err) = run(settings, &["documents", "delete", &document, "doc-none"]).await;
    assert!(code == 3 && out.contains("Document deleted") && err.contains("doc-none"), "{code} {out}{err}");
    assert_eq!(json(settings, &["documents", "list"]).await["total"], 1);
}

/// Reindex and clustering from the shell, and what they made.
#[tokio::test(flavor = "multi_thread")]
async fn layers_are_brought_up_from_the_shell() {
    let app = filled().await;
    let settings = app.settings();
    let (code, out, err) = run(settings, &["communities", "list"]).await;
    assert!(code == 0 && out.is_empty() && err.contains("graphmill cluster"), "{out}{err}");
    let (code, out, err) = run(settings, &["reindex", "--threshold", "-0.5"]).await;
    assert!(code == 0 && out.contains("completed"), "{out}{err}");
    let (code, out, err) = run(settings, &["reindex", "--no-similarities"]).await;
    assert!(
        code == 1 && out.is_empty() && err.contains("rebuild_similarities"),
        "nothing to do is refused: {out}{err}"
    );
    let (code, out, err) = run(settings, &["--json", "cluster", "--seed", "7"]).await;
    assert_eq!(code, 0, "{out}{err}");
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!(last["type"], "completed", "{out}");
    let page = json(settings, &["communities", "list"]).await;
    let community = page["communities"][0]["community_id"].as_str().unwrap();
    let (_, out, err) = run(settings, &["communities", "show", community]).await;
    assert!(out.contains(community) && err.contains("members"), "{out}{err}");
    assert_eq!(json(settings, &["stats"]).await["layers"]["communities"]["stale"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_paused_cleaned_up_and_deleted() {
    let app = filled().await;
    let settings = app.settings();
    let (code, out, err) = run(settings, &["jobs", "pause", "ingestion"]).await;
    assert!(code == 0 && out.contains("ingestion"), "{out}{err}");
    let job = app.upload_job("later.md", markdown(5, 2), &[]).await.unwrap();
    let (code, _, err) = run(settings, &["jobs", "delete", &job]).await;
    assert!(code == 1 && err.contains("Cannot delete pending job"), "{code} {err}");
    assert_eq!(run(settings, &["jobs", "resume", "ingestion"]).await.0, 0);
    assert_completed(&app.wait_ended(&job).await.unwrap());
    let (code, out, err) = run(settings, &["jobs", "delete", &job, "job-none"]).await;
    assert!(code == 3 && out.contains("Job deleted") && err.contains("job-none"), "{code} {out}{err}");
    let (code, out, err) = run(settings, &["jobs", "cleanup", "--older-than-days", "0"]).await;
    assert!(code == 0 && out.contains("2 jobs deleted"), "{out}{err}");
    let (code, _, err) = run(settings, &["jobs", "pause", "import"]).await;
    assert!(code == 1 && err.contains("no job type import"), "{err}");
}

/// `check` counts anew, `doctor` looks around, `config show` says where each value comes from and keeps secrets.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_found_and_said() {
    let mut app = filled().await;
    let settings = app.settings().clone();
    let (code, out, err) = run(&settings, &["check"]).await;
    assert!(code == 0 && out.is_empty() && err.contains("whole"), "{out}{err}");
    let (code, out, err) = run(&settings, &["doctor"]).await;
    // The folder of a test may be looked into by others, and doctor says so.
    assert!(code == 0 || (code == 3 && out.contains("chmod 700")), "{code} {out}{err}");
    assert!(
        out.contains("is ready at http://127.0.0.1") && out.contains("graph.db") && out.contains("parser"),
        "{out}"
    );
    app.kill().await.unwrap();
    let db = |name: &str| rusqlite::Connection::open(settings.data_dir().join(name)).unwrap();
    db("graph.db").execute("UPDATE entity SET mentions = mentions + 1 WHERE key = 1", []).unwrap();
    let (code, out, err) = run(&settings, &["check"]).await;
    assert!(code == 3 && out.contains("entity_fold") && err.contains("findings; please report"), "{code} {out}{err}");
    let sick =
        settings.clone().env("GRAPHMILL_EMBEDDING_URL", "http://127.0.0.1:9/v1").env("GRAPHMILL_EMBEDDING_MODEL", "m");
    let (code, out, err) = run(&sick, &["--json", "doctor"]).await;
    assert_eq!(code, 3, "{out}{err}");
    let findings: Value = serde_json::from_str(&out).unwrap();
    let embedding = findings.as_array().unwrap().iter().find(|f| f["what"] == "embedding").unwrap();
    assert!(
        embedding["state"] == "bad"
            && embedding["message"].as_str().unwrap().contains("does not answer (nothing listens there)"),
        "{out}"
    );
    let secret = sick.env("GRAPHMILL_EMBEDDING_API_KEY", "sk-very-secret");
    let (code, out, err) = run(&secret, &["config", "show"]).await;
    assert!(code == 0 && !out.contains("sk-very-secret") && !err.contains("sk-very-secret"), "{out}{err}");
    assert!(out.contains("(set)") && out.contains("GRAPHMILL_EMBEDDING_URL") && out.contains("the default"), "{out}");
}

/// 500 files, ten of them bad: the summary names the ten and nothing else.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_folder_with_some_bad_files_ends_in_a_summary() {
    let dir = tempfile::tempdir().unwrap();
    let settings = AppSettings::new(BINARY, dir.path().join("data"));
    let wiki = dir.path().join("wiki");
    std::fs::create_dir(&wiki).unwrap();
    for n in 0..500 {
        let bad = n % 50 == 7;
        let text =
            if bad { String::new() } else { format!("# Page {n}\n\nThe pump P-{n} is near the Halden Works.\n") };
        std::fs::write(wiki.join(format!("page-{n:03}.md")), text).unwrap();
    }
    let (code, out, err) = run(&settings, &["ingest", path(&wiki)]).await;
    assert_eq!(code, 3, "{err}");
    assert_eq!(out.lines().filter(|line| line.starts_with("ingested")).count(), 490);
    assert!(err.contains("490 of 500 files ingested") && err.contains("10 failed:"), "{err}");
    for n in (0..500).filter(|n| n % 50 == 7) {
        assert_eq!(err.matches(&format!("page-{n:03}.md")).count(), 1, "each is named once: {err}");
    }
    let (code, out, _) = run(&settings, &["--json", "ingest", path(&wiki.join("page-000.md"))]).await;
    let line: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &line["source"], &line["status"]), (0, &"page-000.md".into(), &"ingested".into()), "{line}");
}

/// On a terminal Ctrl-C asks; a `c` cancels the jobs, and nothing stays running.
#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_asks_on_a_terminal() {
    let app = TestApp::start_with(BINARY, |s| s.env("FAILPOINTS", "stage.embedding.unit=sleep(30000)")).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.md");
    std::fs::write(&file, markdown(1, 30)).unwrap();
    // `script` (util-linux) gives the command a terminal and passes on what it is given; byte 3 is what Ctrl-C types.
    let command = format!("{BINARY} --data-dir {} ingest {}", path(app.settings().data_dir()), path(&file));
    let mut script = tokio::process::Command::new("script");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GRAPHMILL_")) {
        script.env_remove(name);
    }
    let mut child = script
        .args(["-qefc", &command, "/dev/null"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("script (util-linux) is installed");
    let job = loop {
        let (_, page) = app.get("/api/jobs?status=running").await.unwrap();
        if let Some(job) = page["jobs"][0]["job_id"].as_str() {
            break job.to_owned();
        }
        if child.try_wait().unwrap().is_some() {
            let output = child.wait_with_output().await.unwrap();
            panic!("it ended before its job ran: {} {}", output.status, String::from_utf8_lossy(&output.stdout));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    app.wait_job(&job, |job| job["stages"][2]["status"] == "running").await.unwrap();
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    stdin.write_all(&[3]).await.unwrap();
    let mut shown = String::new();
    let mut buffer = [0; 1024];
    while !shown.contains("[c]ancel") {
        let n =
            tokio::time::timeout(Duration::from_secs(30), stdout.read(&mut buffer)).await.expect("it asks").unwrap();
        assert!(n > 0, "it ended without a question: {shown}");
        shown.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    stdin.write_all(b"c\n").await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(30), child.wait()).await.expect("it ends").unwrap();
    assert_eq!(ended.code(), Some(130), "{shown}");
    assert_eq!(app.wait_ended(&job).await.unwrap()["status"], "cancelled");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_command_gets_a_suggestion_and_shells_get_completions() {
    let dir = tempfile::tempdir().unwrap();
    let settings = AppSettings::new(BINARY, dir.path().join("data"));
    let (code, out, err) = run(&settings, &["serch", "x"]).await;
    assert!(code == 2 && out.is_empty() && err.contains("'search'") && !err.contains("__parse"), "{err}");
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = run(&settings, &["completions", shell]).await;
        assert!(code == 0 && out.contains("neighbours"), "{shell}");
    }
    let (_, help, _) = run(&settings, &["--help"]).await;
    assert!(help.contains("Exit codes:") && help.contains("130"), "{help}");
    assert!(!dir.path().join("data").exists());
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
