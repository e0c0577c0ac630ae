//! `graphmill communities …`: list, show.

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use super::entities::entity_table;
use crate::assembly::Work;
use crate::client::ask;
use crate::config::Config;
use crate::output::{Table, answer, block, count, cut, fact, kept, number, prose, say, tell, text};
use crate::query::{Query, step};

/// `communities …`
#[derive(Debug, Subcommand)]
pub(crate) enum CommunitiesCommand {
    /// Communities of the present clustering, largest first
    List {
        /// Collection to look in
        #[arg(long)]
        collection: Option<String>,
        /// Only this level (0 = finest)
        #[arg(long)]
        level: Option<u32>,
        /// At most so many
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// One community with its members
    Show {
        /// Id of the community
        community: String,
        /// At most so many members
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
}

/// Runs a command.
pub(crate) async fn run(config: Config, command: CommunitiesCommand) -> anyhow::Result<ExitCode> {
    match command {
        CommunitiesCommand::List { collection, level, limit } => {
            let query =
                Query::new().with("collection", collection.as_deref()).with("level", level).with("limit", Some(limit));
            let path = query.on("/api/communities");
            let page = ask(&config, Work::None, async |client| {
                client.must_have(collection.as_deref()).await?;
                client.get(&path).await
            })
            .await?;
            answer(&page, |page| {
                table(page["communities"].as_array().map_or(&[], Vec::as_slice)).print();
                count(page, "communities", "community");
                if page["total"] == 0 {
                    tell!("make them with: graphmill cluster");
                }
            });
        }
        CommunitiesCommand::Show { community, limit } => {
            let path = Query::new().with("limit", Some(limit)).on(&format!("/api/communities/{}", step(&community)));
            let found = ask(&config, Work::None, async |client| client.get(&path).await).await?;
            answer(&found, |found| {
                say!("{}  level {}  {}", text(found, "community_id"), found["level"], text(found, "title"));
                if !text(found, "summary").is_empty() {
                    block("", text(found, "summary"));
                }
                table(found["children"].as_array().map_or(&[], Vec::as_slice)).print();
                entity_table(found["members"].as_array().map_or(&[], Vec::as_slice)).print();
                count(found, "members", "member");
            });
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn table(communities: &[Value]) -> Table {
    let mut table = Table::new(&[
        kept("community"),
        fact("level", 3),
        fact("size", 4),
        fact("share", 1),
        prose("title", 5),
        prose("summary", 2),
    ]);
    for community in communities {
        table.row([
            text(community, "community_id").to_owned(),
            number(community, "level"),
            number(community, "size"),
            number(community, "modularity_share"),
            cut(text(community, "title"), 50),
            cut(text(community, "summary"), 60),
        ]);
    }
    table
}
