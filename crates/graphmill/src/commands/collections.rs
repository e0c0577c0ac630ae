//! `graphmill collections …`: list, create, show, set, delete.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use crate::assembly::Work;
use crate::cli::CollectionsCommand;
use crate::client::{Client, Refused};
use crate::config::Config;
use crate::output::say;

/// Between two looks at a deletion that goes on.
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub(crate) async fn run(config: Config, command: CollectionsCommand) -> anyhow::Result<ExitCode> {
    let client = Client::connect(&config, Work::None).await?;
    let done = answer(&client, command).await;
    client.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

async fn answer(client: &Client, command: CollectionsCommand) -> anyhow::Result<()> {
    match command {
        CollectionsCommand::List { limit } => list(client, limit).await,
        CollectionsCommand::Create { name, settings } => {
            let body = json!({"name": name, "settings": settings.body(&[])});
            show(&client.post_json("/api/collections", &body).await?);
            Ok(())
        }
        CollectionsCommand::Show { name } => {
            show(&client.get(&path(&name)).await?);
            Ok(())
        }
        CollectionsCommand::Set { name, settings, unset } => {
            let body = json!({"settings": settings.body(&unset)});
            show(&client.patch_json(&path(&name), &body).await?);
            Ok(())
        }
        CollectionsCommand::Delete { name, detach } => delete(client, &name, detach).await,
    }
}

fn path(name: &str) -> String {
    let name: String = url::form_urlencoded::byte_serialize(name.as_bytes()).collect();
    format!("/api/collections/{name}")
}

/// One a line.
async fn list(client: &Client, limit: u32) -> anyhow::Result<()> {
    let page = client.get(&format!("/api/collections?limit={limit}")).await?;
    for collection in page["collections"].as_array().into_iter().flatten() {
        let count = |key: &str| collection[key].as_u64().unwrap_or(0);
        say!(
            "{:<24} {:<8} {:>8} documents {:>9} chunks {:>9} entities {:>7} jobs {:>13} bytes{}",
            text(collection, "name"),
            text(collection, "state"),
            count("documents"),
            count("chunks"),
            count("entities"),
            count("jobs"),
            count("bytes"),
            percent(collection).map(|p| format!("  {p:.0} % deleted")).unwrap_or_default(),
        );
    }
    let shown = page["collections"].as_array().map_or(0, Vec::len);
    eprintln!("{shown} of {} collections", page["total"]);
    Ok(())
}

fn show(collection: &Value) {
    say!("{}  {}", text(collection, "name"), text(collection, "state"));
    if let Some(percent) = percent(collection) {
        say!("  deleted: {percent:.0} %");
    }
    say!("  created_at: {}", text(collection, "created_at"));
    for key in ["documents", "chunks", "entities", "jobs", "bytes"] {
        say!("  {key}: {}", collection[key]);
    }
    for (name, value) in collection["settings"].as_object().into_iter().flatten() {
        match value.as_object() {
            Some(inner) => inner.iter().for_each(|(of, value)| say!("  {name}.{of}: {value}")),
            None => say!("  {name}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)),
        }
    }
    for warning in collection["warnings"].as_array().into_iter().flatten() {
        eprintln!("warning: {}", warning.as_str().unwrap_or_default());
    }
}

async fn delete(client: &Client, name: &str, detach: bool) -> anyhow::Result<()> {
    let mut answer = client.delete(&path(name)).await?;
    let accepted = answer["deletion"]["accepted_at"].clone();
    if detach && client.is_remote() {
        say!("{name}  {}", text(&answer, "status"));
        return Ok(());
    }
    while answer["deletion"].is_object() && answer["deletion"]["accepted_at"] == accepted {
        eprintln!("{:.0} % deleted", percent(&answer).unwrap_or(0.0));
        tokio::time::sleep(LOOK_EVERY).await;
        answer = match client.get(&path(name)).await {
            Ok(collection) => collection,
            Err(error) if error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == 404) => break,
            Err(error) => return Err(error),
        };
    }
    say!("{name}  deleted");
    Ok(())
}

/// How much of a deletion is done.
fn percent(collection: &Value) -> Option<f64> {
    collection["deletion"]["progress"].as_f64().map(|progress| progress * 100.0)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("")
}
