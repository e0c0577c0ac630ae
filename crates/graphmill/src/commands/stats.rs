//! `graphmill stats`: counts of the graph and how far its layers are behind.

use std::process::ExitCode;

use serde_json::Value;

use crate::assembly::Work;
use crate::cli::CollectionArgs;
use crate::client::ask;
use crate::config::Config;
use crate::output::{answer, say};
use crate::query::Query;

/// Prints the counts, one a line, then the layers.
pub(crate) async fn run(config: Config, args: CollectionArgs) -> anyhow::Result<ExitCode> {
    let path = Query::new().with("collection", args.collection).on("/api/graph/stats");
    let stats = ask(&config, Work::None, async |client| client.get(&path).await).await?;
    answer(&stats, |stats| show(stats, ""));
    Ok(ExitCode::SUCCESS)
}

fn show(values: &Value, above: &str) {
    for (name, value) in values.as_object().into_iter().flatten() {
        match value {
            Value::Object(inner) if !inner.is_empty() => show(value, &format!("{above}{name}.")),
            Value::Object(_) | Value::Null | Value::Array(_) => {}
            Value::String(text) => say!("{:<34} {text}", format!("{above}{name}")),
            other => say!("{:<34} {other}", format!("{above}{name}")),
        }
    }
}
