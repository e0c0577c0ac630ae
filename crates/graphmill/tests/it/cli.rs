//! The command line as people and scripts use it: settings, exit codes, messages, with a running server and without one.

use std::path::Path;
use std::time::Duration;

use graphmill_testkit::{AppSettings, TestApp};

use crate::contract::{hold, start_held};
use crate::support::{BINARY, assert_completed, markdown, start};

/// Runs a command to its end: exit code, standard output, standard error.
async fn run(settings: &AppSettings, args: &[&str]) -> (i32, String, String) {
    let ended = tokio::time::timeout(Duration::from_secs(60), settings.command(args).output()).await;
    let output = ended.unwrap_or_else(|_| panic!("{args:?} does not end")).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn elsewhere() -> (tempfile::TempDir, AppSettings) {
    let dir = tempfile::tempdir().unwrap();
    let settings = AppSettings::new(BINARY, dir.path().join("data"));
    (dir, settings)
}

fn write(folder: &Path, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_not_allowed_are_named() {
    let (dir, settings) = elsewhere();
    for (name, value, words) in [
        ("GRAPHMILL_LISTEN", "0.0.0.0:8000", vec!["0.0.0.0:8000", "127.0.0.1"]),
        ("GRAPHMILL_LISTEN", "[::]:8000", vec!["[::]:8000", "127.0.0.1"]),
        ("GRAPHMILL_LISTEN", "somewhere", vec!["GRAPHMILL_LISTEN", "somewhere", "127.0.0.1:8000"]),
        ("GRAPHMILL_LISTN", "127.0.0.1:0", vec!["GRAPHMILL_LISTN", "GRAPHMILL_LISTEN"]),
        ("GRAPHMILL_WORKERS", "0", vec!["GRAPHMILL_WORKERS", "\"0\"", "1"]),
        ("GRAPHMILL_MAX_FILE_MB", "lots", vec!["GRAPHMILL_MAX_FILE_MB", "lots"]),
        ("GRAPHMILL_EMBEDDING_URL", "http://127.0.0.1:1/v2", vec!["/v1", "/v2"]),
        ("GRAPHMILL_LLM_API_KEY_FILE", "/nowhere/key", vec!["GRAPHMILL_LLM_API_KEY_FILE", "/nowhere/key"]),
        ("GRAPHMILL_ALLOWED_ORIGIN", "app.example", vec!["app.example", "https://"]),
    ] {
        let (code, out, err) = run(&settings.clone().env(name, value), &["serve"]).await;
        assert_eq!(code, 1, "{name}={value}: {out}{err}");
        for word in words {
            assert!(err.contains(word), "{name}={value}: {word} is not said: {err}");
        }
    }
    for (text, words) in [
        ("listn = \"127.0.0.1:0\"", vec!["listn", "listen"]),
        ("[embeding]\nurl = \"http://127.0.0.1:1/v1\"", vec!["embeding.url", "embedding.url"]),
        ("listen = ", vec!["TOML"]),
        ("workers = true", vec!["workers", "boolean"]),
    ] {
        let file = write(dir.path(), "graphmill.toml", text);
        let (code, out, err) = run(&settings, &["serve", "--config", &file]).await;
        assert_eq!(code, 1, "{text}: {out}{err}");
        for word in [&words[..], &["graphmill.toml"]].concat() {
            assert!(err.contains(word), "{text}: {word} is not said: {err}");
        }
    }
    // Nothing was made by a start that was refused.
    assert!(!dir.path().join("data").exists());
    for args in [&["serve", "--lisen", "x"][..], &["jbos"], &["jobs", "lst"], &["ingest"], &[]] {
        let (code, out, err) = run(&settings, args).await;
        assert_eq!(code, 2, "{args:?}: {out}{err}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_stand_over_environment_and_this_over_the_file() {
    let (dir, settings) = elsewhere();
    let file = write(dir.path(), "graphmill.toml", "max_file_mb = 3\nworkers = 1\nlisten = \"0.0.0.0:1\"\n");
    let settings = settings.env("GRAPHMILL_CONFIG", file).env("GRAPHMILL_MAX_FILE_MB", "2");
    let app = TestApp::launch(settings).await.unwrap(); // --listen 127.0.0.1:0 is a flag
    let (status, answer) = app.upload("large.txt", "A pump. ".repeat(300_000), &[]).await.unwrap();
    assert_eq!(status, 413, "{answer}");
    assert!(answer["error"].as_str().unwrap().contains("2 MB"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn version_needs_nothing() {
    let (dir, settings) = elsewhere();
    let expected = format!("graphmill {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&settings, &["version"]).await, (0, expected.clone(), String::new()));
    assert_eq!(run(&settings, &["--version"]).await, (0, expected, String::new()));
    assert!(!dir.path().join("data").exists());
}

/// The commands that ask about jobs and the graph; `job`: a completed one.
async fn ask_everything(settings: &AppSettings, job: &str, export: &str) {
    let (code, out, err) = run(settings, &["jobs", "list"]).await;
    assert_eq!(code, 0, "{err}");
    let line = out.lines().find(|l| l.contains(job)).unwrap_or_else(|| panic!("{out}"));
    assert!(line.contains("completed") && line.contains("ingestion") && line.contains("100 %"), "{line}");
    assert!(err.contains("of 1 job\n") || err.contains("of 2 jobs"), "{err}");
    let (code, out, _) =
        run(settings, &["jobs", "list", "--status", "running", "--type", "ingestion", "--limit", "5"]).await;
    assert_eq!((code, out.as_str()), (0, ""));
    let (code, _, err) = run(settings, &["jobs", "list", "--status", "done"]).await;
    assert!(code == 1 && err.contains("done") && err.contains("completed"), "{code} {err}");
    let (code, out, err) = run(settings, &["jobs", "show", job]).await;
    assert_eq!(code, 0, "{err}");
    for word in [job, "loading", "persistence", "document_id", "Document ingestion complete"] {
        assert!(out.contains(word), "{word}: {out}");
    }
    let (code, out, err) = run(settings, &["jobs", "logs", job]).await;
    assert!(code == 0 && out.contains("Starting document ingestion"), "{out}{err}");
    let (code, out, _) = run(settings, &["jobs", "logs", job, "--level", "error", "--limit", "5"]).await;
    assert_eq!((code, out.as_str()), (0, ""));
    let (code, out, err) = run(settings, &["jobs", "watch", job]).await;
    assert!(code == 0 && out.contains("completed"), "{out}{err}");
    let (code, _, err) = run(settings, &["jobs", "cancel", job]).await;
    assert!(code == 1 && err.contains("Cannot cancel completed job"), "{code} {err}");
    let (code, _, err) = run(settings, &["jobs", "retry", job]).await;
    assert!(code == 1 && err.contains("Cannot retry completed job"), "{code} {err}");
    for command in ["show", "logs", "watch", "cancel", "retry"] {
        let (code, _, err) = run(settings, &["jobs", command, "job-123-abc"]).await;
        assert!(code == 1 && err.contains("job-123-abc"), "{command}: {code} {err}");
    }
    let (code, out, err) = run(settings, &["stats"]).await;
    assert_eq!(code, 0, "{err}");
    let count = |name: &str| {
        out.lines().find(|l| l.starts_with(name)).and_then(|l| l.split_whitespace().nth(1)?.parse::<u64>().ok())
    };
    assert!(count("documents") >= Some(1) && count("chunks") >= Some(1), "{out}");
    assert_eq!(run(settings, &["export"]).await.1, export);
    let file = settings.data_dir().with_file_name("graph.jsonl");
    let (code, out, err) = run(settings, &["export", "--output", file.to_str().unwrap()]).await;
    assert_eq!((code, out.as_str()), (0, ""), "{err}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), export);
    let (code, _, err) = run(settings, &["export", "--output", "/nowhere/graph.jsonl"]).await;
    assert!(code == 1 && err.contains("/nowhere/graph.jsonl"), "{code} {err}");
    let (code, _, err) = run(settings, &["export", "--collection", "No Such"]).await;
    assert!(code == 1 && err.contains("No Such"), "{code} {err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_with_a_running_server() {
    let (_dir, settings) = elsewhere();
    let app = TestApp::launch(settings).await.unwrap();
    let job = app.upload_job("report.md", markdown(1, 10), &[]).await.unwrap();
    assert_completed(&app.wait_ended(&job).await.unwrap());
    let export = app.export("default").await.unwrap();
    ask_everything(app.settings(), &job, &export).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_without_a_server() {
    let (dir, settings) = elsewhere();
    let file = write(dir.path(), "report.md", markdown(1, 10));
    let (code, out, err) = run(&settings, &["ingest", &file]).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.starts_with("ingested ") && out.contains("report.md") && out.contains("chunks"), "{out}");
    let (_, out, _) = run(&settings, &["jobs", "list"]).await;
    let job = out.split_whitespace().next().unwrap().to_owned();
    let app = start().await;
    let same = app.upload_job("report.md", markdown(1, 10), &[]).await.unwrap();
    assert_completed(&app.wait_ended(&same).await.unwrap());
    ask_everything(&settings, &job, &app.export("default").await.unwrap()).await;
    let (code, _, err) = run(&settings, &["ingest", "--detach", &file]).await;
    assert!(code == 1 && err.contains("graphmill serve"), "{code} {err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn some_bad_files_of_several_are_named() {
    let (dir, settings) = elsewhere();
    let folder = dir.path().join("manuals");
    write(&folder, "good.md", markdown(1, 3));
    write(&folder, "deep/er/good.txt", "Northgate Pump is dry.");
    write(&folder, "empty.txt", "");
    write(&folder, "noise.bin", [0_u8, 159, 146, 150, 0, 1, 2, 3].repeat(100));
    write(&folder, "blank.html", "<p> </p>");
    write(&folder, "cut.pdf", "%PDF-1.7\n");
    write(&folder, ".hidden.md", "not wanted");
    let missing = dir.path().join("missing.md");
    let args = ["ingest", folder.to_str().unwrap(), missing.to_str().unwrap()];
    let (server_dir, server_settings) = elsewhere();
    let app = TestApp::launch(server_settings).await.unwrap();
    for settings in [&settings, app.settings()] {
        let (code, out, err) = run(settings, &args).await;
        assert_eq!(code, 3, "{out}{err}");
        assert_eq!(out.lines().filter(|l| l.starts_with("ingested ")).count(), 2, "{out}");
        for bad in ["empty.txt", "noise.bin", "blank.html", "cut.pdf", "missing.md"] {
            assert!(out.lines().any(|l| l.starts_with("failed ") && l.contains(bad)), "{bad}: {out}");
            assert!(err.contains(bad), "{bad}: {err}");
        }
        assert!(!out.contains("hidden"), "{out}");
        // The reason is said, not just the name.
        assert!(err.contains("empty") && err.contains("no text"), "{err}");
        let (code, out, err) = run(settings, &["ingest", missing.to_str().unwrap()]).await;
        assert_eq!(code, 1, "{out}{err}");
        let good = folder.join("good.md");
        let (code, out, err) = run(settings, &["ingest", "--collection", "No Such", good.to_str().unwrap()]).await;
        assert!(code == 1 && err.contains("No Such"), "{code} {out}{err}");
    }
    drop(server_dir);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_retry_and_detach_with_a_running_server() {
    let app = start_held(&hold("embedding"), 1).await;
    let dir = tempfile::tempdir().unwrap();
    let file = write(dir.path(), "report.md", markdown(1, 20));
    let (code, out, err) = run(app.settings(), &["ingest", "--detach", &file]).await;
    assert!(code == 0 && out.starts_with("queued ") && out.contains("report.md"), "{out}{err}");
    let job = out.split_whitespace().last().unwrap().to_owned();
    app.wait_job(&job, |page| page["status"] == "running").await.unwrap();
    let (code, out, err) = run(app.settings(), &["jobs", "cancel", &job]).await;
    assert!(code == 0 && out.contains(&job) && out.contains("cancelled"), "{out}{err}");
    let (code, out, err) = run(app.settings(), &["jobs", "watch", &job]).await;
    assert!(code == 3 && out.contains("cancelled"), "{code} {out}{err}");
    let (code, out, err) = run(app.settings(), &["jobs", "retry", &job]).await;
    assert!(code == 0 && out.contains(&job) && out.contains("pending"), "{out}{err}");
}

/// Two files that would be one document are refused before anything is uploaded.
#[tokio::test(flavor = "multi_thread")]
async fn two_files_of_one_name_on_one_line_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let settings = AppSettings::new(BINARY, dir.path().join("data"));
    let mut paths = Vec::new();
    for folder in ["c", "d"] {
        let path = dir.path().join(folder).join("m.md");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("Pump {folder} is dry.")).unwrap();
        paths.push(path.to_str().unwrap().to_owned());
    }
    let (code, out, err) = run(&settings, &["ingest", &paths[0], &paths[1]]).await;
    assert!(code == 1 && err.contains(&paths[0]) && err.contains(&paths[1]), "{code} {out}{err}");
    let (code, _, err) = run(&settings, &["stats"]).await;
    assert!(code == 1 && err.contains("there is no data folder"), "{code} {err}");
}

/// A reader that has seen enough ends the command quietly.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_is_no_panic() {
    let app = crate::support::start().await;
    let mut child = app.settings().command(&["stats"]).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("panicked"), "{said}");
}

/// Bad values of flags are wrong usage.
#[tokio::test(flavor = "multi_thread")]
async fn bad_values_of_a_search_are_wrong_usage() {
    let app = start().await;
    for args in [&["--mode", "foo", "x"][..], &["--limit", "0", "x"], &["--limit", "101", "x"], &[""], &["  ", ""]] {
        let (code, out, err) = run(app.settings(), &[&["search"], args].concat()).await;
        assert_eq!((code, out.as_str()), (2, ""), "{args:?}: {err}");
    }
    let (_, help, _) = run(app.settings(), &["search", "--help"]).await;
    assert!(help.contains("however far they are"), "{help}");
}

/// A mistyped collection is not a whole and empty one; one that only has jobs exists.
#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_collection_is_named_with_the_known_ones() {
    let app = start_held(&hold("embedding"), 1).await;
    let (status, answer) = app.upload("a.md", markdown(1, 3), &[("collection", "pumps")]).await.unwrap();
    assert_eq!(status, 202, "{answer}");
    let commands: [&[&str]; 8] = [
        &["check"],
        &["export"],
        &["stats"],
        &["search", "x", "--mode", "text"],
        &["documents", "list"],
        &["entities", "list"],
        &["communities", "list"],
        &["jobs", "list"],
    ];
    for args in commands {
        let (code, out, err) = run(app.settings(), &[args, &["--collection", "pmps"]].concat()).await;
        assert_eq!((code, out.as_str()), (1, ""), "{args:?}: {err}");
        assert!(err.contains("there is no collection pmps (known: ") && err.contains("pumps"), "{args:?}: {err}");
        let (code, out, err) = run(app.settings(), &[args, &["--collection", "pumps"]].concat()).await;
        assert!(code == 0 || (code == 3 && args[0] == "search"), "{args:?}: {code} {out}{err}");
    }
}

/// `--json` is for every command that says something.
#[tokio::test(flavor = "multi_thread")]
async fn version_backup_and_restore_speak_json() {
    let (dir, settings) = elsewhere();
    let file = write(dir.path(), "a.md", markdown(1, 3));
    assert_eq!(run(&settings, &["ingest", &file]).await.0, 0);
    let (code, out, _) = run(&settings, &["--json", "version"]).await;
    let version: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &version["version"]), (0, &env!("CARGO_PKG_VERSION").into()));
    let archive = dir.path().join("all.tar");
    let (code, out, err) = run(&settings, &["--json", "backup", archive.to_str().unwrap()]).await;
    let made: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    assert!(code == 0 && made["files"].as_u64() >= Some(1) && made["missing"] == serde_json::json!([]), "{made}");
    let restored = AppSettings::new(BINARY, dir.path().join("restored"));
    let (code, out, err) = run(&restored, &["--json", "restore", archive.to_str().unwrap()]).await;
    let done: serde_json::Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    assert!(code == 0 && done["at"] == made["at"], "{done}");
    let (code, out, _) = run(&settings, &["--json", "key", "create", "one"]).await;
    let key: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(code == 0 && key["token"].is_string(), "{key}");
}

/// Hidden files are counted and can be taken; names that are no text are names.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_of_a_folder_is_said() {
    use std::os::unix::ffi::OsStrExt;
    let (dir, settings) = elsewhere();
    let folder = dir.path().join("wiki");
    write(&folder, "a.md", markdown(1, 2));
    write(&folder, ".b.md", markdown(2, 2));
    write(&folder, ".git/c.md", markdown(3, 2));
    for name in [&b"caf\xe9.md"[..], b"caf\xe8.md"] {
        std::fs::write(folder.join(std::ffi::OsStr::from_bytes(name)), markdown(u32::from(name[3]), 2)).unwrap();
    }
    let folder = folder.to_str().unwrap();
    let (code, out, err) = run(&settings, &["ingest", folder]).await;
    assert_eq!(code, 0, "{out}{err}");
    assert!(err.contains("left out: 2 hidden (files or folders); --hidden takes them too"), "{err}");
    assert!(out.contains("wiki/caf\\xE9.md") && out.contains("wiki/caf\\xE8.md"), "{out}");
    let (code, out, err) = run(&settings, &["ingest", "--hidden", folder]).await;
    assert!(code == 0 && out.contains("wiki/.b.md") && out.contains("wiki/.git/c.md"), "{out}{err}");
    assert!(err.contains("5 of 5 files ingested") && !err.contains("hidden"), "{err}");
}

/// What the operating system and the libraries say is said in words.
#[tokio::test(flavor = "multi_thread")]
async fn errors_are_in_words() {
    let (dir, settings) = elsewhere();
    let file = write(dir.path(), "file", "x");
    let at = AppSettings::new(BINARY, &file);
    for (settings, args, words) in [
        (&at, &["restore", &file][..], "is a file, no folder"),
        (&at, &["serve"], "cannot be made"),
        (&settings, &["ingest", "/nowhere/a.md"], "there is no such file or folder"),
        (&settings, &["stats", "--server", "http://127.0.0.1:9"], "does not answer: nothing listens there"),
        (&settings, &["restore", "/nowhere/all.tar"], "/nowhere/all.tar cannot be read"),
    ] {
        let (code, out, err) = run(settings, args).await;
        assert_eq!(code, 1, "{args:?}: {out}{err}");
        assert!(err.contains(words), "{args:?}: {err}");
        for word in ["os error", "error sending", "tcp connect", "Custom {", "kind:"] {
            assert!(!err.contains(word), "{args:?}: {err}");
        }
    }
}

/// `localhost` is an address of this machine.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_listens_on_localhost() {
    let (_dir, settings) = elsewhere();
    let app = TestApp::launch(settings.listen("localhost:0")).await.unwrap();
    let (code, out, err) = run(app.settings(), &["stats"]).await;
    assert!(
        code == 0 && out.starts_with("documents      0\n") && !out.contains('_') && !out.contains("layers."),
        "{out}{err}"
    );
}
