//! What `check` counts anew from the facts of live chunks, and how it compares; whatever the backend. Memory is bounded: entities are taken in shares by
//! their ids, a pass over the facts for each.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use graphmill_core::EntityId;

use crate::facts_column::FactsView;
use crate::folds::{EntityFold, RelationFold};
use crate::records::Discrepancy;

/// Entities and relations that are counted at the same time, about.
const SHARE: u64 = 250_000;

/// Findings, no more than were asked for.
pub(crate) struct Findings {
    found: Vec<Discrepancy>,
    limit: usize,
}

impl Findings {
    pub(crate) fn new(limit: usize) -> Self {
        Self { found: Vec::new(), limit }
    }

    pub(crate) fn add(&mut self, kind: &'static str, subject: impl ToString, detail: impl ToString) {
        if !self.is_full() {
            self.found.push(Discrepancy { kind, subject: subject.to_string(), detail: detail.to_string() });
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.found.len() >= self.limit
    }

    /// The findings, sorted.
    pub(crate) fn into_sorted(mut self) -> Vec<Discrepancy> {
        self.found.sort();
        self.found
    }

    /// A counter beside what it counts.
    pub(crate) fn compare_counter(&mut self, name: &str, stored: i64, counted: i64) {
        if stored != counted {
            self.add("counter", name, format!("stored {stored}, counted {counted}"));
        }
    }
}

/// One of the shares in which entities (and the relations that they are the source of) are counted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    number: u64,
    of: u64,
}

impl Share {
    /// The shares of a collection with so many entities and relations.
    pub(crate) fn all(folds: u64) -> impl Iterator<Item = Self> {
        let of = folds / SHARE + 1;
        (0..of).map(move |number| Self { number, of })
    }

    pub(crate) fn has(self, id: &EntityId) -> bool {
        let mut first = [0; 8];
        first.copy_from_slice(&id.as_bytes()[..8]);
        u64::from_be_bytes(first) % self.of == self.number
    }
}

/// Folds of a share counted anew. `D`: how the backend names a document.
pub(crate) struct Counted<D> {
    share: Share,
    entities: HashMap<EntityId, (EntityFold, HashSet<D>)>,
    relations: HashMap<(EntityId, EntityId), RelationFold>,
}

impl<D: Copy + Eq + Hash> Counted<D> {
    pub(crate) fn new(share: Share) -> Self {
        Self { share, entities: HashMap::new(), relations: HashMap::new() }
    }

    /// Counts the facts of a live chunk.
    pub(crate) fn add(&mut self, view: &FactsView<'_>, document: D) {
        let share = self.share;
        for id in view.entities.iter().filter(|id| share.has(id)) {
            let (fold, documents) = self.entities.entry(*id).or_default();
            documents.insert(document);
            fold.documents = documents.len() as u64;
        }
        for m in view.mentions.iter().filter(|m| share.has(&view.entities[m.entity])) {
            let entity = self.entities.entry(view.entities[m.entity]).or_default();
            entity.0.add_mention(m.spelling, m.entity_type, m.description, m.count());
        }
        for s in &view.statements {
            let (source, target) = view.ends(s);
            let ends = (view.entities[source], view.entities[target]);
            if share.has(&ends.0) {
                let relation = self.relations.entry(ends).or_default();
                relation.add_statement(s.relation_type, s.description, s.strength_millionths);
            }
        }
    }

    /// Compares a stored fold of the share.
    pub(crate) fn compare_entity(&mut self, id: EntityId, stored: &EntityFold, findings: &mut Findings) {
        match self.entities.remove(&id) {
            None => findings.add("entity_fold", id, "no live chunk mentions it"),
            Some((counted, _)) if counted != *stored => {
                findings.add("entity_fold", id, format!("stored {stored:?}, counted {counted:?}"));
            }
            Some(_) => {}
        }
    }

    /// Compares a stored fold whose source is of the share.
    pub(crate) fn compare_relation(
        &mut self,
        ends: (EntityId, EntityId),
        stored: &RelationFold,
        findings: &mut Findings,
    ) {
        let subject = || format!("{} {}", ends.0, ends.1);
        match self.relations.remove(&ends) {
            None => findings.add("relation_fold", subject(), "no live chunk states it"),
            Some(counted) if counted != *stored => {
                findings.add("relation_fold", subject(), format!("stored {stored:?}, counted {counted:?}"));
            }
            Some(_) => {}
        }
    }

    /// After all that is stored was compared: what is left is not there.
    pub(crate) fn report_missing(self, findings: &mut Findings) {
        for id in self.entities.keys() {
            findings.add("missing_entity", id, "live chunks mention it and it has no fold");
        }
        for (source, target) in self.relations.keys() {
            findings.add("missing_relation", format!("{source} {target}"), "live chunks state it and it has no fold");
        }
    }
}

/// What the placed chunks of a document say.
pub(crate) struct DocumentFacts {
    pub(crate) chunks: i64,
    in_order: bool,
    /// Chunks that mention each.
    pub(crate) entities: HashMap<EntityId, i64>,
    /// Statements of each.
    pub(crate) relations: HashMap<(EntityId, EntityId), i64>,
    /// Alias evidence, one a pair and chunk.
    pub(crate) aliases: i64,
}

impl Default for DocumentFacts {
    fn default() -> Self {
        Self { chunks: 0, in_order: true, entities: HashMap::new(), relations: HashMap::new(), aliases: 0 }
    }
}

impl DocumentFacts {
    /// Takes in the next of the document's chunks.
    pub(crate) fn add(&mut self, index: i64, view: FactsView<'_>) {
        self.in_order &= index == self.chunks;
        self.chunks += 1;
        for s in &view.statements {
            let (source, target) = view.ends(s);
            *self.relations.entry((view.entities[source], view.entities[target])).or_default() += 1;
        }
        self.aliases += view.aliases().collect::<HashSet<_>>().len() as i64;
        for id in view.entities {
            *self.entities.entry(id).or_default() += 1;
        }
    }

    /// Compares the counts of chunks, entities and relations that the document has.
    pub(crate) fn compare(&self, id: graphmill_core::DocumentId, stored: (i64, i64, i64), findings: &mut Findings) {
        if !self.in_order {
            findings.add("placement", id, "its chunks do not stand at 0, 1, 2 …");
        }
        let counts = (self.chunks, self.entities.len() as i64, self.relations.len() as i64);
        if stored != counts {
            let detail = format!("chunks, entities and relations: stored {stored:?}, counted {counts:?}");
            findings.add("document_counts", id, detail);
        }
    }
}
