//! `graphmill ingest PATH…`: uploads files and folders and waits for their jobs; a line a file, a summary at the end.

mod sources;

use std::process::ExitCode;

use anyhow::Context;
use futures::StreamExt;
use serde_json::Value;

use crate::assembly::Work;
use crate::cli::IngestArgs;
use crate::client::Client;
use crate::config::Config;
use crate::output::say;
use sources::Source;

/// Files that are uploaded or waited for at once.
const AT_ONCE: usize = 16;

/// What became of a file.
enum Fate {
    Done(String),
    Queued(String),
    Failed(String),
}

/// Ingests; exit code 0 when every file was ingested (or queued, with `--detach`), 3 when some failed, 1 when all did, 130 after Ctrl-C.
pub(crate) async fn run(config: Config, args: IngestArgs) -> anyhow::Result<ExitCode> {
    let (found, missing) = sources::collect(&args.paths);
    for problem in &missing {
        say!("failed     {problem}");
    }
    if found.is_empty() {
        anyhow::bail!("there is no file to ingest under the given paths");
    }
    if let Some(clash) = sources::clash(&found) {
        anyhow::bail!("{clash}");
    }
    let client = Client::connect(&config, Work::Jobs).await?;
    if args.detach && !client.is_remote() {
        client.close().await;
        anyhow::bail!("--detach needs a running server (graphmill serve): this process would end before its jobs do");
    }
    let mut failed: Vec<String> = missing;
    let (mut done, mut interrupted) = (0, false);
    tokio::select! {
        () = ingest_all(&client, &args, &found, &mut done, &mut failed) => {}
        _ = tokio::signal::ctrl_c() => interrupted = true,
    }
    let remote = client.is_remote();
    client.close().await;
    if interrupted {
        let rest = found.len().saturating_sub(done + failed.len());
        let next = if remote {
            "the server goes on with what it was given (graphmill jobs list); ingest again for the rest"
        } else {
            "nothing is lost: run the same command again, or graphmill serve, and the jobs go on where they were"
        };
        eprintln!("stopped: {done} of {} files ingested, {rest} not yet; {next}", found.len());
        return Ok(ExitCode::from(130));
    }
    eprintln!("{done} of {} files {}", done + failed.len(), if args.detach { "queued" } else { "ingested" });
    if failed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{} failed:", failed.len());
    for line in &failed {
        eprintln!("  {line}");
    }
    Ok(ExitCode::from(if done == 0 { 1 } else { 3 }))
}

/// Prints a line a file; counts those that went well, and adds a sentence for each of the others.
async fn ingest_all(client: &Client, args: &IngestArgs, found: &[Source], done: &mut usize, failed: &mut Vec<String>) {
    let fates = futures::stream::iter(found).map(|source| ingest_one(client, args, source));
    let mut fates = std::pin::pin!(fates.buffer_unordered(AT_ONCE));
    while let Some((source, fate)) = fates.next().await {
        match fate {
            Fate::Done(line) | Fate::Queued(line) => {
                say!("{line}");
                *done += 1;
            }
            Fate::Failed(why) => {
                say!("failed     {}: {why}", source.name);
                failed.push(format!("{}: {why}", source.name));
            }
        }
    }
}

async fn ingest_one<'a>(client: &Client, args: &IngestArgs, source: &'a Source) -> (&'a Source, Fate) {
    let fate = match upload(client, args, source).await {
        Ok(answer) => {
            let job = answer["job_id"].as_str().unwrap_or_default().to_owned();
            if args.detach {
                Fate::Queued(format!("queued     {}  {job}", source.name))
            } else {
                wait(client, source, &job).await
            }
        }
        Err(error) => Fate::Failed(format!("{error:#}")),
    };
    (source, fate)
}

async fn upload(client: &Client, args: &IngestArgs, source: &Source) -> anyhow::Result<Value> {
    let part = reqwest::multipart::Part::file(&source.path)
        .await
        .with_context(|| format!("{} cannot be read", source.path.display()))?;
    let form = reqwest::multipart::Form::new()
        .text("source", source.name.clone())
        .text("collection", args.collection.clone())
        .text("force", args.force.to_string())
        .part("file", part);
    // What is not said is the collection's own.
    let chosen = [
        ("extract_entities", args.no_entities.then(|| "false".to_owned())),
        ("chunk_size", args.chunk_size.map(|n| n.to_string())),
        ("chunk_overlap", args.chunk_overlap.map(|n| n.to_string())),
    ];
    let chosen = chosen.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let form = chosen.fold(form, |form, (name, value)| form.text(name, value));
    client.post_form("/api/upload", form).await
}

async fn wait(client: &Client, source: &Source, job: &str) -> Fate {
    match client.follow(job, |_| {}).await {
        Ok(last) if last["type"] == "completed" => {
            let metadata = &last["metadata"];
            let word = if metadata["unchanged"] == true { "unchanged" } else { "ingested" };
            let count = |name: &str| metadata[name].as_u64().unwrap_or(0);
            let set_aside = match count("chunks_quarantined") {
                0 => String::new(),
                n => format!(", {n} chunks set aside (graphmill jobs show {job})"),
            };
            let counts = format!("{} chunks, {} entities", count("chunks_created"), count("entities_extracted"));
            let document = metadata["document_id"].as_str().unwrap_or_default();
            Fate::Done(format!("{word:<10} {}  {document}  {counts}{set_aside}", source.name))
        }
        Ok(last) => {
            let why = last["error"].as_str().or(last["message"].as_str()).unwrap_or("the job was deleted");
            Fate::Failed(format!("{why} ({job})"))
        }
        Err(error) => Fate::Failed(format!("{error:#} ({job})")),
    }
}
