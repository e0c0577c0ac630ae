//! `doctor`, and `check` where it tells the same: folders that cannot be served or have lost data, folders of other users, servers elsewhere.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use graphmill_testkit::{AppSettings, TestApp};
use serde_json::Value;

use crate::support::{BINARY, assert_completed, command, markdown, start};

/// A folder of two published documents that no server runs on.
async fn at_rest() -> TestApp {
    let mut app = start().await;
    for n in 0..2 {
        let job = app.upload_job(&format!("report-{n}.md"), markdown(n, 3), &[]).await.unwrap();
        assert_completed(&app.wait_ended(&job).await.unwrap());
    }
    app.kill().await.unwrap();
    keep_to_ourselves(app.settings().data_dir());
    app
}

fn keep_to_ourselves(dir: &Path) {
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700)).unwrap();
}

/// Exit code and the findings that are not ok, as `what: message`.
async fn doctor(settings: &AppSettings) -> (i32, Vec<String>) {
    let (code, out, err) = command(settings, &["--json", "doctor"]).await;
    let findings: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
    let bad = findings.as_array().unwrap().iter().filter(|f| f["state"] != "ok");
    (code, bad.map(|f| format!("{}: {}", f["what"].as_str().unwrap(), f["message"].as_str().unwrap())).collect())
}

fn blobs(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(blobs(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_folder_is_all_right() {
    let app = at_rest().await;
    assert_eq!(doctor(app.settings()).await, (0, Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_schema_is_named() {
    let app = at_rest().await;
    for name in ["jobs.db", "graph.db", "cache.db"] {
        let db = rusqlite::Connection::open(app.settings().data_dir().join(name)).unwrap();
        let known: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        let (code, bad) = doctor(app.settings()).await;
        assert!(code == 3 && bad.len() == 1, "{name}: {bad:?}");
        assert!(bad[0].starts_with(name) && bad[0].contains("newer graphmill (schema 99"), "{bad:?}");
        db.pragma_update(None, "user_version", known).unwrap();
    }
}

/// What a start would make empty and call ready; `check` tells the same, before and after such a start.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_graph_is_named_by_doctor_and_check() {
    let mut app = at_rest().await;
    for name in ["graph.db", "graph.db-wal", "graph.db-shm"] {
        let _ = std::fs::remove_file(app.settings().data_dir().join(name));
    }
    let (code, bad) = doctor(app.settings()).await;
    assert!(code == 3 && bad.len() == 1, "{bad:?}");
    assert!(
        bad[0].contains("graph.db: is missing although 2 ingestions have completed and 2 documents are published"),
        "{bad:?}"
    );
    app.restart_quiet().await.unwrap();
    keep_to_ourselves(app.settings().data_dir());
    let (code, bad) = doctor(app.settings()).await;
    assert!(code == 3 && bad.len() == 1 && bad[0].contains("graph.db: is empty although 2 ingestions"), "{bad:?}");
    let (code, out, err) = command(app.settings(), &["check"]).await;
    assert!(code == 3 && out.contains("lost_graph") && out.contains("POST /api/jobs"), "{code} {out}{err}");
    assert!(!err.contains("is whole"), "{err}");
    let (code, out, _) = command(app.settings(), &["--json", "check"]).await;
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &found["findings"][0]["kind"]), (3, &"lost_graph".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_files_are_counted_and_named() {
    let app = at_rest().await;
    let root = app.settings().data_dir().join("blobs");
    let all = blobs(&root);
    assert!(all.len() >= 4, "{all:?}");
    std::fs::remove_file(&all[0]).unwrap();
    let (code, bad) = doctor(app.settings()).await;
    let key = all[0].strip_prefix(&root).unwrap().to_str().unwrap();
    assert!(code == 3 && bad.len() == 1, "{bad:?}");
    assert!(
        bad[0].starts_with("blobs: 1 file that jobs or documents name is not in") && bad[0].contains(key),
        "{bad:?}"
    );
    std::fs::remove_dir_all(&root).unwrap();
    let (code, bad) = doctor(app.settings()).await;
    assert!(code == 3 && bad.len() == 1 && bad[0].starts_with(&format!("blobs: {} files", all.len())), "{bad:?}");
}

/// Another user, who may look and not write: that alone is said, and no database is called damaged.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_another_user_is_not_called_damaged() {
    let app = at_rest().await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let (data, binary) = (dir.path().join("data"), dir.path().join("graphmill"));
    assert!(
        std::process::Command::new("cp").arg("-r").args([app.settings().data_dir(), &data]).status().unwrap().success()
    );
    if std::fs::hard_link(BINARY, &binary).is_err() {
        std::fs::copy(BINARY, &binary).unwrap();
    }
    for file in blobs(&data) {
        std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o444)).unwrap();
    }
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o555)).unwrap();
    let mut asked = AppSettings::new(&binary, &data).command(&["--json", "doctor"]);
    if rustix::process::getuid().is_root() {
        asked.uid(65_534).gid(65_534);
    }
    let output = asked.output().await.unwrap();
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).unwrap();
    let findings: Value = serde_json::from_slice(&output.stdout).unwrap();
    let bad: Vec<_> = findings.as_array().unwrap().iter().filter(|f| f["state"] == "bad").collect();
    assert_eq!((output.status.code(), bad.len()), (Some(3), 1), "{findings:#}");
    let message = bad[0]["message"].as_str().unwrap();
    assert!(bad[0]["what"] == "folder" && message.contains("this user may not read and write it"), "{message}");
    assert!(!message.contains("os error"), "{message}");
}

/// With `--server` doctor looks at that server and says what it does not look at.
#[tokio::test(flavor = "multi_thread")]
async fn doctor_looks_at_the_server_that_is_named() {
    let app = start().await;
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = AppSettings::new(BINARY, dir.path().join("nothing"));
    let (code, out, err) = command(&elsewhere, &["doctor", "--server", app.url()]).await;
    assert!(code == 0 && out.contains(&format!("{} is ready", app.url())), "{code} {out}{err}");
    assert!(out.contains("without --server") && !out.contains("nothing"), "{out}");
    let (code, out, _) = command(&elsewhere, &["doctor", "--server", "http://127.0.0.1:9"]).await;
    assert!(code == 3 && out.contains("http://127.0.0.1:9 does not answer: nothing listens there"), "{code} {out}");
}
