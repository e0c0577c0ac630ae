//! What the tests share.

use std::path::PathBuf;

use graphmill_testkit::{AppSettings, TestApp};
use serde_json::Value;

/// The binary under test, built with fault points.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_graphmill");

/// Seed of the random tests: `GRAPHMILL_TEST_SEED`, else always the same.
pub(crate) fn seed() -> u64 {
    std::env::var("GRAPHMILL_TEST_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(20_261_125)
}

/// A server over a fresh folder.
pub(crate) async fn start() -> TestApp {
    TestApp::start(BINARY).await.unwrap()
}

/// A server over a fresh folder with these points armed (`name=actions;…` as the `fail` crate reads them).
pub(crate) async fn start_with_faults(points: &str) -> TestApp {
    TestApp::start_with(BINARY, |s| s.env("FAILPOINTS", points)).await.unwrap()
}

/// A real document that `make documents` fetched.
pub(crate) fn real_document(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("GRAPHMILL_TEST_DOCUMENTS")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/graphmill/documents")));
    let path = folder.expect("a home folder or GRAPHMILL_TEST_DOCUMENTS").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{} is not there ({e}); run `make documents`", path.display()))
}

/// Markdown of `sections` sections of about 730 characters each, in which things recur; the same for the same `seed`.
pub(crate) fn markdown(seed: u32, sections: u32) -> String {
    const PLANTS: &[&str] =
        &["Northgate Pump", "Halden Works", "Valve Controller (VC)", "Rotterdam Terminal", "SCADA Gateway"];
    let mut text = format!("# Report {seed}\n\n");
    for n in 0..sections {
        let plant = |k: u32| PLANTS[((seed * 7 + n * 3 + k) % PLANTS.len() as u32) as usize];
        text.push_str(&format!("## Section {n} of report {seed}\n\n"));
        text.push_str(&format!(
            "The {} was inspected by Anna Berg on day {n}. It feeds the {} through line L-{n}{seed}. ",
            plant(0),
            plant(1)
        ));
        text.push_str(&format!("According to the Maintenance Manual the {} must not run dry. ", plant(2)));
        text.push_str(
            &"Pressure and flow were read every hour and written into the log; no value left its range, and the seals were dry. "
                .repeat(3),
        );
        text.push_str(&format!("The next inspection of the {} is due in {} weeks.\n\n", plant(0), n % 9 + 1));
    }
    text
}

/// Runs a command to its end: exit code, standard output, standard error.
pub(crate) async fn command(settings: &AppSettings, args: &[&str]) -> (i32, String, String) {
    let ended = tokio::time::timeout(graphmill_testkit::app::PATIENCE, settings.command(args).output()).await;
    let output = ended.unwrap_or_else(|_| panic!("{args:?} does not end")).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// The last line of an export holds counts; this is one of them.
pub(crate) fn export_count(export: &str, name: &str) -> u64 {
    let last: Value = serde_json::from_str(export.lines().last().unwrap()).unwrap();
    let found = last.get(name).or_else(|| last["counts"].get(name)).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("the export's last line has no {name}: {last}"))
}

/// A job that must have completed.
pub(crate) fn assert_completed(job: &Value) {
    assert_eq!(job["status"], "completed", "{job:#}");
    assert_eq!(job["progress"], 1.0, "{job:#}");
    for stage in job["stages"].as_array().unwrap() {
        assert_eq!(stage["status"], "completed", "{job:#}");
        assert_eq!(stage["progress"], 1.0, "{job:#}");
    }
}

/// Waits until a GET is answered with this status.
pub(crate) async fn eventually(app: &TestApp, path: &str, wanted: u16) {
    let deadline = std::time::Instant::now() + graphmill_testkit::app::PATIENCE;
    loop {
        let (status, answer) = app.get(path).await.unwrap();
        if status == wanted {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "{path} is answered with {status}, not {wanted}: {answer}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
