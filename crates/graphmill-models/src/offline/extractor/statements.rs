//! What a chunk says about two entities: that they stand together in a sentence, and the relation that the words between them name.

use std::collections::HashMap;

use super::candidates::Reading;

/// An occurrence of a kept entity: its number, the words it covers, its sentence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Occurrence {
    /// Number of the entity.
    pub(super) entity: usize,
    /// First word and one past the last.
    pub(super) words: (usize, usize),
    /// First byte.
    pub(super) start: usize,
    /// Number of the sentence.
    pub(super) sentence: u32,
}

/// A relation between two kept entities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Relation {
    /// Number of the source.
    pub(super) source: usize,
    /// Number of the target.
    pub(super) target: usize,
    /// Kind, `related_to` for mere co-occurrence.
    pub(super) kind: &'static str,
    /// Millionths, at most 10,000,000.
    pub(super) strength: u64,
}

/// The kind of mere co-occurrence.
pub(super) const RELATED: &str = "related_to";

/// An entity is set beside so many of those that follow it in its sentence.
const REACH: usize = 3;

/// Most words between the ends of a relation that is named.
const LONGEST_LINK: usize = 6;

/// A named relation, and whether it runs from the second of two entities to the first.
type Link = (&'static str, bool);

/// Words between two entities, the relation that they name, and whether it runs from the second to the first.
const CUES: &[(&[&str], &str, bool)] = &[
    (&["is", "part", "of"], "part_of", false),
    (&["part", "of"], "part_of", false),
    (&["is", "an"], "is_a", false),
    (&["is", "a"], "is_a", false),
    (&["is", "the"], "is_a", false),
    (&["based", "on"], "based_on", false),
    (&["depends", "on"], "depends_on", false),
    (&["runs", "on"], "runs_on", false),
    (&["developed", "by"], "created_by", false),
    (&["created", "by"], "created_by", false),
    (&["made", "by"], "created_by", false),
    (&["built", "by"], "created_by", false),
    (&["written", "by"], "created_by", false),
    (&["maintained", "by"], "maintained_by", false),
    (&["used", "by"], "uses", true),
    (&["provided", "by"], "provides", true),
    (&["replaced", "by"], "replaces", true),
    (&["consists", "of"], "contains", false),
    (&["connected", "to"], "connected_to", false),
    (&["connects", "to"], "connected_to", false),
    (&["linked", "to"], "connected_to", false),
    (&["belongs", "to"], "part_of", false),
    (&["located", "in"], "located_in", false),
    (&["stands", "in"], "located_in", false),
    (&["uses"], "uses", false),
    (&["using"], "uses", false),
    (&["contains"], "contains", false),
    (&["includes"], "contains", false),
    (&["comprises"], "contains", false),
    (&["requires"], "requires", false),
    (&["needs"], "requires", false),
    (&["provides"], "provides", false),
    (&["offers"], "provides", false),
    (&["supports"], "supports", false),
    (&["replaces"], "replaces", false),
    (&["implements"], "implements", false),
    (&["extends"], "extends", false),
    (&["controls"], "controls", false),
    (&["feeds"], "feeds", false),
    (&["built"], "created", false),
    (&["created"], "created", false),
    (&["developed"], "created", false),
    (&["founded"], "created", false),
    (&["ist", "teil"], "part_of", false),
    (&["ist", "ein"], "is_a", false),
    (&["ist", "eine"], "is_a", false),
    (&["ist", "der"], "is_a", false),
    (&["ist", "die"], "is_a", false),
    (&["ist", "das"], "is_a", false),
    (&["basiert", "auf"], "based_on", false),
    (&["gehört", "zu"], "part_of", false),
    (&["besteht", "aus"], "contains", false),
    (&["läuft", "auf"], "runs_on", false),
    (&["verwendet"], "uses", false),
    (&["nutzt"], "uses", false),
    (&["benutzt"], "uses", false),
    (&["enthält"], "contains", false),
    (&["umfasst"], "contains", false),
    (&["benötigt"], "requires", false),
    (&["erfordert"], "requires", false),
    (&["bietet"], "provides", false),
    (&["unterstützt"], "supports", false),
    (&["ersetzt"], "replaces", false),
];

/// The strongest `most` relations between `occurrences`, which are in order of their place. `before` says which of two entities is the source
/// where the text does not say.
pub(super) fn find(
    reading: &Reading<'_>,
    occurrences: &[Occurrence],
    most: usize,
    before: impl Fn(usize, usize) -> bool,
) -> Vec<Relation> {
    let mut sums: HashMap<(usize, usize), (u64, Option<Link>)> = HashMap::new();
    for (i, a) in occurrences.iter().enumerate() {
        for b in occurrences[i + 1..].iter().take_while(|b| b.sentence == a.sentence).take(REACH) {
            if a.entity == b.entity {
                continue;
            }
            let gap = b.words.0.saturating_sub(a.words.1);
            let pair = if before(a.entity, b.entity) { (a.entity, b.entity) } else { (b.entity, a.entity) };
            let (sum, named) = sums.entry(pair).or_default();
            *sum += 8_000_000 / (8 + gap as u64);
            if named.is_none() && gap <= LONGEST_LINK && gap > 0 {
                let cue = link(reading, a.words.1, b.words.0);
                // The sources of a pair are told by its order; a named relation says which end it runs from.
                *named = cue.map(|(kind, reversed)| (kind, reversed != (pair.0 != a.entity)));
            }
        }
    }
    let mut relations: Vec<Relation> = sums
        .into_iter()
        .map(|((first, second), (sum, named))| {
            let (kind, turned) = named.unwrap_or((RELATED, false));
            let (source, target) = if turned { (second, first) } else { (first, second) };
            let strength = (sum + if kind == RELATED { 0 } else { 1_000_000 }).min(10_000_000);
            Relation { source, target, kind, strength }
        })
        .collect();
    relations.sort_by_key(|r| (std::cmp::Reverse(r.strength), r.source, r.target));
    relations.truncate(most);
    relations
}

/// The relation that the words `from..to` name.
fn link(reading: &Reading<'_>, from: usize, to: usize) -> Option<Link> {
    let form = |i: usize| &*reading.vocabulary.word(i).lower;
    for at in from..to {
        for (cue, kind, reversed) in CUES {
            if cue[0] == form(at) && at + cue.len() <= to && (1..cue.len()).all(|k| cue[k] == form(at + k)) {
                let denied = (from..to).any(|i| matches!(form(i), "not" | "no" | "never" | "nicht" | "kein" | "keine"));
                return (!denied).then_some((*kind, *reversed));
            }
        }
    }
    None
}
