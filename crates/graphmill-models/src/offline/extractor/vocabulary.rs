//! The words of one chunk by their lower-case form: how often each stands in which look, and which language they are.

use std::borrow::Cow;
use std::collections::HashMap;

use super::lexer::{Lexed, Place};
use super::lexicon::{Language, Lexicon};
use super::shape::Shape;

/// What is known of a word in its chunk.
#[derive(Debug)]
pub(super) struct Known<'a> {
    /// Lower-case form.
    pub(super) lower: Cow<'a, str>,
    /// Whose stop word it is.
    pub(super) stop: Option<Language>,
    /// How often it stands in lower case in running text.
    pub(super) lower_count: u32,
    /// How often it stands with a capital where a plain word would have none.
    pub(super) capital_count: u32,
}

/// All words of a chunk.
pub(super) struct Vocabulary<'a> {
    known: Vec<Known<'a>>,
    ids: Vec<u32>,
    /// What most stop words say.
    pub(super) language: Language,
}

impl<'a> Vocabulary<'a> {
    /// Counts the words of `lexed`.
    pub(super) fn of(text: &'a str, lexed: &Lexed, lexicon: &Lexicon) -> Self {
        let mut by_form: HashMap<Cow<'a, str>, u32> = HashMap::with_capacity(lexed.words.len() / 2);
        let mut known: Vec<Known<'a>> = Vec::with_capacity(lexed.words.len() / 2);
        let mut ids = Vec::with_capacity(lexed.words.len());
        let (mut english, mut german) = (0, 0);
        for word in &lexed.words {
            let form = lower_case(&text[word.start..word.end]);
            let id = match by_form.get(&form) {
                Some(id) => *id,
                None => {
                    let id = u32::try_from(known.len()).unwrap_or(u32::MAX);
                    let stop = lexicon.stop(&form);
                    known.push(Known { lower: form.clone(), stop, lower_count: 0, capital_count: 0 });
                    by_form.insert(form, id);
                    id
                }
            };
            ids.push(id);
            let entry = &mut known[id as usize];
            match entry.stop {
                Some(Language::English) => english += 1,
                Some(Language::German) => german += 1,
                _ => {}
            }
            let running = matches!(word.place, Place::Text | Place::Marked(_));
            if word.shape == Shape::Lower && running {
                entry.lower_count += 1;
            } else if word.shape.is_name() && running && !word.initial {
                entry.capital_count += 1;
            }
        }
        let language = match (english, german) {
            (e, g) if e > g && e * 8 >= lexed.words.len() => Language::English,
            (e, g) if g > e && g * 12 >= lexed.words.len() => Language::German,
            _ => Language::Other,
        };
        Self { known, ids, language }
    }

    /// Number of the lower-case form of the `index`-th word.
    pub(super) fn id(&self, index: usize) -> u32 {
        self.ids[index]
    }

    /// What is known of the `index`-th word.
    pub(super) fn word(&self, index: usize) -> &Known<'a> {
        &self.known[self.ids[index] as usize]
    }
}

fn lower_case(word: &str) -> Cow<'_, str> {
    if word.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        Cow::Borrowed(word)
    } else if word.is_ascii() {
        Cow::Owned(word.to_ascii_lowercase())
    } else {
        Cow::Owned(word.to_lowercase())
    }
}
