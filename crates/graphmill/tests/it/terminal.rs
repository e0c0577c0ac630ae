//! What people see on a terminal: nothing of a document steers it, ids stay whole however narrow it is, bars say what is known, and a closed pipe ends
//! a command quietly.

use std::path::Path;
use std::process::Stdio;

use graphmill_testkit::{AppSettings, TestApp};
use serde_json::Value;

use crate::support::{BINARY, assert_completed, command, markdown, start};

/// Sets a terminal's title, clears it, turns the order of letters round.
const EVIL: &str = "evil\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}31m\u{202e}txt";

/// Runs a command on a terminal of so many columns (0: it does not say how many); what it showed.
async fn on_terminal(settings: &AppSettings, columns: u32, args: &[&str]) -> String {
    let quoted: Vec<_> = args.iter().map(|arg| format!("'{arg}'")).collect();
    let size = if columns == 0 { String::new() } else { format!("stty cols {columns} rows 50; ") };
    let data = settings.data_dir().display();
    // `script` (util-linux) gives the command a terminal.
    let line = format!("{size}exec {BINARY} --data-dir {data} {}", quoted.join(" "));
    let mut script = tokio::process::Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env("NO_COLOR", "1").stdin(Stdio::null()).kill_on_drop(true);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("GRAPHMILL_")) {
        script.env_remove(name);
    }
    let ended = tokio::time::timeout(graphmill_testkit::app::PATIENCE, script.output()).await;
    let output = ended.unwrap_or_else(|_| panic!("{args:?} does not end")).expect("script (util-linux) is installed");
    String::from_utf8_lossy(&output.stdout).replace('\r', "")
}

fn assert_harmless(what: &str, shown: &str) {
    let steers = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!shown.contains(steers), "{what}: {shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_document_steers_the_terminal() {
    let app = start().await;
    let dir = tempfile::tempdir().unwrap();
    // A server refuses the first name and takes the second.
    let (bad, good) = (dir.path().join(format!("{EVIL}\n.md")), dir.path().join("good-\u{202e}dm.md"));
    std::fs::write(&good, format!("# Title {EVIL}\n\nThe Northgate Pump\t{EVIL}\r\nis dry.\n{}", markdown(1, 3)))
        .unwrap();
    std::fs::write(&bad, "").unwrap();
    let (code, out, err) = command(app.settings(), &["ingest", dir.path().to_str().unwrap()]).await;
    assert_eq!(code, 3, "{out}{err}");
    assert!(
        out.contains("good-\\u202Edm.md") && err.contains("evil\\x1B]0;title\\x07\\x1B[2J\\x9B31m\\u202Etxt"),
        "{out}{err}"
    );
    assert_eq!(out.lines().count(), 2, "a line end in a name makes no line of its own: {out:?}");
    assert_harmless("ingest", &format!("{out}{err}"));
    let page = app.get("/api/documents").await.unwrap().1;
    let document = page["documents"][0]["document_id"].as_str().unwrap().to_owned();
    let job = app.get("/api/jobs?status=completed").await.unwrap().1["jobs"][0]["job_id"].as_str().unwrap().to_owned();
    let missing = dir.path().join(format!("missing-{EVIL}"));
    for args in [
        &["jobs", "list"][..],
        &["jobs", "show", &job],
        &["jobs", "watch", &job],
        &["jobs", "logs", &job],
        &["documents", "list"],
        &["documents", "show", &document],
        &["documents", "chunks", &document],
        &["entities", "list"],
        &["search", "Northgate"],
        &["search", "--collection", EVIL, "x"],
        &["jobs", "show", EVIL],
        &["ingest", missing.to_str().unwrap()],
        &["export", "--output", missing.join("x").to_str().unwrap()],
        &["jobs", "list", EVIL],
    ] {
        let (_, out, err) = command(app.settings(), args).await;
        assert_harmless(&format!("{args:?}"), &format!("{out}{err}"));
    }
    let (_, out, _) = command(app.settings(), &["documents", "chunks", &document]).await;
    assert!(out.contains("evil\\x1B]0;title"), "{out}");
    // Scripts get what is there.
    let (_, out, _) = command(app.settings(), &["--json", "documents", "list"]).await;
    let listed: Value = serde_json::from_str(&out).unwrap();
    assert!(listed["documents"][0]["source"].as_str().unwrap().contains("good-\u{202e}dm.md"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_whole_on_narrow_terminals() {
    let app = start().await;
    let name = "a-rather-long-name-of-a-manual-for-pumps-and-valves-of-all-kinds.md";
    let job = app.upload_job(name, markdown(1, 3), &[]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    for columns in [20, 44, 60, 80, 200] {
        let shown = on_terminal(app.settings(), columns, &["jobs", "list"]).await;
        let row = shown.lines().find(|line| line.contains(&job)).unwrap_or_else(|| panic!("{columns}: {shown}"));
        assert!(row.chars().count() <= job.len().max(columns as usize), "{columns}: {row}");
        assert_eq!(shown.lines().count(), 3, "a header, a row and the count at {columns}: {shown}");
        assert_eq!(row.contains(name), columns == 200, "{columns}: {row}");
    }
    let shown = on_terminal(app.settings(), 0, &["jobs", "list"]).await;
    let row = shown.lines().find(|line| line.contains(&job)).unwrap_or_else(|| panic!("{shown}"));
    assert!(row.contains("completed") && row.chars().count() <= 80, "a width that is not said is 80: {shown}");
    let (_, out, _) = command(app.settings(), &["jobs", "list"]).await;
    assert!(out.contains(name) && out.lines().count() == 1, "what is no terminal gets whole rows: {out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bar_of_all_files_says_what_is_known() {
    let app = TestApp::start_with(BINARY, |s| s.env("FAILPOINTS", "stage.embedding.unit=sleep(100)")).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    for n in 0..30 {
        std::fs::write(dir.path().join(format!("report-{n}.md")), markdown(n, 2)).unwrap();
    }
    let shown = on_terminal(app.settings(), 150, &["ingest", path(dir.path())]).await;
    assert!(!shown.contains("0s left"), "{shown}");
    assert!(shown.contains("/s, ") && shown.contains(" left"), "a rate and a time: {shown}");
    let last = shown.rmatches("/30 files").next().map(|_| shown.rfind("/30 files").unwrap()).expect("a bar");
    assert!(shown[..last].ends_with("30"), "the last frame counts all: {shown}");
    assert!(shown.contains("30 of 30 files ingested"), "{shown}");
}

/// A reader that has seen enough ends every command quietly, with the code of the signal that other commands die of.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_ends_every_command_alike() {
    let app = start().await;
    let job = app.upload_job("report.md", markdown(1, 100), &[]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    let page = app.get("/api/documents").await.unwrap().1;
    let document = page["documents"][0]["document_id"].as_str().unwrap().to_owned();
    for args in [
        &["export"][..],
        &["documents", "original", &document],
        &["documents", "chunks", &document],
        &["stats"],
        &["jobs", "list"],
        &["--json", "jobs", "list"],
        &["search", "pump"],
        &["doctor"],
        &["config", "show"],
        &["version"],
        &["completions", "bash"],
    ] {
        // Closed before the command begins: it may be done before a test comes to close it.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = app.settings().command(args).stdout(writer).spawn().unwrap().wait_with_output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), said.as_str()), (Some(141), ""), "{args:?}");
    }
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
