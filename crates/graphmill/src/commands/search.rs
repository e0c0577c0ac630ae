//! `graphmill search WORDS…`: chunks by words, meaning or both.

use std::process::ExitCode;

use clap::{Args, CommandFactory, ValueEnum};
use serde_json::Value;

use crate::assembly::Work;
use crate::cli::Cli;
use crate::client::ask;
use crate::config::Config;
use crate::output::{Style, answer, plural, say, styled_line, tell, text};
use crate::query::Query;

/// Arguments of `search`.
#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// What to look for
    #[arg(required = true, value_name = "WORDS")]
    words: Vec<String>,
    /// By words and meaning (default), by words alone, or by meaning alone. Meaning has no floor: hybrid and vector show the nearest chunks, however
    /// far they are; only text finds nothing (exit code 3) where no word stands
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// Collection to look in
    #[arg(long)]
    collection: Option<String>,
    /// At most so many, 1 to 100
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    limit: Option<u32>,
    /// Only in these documents (ids, separated by commas)
    #[arg(long)]
    document: Option<String>,
    /// Only where this entity is mentioned (ids, or a name)
    #[arg(long)]
    entity: Option<String>,
}

/// How chunks are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// By words and by meaning
    Hybrid,
    /// By words
    Text,
    /// By meaning
    Vector,
}

impl Mode {
    /// As the API spells it.
    fn word(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Text => "text",
            Self::Vector => "vector",
        }
    }
}

/// Searches; exit code 3 when nothing is found.
pub(crate) async fn run(config: Config, args: SearchArgs) -> anyhow::Result<ExitCode> {
    let words = args.words.join(" ");
    if words.trim().is_empty() {
        let usage = "what to look for is empty; give a word or more: graphmill search northgate pump";
        Cli::command().error(clap::error::ErrorKind::ValueValidation, usage).exit();
    }
    let query = Query::new().with("q", Some(words)).with("mode", args.mode.map(Mode::word));
    let query = query.with("collection", args.collection.as_deref()).with("limit", args.limit);
    let path = query.with("document", args.document).with("entity", args.entity).on("/api/search");
    let found = ask(&config, Work::None, async |client| {
        client.must_have(args.collection.as_deref()).await?;
        client.get(&path).await
    })
    .await?;
    answer(&found, |found| {
        for (rank, hit) in (1..).zip(found["hits"].as_array().into_iter().flatten()) {
            show(rank, hit);
        }
    });
    for warning in found["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        tell!("graphmill: warning: {warning}");
    }
    let hits = found["hits"].as_array().map_or(0, Vec::len);
    tell!("{} in {} ms ({})", plural(hits as u64, "hit"), found["took_ms"], text(&found, "mode"));
    Ok(if hits == 0 { ExitCode::from(3) } else { ExitCode::SUCCESS })
}

fn show(rank: usize, hit: &Value) {
    let headings: Vec<_> = hit["heading_path"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let place = if headings.is_empty() { String::new() } else { format!("  {}", headings.join(" › ")) };
    let score = hit["score"].as_f64().unwrap_or(0.0);
    say!("{rank}. {}, page {}{place}  ({score:.4})  {}", text(hit, "source"), hit["page_start"], text(hit, "chunk_id"));
    for line in marked(hit) {
        let pieces = line.iter().map(|(style, piece)| (*style, piece.as_str()));
        styled_line(&std::iter::once((Style::Plain, "   ")).chain(pieces).collect::<Vec<_>>());
    }
    let entities: Vec<_> =
        hit["entities"].as_array().into_iter().flatten().map(|entity| text(entity, "name")).collect();
    if !entities.is_empty() {
        say!("   [{}]", entities.join(", "));
    }
    say!("");
}

/// The lines of the text that are not empty, in pieces: what was found is bold.
fn marked(hit: &Value) -> Vec<Vec<(Style, String)>> {
    let mut marks = Vec::new();
    for range in hit["highlights"].as_array().into_iter().flatten() {
        marks.extend(range["start"].as_u64().zip(range["end"].as_u64()));
    }
    let mut lines = vec![Vec::<(Style, String)>::new()];
    for (at, c) in (0u64..).zip(text(hit, "text").chars()) {
        if c == '\n' {
            lines.push(Vec::new());
            continue;
        }
        let bold = marks.iter().any(|(start, end)| (*start..*end).contains(&at));
        let style = if bold { Style::Bold } else { Style::Plain };
        let line = lines.last_mut().expect("there is always a last line");
        match line.last_mut().filter(|(last, _)| *last == style) {
            Some((_, piece)) => piece.push(c),
            None => line.push((style, c.to_string())),
        }
    }
    lines.retain(|line| line.iter().any(|(_, piece)| !piece.trim().is_empty()));
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn highlights_count_characters() {
        let hit = json!({"text": "die Größe\n \nder Pumpe", "highlights": [{"start": 4, "end": 9}]});
        let piece = |style, text: &str| (style, text.to_owned());
        assert_eq!(
            marked(&hit),
            [vec![piece(Style::Plain, "die "), piece(Style::Bold, "Größe")], vec![piece(Style::Plain, "der Pumpe")]]
        );
    }
}
