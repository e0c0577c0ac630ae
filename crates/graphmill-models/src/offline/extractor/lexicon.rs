//! Word lists: what is no entity, and what tells an entity's type. The lists are the text files in `words/`.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

/// Words that name nothing, in the languages that are told apart and a few more.
pub(super) struct Lexicon {
    stop: HashMap<&'static str, Language>,
    shouted: HashSet<&'static str>,
    structural: HashSet<&'static str>,
    places: HashSet<&'static str>,
    given_names: HashSet<&'static str>,
    weak: HashSet<&'static str>,
    imperatives: HashSet<&'static str>,
    type_cues: HashMap<&'static str, &'static str>,
}

/// Whose stop word a word is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// English alone.
    English,
    /// German alone.
    German,
    /// Of another language, or of more than one.
    Other,
}

static LEXICON: LazyLock<Lexicon> = LazyLock::new(Lexicon::load);

fn words(list: &'static str) -> impl Iterator<Item = &'static str> {
    list.split_ascii_whitespace()
}

impl Lexicon {
    /// The lists, read once.
    pub(super) fn get() -> &'static Self {
        &LEXICON
    }

    fn load() -> Self {
        let mut stop: HashMap<&'static str, Language> = HashMap::new();
        let lists = [
            (include_str!("../words/english.txt"), Language::English),
            (include_str!("../words/german.txt"), Language::German),
            (include_str!("../words/others.txt"), Language::Other),
        ];
        for (list, language) in lists {
            for word in words(list) {
                let known = stop.entry(word).or_insert(language);
                // What English or German share with French, say, still tells nothing about which of the two it is.
                if *known != language && language != Language::Other {
                    *known = Language::Other;
                }
            }
        }
        let mut type_cues = HashMap::new();
        for line in include_str!("../words/type_cues.txt").lines() {
            let Some((entity_type, cues)) = line.split_once(':') else { continue };
            for cue in words(cues) {
                type_cues.entry(cue).or_insert(entity_type);
            }
        }
        Self {
            stop,
            shouted: words(include_str!("../words/shouted.txt")).collect(),
            structural: words(include_str!("../words/structural.txt")).collect(),
            places: words(include_str!("../words/places.txt")).collect(),
            given_names: words(include_str!("../words/given_names.txt")).collect(),
            weak: words(include_str!("../words/weak_heads.txt")).collect(),
            imperatives: words(include_str!("../words/imperatives.txt")).collect(),
            type_cues,
        }
    }

    /// Whose stop word `word` (lower case) is, if it is one.
    pub(super) fn stop(&self, word: &str) -> Option<Language> {
        self.stop.get(word).copied()
    }

    /// In capitals it is emphasis or a Roman number, not an acronym.
    pub(super) fn is_shouted(&self, word: &str) -> bool {
        self.shouted.contains(word)
    }

    /// Names a part of a document (`Figure 3`) or a point in a list.
    pub(super) fn is_structural(&self, word: &str) -> bool {
        self.structural.contains(word)
    }

    /// A country, a city.
    pub(super) fn is_place(&self, word: &str) -> bool {
        self.places.contains(word)
    }

    /// A given name of people.
    pub(super) fn is_given_name(&self, word: &str) -> bool {
        self.given_names.contains(word)
    }

    /// Neither begins nor ends a term that is worth keeping.
    pub(super) fn is_weak(&self, word: &str) -> bool {
        self.weak.contains(word)
    }

    /// A verb with which instructions begin.
    pub(super) fn is_imperative(&self, word: &str) -> bool {
        self.imperatives.contains(word)
    }

    /// The type of something whose name begins or ends with `word`.
    pub(super) fn type_cue(&self, word: &str) -> Option<&'static str> {
        self.type_cues.get(word).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cue_is_of_the_schema() {
        for entity_type in Lexicon::get().type_cues.values() {
            assert!(graphmill_core::ENTITY_TYPES.contains(entity_type), "{entity_type}");
        }
    }

    #[test]
    fn languages_are_told_apart() {
        let lexicon = Lexicon::get();
        assert_eq!(lexicon.stop("however"), Some(Language::English));
        assert_eq!(lexicon.stop("jedoch"), Some(Language::German));
        assert_eq!(lexicon.stop("debian"), None);
    }
}
