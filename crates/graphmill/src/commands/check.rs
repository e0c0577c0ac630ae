//! `graphmill check`: compares the graph with the facts that it was made from.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::doctor::data::lost_graph;
use crate::assembly::Work;
use crate::client::ask;
use crate::config::Config;
use crate::output::{Table, answer, fact, kept, plural, prose, tell, text};
use crate::query::Query;

/// Arguments of `check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Collection to check
    #[arg(long)]
    collection: Option<String>,
    /// Stop after so many findings
    #[arg(long, default_value_t = 100)]
    limit: u32,
}

/// Checks; exit code 3 when something was found.
pub(crate) async fn run(config: Config, args: CheckArgs) -> anyhow::Result<ExitCode> {
    let query = Query::new().with("collection", args.collection.as_deref()).with("limit", Some(args.limit));
    let path = query.on("/api/graph/check");
    let mut found = ask(&config, Work::None, async |client| {
        client.must_have(args.collection.as_deref()).await?;
        client.get(&path).await
    })
    .await?;
    // An empty graph agrees with itself: whether there was more can be told where its folder is.
    let lost = if config.client.server.is_none() { lost_graph(&config.data_dir)? } else { None };
    if let (Some(lost), Some(findings)) = (&lost, found["findings"].as_array_mut()) {
        findings.insert(0, json!({"kind": "lost_graph", "subject": "graph.db", "detail": lost}));
    }
    answer(&found, |found| {
        let mut table = Table::new(&[fact("kind", 1), kept("about"), prose("what is wrong", 2)]);
        for finding in found["findings"].as_array().into_iter().flatten() {
            table.row(["kind", "subject", "detail"].map(|key| text(finding, key).to_owned()));
        }
        table.print();
    });
    let findings = found["findings"].as_array().map_or(0, Vec::len);
    if findings == 0 {
        tell!("the graph of {} is whole", text(&found, "collection"));
        return Ok(ExitCode::SUCCESS);
    }
    if lost.is_none() {
        tell!(
            "{}; please report them. Ingesting the documents named again (POST /api/jobs) makes their part anew",
            plural(findings as u64, "finding")
        );
    }
    Ok(ExitCode::from(3))
}
