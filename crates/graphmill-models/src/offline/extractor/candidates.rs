//! Which stretches of a chunk may be entities: names, acronyms, identifiers, marked terms. Noun phrases are in `noun_phrases.rs`.

use super::cjk::TermKind;
use super::lexer::{Gap, Lexed, Place};
use super::lexicon::{Language, Lexicon};
use super::noun_phrases;
use super::shape::Shape;
use super::vocabulary::Vocabulary;

/// Why a stretch may be an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The text defines it as a short form or says what one is short for.
    Defined,
    /// Its look: `PostgreSQL`.
    Camel,
    /// Its look: `CPU`.
    Acronym,
    /// Its look: `RS-232`.
    Code,
    /// Capitalised, more than one word.
    Names,
    /// Capitalised, one word.
    Name,
    /// A capitalised word of a language that capitalises every noun.
    Noun,
    /// Between backticks.
    CodeSpan,
    /// Its look: `max_connections`.
    Identifier,
    /// The same, or a name's look, in a block of code.
    InCode,
    /// `1.2.3`.
    Version,
    /// Emphasised or quoted.
    Marked,
    /// A noun phrase that the chunk repeats.
    Repeated,
    /// A noun phrase after an article.
    Phrase,
    /// A term in CJK text.
    Cjk(TermKind),
}

impl Why {
    /// How telling it is.
    pub(super) fn weight(self) -> u32 {
        match self {
            Self::Defined => 30,
            Self::Camel => 18,
            Self::Names | Self::CodeSpan => 16,
            Self::Acronym | Self::Code => 14,
            Self::Identifier | Self::Marked | Self::Cjk(TermKind::Quoted) => 11,
            Self::Name | Self::Cjk(TermKind::Katakana) => 10,
            Self::Repeated => 9,
            Self::InCode => 5,
            Self::Noun | Self::Phrase | Self::Version => 4,
            Self::Cjk(TermKind::Han) => 3,
        }
    }

    /// How often the chunk must have it before it is kept.
    pub(super) fn least_count(self) -> usize {
        match self {
            Self::Noun | Self::Cjk(TermKind::Han) | Self::InCode => 2,
            _ => 1,
        }
    }
}

/// One occurrence of what may be an entity.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    /// First byte.
    pub(super) start: usize,
    /// One past the last byte.
    pub(super) end: usize,
    /// Index of its first word, and one past its last; for a CJK term both are the words before it.
    pub(super) words: (usize, usize),
    /// Number of its sentence.
    pub(super) sentence: u32,
    /// Why.
    pub(super) why: Why,
}

/// Longest name in words.
const LONGEST_NAME: usize = 6;

/// A chunk being read.
pub(super) struct Reading<'a> {
    /// The chunk's text.
    pub(super) text: &'a str,
    /// Its words.
    pub(super) lexed: &'a Lexed,
    /// Their forms.
    pub(super) vocabulary: &'a Vocabulary<'a>,
    /// What words mean.
    pub(super) lexicon: &'static Lexicon,
}

impl Reading<'_> {
    /// All candidates, in no particular order.
    pub(super) fn candidates(&self) -> Vec<Candidate> {
        let mut found = Vec::with_capacity(self.lexed.words.len() / 4);
        let mut at = 0;
        while at < self.lexed.words.len() {
            at = match self.lexed.words[at].shape {
                shape if shape.is_name() => self.name(at, &mut found),
                _ => self.single(at, &mut found),
            };
        }
        self.marked(&mut found);
        if self.vocabulary.language == Language::English {
            noun_phrases::find(self, &mut found);
        }
        for term in &self.lexed.cjk {
            let word = self.lexed.words.partition_point(|w| w.start < term.start);
            let why = Why::Cjk(term.kind);
            found.push(Candidate {
                start: term.start,
                end: term.end,
                words: (word, word),
                sentence: term.sentence,
                why,
            });
        }
        found
    }

    /// The candidate over words `from..to`.
    pub(super) fn over(&self, from: usize, to: usize, why: Why) -> Candidate {
        let words = &self.lexed.words;
        Candidate {
            start: words[from].start,
            end: words[to - 1].end,
            words: (from, to),
            sentence: words[from].sentence,
            why,
        }
    }

    /// The `index`-th word goes on where the one before it ended.
    pub(super) fn follows(&self, index: usize) -> bool {
        let words = &self.lexed.words;
        index < words.len()
            && words[index].gap == Gap::Space
            && words[index].sentence == words[index - 1].sentence
            && words[index].place == words[index - 1].place
    }

    fn lower(&self, index: usize) -> &str {
        &self.vocabulary.word(index).lower
    }

    /// A word that is a candidate by itself or not at all.
    fn single(&self, at: usize, found: &mut Vec<Candidate>) -> usize {
        let word = &self.lexed.words[at];
        let length = word.end - word.start;
        let why = match (word.shape, word.place) {
            (Shape::Identifier, Place::Code) => {
                let flag = self.text[word.start..].starts_with('-');
                if flag { None } else { Some(Why::InCode) }
            }
            (Shape::Identifier, _) => Some(Why::Identifier),
            (Shape::Version, Place::Text) if self.is_version(at) => Some(Why::Version),
            (Shape::Lower, Place::CodeSpan) if self.vocabulary.word(at).stop.is_none() => Some(Why::CodeSpan),
            _ => None,
        };
        if let Some(why) = why
            && (2..=80).contains(&length)
        {
            found.push(self.over(at, at + 1, why));
        }
        at + 1
    }

    /// A name that starts at word `from`; returns where to go on.
    fn name(&self, from: usize, found: &mut Vec<Candidate>) -> usize {
        let words = &self.lexed.words;
        let german = self.vocabulary.language == Language::German;
        let mut to = from + 1;
        while self.follows(to) && to - from < LONGEST_NAME {
            if words[to].shape.is_name() {
                to += 1;
            } else if !german && self.connects(to) {
                to += 2;
            } else {
                break;
            }
        }
        let next = to;
        if words[from].place == Place::Code {
            found.extend(
                (from..to).filter(|i| words[*i].shape == Shape::Camel).map(|i| self.over(i, i + 1, Why::InCode)),
            );
            return next;
        }
        let from = self.skip_leading(from, to);
        while to > from && self.vocabulary.word(to - 1).stop.is_some() {
            to -= 1;
        }
        if from >= to || self.lexicon.is_structural(self.lower(from)) {
            return next;
        }
        let with_number = self.number_follows(to);
        if self.is_shouted(from, to) {
            return next;
        }
        let why = if to - from > 1 || with_number { Some(Why::Names) } else { self.single_name(from) };
        if let Some(why) = why {
            found.push(self.over(from, if with_number { to + 1 } else { to }, why));
        }
        if with_number { next.max(to + 1) } else { next }
    }

    /// `version 1.2.3`, `Apache 2.4.1`, `v2`: else the numbers are those of a section.
    fn is_version(&self, at: usize) -> bool {
        let words = &self.lexed.words;
        let prefixed = self.text[words[at].start..].starts_with(['v', 'V']);
        let follows = at > 0 && self.follows(at) && !self.text[words[at - 1].end..words[at].start].contains('\n');
        prefixed || (follows && (words[at - 1].shape.is_name() || matches!(self.lower(at - 1), "version" | "release")))
    }

    /// Several words in capitals are a cry or a label: `BACK TO BASICS`, `GOING FURTHER`.
    fn is_shouted(&self, from: usize, to: usize) -> bool {
        let words = &self.lexed.words;
        let capitals = (from..to).all(|i| words[i].shape == Shape::Acronym);
        let letters = words[to - 1].end - words[from].start;
        let digits = self.text[words[from].start..words[to - 1].end].contains(|c: char| c.is_ascii_digit());
        capitals && to - from >= 2 && !digits && letters > 10
    }

    /// `of` and the like between two names.
    fn connects(&self, at: usize) -> bool {
        matches!(self.lower(at), "of" | "de" | "di" | "van" | "von" | "del")
            && self.follows(at + 1)
            && self.lexed.words[at + 1].shape == Shape::Capital
            && self.vocabulary.word(at + 1).stop.is_none()
    }

    /// Past the words that only have a capital because a sentence or a heading begins with them.
    fn skip_leading(&self, mut from: usize, to: usize) -> usize {
        while from < to {
            let word = &self.lexed.words[from];
            let known = self.vocabulary.word(from);
            if word.shape != Shape::Capital {
                // `of` is left alone when what stood before it was no name.
                if word.shape.is_name() {
                    break;
                }
                from += 1;
                continue;
            }
            let heading = word.place == Place::Heading;
            let plain = known.stop.is_some()
                || (word.initial
                    && known.capital_count == 0
                    && (known.lower_count > 0
                        || known.lower.ends_with("ing")
                        || self.lexicon.is_imperative(&known.lower)
                        || self.lexicon.is_weak(&known.lower)))
                || (heading && (known.lower.ends_with("ing") || self.lexicon.is_weak(&known.lower)));
            if !plain {
                break;
            }
            from += 1;
        }
        from
    }

    /// `Debian 11`, `USB 3.0`, `ISO 9001`, but no year and no count.
    fn number_follows(&self, at: usize) -> bool {
        let words = &self.lexed.words;
        if !self.follows(at)
            || self.text[words[at - 1].end..words[at].start].contains('\n')
            || !matches!(words[at].shape, Shape::Number | Shape::Version)
            || words[at].place == Place::Heading
        {
            return false;
        }
        let before = words[at - 1].shape;
        let number = &self.text[words[at].start..words[at].end];
        let plain = number.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-');
        let year = number.len() == 4 && (number.starts_with("19") || number.starts_with("20"));
        let german_noun = self.vocabulary.language == Language::German && before == Shape::Capital;
        let standard = self.lexicon.type_cue(self.lower(at - 1)) == Some("standard");
        // `Debian 12 servers` have a version, `in Rome 30 people` are a count.
        let counts = self.lexicon.is_place(self.lower(at - 1));
        plain && !year && (standard || (number.len() <= 6 && !german_noun && !counts && before != Shape::Code))
    }

    /// What a single word with a name's look is.
    fn single_name(&self, at: usize) -> Option<Why> {
        let word = &self.lexed.words[at];
        let known = self.vocabulary.word(at);
        let evidence = known.capital_count > 0;
        let heading = word.place == Place::Heading;
        match word.shape {
            Shape::Camel => Some(Why::Camel),
            Shape::Code => (known.lower.len() <= 24).then_some(Why::Code),
            Shape::Acronym => {
                let plain_word = known.lower_count > 0 && known.lower.len() > 3;
                let doubtful = self.lexicon.is_shouted(&known.lower) || plain_word || known.stop.is_some();
                (!doubtful && (!heading || evidence)).then_some(Why::Acronym)
            }
            _ if word.place == Place::CodeSpan => Some(Why::CodeSpan),
            _ if known.stop.is_some() || known.lower_count > 0 || known.lower.chars().count() < 3 => None,
            _ if self.lexicon.is_structural(&known.lower) || self.lexicon.is_weak(&known.lower) => None,
            _ if (word.initial || heading) && !evidence => None,
            _ if self.vocabulary.language == Language::German => Some(Why::Noun),
            _ => Some(Why::Name),
        }
    }

    /// Emphasised and quoted stretches of at most four words that look like a term.
    fn marked(&self, found: &mut Vec<Candidate>) {
        let words = &self.lexed.words;
        let mut from = 0;
        while from < words.len() {
            let Place::Marked(stretch) = words[from].place else {
                from += 1;
                continue;
            };
            let mut to = from + 1;
            while to < words.len() && words[to].place == Place::Marked(stretch) {
                to += 1;
            }
            if to - from <= 4 && self.is_term(from, to) {
                found.push(self.over(from, to, Why::Marked));
            }
            from = to;
        }
    }

    /// The words are a phrase that neither begins nor ends with a plain word.
    fn is_term(&self, from: usize, to: usize) -> bool {
        let whole = (from + 1..to).all(|i| self.follows(i));
        let sound = |i: usize| {
            let known = self.vocabulary.word(i);
            let shape = self.lexed.words[i].shape;
            known.stop.is_none()
                && !self.lexicon.is_weak(&known.lower)
                && !self.lexicon.is_structural(&known.lower)
                && !self.lexicon.is_shouted(&known.lower)
                && !self.lexicon.is_imperative(&known.lower)
                && matches!(shape, Shape::Lower | Shape::Capital)
                && known.lower.chars().count() >= 3
        };
        // A whole sentence that is emphasised is no term; a name alone was found already.
        whole
            && sound(from)
            && sound(to - 1)
            && !(self.text[..self.lexed.words[to - 1].end].len() < self.text.len()
                && self.text[self.lexed.words[to - 1].end..].starts_with(['.', '!', '?', ':']))
    }
}
