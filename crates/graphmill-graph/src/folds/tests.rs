//! Any interleaving of additions and removals ends as the fold computed anew from what is left.

use graphmill_core::{Mention, Statement};
use proptest::collection::vec;
use proptest::prelude::*;

use super::{EntityFold, RelationFold};

#[derive(Debug, Clone)]
enum Step {
    /// Adds these facts in one difference.
    Add(Vec<Mention>),
    /// Takes away one of the differences that were added.
    Remove(prop::sample::Index),
}

fn mentions() -> impl Strategy<Value = Mention> {
    let word = |words: &'static [&'static str]| prop::sample::select(words).prop_map(str::to_owned);
    (
        word(&["Pump", "pump", "PUMPS"]),
        word(&["product", "person", "spaceship"]),
        word(&["", "a", "b", "c", "d", "e", "f"]),
        0..5u32,
    )
        .prop_map(|(spelling, entity_type, description, spans)| Mention {
            spelling,
            entity_type,
            description,
            spans: (0..spans).map(|i| (i, i + 1)).collect(),
        })
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let add = vec(mentions(), 1..6).prop_map(Step::Add);
    let remove = any::<prop::sample::Index>().prop_map(Step::Remove);
    vec(prop_oneof![3 => add, 2 => remove], 1..40)
}

fn entity_fold(facts: &[Mention]) -> EntityFold {
    let mut fold = EntityFold { documents: 1, ..EntityFold::default() };
    facts.iter().for_each(|fact| fold.add(fact));
    fold
}

fn statement(mention: &Mention) -> Statement {
    Statement {
        source: "A".into(),
        target: "B".into(),
        relation_type: mention.entity_type.clone(),
        description: mention.description.clone(),
        strength_millionths: mention.count() * 300_000,
    }
}

fn relation_fold(facts: &[Mention]) -> RelationFold {
    let mut fold = RelationFold::default();
    facts.iter().for_each(|fact| fold.add(&statement(fact)));
    fold
}

fn anew<F: Default>(live: &[Vec<Mention>], of: impl Fn(&[Mention]) -> F, merge: impl Fn(&mut F, &F)) -> F {
    let mut fold = F::default();
    live.iter().rev().for_each(|facts| merge(&mut fold, &of(facts)));
    fold
}

proptest! {
    #[test]
    fn entity_folds_do_not_depend_on_history(steps in steps()) {
        let (mut fold, mut live) = (EntityFold::default(), Vec::<Vec<Mention>>::new());
        for step in steps {
            match step {
                Step::Add(facts) => {
                    fold.merge(&entity_fold(&facts));
                    live.push(facts);
                }
                Step::Remove(which) if !live.is_empty() => {
                    let gone = live.swap_remove(which.index(live.len()));
                    if fold.subtract(&entity_fold(&gone)).unwrap() {
                        fold.texts = anew(&live, entity_fold, EntityFold::merge).texts;
                    }
                }
                Step::Remove(_) => {}
            }
            let computed = anew(&live, entity_fold, EntityFold::merge);
            prop_assert_eq!(&fold, &computed);
            prop_assert_eq!(fold.types.total(), fold.mentions);
            let stored = EntityFold::decode(fold.mentions, fold.documents, &fold.encode()).unwrap();
            prop_assert_eq!(&stored, &fold);
        }
    }

    #[test]
    fn relation_folds_do_not_depend_on_history(steps in steps()) {
        let (mut fold, mut live) = (RelationFold::default(), Vec::<Vec<Mention>>::new());
        for step in steps {
            match step {
                Step::Add(facts) => {
                    fold.merge(&relation_fold(&facts));
                    live.push(facts);
                }
                Step::Remove(which) if !live.is_empty() => {
                    let gone = live.swap_remove(which.index(live.len()));
                    if fold.subtract(&relation_fold(&gone)).unwrap() {
                        fold.texts = anew(&live, relation_fold, RelationFold::merge).texts;
                    }
                }
                Step::Remove(_) => {}
            }
            prop_assert_eq!(&fold, &anew(&live, relation_fold, RelationFold::merge));
            let stored = RelationFold::decode(fold.support, fold.strength_millionths, &fold.encode()).unwrap();
            prop_assert_eq!(&stored, &fold);
        }
    }

    #[test]
    fn a_damaged_fold_never_panics(bytes: Vec<u8>) {
        let _ = EntityFold::decode(1, 1, &bytes);
        let _ = RelationFold::decode(1, 1, &bytes);
    }
}
