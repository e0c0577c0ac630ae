//! The offline extractor: entities by their look and by repetition, relations by standing together. Pure, linear, the same on every machine.

mod acronyms;
mod candidates;
mod cjk;
mod lexer;
mod lexicon;
mod marks;
mod noun_phrases;
mod shape;
mod statements;
mod typed;
mod types;
mod vocabulary;

use std::cmp::Reverse;
use std::collections::HashMap;

use async_trait::async_trait;
use graphmill_core::{AliasEvidence, CacheKey, ChunkFacts, CollectionId, EntityName, Mention, Statement};

use crate::{CallContext, ChunkInput, EntityExtractor, Error, Extraction, ExtractorVersion};
use candidates::{Candidate, Reading};
use lexicon::Lexicon;
use statements::Occurrence;
pub use typed::TypedOfflineExtractor;
use vocabulary::Vocabulary;

#[cfg(test)]
mod tests;

/// Raised whenever the same text would give other facts.
const RULES_VERSION: u32 = 1;

/// Entities a kilobyte of text.
const ENTITIES_PER_KB: usize = 12;

/// Relations a kilobyte of text.
const STATEMENTS_PER_KB: usize = 16;

/// Most spans kept of one spelling.
const MOST_SPANS: usize = 64;

/// Longest description (a defining sentence), in bytes.
const LONGEST_DESCRIPTION: usize = 240;

/// Extracts entities by rules; needs nothing and is never wrong in the same way twice.
#[derive(Debug, Clone, Copy, Default)]
pub struct OfflineExtractor;

#[async_trait]
impl EntityExtractor for OfflineExtractor {
    fn version(&self) -> ExtractorVersion {
        ExtractorVersion { model: "rules-v1".into(), prompt_version: RULES_VERSION, parameters: String::new() }
    }

    async fn extract(&self, _: &CollectionId, chunk: ChunkInput<'_>, _: &CallContext) -> Result<Extraction, Error> {
        Ok(Extraction { facts: extract(chunk.text), ..Extraction::default() })
    }

    fn cache_key(&self, _: &CollectionId, _: ChunkInput<'_>) -> Option<CacheKey> {
        None
    }
}

/// An entity of the chunk with all its occurrences.
struct Group {
    key: EntityName,
    occurrences: Vec<Candidate>,
    weight: u32,
    least_count: usize,
    first: usize,
}

impl Group {
    fn score(&self) -> u32 {
        let count = u32::try_from(self.occurrences.len().min(8)).unwrap_or(8);
        self.weight * 4 + count * 6
    }
}

/// The facts of `text`.
pub fn extract(text: &str) -> ChunkFacts {
    let lexed = lexer::lex(text);
    let lexicon = Lexicon::get();
    let vocabulary = Vocabulary::of(text, &lexed, lexicon);
    let reading = Reading { text, lexed: &lexed, vocabulary: &vocabulary, lexicon };
    let definitions = acronyms::find(&reading);
    let mut candidates = reading.candidates();
    candidates.extend(definitions.iter().flat_map(|d| [d.short, d.long]));
    candidates.sort_by_key(|c| (c.start, Reverse(c.end), Reverse(c.why.weight())));
    // A stretch within another one, or the same one again, is no occurrence of its own.
    let mut reached = 0;
    candidates.retain(|c| {
        let free = c.start >= reached;
        reached = reached.max(c.end);
        free
    });
    let limit = |per_kb: usize| (text.len() * per_kb).div_ceil(1000).max(8);
    let groups = kept(group(&reading, candidates), limit(ENTITIES_PER_KB));
    facts(&reading, &groups, &definitions, limit(STATEMENTS_PER_KB))
}

/// Short forms that `text` defines, each with its long form.
pub(crate) fn defined_short_forms(text: &str) -> Vec<(String, String)> {
    let lexed = lexer::lex(text);
    let lexicon = Lexicon::get();
    let vocabulary = Vocabulary::of(text, &lexed, lexicon);
    let reading = Reading { text, lexed: &lexed, vocabulary: &vocabulary, lexicon };
    let found = acronyms::find(&reading);
    found.iter().map(|d| (spelling(text, &d.short), spelling(text, &d.long))).collect()
}

/// `text` of a candidate with its white space folded.
fn spelling(text: &str, candidate: &Candidate) -> String {
    let raw = &text[candidate.start..candidate.end];
    if !raw.contains(['\n', '\t', '\r', '\u{ad}']) && !raw.contains("  ") {
        return raw.to_owned();
    }
    let words: Vec<&str> = raw.split_whitespace().collect();
    words.join(" ").replace('\u{ad}', "")
}

fn group(reading: &Reading<'_>, candidates: Vec<Candidate>) -> Vec<Group> {
    let mut numbers: HashMap<EntityName, usize> = HashMap::with_capacity(candidates.len());
    let mut groups: Vec<Group> = Vec::new();
    for candidate in candidates {
        let Ok(key) = EntityName::new(&spelling(reading.text, &candidate)) else { continue };
        let number = *numbers.entry(key).or_insert_with_key(|key| {
            let first = candidate.start;
            groups.push(Group { key: key.clone(), occurrences: Vec::new(), weight: 0, least_count: usize::MAX, first });
            groups.len() - 1
        });
        let group = &mut groups[number];
        group.weight = group.weight.max(candidate.why.weight());
        group.least_count = group.least_count.min(candidate.why.least_count());
        group.occurrences.push(candidate);
    }
    groups
}

/// The best `most` groups, in order of first occurrence.
fn kept(mut groups: Vec<Group>, most: usize) -> Vec<Group> {
    groups.retain(|g| g.occurrences.len() >= g.least_count);
    groups.sort_by_key(|g| (Reverse(g.score()), g.first));
    groups.truncate(most);
    groups.sort_by_key(|g| g.first);
    groups
}

fn facts(
    reading: &Reading<'_>,
    groups: &[Group],
    definitions: &[acronyms::Definition],
    most_statements: usize,
) -> ChunkFacts {
    let offsets = CharOffsets::of(reading.text, groups);
    let mut mentions = Vec::with_capacity(groups.len());
    let mut names: Vec<String> = Vec::with_capacity(groups.len());
    let mut occurrences: Vec<Occurrence> = Vec::new();
    for (entity, group) in groups.iter().enumerate() {
        let typed = group.occurrences.iter().map(|c| types::type_of(reading, c));
        let entity_type =
            typed.min_by_key(|(t, told)| (!told, graphmill_core::entity_type_rank(t))).map_or("concept", |t| t.0);
        let mut description = definition(reading, group);
        let mut spellings: Vec<(String, Vec<(u32, u32)>)> = Vec::new();
        for candidate in &group.occurrences {
            let text = spelling(reading.text, candidate);
            let span = (offsets.at(candidate.start), offsets.at(candidate.end));
            match spellings.iter_mut().find(|(known, _)| *known == text) {
                Some((_, spans)) if spans.len() < MOST_SPANS => spans.push(span),
                Some(_) => {}
                None => spellings.push((text, vec![span])),
            }
            let (words, start, sentence) = (candidate.words, candidate.start, candidate.sentence);
            occurrences.push(Occurrence { entity, words, start, sentence });
        }
        names.push(spellings[0].0.clone());
        mentions.extend(spellings.into_iter().map(|(spelling, spans)| Mention {
            spelling,
            entity_type: entity_type.to_owned(),
            description: std::mem::take(&mut description),
            spans,
        }));
    }
    occurrences.sort_by_key(|o| (o.start, o.entity));
    let relations = statements::find(reading, &occurrences, most_statements, |a, b| groups[a].key < groups[b].key);
    let statements = relations.into_iter().map(|r| Statement {
        source: names[r.source].clone(),
        target: names[r.target].clone(),
        relation_type: r.kind.to_owned(),
        description: String::new(),
        strength_millionths: r.strength,
    });
    let aliases = definitions
        .iter()
        .map(|d| AliasEvidence { short: spelling(reading.text, &d.short), long: spelling(reading.text, &d.long) });
    ChunkFacts::canonical(mentions, statements.collect(), aliases.collect()).0
}

/// The sentence that says what an entity is: one that begins with it and goes on with `is a`.
fn definition(reading: &Reading<'_>, group: &Group) -> String {
    let words = &reading.lexed.words;
    for candidate in &group.occurrences {
        let (from, to) = candidate.words;
        let begins = from < to
            && from
                == words.partition_point(|w| w.sentence < candidate.sentence) + usize::from(has_article(reading, from));
        let form = |i: usize| (i < words.len()).then(|| &*reading.vocabulary.word(i).lower);
        let is_a = matches!(form(to), Some("is" | "are" | "ist" | "sind"))
            && matches!(form(to + 1), Some("a" | "an" | "the" | "ein" | "eine" | "der" | "die" | "das"));
        if begins && is_a && words[to].sentence == candidate.sentence {
            let last = words.partition_point(|w| w.sentence <= candidate.sentence) - 1;
            let sentence = &reading.text[words[from].start..words[last].end];
            let folded = sentence.split_whitespace().collect::<Vec<_>>().join(" ");
            return if folded.len() <= LONGEST_DESCRIPTION { folded } else { String::new() };
        }
    }
    String::new()
}

fn has_article(reading: &Reading<'_>, from: usize) -> bool {
    from > 0
        && reading.follows(from)
        && matches!(
            &*reading.vocabulary.word(from - 1).lower,
            "the" | "a" | "an" | "der" | "die" | "das" | "ein" | "eine"
        )
}

/// Byte offsets of the kept occurrences as character offsets, counted in one pass.
struct CharOffsets(Option<HashMap<usize, u32>>);

impl CharOffsets {
    fn of(text: &str, groups: &[Group]) -> Self {
        if text.is_ascii() {
            return Self(None);
        }
        let mut wanted: Vec<usize> =
            groups.iter().flat_map(|g| &g.occurrences).flat_map(|c| [c.start, c.end]).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let (mut byte, mut char) = (0, 0);
        let counted = wanted.into_iter().map(|offset| {
            char += text[byte..offset].chars().count();
            byte = offset;
            (offset, u32::try_from(char).unwrap_or(u32::MAX))
        });
        Self(Some(counted.collect()))
    }

    fn at(&self, byte: usize) -> u32 {
        match &self.0 {
            None => u32::try_from(byte).unwrap_or(u32::MAX),
            Some(counted) => counted[&byte],
        }
    }
}
