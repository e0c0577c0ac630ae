//! `graphmill ingest PATH…`: uploads files and folders and waits for their jobs; a bar a file while they run, a line a file, a summary at the end.

mod bars;
mod interrupt;
mod sources;

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context;
use futures::StreamExt;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::assembly::Work;
use crate::cli::IngestArgs;
use crate::client::Client;
use crate::config::Config;
use crate::output;
use crate::query::step;
use bars::Bars;
use interrupt::Choice;
use sources::Source;

/// Files that are uploaded or waited for at once.
const AT_ONCE: usize = 16;

/// What became of a file.
enum Fate {
    Done(&'static str, Value),
    Failed(String),
}

/// What all uploads of a run share.
struct Run<'a> {
    client: &'a Client,
    args: &'a IngestArgs,
    bars: Bars,
    /// Jobs that have not ended.
    unended: Mutex<BTreeSet<String>>,
    tally: Mutex<Tally>,
}

/// How it went so far.
#[derive(Default)]
struct Tally {
    done: usize,
    failed: Vec<String>,
}

/// Ingests; exit code 0 when every file was ingested (or queued, with `--detach`), 3 when some failed, 1 when all did, 130 after Ctrl-C.
pub(crate) async fn run(config: Config, args: IngestArgs) -> anyhow::Result<ExitCode> {
    let (found, missing) = sources::collect(&args.paths);
    if found.is_empty() {
        for problem in &missing {
            eprintln!("graphmill: {problem}");
        }
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
    if !output::json() {
        missing.iter().for_each(|problem| output::say!("{:<10} {problem}", "failed"));
    }
    let run = Run {
        client: &client,
        args: &args,
        bars: Bars::new(found.len(), args.detach),
        unended: Mutex::default(),
        tally: Mutex::new(Tally { done: 0, failed: missing }),
    };
    let stopped = run.follow_all(&found).await;
    run.bars.clear();
    let (tally, remote) = (run.tally.into_inner(), client.is_remote());
    client.close().await;
    Ok(match stopped {
        Some(choice) => stopped_early(&tally, found.len(), choice, remote),
        None => summary(&tally, args.detach),
    })
}

/// What a person reads after Ctrl-C.
fn stopped_early(tally: &Tally, files: usize, choice: Choice, remote: bool) -> ExitCode {
    let rest = files.saturating_sub(tally.done + tally.failed.len());
    let next = match (choice, remote) {
        (Choice::Cancel, _) => "their jobs are cancelled (graphmill jobs retry goes on with one)",
        (_, true) => "the server goes on with what it was given (graphmill jobs list); ingest again for the rest",
        (_, false) => {
            "nothing is lost: run the same command again, or graphmill serve, and the jobs go on where they were"
        }
    };
    eprintln!("stopped: {} of {files} files ingested, {rest} not yet; {next}", tally.done);
    ExitCode::from(130)
}

/// The counts, and each file that failed with its reason.
fn summary(tally: &Tally, detach: bool) -> ExitCode {
    let (done, failed) = (tally.done, &tally.failed);
    eprintln!("{done} of {} files {}", done + failed.len(), if detach { "queued" } else { "ingested" });
    if !failed.is_empty() {
        eprintln!("{} failed:", failed.len());
        for line in failed {
            eprintln!("  {line}");
        }
    }
    crate::commands::code_of(failed.len(), done + failed.len())
}

impl Run<'_> {
    /// Uploads and follows all files; `Some` when a person stopped it.
    async fn follow_all(&self, found: &[Source]) -> Option<Choice> {
        let fates = futures::stream::iter(found).map(|source| async move { (source, self.ingest(source).await) });
        let mut fates = std::pin::pin!(fates.buffer_unordered(AT_ONCE));
        loop {
            tokio::select! {
                fate = fates.next() => match fate {
                    Some((source, fate)) => self.tell(source, fate),
                    None => return None,
                },
                _ = tokio::signal::ctrl_c() => {
                    let unended = self.unended.lock().len();
                    self.bars.aside(true);
                    let choice = interrupt::ask(unended, self.client.is_remote()).await;
                    self.bars.aside(false);
                    if choice == Choice::Cancel {
                        self.cancel_all().await;
                    }
                    if choice != Choice::Follow {
                        return Some(choice);
                    }
                }
            }
        }
    }

    async fn cancel_all(&self) {
        let jobs = self.unended.lock().clone();
        for job in jobs {
            if let Err(error) = self.client.post(&format!("/api/jobs/{}/cancel", step(&job))).await {
                eprintln!("graphmill: {job}: {error:#}");
            }
        }
    }

    /// Counts a file and prints its line.
    fn tell(&self, source: &Source, fate: Fate) {
        let mut tally = self.tally.lock();
        let line = match fate {
            Fate::Done(word, details) => {
                tally.done += 1;
                if output::json() { of_json(source, word, details) } else { of_people(source, word, &details) }
            }
            Fate::Failed(why) => {
                // The server names the file itself where it can.
                let file = source.path.file_name().map(|name| name.to_string_lossy());
                let why = file
                    .and_then(|file| why.strip_prefix(&*file)?.strip_prefix(": ").map(str::to_owned))
                    .unwrap_or(why);
                tally.failed.push(format!("{}: {why}", source.name));
                if output::json() {
                    of_json(source, "failed", json!({"error": why}))
                } else {
                    format!("{:<10} {}", "failed", source.name)
                }
            }
        };
        self.bars.line(&line);
    }

    async fn ingest(&self, source: &Source) -> Fate {
        let answer = match self.upload(source).await {
            Ok(answer) => answer,
            Err(error) => return Fate::Failed(format!("{error:#}")),
        };
        if self.args.detach {
            return Fate::Done("queued", answer);
        }
        let job = answer["job_id"].as_str().unwrap_or_default().to_owned();
        self.unended.lock().insert(job.clone());
        let fate = self.wait(source, &job).await;
        self.unended.lock().remove(&job);
        fate
    }

    async fn upload(&self, source: &Source) -> anyhow::Result<Value> {
        let args = self.args;
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
        self.client.post_form("/api/upload", form).await
    }

    async fn wait(&self, source: &Source, job: &str) -> Fate {
        let mut bar = self.bars.file(&source.name);
        match self.client.follow(job, |event| bar.event(event)).await {
            Ok(mut last) if last["type"] == "completed" => {
                let unchanged = last["metadata"]["unchanged"] == true;
                let mut details = last["metadata"].take();
                details["job_id"] = job.into();
                Fate::Done(if unchanged { "unchanged" } else { "ingested" }, details)
            }
            Ok(last) => {
                let why = last["error"].as_str().or(last["message"].as_str()).unwrap_or("the job was deleted");
                Fate::Failed(format!("{why} ({job})"))
            }
            Err(error) => Fate::Failed(format!("{error:#} ({job})")),
        }
    }
}

fn of_json(source: &Source, word: &str, details: Value) -> String {
    let mut line = json!({"source": source.name, "status": word});
    if let (Some(line), Value::Object(details)) = (line.as_object_mut(), details) {
        let new = details.into_iter().filter(|(key, _)| key != "source" && key != "status");
        line.extend(new);
    }
    line.to_string()
}

fn of_people(source: &Source, word: &str, details: &Value) -> String {
    let job = details["job_id"].as_str().unwrap_or_default();
    if word == "queued" {
        return format!("{word:<10} {}  {job}", source.name);
    }
    let count = |name: &str| details[name].as_u64().unwrap_or(0);
    let set_aside = match count("chunks_quarantined") {
        0 => String::new(),
        n => format!(", {n} chunks set aside (graphmill jobs show {job})"),
    };
    let counts = format!("{} chunks, {} entities", count("chunks_created"), count("entities_extracted"));
    let document = details["document_id"].as_str().unwrap_or_default();
    format!("{word:<10} {}  {document}  {counts}{set_aside}", source.name)
}
