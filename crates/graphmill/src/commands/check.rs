//! `graphmill check`: compares the graph with the facts that it was made from.

use std::process::ExitCode;

use clap::Args;

use crate::assembly::Work;
use crate::client::ask;
use crate::config::Config;
use crate::output::{Table, answer, text};
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
    let query = Query::new().with("collection", args.collection).with("limit", Some(args.limit));
    let path = query.on("/api/graph/check");
    let found = ask(&config, Work::None, async |client| client.get(&path).await).await?;
    answer(&found, |found| {
        let mut table = Table::new(&["kind", "about", "what is wrong"]);
        for finding in found["findings"].as_array().into_iter().flatten() {
            table.row(["kind", "subject", "detail"].map(|key| text(finding, key).to_owned()));
        }
        table.print();
    });
    let findings = found["findings"].as_array().map_or(0, Vec::len);
    if findings == 0 {
        eprintln!("the graph of {} is whole", text(&found, "collection"));
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!(
        "{findings} findings; please report them. Ingesting the documents named again (POST /api/jobs) makes their part anew"
    );
    Ok(ExitCode::from(3))
}
