//! From what a chat model said to facts: tolerant of its form, strict about its content.

mod facts;
mod grounding;
mod json;
mod locate;
mod names;

use serde_json::Value;

use crate::{ChunkInput, Extraction};

/// A whole text as one JSON value, read leniently.
pub(super) fn parse_whole(text: &str) -> Option<Value> {
    json::parse(text.trim_start_matches('\u{feff}')).filter(|parsed| parsed.complete).map(|parsed| parsed.value)
}

/// The facts that `content` tells about `chunk`; an `Err` says why the model has to be asked again. `cut`: the server says that the answer
/// ended early.
pub(super) fn read(content: &str, cut: bool, chunk: &ChunkInput<'_>) -> Result<Extraction, &'static str> {
    let found = locate::find(content)?;
    let truncated = cut || !found.complete;
    Ok(Extraction { truncated, ..facts::build(&found.graph, chunk) })
}

#[cfg(test)]
mod tests;
