//! `graphmill stats`: counts of the graph.

use std::process::ExitCode;

use crate::assembly::Work;
use crate::cli::CollectionArgs;
use crate::client::Client;
use crate::config::Config;
use crate::output::say;

/// Prints the counts, one a line.
pub(crate) async fn run(config: Config, args: CollectionArgs) -> anyhow::Result<ExitCode> {
    let client = Client::connect(&config, Work::None).await?;
    let query = args.collection.map(|c| format!("?collection={c}")).unwrap_or_default();
    let stats = client.get(&format!("/api/graph/stats{query}")).await;
    client.close().await;
    for (name, count) in stats?.as_object().into_iter().flatten() {
        say!("{name:<24} {count}");
    }
    Ok(ExitCode::SUCCESS)
}
