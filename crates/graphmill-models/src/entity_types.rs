//! Facts of the wanted types alone.

use graphmill_core::ChunkFacts;

/// The facts whose entities have one of `types`; what hangs on an entity of another type goes with it. Answers how many mentions were left out.
pub(crate) fn keep_types(facts: ChunkFacts, types: &[String]) -> (ChunkFacts, u64) {
    let before = facts.mentions.len();
    let ChunkFacts { mut mentions, statements, aliases, .. } = facts.clone();
    mentions.retain(|mention| types.contains(&mention.entity_type));
    if mentions.len() == before {
        return (facts, 0);
    }
    let left_out = (before - mentions.len()) as u64;
    let (kept, _) = ChunkFacts::canonical(mentions, statements, aliases);
    (ChunkFacts { quarantined: facts.quarantined, ..kept }, left_out)
}

/// How the types stand among the parameters of an extractor.
pub(crate) fn parameter(types: &[String]) -> String {
    format!("types={}", types.join(","))
}
