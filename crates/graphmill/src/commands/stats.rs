//! `graphmill stats`: counts of the graph and how far its layers are behind.

use std::process::ExitCode;

use serde_json::Value;

use crate::assembly::Work;
use crate::cli::CollectionArgs;
use crate::client::ask;
use crate::config::Config;
use crate::output::{answer, plural, say, text};
use crate::query::Query;

/// The counts that are shown, by key, and what people call them.
const COUNTS: [(&str, &str); 9] = [
    ("documents", "documents"),
    ("chunks", "chunks"),
    ("entities", "entities"),
    ("relations", "relations"),
    ("similarities", "similarities"),
    ("communities", "communities"),
    ("chunks_without_vector", "without vector"),
    ("quarantined_chunks", "set aside"),
    ("unplaced_chunks", "unplaced"),
];

/// Prints the counts, one a line, then the layers.
pub(crate) async fn run(config: Config, args: CollectionArgs) -> anyhow::Result<ExitCode> {
    let path = Query::new().with("collection", args.collection.as_deref()).on("/api/graph/stats");
    let stats = ask(&config, Work::None, async |client| {
        client.must_have(args.collection.as_deref()).await?;
        client.get(&path).await
    })
    .await?;
    answer(&stats, |stats| lines(stats).iter().for_each(|line| say!("{line}")));
    Ok(ExitCode::SUCCESS)
}

fn lines(stats: &Value) -> Vec<String> {
    let mut lines: Vec<String> =
        COUNTS.iter().filter_map(|(key, name)| Some(format!("{name:<14} {}", stats[*key].as_u64()?))).collect();
    let layers = &stats["layers"];
    lines.push(format!("layers of {}:", text(layers, "collection")));
    let missing = layers["embeddings"]["chunks_without_vector"].as_u64().unwrap_or(0);
    let embeddings = match missing {
        0 if layers["embeddings"]["stale"] == true => "behind".to_owned(),
        0 => "up to date".to_owned(),
        n => format!("behind: {} without vector", plural(n, "chunk")),
    };
    lines.push(format!("  embeddings   {embeddings}"));
    for name in ["similarities", "communities"] {
        let layer = &layers[name];
        let state = match (layer["stale"] == true, layer["behind"].as_u64().unwrap_or(0), &layer["generation"]) {
            (true, _, generation) if *generation == 0 => "not made yet".to_owned(),
            (true, n, _) => format!("{} behind", plural(n, "publication")),
            (false, ..) => "up to date".to_owned(),
        };
        lines.push(format!("  {name:<12} {state}"));
    }
    for deletion in stats["deletions"].as_array().into_iter().flatten() {
        let percent = deletion["progress"].as_f64().unwrap_or(0.0) * 100.0;
        lines.push(format!("collection {} is being deleted: {percent:.0} %", text(deletion, "collection")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn people_read_words_and_no_keys() {
        let stats = json!({"documents": 1, "chunks": 14700, "quarantined_chunks": 2, "publish_number": 7, "layers": {
            "collection": "team", "embeddings": {"chunks_without_vector": 1, "stale": true, "spaces": []},
            "similarities": {"generation": 3, "stands_at": 5, "behind": 2, "stale": true, "parameters": {"top_k": 10}},
            "communities": {"generation": 0, "stands_at": 0, "behind": 7, "stale": true, "parameters": {}}}});
        assert_eq!(
            lines(&stats),
            [
                "documents      1",
                "chunks         14700",
                "set aside      2",
                "layers of team:",
                "  embeddings   behind: 1 chunk without vector",
                "  similarities 2 publications behind",
                "  communities  not made yet",
            ]
        );
    }
}
