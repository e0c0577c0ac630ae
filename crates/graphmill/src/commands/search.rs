//! `graphmill search WORDS…`: chunks by words, meaning or both.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use crate::assembly::Work;
use crate::client::ask;
use crate::config::Config;
use crate::output::{answer, colours, say, text};
use crate::query::Query;

/// Arguments of `search`.
#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// What to look for
    #[arg(required = true, value_name = "WORDS")]
    words: Vec<String>,
    /// hybrid, text or vector
    #[arg(long)]
    mode: Option<String>,
    /// Collection to look in
    #[arg(long)]
    collection: Option<String>,
    /// At most so many, 1 to 100
    #[arg(long)]
    limit: Option<u32>,
    /// Only in these documents (ids, separated by commas)
    #[arg(long)]
    document: Option<String>,
    /// Only where this entity is mentioned (ids, or a name)
    #[arg(long)]
    entity: Option<String>,
}

/// Searches; exit code 3 when nothing is found.
pub(crate) async fn run(config: Config, args: SearchArgs) -> anyhow::Result<ExitCode> {
    let query = Query::new().with("q", Some(args.words.join(" "))).with("mode", args.mode);
    let query = query.with("collection", args.collection).with("limit", args.limit);
    let path = query.with("document", args.document).with("entity", args.entity).on("/api/search");
    let found = ask(&config, Work::None, async |client| client.get(&path).await).await?;
    answer(&found, |found| {
        for (rank, hit) in (1..).zip(found["hits"].as_array().into_iter().flatten()) {
            show(rank, hit);
        }
    });
    for warning in found["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        eprintln!("graphmill: warning: {warning}");
    }
    let hits = found["hits"].as_array().map_or(0, Vec::len);
    eprintln!("{hits} hits in {} ms ({})", found["took_ms"], text(&found, "mode"));
    Ok(if hits == 0 { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

fn show(rank: usize, hit: &Value) {
    let headings: Vec<_> = hit["heading_path"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let place = if headings.is_empty() { String::new() } else { format!("  {}", headings.join(" › ")) };
    let score = hit["score"].as_f64().unwrap_or(0.0);
    say!("{rank}. {}, page {}{place}  ({score:.4})  {}", text(hit, "source"), hit["page_start"], text(hit, "chunk_id"));
    for line in marked(hit, colours()).lines().filter(|line| !line.trim().is_empty()) {
        say!("   {line}");
    }
    let entities: Vec<_> =
        hit["entities"].as_array().into_iter().flatten().map(|entity| text(entity, "name")).collect();
    if !entities.is_empty() {
        say!("   [{}]", entities.join(", "));
    }
    say!("");
}

/// The text with what was found in bold.
fn marked(hit: &Value, bold: bool) -> String {
    let mut marks = Vec::new();
    for range in hit["highlights"].as_array().into_iter().flatten() {
        marks.extend(range["start"].as_u64().zip(range["end"].as_u64()));
    }
    let mut shown = String::new();
    for (at, c) in (0u64..).zip(text(hit, "text").chars()) {
        if bold && marks.iter().any(|(start, _)| *start == at) {
            shown.push_str("\u{1b}[1m");
        }
        shown.push(c);
        if bold && marks.iter().any(|(_, end)| *end == at + 1) {
            shown.push_str("\u{1b}[0m");
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn highlights_count_characters() {
        let hit = json!({"text": "die Größe der Pumpe", "highlights": [{"start": 4, "end": 9}]});
        assert_eq!(marked(&hit, true), "die \u{1b}[1mGröße\u{1b}[0m der Pumpe");
        assert_eq!(marked(&hit, false), "die Größe der Pumpe");
    }
}
