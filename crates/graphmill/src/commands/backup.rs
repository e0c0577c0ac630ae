//! `graphmill backup`: everything of one moment in one file.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use futures::StreamExt;
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::assembly::Work;
use crate::backup::{self, Beginning, End};
use crate::cli::BackupArgs;
use crate::client::Client;
use crate::config::Config;
use crate::output::{as_it_is, json, plural, size, tell};

/// Fetches the archive, reads it back, and only then gives it its name.
pub(crate) async fn run(config: Config, args: BackupArgs) -> anyhow::Result<ExitCode> {
    let file = &args.file;
    if file.is_dir() {
        bail!("{} is a folder; name a file", file.display());
    }
    if file.exists() && !args.force {
        bail!("{} is there already; choose another name, or replace it with --force", file.display());
    }
    let client = Client::connect(&config, Work::None).await?;
    let part = file.with_added_extension("part");
    let made = fetch(&client, &part).await;
    client.close().await;
    let checked = match made {
        Ok(()) => check(&part).await,
        Err(error) => Err(error),
    };
    let (beginning, end) = match checked {
        Ok(found) => found,
        Err(error) => {
            let _ = tokio::fs::remove_file(&part).await;
            return Err(error);
        }
    };
    let keep = || format!("{} cannot be written", file.display());
    tokio::fs::rename(&part, file).await.with_context(keep)?;
    if let Some(folder) = file.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        tokio::fs::File::open(folder).await.with_context(keep)?.sync_all().await.with_context(keep)?;
    }
    report(file, &beginning, &end);
    Ok(ExitCode::SUCCESS)
}

async fn fetch(client: &Client, part: &Path) -> anyhow::Result<()> {
    let cannot = || format!("{} cannot be written", part.display());
    let mut body = client.download("/api/backup").await?.bytes_stream();
    let mut options = tokio::fs::OpenOptions::new();
    // Documents of people lie in it: nobody else may look.
    let mut out = options.write(true).create(true).truncate(true).mode(0o600).open(part).await.with_context(cannot)?;
    while let Some(piece) = body.next().await {
        let piece = piece.context("the backup broke off; the server's log says why. Nothing was kept")?;
        out.write_all(&piece).await.with_context(cannot)?;
    }
    out.flush().await.with_context(cannot)?;
    out.sync_all().await.with_context(cannot)
}

async fn check(part: &Path) -> anyhow::Result<(Beginning, End)> {
    let path = part.to_owned();
    let checked = tokio::task::spawn_blocking(move || {
        let file = File::open(&path).with_context(|| format!("{} cannot be read back", path.display()))?;
        backup::read(BufReader::new(file), |_, _, _| Ok(()))
    });
    checked.await?.context("the backup was read back and is no good; nothing was kept")
}

fn report(file: &Path, beginning: &Beginning, end: &End) {
    let blobs = end.entries - backup::DATABASES.len() as u64;
    if json() {
        as_it_is(
            &json!({"file": file.display().to_string(), "at": beginning.at, "bytes": end.bytes, "files": blobs, "missing": end.missing})
                .to_string(),
        );
    }
    tell!(
        "graphmill: {} holds jobs, graph, cache and {} as they stood at {} ({}, checked)",
        file.display(),
        plural(blobs, "file"),
        beginning.at,
        size(end.bytes)
    );
    if !end.missing.is_empty() {
        let some: Vec<&str> = end.missing.iter().take(3).map(String::as_str).collect();
        let n = end.missing.len() as u64;
        tell!(
            "graphmill: warning: {} that jobs or documents name {} not in the data folder and missing here too ({}{})",
            plural(n, "file"),
            if n == 1 { "was" } else { "were" },
            some.join(", "),
            if end.missing.len() > some.len() { ", …" } else { "" }
        );
    }
}
