//! What the chat model is told. Any change here, or in `prompt.txt`, raises [`PROMPT_VERSION`].

use std::borrow::Cow;
use std::sync::LazyLock;

use graphmill_core::ENTITY_TYPES;

use crate::ChunkInput;

/// Version of the prompt and of the rules by which its answers are read; part of every cache key.
pub const PROMPT_VERSION: u32 = 1;

static SYSTEM: LazyLock<String> = LazyLock::new(|| with_types(&ENTITY_TYPES.join(", ")));

/// The instructions, for these types of entities or the usual ones.
pub(super) fn system(types: Option<&[String]>) -> Cow<'static, str> {
    types.map_or(Cow::Borrowed(&SYSTEM), |types| Cow::Owned(with_types(&types.join(", "))))
}

fn with_types(types: &str) -> String {
    include_str!("prompt.txt").trim_end().replace("{types}", types)
}

/// The chunk with what helps to understand it.
pub(super) fn user(chunk: &ChunkInput<'_>) -> String {
    let mut out = String::with_capacity(chunk.text.len() + chunk.context.map_or(0, str::len) + 100);
    if !chunk.heading_path.is_empty() {
        out.push_str(&format!("<heading>{}</heading>\n", chunk.heading_path));
    }
    if let Some(context) = chunk.context.filter(|c| !c.is_empty()) {
        out.push_str(&format!("<context>\n{context}\n</context>\n"));
    }
    out.push_str(&format!("<text>\n{}\n</text>", chunk.text));
    out
}
