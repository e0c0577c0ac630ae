//! `graphmill jobs …`: list, show, watch, logs, cancel, retry.

use std::process::ExitCode;

use serde_json::Value;

use crate::assembly::Work;
use crate::cli::{Level, ListArgs};
use crate::client::Client;
use crate::config::Config;
use crate::output::say;

/// The newest jobs, one a line.
pub(crate) async fn list(config: Config, args: ListArgs) -> anyhow::Result<ExitCode> {
    let mut path = format!("/api/jobs?limit={}", args.limit);
    for (name, value) in [("status", args.status), ("job_type", args.job_type)] {
        if let Some(value) = value {
            let value: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
            path.push_str(&format!("&{name}={value}"));
        }
    }
    let page = ask(&config, async |client| client.get(&path).await).await?;
    for job in page["jobs"].as_array().into_iter().flatten() {
        let name = job["metadata"]["filename"].as_str().unwrap_or("");
        say!(
            "{}  {:<10} {:<9} {:>4.0} %  {}  {name}: {}",
            text(job, "job_id"),
            text(job, "job_type"),
            text(job, "status"),
            percent(job),
            text(job, "created_at"),
            text(job, "message"),
        );
    }
    let shown = page["jobs"].as_array().map_or(0, Vec::len);
    eprintln!("{shown} of {} jobs", page["total"]);
    Ok(ExitCode::SUCCESS)
}

/// One job with its stages and errors.
pub(crate) async fn show(config: Config, job: &str) -> anyhow::Result<ExitCode> {
    let job = ask(&config, async |client| client.get(&format!("/api/jobs/{job}")).await).await?;
    say!("{}  {} {} {:.0} %", text(&job, "job_id"), text(&job, "job_type"), text(&job, "status"), percent(&job));
    say!("{}", text(&job, "message"));
    for (name, value) in job["metadata"].as_object().into_iter().flatten() {
        say!("  {name}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    for stage in job["stages"].as_array().into_iter().flatten() {
        let seconds = stage["duration_seconds"].as_f64().map(|s| format!("{s:.1} s")).unwrap_or_default();
        say!("  {:<18} {:<9} {:>4.0} %  {seconds}", text(stage, "name"), text(stage, "status"), percent(stage));
    }
    for error in job["errors"].as_array().into_iter().flatten() {
        say!("  {} {}: {}", text(error, "timestamp"), text(error, "code"), text(error, "message"));
        if let Some(hint) = error["hint"].as_str() {
            say!("    {hint}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Follows a job until it ends; exit code 3 when it did not complete.
pub(crate) async fn watch(config: Config, job: &str) -> anyhow::Result<ExitCode> {
    let last = ask_working(&config, async |client| client.follow(job, print_event).await).await?;
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
    let level = level.map_or("", |level| match level {
        Level::Debug => "&level=debug",
        Level::Info => "&level=info",
        Level::Warning => "&level=warning",
        Level::Error => "&level=error",
    });
    let path = format!("/api/jobs/{job}/logs?limit={limit}{level}");
    let page = ask(&config, async |client| client.get(&path).await).await?;
    for line in page["logs"].as_array().into_iter().flatten() {
        let context = line["context"].as_object().filter(|c| !c.is_empty());
        let context = context.map(|c| format!("  {}", Value::Object(c.clone()))).unwrap_or_default();
        say!("{} {:<7} {}{context}", text(line, "timestamp"), text(line, "level"), text(line, "message"));
    }
    Ok(ExitCode::SUCCESS)
}

/// Cancels a job.
pub(crate) async fn cancel(config: Config, job: &str) -> anyhow::Result<ExitCode> {
    say(&config, &format!("/api/jobs/{job}/cancel")).await
}

/// Tries a job again.
pub(crate) async fn retry(config: Config, job: &str) -> anyhow::Result<ExitCode> {
    say(&config, &format!("/api/jobs/{job}/retry")).await
}

async fn say(config: &Config, path: &str) -> anyhow::Result<ExitCode> {
    let answer = ask(config, async |client| client.post(path).await).await?;
    say!("{}  {}  {}", text(&answer, "job_id"), text(&answer, "status"), text(&answer, "message"));
    Ok(ExitCode::SUCCESS)
}

async fn ask(config: &Config, question: impl AsyncFnOnce(&Client) -> anyhow::Result<Value>) -> anyhow::Result<Value> {
    let client = Client::connect(config, Work::None).await?;
    let answer = question(&client).await;
    client.close().await;
    answer
}

async fn ask_working(
    config: &Config,
    question: impl AsyncFnOnce(&Client) -> anyhow::Result<Value>,
) -> anyhow::Result<Value> {
    let client = Client::connect(config, Work::Jobs).await?;
    let answer = question(&client).await;
    client.close().await;
    answer
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("")
}

fn percent(value: &Value) -> f64 {
    value["progress"].as_f64().unwrap_or(0.0) * 100.0
}
