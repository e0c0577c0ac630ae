//! `graphmill collections …`: list, create, show, set, delete.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use crate::assembly::Work;
use crate::cli::CollectionsCommand;
use crate::client::{Client, Refused};
use crate::config::Config;
use crate::output::{Table, answer, count, fact, kept, number, say, size, tell, text};
use crate::query::step;

/// Between two looks at a deletion that goes on.
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub(crate) async fn run(config: Config, command: CollectionsCommand) -> anyhow::Result<ExitCode> {
    let client = Client::connect(&config, Work::None).await?;
    let done = act(&client, command).await;
    client.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

async fn act(client: &Client, command: CollectionsCommand) -> anyhow::Result<()> {
    match command {
        CollectionsCommand::List { limit } => list(client, limit).await,
        CollectionsCommand::Create { name, settings } => {
            let body = json!({"name": name, "settings": settings.body(&[])});
            answer(&client.post_json("/api/collections", &body).await?, show);
            Ok(())
        }
        CollectionsCommand::Show { name } => {
            answer(&client.get(&path(&name)).await?, show);
            Ok(())
        }
        CollectionsCommand::Set { name, settings, unset } => {
            let body = json!({"settings": settings.body(&unset)});
            answer(&client.patch_json(&path(&name), &body).await?, show);
            Ok(())
        }
        CollectionsCommand::Delete { name, detach } => delete(client, &name, detach).await,
    }
}

fn path(name: &str) -> String {
    format!("/api/collections/{}", step(name))
}

async fn list(client: &Client, limit: u32) -> anyhow::Result<()> {
    let page = client.get(&format!("/api/collections?limit={limit}")).await?;
    answer(&page, |page| {
        let mut table = Table::new(&[
            kept("collection"),
            fact("state", 6),
            fact("documents", 5),
            fact("chunks", 3),
            fact("entities", 2),
            fact("jobs", 1),
            fact("size", 4),
        ]);
        for collection in page["collections"].as_array().into_iter().flatten() {
            let state = text(collection, "state");
            table.row([
                text(collection, "name").to_owned(),
                percent(collection).map_or_else(|| state.to_owned(), |percent| format!("{state} ({percent:.0} %)")),
                number(collection, "documents"),
                number(collection, "chunks"),
                number(collection, "entities"),
                number(collection, "jobs"),
                size(collection["bytes"].as_u64().unwrap_or(0)),
            ]);
        }
        table.print();
        count(page, "collections", "collection");
    });
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
        tell!("warning: {}", warning.as_str().unwrap_or_default());
    }
}

async fn delete(client: &Client, name: &str, detach: bool) -> anyhow::Result<()> {
    let mut said = client.delete(&path(name)).await?;
    let accepted = said["deletion"]["accepted_at"].clone();
    if detach && client.is_remote() {
        answer(&said, |said| say!("{name}  {}", text(said, "status")));
        return Ok(());
    }
    while said["deletion"].is_object() && said["deletion"]["accepted_at"] == accepted {
        tell!("{:.0} % deleted", percent(&said).unwrap_or(0.0));
        tokio::time::sleep(LOOK_EVERY).await;
        said = match client.get_patiently(&path(name)).await {
            Ok(collection) => collection,
            Err(error) if error.downcast_ref::<Refused>().is_some_and(|refused| refused.status == 404) => break,
            Err(error) => return Err(error),
        };
    }
    answer(&json!({"name": name, "status": "deleted"}), |_| say!("{name}  deleted"));
    Ok(())
}

/// How much of a deletion is done.
fn percent(collection: &Value) -> Option<f64> {
    collection["deletion"]["progress"].as_f64().map(|progress| progress * 100.0)
}
