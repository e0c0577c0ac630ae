//! `graphmill ingest PATH…`: uploads files and folders and waits for their jobs; a bar a file while they run, a line a file, a summary at the end.

mod bars;
mod interrupt;
mod sources;

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::StreamExt;
use graphmill_core::{Clock, SystemClock};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::assembly::Work;
use crate::cli::IngestArgs;
use crate::client::{Client, Lost};
use crate::config::Config;
use crate::output::{self, in_words, of_file, plural, say, tell};
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
    /// The server went away: it may be ingested, now or later.
    Unknown {
        why: String,
        /// The job, if the server took the file.
        job: Option<String>,
    },
}

/// What all uploads of a run share.
struct Run<'a> {
    client: &'a Client,
    args: &'a IngestArgs,
    bars: Bars,
    /// Jobs that have not ended.
    unended: Mutex<BTreeSet<String>>,
    /// When the command began, for names that no other command uses.
    begun: String,
    uploads: AtomicU64,
    tally: Mutex<Tally>,
}

/// How it went so far.
#[derive(Default)]
struct Tally {
    done: usize,
    failed: Vec<String>,
    unknown: Vec<String>,
}

impl Tally {
    fn all(&self) -> usize {
        self.done + self.failed.len() + self.unknown.len()
    }
}

/// Ingests; exit code 0 when every file was ingested (or queued, with `--detach`), 3 when some failed or it is not known of some, 1 when all failed, 130
/// after Ctrl-C.
pub(crate) async fn run(config: Config, args: IngestArgs) -> anyhow::Result<ExitCode> {
    let sources::Collected { found, missing, hidden } = sources::collect(&args.paths, args.hidden);
    if hidden > 0 {
        tell!("graphmill: left out: {hidden} hidden (files or folders); --hidden takes them too");
    }
    if found.is_empty() {
        for problem in &missing {
            tell!("graphmill: {problem}");
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
        missing.iter().for_each(|problem| say!("{:<10} {problem}", "failed"));
    }
    let run = Run {
        client: &client,
        args: &args,
        bars: Bars::new(&found, args.detach),
        unended: Mutex::default(),
        begun: SystemClock.now().to_string(),
        uploads: AtomicU64::new(0),
        tally: Mutex::new(Tally { failed: missing, ..Tally::default() }),
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
    let rest = files.saturating_sub(tally.all());
    let next = match (choice, remote) {
        (Choice::Cancel, _) => "their jobs are cancelled (graphmill jobs retry goes on with one)",
        (_, true) => "the server goes on with what it was given (graphmill jobs list); ingest again for the rest",
        (_, false) => {
            "nothing is lost: run the same command again, or graphmill serve, and the jobs go on where they were"
        }
    };
    tell!("stopped: {} of {files} files ingested, {rest} not yet; {next}", tally.done);
    ExitCode::from(130)
}

/// The counts, and each file that failed with its reason.
fn summary(tally: &Tally, detach: bool) -> ExitCode {
    let (failed, unknown, all) = (tally.failed.len(), tally.unknown.len(), tally.all());
    tell!("{} of {} {}", tally.done, plural(all as u64, "file"), if detach { "queued" } else { "ingested" });
    if failed > 0 {
        tell!("{failed} failed:");
        tally.failed.iter().for_each(|line| tell!("  {line}"));
    }
    if unknown > 0 {
        tell!("{unknown} unknown; they go on when the server runs again:");
        tally.unknown.iter().for_each(|line| tell!("  {line}"));
        return ExitCode::from(3);
    }
    crate::commands::code_of(failed, all)
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
                tell!("graphmill: {job}: {}", in_words(&format!("{error:#}")));
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
                let file = source.file_name();
                let named = [source.path.display().to_string(), file];
                let bare = named.iter().find_map(|name| why.strip_prefix(name.as_str())?.strip_prefix(": "));
                let why = bare.map_or_else(|| why.clone(), str::to_owned);
                tally.failed.push(format!("{}: {why}", source.name));
                if output::json() {
                    of_json(source, "failed", json!({"error": why}))
                } else {
                    format!("{:<10} {}", "failed", source.name)
                }
            }
            Fate::Unknown { why, job } => {
                let next = match &job {
                    Some(job) => format!("graphmill jobs show {job}"),
                    None => "it may not have got the file; ingest it again, which does no harm".to_owned(),
                };
                tally.unknown.push(format!("{}: {why}; {next}", source.name));
                if output::json() {
                    of_json(source, "unknown", json!({"error": why, "job_id": job}))
                } else {
                    format!("{:<10} {}  {}", "unknown", source.name, job.unwrap_or_default())
                }
            }
        };
        self.bars.line(source, &line);
    }

    async fn ingest(&self, source: &Source) -> Fate {
        let answer = match self.upload(source).await {
            Ok(answer) => answer,
            Err(error) if error.downcast_ref::<Lost>().is_some_and(|lost| lost.sent) => {
                return Fate::Unknown { why: format!("{error:#}"), job: None };
            }
            Err(error) => return Fate::Failed(in_words(&format!("{error:#}"))),
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
        // With a key that is used for this upload alone it can be sent again when the server was started again meanwhile, and is taken once.
        let number = self.uploads.fetch_add(1, Ordering::Relaxed);
        let key = format!("graphmill-ingest-{}-{}-{number}", std::process::id(), self.begun);
        self.client.post_form("/api/upload", &key, async || self.form(source).await).await
    }

    async fn form(&self, source: &Source) -> anyhow::Result<reqwest::multipart::Form> {
        let args = self.args;
        let part = reqwest::multipart::Part::file(&source.path)
            .await
            .map_err(|error| anyhow::anyhow!("{}", of_file(&source.path, &error)))?
            .file_name(source.file_name());
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
        Ok(chosen.fold(form, |form, (name, value)| form.text(name, value)))
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
            // It had ended before, one way or the other.
            Ok(last) if last["type"] == "deleted" => {
                Fate::Unknown { why: "the job was deleted".to_owned(), job: Some(job.to_owned()) }
            }
            Ok(last) => {
                let why = last["error"].as_str().or(last["message"].as_str()).unwrap_or("the job failed");
                Fate::Failed(format!("{why} ({job})"))
            }
            Err(error) => Fate::Unknown { why: in_words(&format!("{error:#}")), job: Some(job.to_owned()) },
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
        n => format!(", {} set aside (graphmill jobs show {job})", plural(n, "chunk")),
    };
    let counts =
        format!("{}, {}", plural(count("chunks_created"), "chunk"), plural(count("entities_extracted"), "entity"));
    let document = details["document_id"].as_str().unwrap_or_default();
    format!("{word:<10} {}  {document}  {counts}{set_aside}", source.name)
}
