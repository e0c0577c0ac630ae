//! `graphmill export`: the canonical export of a collection.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use futures::StreamExt;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::assembly::Work;
use crate::cli::ExportArgs;
use crate::client::Client;
use crate::config::Config;
use crate::output::of_stdout;
use crate::query::Query;

/// Writes the export to a file or standard output. A file appears under its name only when it is whole.
pub(crate) async fn run(config: Config, args: ExportArgs) -> anyhow::Result<ExitCode> {
    let client = Client::connect(&config, Work::None).await?;
    let path = Query::new().with("collection", Some(&args.collection)).on("/api/graph/export");
    let result = match client.must_have(Some(&args.collection)).await {
        Ok(()) => write(&client, &path, args.output.as_deref()).await,
        Err(error) => Err(error),
    };
    client.close().await;
    result.map(|()| ExitCode::SUCCESS)
}

async fn write(client: &Client, path: &str, file: Option<&Path>) -> anyhow::Result<()> {
    let Some(file) = file else { return copy(client, path, &mut tokio::io::stdout(), of_stdout).await };
    let part = file.with_added_extension("part");
    let cannot = || format!("{} cannot be written", part.display());
    let mut out = tokio::fs::File::create(&part).await.with_context(cannot)?;
    copy(client, path, &mut out, |error| anyhow::Error::new(error).context(cannot())).await?;
    out.sync_all().await.with_context(cannot)?;
    tokio::fs::rename(&part, file).await.with_context(cannot)
}

async fn copy(
    client: &Client,
    path: &str,
    out: &mut (impl AsyncWrite + Unpin),
    failed: impl Fn(std::io::Error) -> anyhow::Error,
) -> anyhow::Result<()> {
    let mut body = client.download(path).await?.bytes_stream();
    while let Some(piece) = body.next().await {
        let piece = piece.context("the export broke off; what was written is not whole")?;
        out.write_all(&piece).await.map_err(&failed)?;
    }
    out.flush().await.map_err(failed)
}
