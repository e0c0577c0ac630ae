//! `graphmill jobs …`: list, show, watch, logs, cancel, retry, delete, cleanup, pause, resume.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::assembly::Work;
use crate::cli::{CleanupArgs, Level, ListArgs};
use crate::client::{Client, Lost, ask};
use crate::config::Config;
use crate::output::{Table, answer, count, fact, in_words, kept, plural, prose, say, tell, text};
use crate::query::{Query, step};

/// The newest jobs.
pub(crate) async fn list(config: Config, args: ListArgs) -> anyhow::Result<ExitCode> {
    let query = Query::new().with("status", args.status).with("job_type", args.job_type).with("q", args.q);
    let path = query.with("collection", args.collection.as_deref()).with("limit", Some(args.limit)).on("/api/jobs");
    let page = ask(&config, Work::None, async |client| {
        client.must_have(args.collection.as_deref()).await?;
        client.get(&path).await
    })
    .await?;
    answer(&page, |page| {
        let mut table = Table::new(&[
            kept("job"),
            fact("type", 2),
            fact("status", 6),
            fact("done", 3),
            fact("created", 1),
            prose("about", 5),
            prose("message", 4),
        ]);
        for job in page["jobs"].as_array().into_iter().flatten() {
            let about = ["filename", "collection"].map(|key| job["metadata"][key].as_str());
            table.row([
                text(job, "job_id").to_owned(),
                text(job, "job_type").to_owned(),
                text(job, "status").to_owned(),
                format!("{:.0} %", percent(job)),
                text(job, "created_at").to_owned(),
                about.into_iter().flatten().next().unwrap_or("").to_owned(),
                text(job, "message").to_owned(),
            ]);
        }
        table.print();
        count(page, "jobs", "job");
    });
    Ok(ExitCode::SUCCESS)
}

/// One job with its stages and errors.
pub(crate) async fn show(config: Config, job: &str) -> anyhow::Result<ExitCode> {
    let path = format!("/api/jobs/{}", step(job));
    let job = ask(&config, Work::None, async |client| client.get(&path).await).await?;
    answer(&job, show_job);
    Ok(ExitCode::SUCCESS)
}

fn show_job(job: &Value) {
    say!("{}  {} {} {:.0} %", text(job, "job_id"), text(job, "job_type"), text(job, "status"), percent(job));
    say!("{}", text(job, "message"));
    for (name, value) in job["metadata"].as_object().into_iter().flatten() {
        say!("  {name}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    for stage in job["stages"].as_array().into_iter().flatten() {
        let seconds = stage["duration_seconds"].as_f64().map(|s| format!("{s:.1} s")).unwrap_or_default();
        say!("  {:<20} {:<9} {:>4.0} %  {seconds}", text(stage, "name"), text(stage, "status"), percent(stage));
    }
    for error in job["errors"].as_array().into_iter().flatten() {
        say!("  {} {}: {}", text(error, "timestamp"), text(error, "code"), text(error, "message"));
        if let Some(hint) = error["hint"].as_str() {
            say!("    {hint}");
        }
    }
}

/// Follows a job until it ends; exit code 3 when it did not complete.
pub(crate) async fn watch(config: Config, job: &str) -> anyhow::Result<ExitCode> {
    let client = Client::connect(&config, Work::Jobs).await?;
    let ended = follow(&client, job).await;
    client.close().await;
    ended
}

/// The same with a connection that there is; code 3 too when the server went away and it is not known how the job ends.
pub(crate) async fn follow(client: &Client, job: &str) -> anyhow::Result<ExitCode> {
    let last = match client.follow(job, |event| answer(event, print_event)).await {
        Err(error) if error.is::<Lost>() => {
            tell!("graphmill: unknown how {job} ends: {error:#}; when it does again: graphmill jobs show {job}");
            return Ok(ExitCode::from(3));
        }
        last => last?,
    };
    Ok(if last["type"] == "completed" { ExitCode::SUCCESS } else { ExitCode::from(3) })
}

fn print_event(event: &Value) {
    let at = text(event, "timestamp");
    match event["type"].as_str() {
        Some("progress") => say!("{at} {:>4.0} %  {}", percent(event), text(event, "message")),
        Some("stage_complete") => {
            let seconds = event["duration_seconds"].as_f64().unwrap_or(0.0);
            say!("{at} stage {} ended after {seconds:.1} s", text(event, "stage"));
        }
        Some("error") => say!("{at} error: {}", text(event, "error")),
        Some(kind) => say!("{at} {kind}: {}", text(event, "message")),
        None => {}
    }
}

/// Log lines of a job.
pub(crate) async fn logs(config: Config, job: &str, level: Option<Level>, limit: u32) -> anyhow::Result<ExitCode> {
    let level = level.map(|level| match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warning => "warning",
        Level::Error => "error",
    });
    let query = Query::new().with("limit", Some(limit)).with("level", level);
    let path = query.on(&format!("/api/jobs/{}/logs", step(job)));
    let page = ask(&config, Work::None, async |client| client.get(&path).await).await?;
    answer(&page, |page| {
        for line in page["logs"].as_array().into_iter().flatten() {
            let context = line["context"].as_object().filter(|c| !c.is_empty());
            let context = context.map(|c| format!("  {}", Value::Object(c.clone()))).unwrap_or_default();
            say!("{} {:<7} {}{context}", text(line, "timestamp"), text(line, "level"), text(line, "message"));
        }
    });
    Ok(ExitCode::SUCCESS)
}

/// Cancels jobs.
pub(crate) async fn cancel(config: Config, jobs: &[String]) -> anyhow::Result<ExitCode> {
    each(&config, jobs, async |client, job| client.post(&format!("/api/jobs/{}/cancel", step(job))).await).await
}

/// Tries jobs again.
pub(crate) async fn retry(config: Config, jobs: &[String]) -> anyhow::Result<ExitCode> {
    each(&config, jobs, async |client, job| client.post(&format!("/api/jobs/{}/retry", step(job))).await).await
}

/// Deletes ended jobs.
pub(crate) async fn delete(config: Config, jobs: &[String]) -> anyhow::Result<ExitCode> {
    each(&config, jobs, async |client, job| client.delete(&format!("/api/jobs/{}", step(job))).await).await
}

/// Does the same to each job; says why where it cannot.
async fn each(
    config: &Config,
    jobs: &[String],
    act: impl AsyncFn(&Client, &str) -> anyhow::Result<Value>,
) -> anyhow::Result<ExitCode> {
    let client = Client::connect(config, Work::None).await?;
    let mut failed = 0;
    for job in jobs {
        match act(&client, job).await {
            Ok(said) => answer(&said, |said| {
                say!("{}  {:<9} {}", text(said, "job_id"), text(said, "status"), text(said, "message"));
            }),
            Err(error) => {
                failed += 1;
                tell!("graphmill: {}", in_words(&format!("{error:#}")));
            }
        }
    }
    client.close().await;
    Ok(super::code_of(failed, jobs.len()))
}

/// Deletes old ended jobs.
pub(crate) async fn cleanup(config: Config, args: CleanupArgs) -> anyhow::Result<ExitCode> {
    let mut body = json!({"older_than_days": args.older_than_days});
    if !args.status.is_empty() {
        body["status"] = args.status.into();
    }
    let said = ask(&config, Work::None, async |client| client.post_json("/api/jobs/cleanup", &body).await).await?;
    answer(&said, |said| {
        let deleted = plural(said["jobs_deleted"].as_u64().unwrap_or(0), "job");
        say!("{}: {deleted} deleted, {} MB freed", text(said, "message"), said["space_freed_mb"]);
    });
    Ok(ExitCode::SUCCESS)
}

/// Stops jobs of a type from being begun, or lets them.
pub(crate) async fn pause(config: Config, job_type: &str, pause: bool) -> anyhow::Result<ExitCode> {
    let verb = if pause { "pause" } else { "resume" };
    let path = format!("/api/job-types/{}/{verb}", step(job_type));
    let said = ask(&config, Work::None, async |client| client.post(&path).await).await?;
    answer(&said, |said| {
        let state =
            if said["paused"] == true { "no job of it is begun; running ones go on" } else { "its jobs are begun" };
        say!("{}: {state}", text(said, "job_type"));
    });
    Ok(ExitCode::SUCCESS)
}

fn percent(value: &Value) -> f64 {
    value["progress"].as_f64().unwrap_or(0.0) * 100.0
}
