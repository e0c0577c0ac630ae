//! `DELETE /api/documents/{id}?purge=true`: nothing of the document is left, what others use stays, whatever kills the server on the way.

use std::path::{Path, PathBuf};

use graphmill_testkit::{AppSettings, FakeConfig, FakeModels, Mode, TestApp};
use rusqlite::Connection;
use serde_json::Value;

use crate::contract::assert_says;
use crate::support::{BINARY, assert_completed, eventually, markdown};

fn with_models(settings: AppSettings, models: &FakeModels) -> AppSettings {
    settings
        .env("GRAPHMILL_EMBEDDING_URL", models.url())
        .env("GRAPHMILL_EMBEDDING_MODEL", "fake-embedding")
        .env("GRAPHMILL_LLM_URL", models.url())
        .env("GRAPHMILL_LLM_MODEL", "fake-chat")
}

async fn ingest(app: &TestApp, name: &str, text: &str) -> (String, String) {
    let job = app.upload_job(name, text, &[]).await.unwrap();
    let page = app.wait_ended(&job).await.unwrap();
    assert_completed(&page);
    (job, page["metadata"]["document_id"].as_str().unwrap().to_owned())
}

/// Files below the blob folder.
fn blobs(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.join("blobs")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() { folders.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found
}

fn count(folder: &Path, file: &str, table: &str) -> u64 {
    let conn = Connection::open(folder.join(file)).unwrap();
    conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_document_uses_is_spared() {
    let models = FakeModels::start(FakeConfig { mode: Mode::default(), ..FakeConfig::default() }).await.unwrap();
    let app = TestApp::start_with(BINARY, |s| with_models(s, &models)).await.unwrap();
    let folder = app.settings().data_dir().to_owned();
    let (_, kept) = ingest(&app, "a.md", &markdown(1, 6)).await;
    let before = (count(&folder, "cache.db", "answer"), blobs(&folder).len());
    // The same text in another file asks nothing anew; one section more does.
    let (_, same) = ingest(&app, "b.md", &markdown(1, 6)).await;
    let (job, longer) =
        ingest(&app, "c.md", &format!("{}## More\n\nSomething else altogether.\n", markdown(1, 6))).await;
    let more = count(&folder, "cache.db", "answer");
    assert!(more > before.0);
    let purge = async |id: &str| -> Value {
        let (status, answer) = app.delete(&format!("/api/documents/{id}?purge=true")).await.unwrap();
        assert_eq!((status, &answer["status"]), (200, &"deleted".into()), "{answer}");
        answer["purged"].clone()
    };
    let purged = purge(&same).await;
    assert_eq!(purged["cache_entries"], 0, "{purged}");
    assert!(purged["log_lines"].as_u64() > Some(3) && purged["bytes"].as_u64() > Some(3_000), "{purged}");
    let purged = purge(&longer).await;
    assert_eq!(purged["cache_entries"].as_u64(), Some(more - before.0), "{purged}");
    assert_eq!((count(&folder, "cache.db", "answer"), blobs(&folder).len()), before);
    assert_eq!(app.get(&format!("/api/jobs/{job}/logs")).await.unwrap().1["total"], 0);
    assert_says(&app.post(&format!("/api/jobs/{job}/retry")).await.unwrap(), 400, "cannot_retry", &[]);
    let asked = models.stats().items.len();
    ingest(&app, "a2.md", &markdown(1, 6)).await;
    assert_eq!(models.stats().items.len(), asked, "what the other document uses was kept");
    let (status, answer) = app.delete(&format!("/api/documents/{kept}?purge=perhaps")).await.unwrap();
    assert_says(&(status, answer), 400, "invalid_parameter", &["purge", "perhaps"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_outlives_a_kill_at_any_step() {
    for point in [
        "remove.before_commit",
        "document_delete.after_remove",
        "document_purge.after_blobs",
        "document_purge.after_rows",
        "document_purge.after_cache",
        "document_purge.after_settling",
    ] {
        let models = FakeModels::start(FakeConfig { mode: Mode::default(), ..FakeConfig::default() }).await.unwrap();
        let mut app =
            TestApp::start_with(BINARY, |s| with_models(s, &models).env("FAILPOINTS", format!("{point}=return(kill)")))
                .await
                .unwrap();
        let (job, id) = ingest(&app, "a.md", &markdown(3, 5)).await;
        let folder = app.settings().data_dir().to_owned();
        assert!(count(&folder, "cache.db", "answer") > 3 && !blobs(&folder).is_empty());
        let _ = app.delete(&format!("/api/documents/{id}?purge=true")).await;
        app.wait_gone().await.unwrap_or_else(|e| panic!("{point}: {e:#}"));
        app.restart_quiet().await.unwrap();
        eventually(&app, &format!("/api/documents/{id}"), 404).await;
        // It is done when a further deletion finds nothing.
        let deadline = std::time::Instant::now() + graphmill_testkit::app::PATIENCE;
        while app.delete(&format!("/api/documents/{id}")).await.unwrap().0 != 404 {
            assert!(std::time::Instant::now() < deadline, "{point}: the purge does not end");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!(blobs(&folder), Vec::<PathBuf>::new(), "{point}");
        for (file, table) in [("cache.db", "answer"), ("cache.db", "used"), ("jobs.db", "log"), ("jobs.db", "blob")] {
            assert_eq!(count(&folder, file, table), 0, "{point}: {table}");
        }
        assert_eq!(app.get(&format!("/api/jobs/{job}")).await.unwrap().1["status"], "completed", "the record stays");
        let asked = models.stats().items.len();
        ingest(&app, "a.md", &markdown(3, 5)).await;
        assert!(models.stats().items.iter().any(|item| item.asked_after_answer > 0) && asked > 0, "{point}: paid anew");
    }
}

/// Files of a folder that hold these bytes anywhere.
fn holding(folder: &Path, word: &str) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        // A server that runs takes files and folders away meanwhile.
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            } else {
                let bytes = std::fs::read(entry.path()).unwrap_or_default();
                found.extend(memchr::memmem::find(&bytes, word.as_bytes()).map(|_| entry.path()));
            }
        }
    }
    found
}

/// Words that no other document has: small and large documents, names, an entity, a replaced version, a search; then a purge, a kill, a backup.
#[tokio::test(flavor = "multi_thread")]
async fn no_byte_of_a_purged_document_is_left_in_the_folder_or_in_a_backup() {
    let models = FakeModels::start(FakeConfig { mode: Mode::default(), ..FakeConfig::default() }).await.unwrap();
    let mut app = TestApp::start_with(BINARY, |s| with_models(s, &models)).await.unwrap();
    let folder = app.settings().data_dir().to_owned();
    let secret = "Quixotrope";
    ingest(&app, "kept.md", &markdown(1, 30)).await;
    // Its pages lie among those of others.
    let with_secret = |sections: u32| markdown(2, sections).replace("Anna Berg", &format!("{secret} Vandermolen"));
    let (_, small) = ingest(&app, "small.md", &with_secret(1)).await;
    let (_, large) = ingest(&app, "large.md", &with_secret(40)).await;
    ingest(&app, "kept2.md", &markdown(3, 30)).await;
    // Replaced: the version before goes by itself, and is no part of the purge's own work.
    ingest(&app, "large.md", &with_secret(25)).await;
    for mode in ["text", "vector"] {
        assert_eq!(app.get(&format!("/api/search?q={secret}&mode={mode}")).await.unwrap().0, 200);
    }
    assert!(holding(&folder, secret).len() > 2, "{:?}", holding(&folder, secret));
    for id in [small, large] {
        let (status, answer) = app.delete(&format!("/api/documents/{id}?purge=true")).await.unwrap();
        assert!(status < 300, "{answer}");
        let deadline = std::time::Instant::now() + graphmill_testkit::app::PATIENCE;
        while status == 202 && app.delete(&format!("/api/documents/{id}")).await.unwrap().0 != 404 {
            assert!(std::time::Instant::now() < deadline, "the purge does not end");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }
    app.kill().await.unwrap();
    for word in [secret, &secret.to_lowercase()] {
        assert_eq!(holding(&folder, word), Vec::<PathBuf>::new(), "{word}");
    }
    app.restart_quiet().await.unwrap();
    let answer = app.http().get(format!("{}/api/backup", app.url())).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let archive = answer.bytes().await.unwrap();
    for word in [secret, &secret.to_lowercase()] {
        assert_eq!(memchr::memmem::find(&archive, word.as_bytes()), None, "{word}");
        assert_eq!(holding(&folder, word), Vec::<PathBuf>::new(), "{word}");
    }
    let (_, found) = app.get(&format!("/api/search?q={secret}&mode=text")).await.unwrap();
    assert_eq!(found["hits"], serde_json::json!([]));
}
