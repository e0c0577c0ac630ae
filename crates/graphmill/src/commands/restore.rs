//! `graphmill restore`: a data folder from a backup.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use graphmill_core::fault_point;
use graphmill_graph::embedded::EmbeddedGraph;
use graphmill_store::{SqliteJobStore, folder};
use serde_json::json;

use crate::backup::{self, BLOBS, Beginning, DATABASES, End, Place};
use crate::cli::RestoreArgs;
use crate::config::Config;
use crate::output::{as_it_is, json, size, tell};

/// Unpacks beside, checks the whole archive, then moves everything into place; what a killed restore left is taken away first.
pub(crate) async fn run(config: Config, args: RestoreArgs) -> anyhow::Result<ExitCode> {
    let (dir, file) = (config.data_dir.clone(), args.file.clone());
    let (beginning, end) = tokio::task::spawn_blocking(move || restore(&dir, &file)).await??;
    if json() {
        as_it_is(
            &json!({
                "file": args.file.display().to_string(), "data_dir": config.data_dir.display().to_string(), "at": beginning.at, "bytes": end.bytes,
                "missing": end.missing
            })
            .to_string(),
        );
    }
    tell!(
        "graphmill: restored what {} held as it stood at {} ({}) into {}; start it with: graphmill serve --data-dir {}",
        args.file.display(),
        beginning.at,
        size(end.bytes),
        config.data_dir.display(),
        config.data_dir.display()
    );
    tell!(
        "graphmill: unended jobs go on when it starts; if the server that the backup came from still runs, both do the same work"
    );
    Ok(ExitCode::SUCCESS)
}

fn restore(dir: &Path, file: &Path) -> anyhow::Result<(Beginning, End)> {
    let archive = File::open(file).with_context(|| format!("{} cannot be read", file.display()))?;
    make_empty(dir)?;
    let unfinished = dir.join(folder::RESTORING);
    let cannot = || format!("{} cannot be written", dir.display());
    std::fs::create_dir_all(&unfinished).with_context(cannot)?;
    let found = backup::read(BufReader::with_capacity(1 << 20, archive), |beginning, place, content| {
        check_schema(beginning)?;
        unpack(&unfinished, place, content)
    });
    let found = match found {
        Ok(found) => found,
        Err(error) => {
            let _ = std::fs::remove_dir_all(&unfinished);
            return Err(error.context(format!("{} cannot be restored", file.display())));
        }
    };
    let jobs = unfinished.join(backup::JOBS);
    SqliteJobStore::forget_event_order(&jobs).with_context(|| format!("{} cannot be opened", jobs.display()))?;
    File::open(&jobs).and_then(|file| file.sync_all()).with_context(cannot)?;
    fault_point!("restore.unpacked");
    move_into_place(dir, &unfinished).with_context(cannot)?;
    Ok(found)
}

/// Refuses a folder with anything in it but what a killed restore left, which goes.
fn make_empty(dir: &Path) -> anyhow::Result<()> {
    let cannot = || format!("{} cannot be written", dir.display());
    if dir.exists() && !dir.is_dir() {
        bail!("{} is a file, no folder; name an empty or new folder with --data-dir", dir.display());
    }
    // Documents of people lie in it: nobody else may look.
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).with_context(cannot)?;
    if dir.join(folder::RESTORING).is_dir() {
        for name in DATABASES {
            remove(&dir.join(name)).with_context(cannot)?;
        }
        remove(&dir.join(BLOBS)).with_context(cannot)?;
        remove(&dir.join(folder::RESTORING)).with_context(cannot)?;
    }
    if std::fs::read_dir(dir).with_context(cannot)?.next().is_some() {
        bail!("{} is not empty; name an empty or new folder with --data-dir", dir.display());
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    let removed = if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
    match removed {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn check_schema(beginning: &Beginning) -> anyhow::Result<()> {
    let known = (i64::from(SqliteJobStore::SCHEMA_VERSION), EmbeddedGraph::SCHEMA_VERSION);
    ensure!(
        beginning.jobs_schema <= known.0 && beginning.graph_schema <= known.1,
        "it was written by a newer graphmill ({}, schemas {} and {}; this one knows {} and {}); restore it with that version or a later one",
        beginning.version,
        beginning.jobs_schema,
        beginning.graph_schema,
        known.0,
        known.1
    );
    Ok(())
}

fn unpack(folder: &Path, place: Place, content: &mut dyn Read) -> anyhow::Result<()> {
    let path: PathBuf = match place {
        Place::Database(name) => folder.join(name),
        Place::Blob(key) => folder.join(BLOBS).join(key),
    };
    let mut write = || {
        if let Some(above) = path.parent() {
            std::fs::create_dir_all(above)?;
        }
        let mut file = File::create_new(&path)?;
        io::copy(content, &mut file)?;
        file.sync_all()
    };
    write().with_context(|| format!("{} cannot be written", path.display()))
}

/// Until the last of it the folder of the unfinished restore stands, and no server takes the data folder.
fn move_into_place(dir: &Path, unfinished: &Path) -> io::Result<()> {
    std::fs::create_dir_all(unfinished.join(BLOBS))?;
    for name in DATABASES.into_iter().chain([BLOBS]) {
        std::fs::rename(unfinished.join(name), dir.join(name))?;
        fault_point!("restore.moved");
    }
    sync_folders(&dir.join(BLOBS))?;
    File::open(dir)?.sync_all()?;
    std::fs::remove_dir(unfinished)?;
    File::open(dir)?.sync_all()
}

fn sync_folders(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_folders(&entry.path())?;
        }
    }
    File::open(folder)?.sync_all()
}
