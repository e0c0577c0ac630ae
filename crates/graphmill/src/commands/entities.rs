//! `graphmill entities …`: list, show, neighbours.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use crate::assembly::Work;
use crate::client::ask;
use crate::config::Config;
use crate::output::{Table, answer, block, count, cut, fact, kept, number, plural, prose, say, tell, text};
use crate::query::{Query, step};

/// `entities …`
#[derive(Debug, Subcommand)]
pub(crate) enum EntitiesCommand {
    /// Entities, most important first
    List(ListArgs),
    /// One entity with its spellings, aliases and mentions
    Show {
        /// Id of the entity
        entity: String,
        /// At most so many mentions
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Entities around one, and their relations
    Neighbours {
        /// Id of the entity
        entity: String,
        /// Relations to go, 1 to 3
        #[arg(long)]
        hops: Option<u32>,
        /// At most so many entities
        #[arg(long)]
        limit: Option<u32>,
    },
}

/// Arguments of `entities list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Collection to look in
    #[arg(long)]
    collection: Option<String>,
    /// Only names with this text
    #[arg(long)]
    q: Option<String>,
    /// Only this type
    #[arg(long = "type", value_name = "TYPE")]
    entity_type: Option<String>,
    /// importance, name or mention_count
    #[arg(long)]
    sort: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50)]
    limit: u32,
}

/// Runs a command.
pub(crate) async fn run(config: Config, command: EntitiesCommand) -> anyhow::Result<ExitCode> {
    match command {
        EntitiesCommand::List(args) => list(&config, args).await,
        EntitiesCommand::Show { entity, limit } => show(&config, &entity, limit).await,
        EntitiesCommand::Neighbours { entity, hops, limit } => neighbours(&config, &entity, hops, limit).await,
    }
}

async fn list(config: &Config, args: ListArgs) -> anyhow::Result<ExitCode> {
    let query =
        Query::new().with("collection", args.collection.as_deref()).with("q", args.q).with("type", args.entity_type);
    let path = query.with("sort", args.sort).with("limit", Some(args.limit)).on("/api/entities");
    let page = ask(config, Work::None, async |client| {
        client.must_have(args.collection.as_deref()).await?;
        client.get(&path).await
    })
    .await?;
    answer(&page, |page| {
        entity_table(page["entities"].as_array().map_or(&[], Vec::as_slice)).print();
        count(page, "entities", "entity");
    });
    Ok(ExitCode::SUCCESS)
}

/// A table of entities as every list of them shows it.
pub(crate) fn entity_table(entities: &[Value]) -> Table {
    let mut table = Table::new(&[
        kept("entity"),
        prose("name", 7),
        fact("type", 6),
        fact("importance", 3),
        fact("mentions", 5),
        fact("documents", 4),
        prose("description", 2),
    ]);
    for entity in entities {
        table.row([
            text(entity, "entity_id").to_owned(),
            text(entity, "name").to_owned(),
            text(entity, "type").to_owned(),
            number(entity, "importance"),
            number(entity, "mention_count"),
            number(entity, "document_count"),
            cut(text(entity, "description"), 60),
        ]);
    }
    table
}

async fn show(config: &Config, entity: &str, limit: u32) -> anyhow::Result<ExitCode> {
    let path = Query::new().with("limit", Some(limit)).on(&format!("/api/entities/{}", step(entity)));
    let found = ask(config, Work::None, async |client| client.get(&path).await).await?;
    answer(&found, show_entity);
    Ok(ExitCode::SUCCESS)
}

fn show_entity(entity: &Value) {
    say!("{}  {} ({})", text(entity, "entity_id"), text(entity, "name"), text(entity, "type"));
    if !text(entity, "description").is_empty() {
        block("", text(entity, "description"));
    }
    let many = |key: &str, thing: &str| plural(entity[key].as_u64().unwrap_or(0), thing);
    say!(
        "importance {}, {} in {}, {} out, {} in",
        number(entity, "importance"),
        many("mention_count", "mention"),
        many("document_count", "document"),
        many("relations_out", "relation"),
        entity["relations_in"]
    );
    for (key, title) in [("type_votes", "types"), ("spelling_votes", "spellings")] {
        let votes = entity[key].as_array().into_iter().flatten();
        let votes: Vec<_> = votes.map(|vote| vote.as_object().map(shown_vote).unwrap_or_default()).collect();
        say!("{title}: {}", votes.join(", "));
    }
    for alias in entity["aliases"].as_array().into_iter().flatten() {
        let times = plural(alias["evidence_count"].as_u64().unwrap_or(0), "time");
        say!("alias: {} ({}), {times}", text(alias, "name"), text(alias, "entity_id"));
    }
    let mut table = Table::new(&[prose("document", 4), fact("page", 3), kept("chunk"), prose("spelling", 2)]);
    for mention in entity["mentions"].as_array().into_iter().flatten() {
        let document = mention["source"].as_str().or(mention["document_id"].as_str()).unwrap_or("");
        table.row([
            document.to_owned(),
            number(mention, "page_start"),
            text(mention, "chunk_id").to_owned(),
            mention["spelling"].as_str().unwrap_or(text(entity, "name")).to_owned(),
        ]);
    }
    table.print();
    count(entity, "mentions", "mention");
}

/// `{"value": "pump", "count": 3}` as `pump 3`, whatever the keys are called.
fn shown_vote(vote: &serde_json::Map<String, Value>) -> String {
    let words = vote.values().map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    words.collect::<Vec<_>>().join(" ")
}

async fn neighbours(config: &Config, entity: &str, hops: Option<u32>, limit: Option<u32>) -> anyhow::Result<ExitCode> {
    let query = Query::new().with("hops", hops).with("limit", limit);
    let path = query.on(&format!("/api/entities/{}/neighbours", step(entity)));
    let (found, middle) = ask(config, Work::None, async |client| {
        let middle = client.get(&format!("/api/entities/{}?limit=1", step(entity))).await?;
        Ok((client.get(&path).await?, middle))
    })
    .await?;
    answer(&found, |found| {
        let entities = found["entities"].as_array().map_or(&[][..], Vec::as_slice);
        entity_table(entities).print();
        let name = |id: &Value| {
            let entity = entities.iter().chain([&middle]).find(|entity| &entity["entity_id"] == id);
            entity.map_or_else(|| id.as_str().unwrap_or("").to_owned(), |entity| text(entity, "name").to_owned())
        };
        let mut table = Table::new(&[
            prose("from", 5),
            prose("relation", 4),
            prose("to", 5),
            fact("strength", 2),
            fact("support", 1),
        ]);
        for relation in found["relations"].as_array().into_iter().flatten() {
            table.row([
                name(&relation["source"]),
                text(relation, "type").to_owned(),
                name(&relation["target"]),
                number(relation, "strength"),
                number(relation, "support"),
            ]);
        }
        table.print();
        if found["truncated"] == true {
            tell!("there are more than these; raise --limit");
        }
    });
    Ok(ExitCode::SUCCESS)
}
